"""Discord keeps the contract of all messengers."""

from typing import Any

import pytest

from providers.base import Provider
from providers.events import MessageDeleted, MessageEdited, ReactionChanged
from providers.models import Poll, Upload
from tests.providers.contract import ProviderContract
from tests.providers.discord.conftest import Station
from tests.providers.harness import Harness, Seen
from tests.standins.discord_api.world import StoredFile, World


class DiscordHarness(Harness):
    """In a channel of a server: Discord lists no private chats, so of one that was never seen nobody tells after a restart."""

    reports = frozenset({MessageEdited, MessageDeleted, ReactionChanged})

    def __init__(self, station: Station) -> None:
        self._station = station
        self.settings = station.settings()
        self.chat_id = station.general
        self.person_id = station.ann

    @property
    def _world(self) -> World:
        return self._station.world

    def create(self) -> Provider:
        return self._station.make()

    async def write(self, text: str, *, reply_to: str | None = None, upload: Upload | None = None) -> str:
        replied = reply_to.split(":")[1] if reply_to else None
        file = StoredFile(upload.name, upload.mime, upload.content) if upload else None
        message = self._world.write(self.chat_id, self.person_id, text, reply_to=replied, file=file)
        return f"{self.chat_id}:{message['id']}"

    async def write_misshapen(self, text: str) -> str:
        unlike = {"attachments": [{"id": "1"}], "embeds": ["a page"], "poll": {"answers": [5]}, "mentions": [5]}
        return f"{self.chat_id}:{self._world.post(self.chat_id, self.person_id, content=text, **unlike)['id']}"

    async def bring_strange(self) -> None:
        (session,) = self._station.bot.sessions.values()
        strange: list[Any] = [None, [1], {}, {"id": "x", "channel_id": [], "guild_id": self._station.works, "author": 5, "type": {}}]
        for kind in ("MESSAGE_CREATE", "MESSAGE_UPDATE", "GUILD_CREATE", "THREAD_LIST_SYNC", "INTERACTION_CREATE", "MESSAGE_REACTION_ADD"):
            for data in strange:
                session.dispatch(kind, data)

    async def edit(self, message_id: str, text: str) -> None:
        self._world.rewrite(*message_id.split(":"), content=text)

    async def delete(self, message_id: str) -> None:
        self._world.erase(*message_id.split(":"))

    async def react(self, message_id: str, emoji: str | None) -> None:
        channel, message = message_id.split(":")
        if emoji is not None:
            self._world.react(channel, message, self.person_id, emoji)
            return
        for held, people in self._world.reactions[channel, message].items():
            if self.person_id in people:
                self._world.unreact(channel, message, self.person_id, held)

    async def bring_nothing(self) -> None:
        self._world.tell("CHANNEL_PINS_UPDATE", {"channel_id": self.chat_id, "guild_id": self._station.works}, 0, self.chat_id)

    async def refuse_second_send(self) -> None:
        self._station.discord.faults.hold_next("create_message").let_go.set()
        self._station.discord.faults.fail_next("create_message", 403, {"code": 50001, "message": "Missing Access"})

    async def seen(self, message_id: str) -> Seen:
        channel, number = message_id.split(":")
        message = self._world.messages[channel].get(number)
        if message is None:
            return Seen(deleted=True)
        reply, files = message.get("message_reference"), message["attachments"]
        reactions = [emoji for emoji, people in self._world.reactions.get((channel, number), {}).items() if self._station.bot.id in people]
        assert len(reactions) <= 1
        return Seen(
            text=message["content"],
            reply_to=f"{channel}:{reply['message_id']}" if reply else None,
            reaction=reactions[0] if reactions else None,
            file=self._world.files[files[0]["id"]].content if files else None,
            poll=_poll(message["poll"]) if message.get("poll") else None,
            pinned=message["pinned"],
            thread_id=channel if self._world.channels[channel]["parent_id"] else None,
        )

    async def is_typing(self) -> bool:
        call = await self._station.discord.until_called("trigger_typing_indicator")
        return call.path["channel_id"] == self.chat_id

    async def choices(self, message_id: str) -> dict[str, str]:
        return {button["custom_id"]: button["label"] for button in self._buttons(message_id)}

    async def choose(self, message_id: str, choice_id: str) -> None:
        channel, message = message_id.split(":")
        press = self._world.press(channel, message, self.person_id, {"component_type": 2, "custom_id": choice_id})
        await self._station.discord.until(lambda: press in self._world.answered)

    def _buttons(self, message_id: str) -> list[dict[str, Any]]:
        channel, message = message_id.split(":")
        return [button for row in self._world.messages[channel][message]["components"] for button in row["components"]]

    async def thread(self) -> str:
        return self._world.thread(self.chat_id, "aside")


def _poll(poll: dict[str, Any]) -> Poll:
    options = tuple(answer["poll_media"]["text"] for answer in poll["answers"])
    return Poll(question=poll["question"]["text"], options=options, multiple=poll["allow_multiselect"])


@pytest.fixture
def harness(station: Station) -> DiscordHarness:
    return DiscordHarness(station)


class TestDiscord(ProviderContract):
    pass
