"""An agent's answer on the messengers themselves: shown while it grows where messages can be edited, whole elsewhere; and edits start nothing."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest

from mcp_messenger.agents.text import MARK, STOPPED
from mcp_messenger.operations.application import App
from mcp_messenger.operations.instances import CreateInstance, create_instance
from mcp_messenger.security.caller import ADMIN
from tests.running import running_app, serving, until_status
from tests.standins.agent_os import AgentOsStandIn, agent_os
from tests.standins.discord_api import DiscordStandIn
from tests.standins.graph_api import GraphStandIn
from tests.standins.slack_api import SlackStandIn
from tests.standins.telegram_bot_api import TelegramStandIn
from tests.stored import one, rows
from tests.waiting import until

pytestmark = pytest.mark.anyio

BEGINNING = "Once upon a time there was a fox."
STORY = f"{BEGINNING} It lived in a **deep** wood, and there it stayed."
HALF = len(BEGINNING.split())


@dataclass
class Place:
    app: App
    url: str
    agents: AgentOsStandIn

    async def make(self, provider: str, **credentials: Any) -> str:
        asked = {"provider": provider, "credentials": credentials, "agno_enable": True, "agent_id": "helper", "stream": True}
        made = await create_instance(self.app, ADMIN, CreateInstance.model_validate(asked))
        await until_status(self.app, made.instance_id, "ready")
        return made.instance_id

    async def grows(self, sees: Callable[[], list[str]], whole: str) -> None:
        """The answer to what was just asked, in one message; and that is the end of it."""
        await until(lambda: sees() == [BEGINNING + MARK])
        self.agents.pauses[HALF].set()
        await until(lambda: sees() == [whole])
        await until(lambda: one(self.url, "SELECT count(*) FROM deliveries WHERE target = 'agno' AND status = 'done'") == 1)
        await until(lambda: one(self.url, "SELECT count(*) FROM events WHERE type = 'message_edited'") > 0)
        assert one(self.url, "SELECT count(*) FROM deliveries WHERE target = 'agno'") == 1
        assert one(self.url, "SELECT count(*) FROM agent_chats") == 0
        assert len(self.agents.runs) == 1


@pytest.fixture
async def place(database_url: str, tmp_path: Path) -> AsyncIterator[Place]:
    def story(message: str) -> str:
        return STORY

    async with agent_os(answer=story, pauses={HALF: anyio.Event()}) as agents, running_app(database_url, tmp_path, agno_url=agents.url) as app:
        yield Place(app, database_url, agents)


async def test_slack(place: Place) -> None:
    async with SlackStandIn() as slack:
        ann = slack.person("Ann")
        await place.make("slack", bot_token=slack.bot_token, app_token=slack.app_token, base_url=slack.api)
        direct = slack.direct(ann)
        slack.user_writes(direct, "a story", by=ann)

        def sees() -> list[str]:
            return [message["text"] for message in slack.channels[direct].messages if message.get("user") != ann]

        await place.grows(sees, STORY.replace("**", "*"))


async def test_a_slack_thread_sees_the_answer_grow_until_somebody_stops_it(place: Place) -> None:
    async with SlackStandIn() as slack:
        ann = slack.person("Ann")
        direct = slack.direct(ann)
        root = slack.user_writes(direct, "for later", by=ann)["ts"]
        await place.make("slack", bot_token=slack.bot_token, app_token=slack.app_token, base_url=slack.api)
        slack.user_writes(direct, "a story", by=ann, thread_ts=root)

        def sees() -> list[tuple[str, str | None]]:
            return [(each["text"], each.get("streaming_state")) for each in slack.channels[direct].messages if each.get("user") != ann]

        await until(lambda: sees() == [(BEGINNING, "in_progress")])
        slack.stops(direct, root, by=ann)
        await until(lambda: sees() == [(f"{BEGINNING}\n\n{STOPPED}", None)])
        assert rows(place.url, "SELECT status, last_error FROM deliveries WHERE target = 'agno'") == [("done", "A person stopped the answer.")]
        assert place.agents.cancelled == [place.agents.runs[0].session_id]


async def test_discord(place: Place) -> None:
    async with DiscordStandIn() as discord:
        world = discord.world
        bot = discord.add_bot()
        ann = world.person("Ann", world.guild("Works", bot))
        await place.make("discord", bot_token=bot.token, base_url=discord.base_url)
        direct = world.private(bot, ann)
        world.write(direct, ann, "a story")

        def sees() -> list[str]:
            return [message["content"] for message in world.messages[direct].values() if message["author"]["id"] != ann]

        await place.grows(sees, STORY)


async def test_telegram_shows_a_draft_and_then_one_message(place: Place) -> None:
    async with TelegramStandIn() as telegram:
        bot = telegram.add_bot()
        ann = bot.person("Ann")
        await place.make("telegram", token=bot.token, base_url=telegram.url)
        await telegram.until_called(bot, "getUpdates")
        bot.user_writes(ann, "a story")
        await until(lambda: [text for _, text in bot.drafts.values()] == [BEGINNING])
        assert bot.sent == []
        place.agents.pauses[HALF].set()
        await until(lambda: [call.params["text"] for call in bot.sent] == [STORY.replace("**deep**", "<b>deep</b>")])
        await until(lambda: one(place.url, "SELECT count(*) FROM deliveries WHERE target = 'agno' AND status = 'done'") == 1)
        assert one(place.url, "SELECT count(*) FROM events WHERE type = 'message_edited'") == 0


async def test_telegram_shows_a_message_that_is_edited_where_there_are_no_drafts(place: Place) -> None:
    async with TelegramStandIn() as telegram:
        bot = telegram.add_bot()
        ann = bot.person("Ann")
        await place.make("telegram", token=bot.token, base_url=telegram.url)
        await telegram.until_called(bot, "getUpdates")
        bot.takes_drafts = False
        bot.user_writes(ann, "a story")

        def sees() -> list[str]:
            return [message["text"] for message in bot.messages.values() if message.get("from") == bot.user]

        await place.grows(sees, STORY.replace("**", ""))


async def test_where_nothing_can_be_edited_the_answer_comes_when_it_is_whole(place: Place) -> None:
    async with GraphStandIn() as graph, serving(place.app) as url:
        number = graph.add_number()
        own = {
            "phone_number_id": number.id,
            "access_token": number.token,
            "webhook_verify_token": number.verify_token,
            "app_secret": number.app_secret,
        }
        instance_id = await place.make("whatsapp-official", base_url=graph.url, **own)
        number.callback = f"{url}/webhooks/whatsapp-official/{instance_id}"
        number.writes(number.person("Ann"), "a story")
        await until(lambda: place.agents.runs)
        place.agents.pauses[HALF].set()
        await until(lambda: one(place.url, "SELECT count(*) FROM messages WHERE queued AND status <> 'queued'") == 1)
        await until(lambda: len(number.sent) == 1)
        assert one(place.url, "SELECT body FROM messages WHERE queued") == STORY
        assert one(place.url, "SELECT edited_at FROM messages WHERE queued") is None
