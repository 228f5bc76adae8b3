"""What waits is told first things first, within a budget, and only to whom it belongs."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from db import chats
from mcp_messenger.api.mcp.server import result_of
from mcp_messenger.delivery.inbound import Source
from mcp_messenger.errors import NoSuchInstance
from mcp_messenger.operations.application import App
from mcp_messenger.operations.catching_up import CatchUp, CaughtUp, catch_up
from mcp_messenger.operations.searching import SearchMessages, search_messages
from mcp_messenger.operations.sending import SendMessage, send_message
from mcp_messenger.operations.tokens import tokens_at_most
from mcp_messenger.security.caller import ADMIN, Caller
from providers.models import Chat, ChatKind
from tests.mcp_clients import text_of
from tests.running import ready_sandbox, running_app
from tests.stored import received

pytestmark = pytest.mark.anyio
ALICE = Caller(user_id="alice")
EVERYDAY = (
    "Could you move our meeting from Tuesday to Thursday afternoon, around three? Thx.",
    "Привет! Можешь перенести встречу на четверг? Буду благодарен.",
    "明日の会議は三時からです。よろしくお願いします。",
    "شكرا جزيلا، نلتقي غدا إن شاء الله",
    "👍🏽🎉 see 4917012345678@c.us, 12:30–14:45, €1,299.00!!! https://shop.example/?q=a%20b&c=1",
)


@pytest.fixture
async def app(database_url: str, tmp_path: Path) -> AsyncGenerator[App]:
    async with running_app(database_url, tmp_path) as app:
        yield app


async def write(app: App, instance_id: str, id: str, text: str = "hello", *, chat: str = "ann", kind: ChatKind = ChatKind.PRIVATE, **of: Any) -> None:
    event = received(id, text, chat=Chat(id=chat, kind=kind, title=chat.title()), **of)
    message = event.message.model_copy(update={"at": event.message.at.replace(year=2099)})
    await app.inbound.deliver(Source(UUID(instance_id), None), [event.model_copy(update={"message": message})])


def chats_of(answer: CaughtUp) -> list[str]:
    return [chat.chat_id for instance in answer.instances for chat in instance.chats]


async def test_mentions_come_first_then_who_waits_for_an_answer_then_the_newest(app: App) -> None:
    instance_id = await ready_sandbox(app, persona="human")
    assert (await catch_up(app, ADMIN, CatchUp())).instances == []
    await write(app, instance_id, "1", chat="club", kind=ChatKind.GROUP, minute=1, mentions_me=True)
    await write(app, instance_id, "2", chat="ann", minute=2)
    await write(app, instance_id, "3", chat="team", kind=ChatKind.GROUP, minute=3)
    answer = await catch_up(app, ADMIN, CatchUp())
    assert chats_of(answer) == ["club", "ann", "team"]
    club, ann, _ = answer.instances[0].chats
    assert (club.mentions, club.unread, ann.unanswered) == (1, 1, True)
    assert [message.text for message in ann.messages] == ["hello"]
    for chat_id in ("team", "ann"):
        await chats.mark_read(app.database, UUID(instance_id), chat_id)
    assert chats_of(await catch_up(app, ADMIN, CatchUp())) == ["club", "ann"], "read, and still not answered"


async def test_an_answered_chat_waits_no_more(app: App) -> None:
    instance_id = await ready_sandbox(app, persona="human")
    event = received("1", "are you there?")
    await app.inbound.deliver(Source(UUID(instance_id), None), [event])
    assert chats_of(await catch_up(app, ADMIN, CatchUp(days=365))) == ["ann"]
    await send_message(app, ADMIN, SendMessage(instance_id=instance_id, to="ann", message="yes"))
    await chats.mark_read(app.database, UUID(instance_id), "ann")
    assert chats_of(await catch_up(app, ADMIN, CatchUp(days=365))) == []


async def test_each_sees_their_own(app: App) -> None:
    hers, other = await ready_sandbox(app, ALICE, persona="human"), await ready_sandbox(app, persona="human")
    for instance_id in (hers, other):
        await write(app, instance_id, "1")
    assert {one.instance_id for one in (await catch_up(app, ADMIN, CatchUp())).instances} == {hers, other}
    assert [one.instance_id for one in (await catch_up(app, ALICE, CatchUp())).instances] == [hers]
    assert [one.instance_id for one in (await catch_up(app, ADMIN, CatchUp(instance_id=other))).instances] == [other]
    with pytest.raises(NoSuchInstance):
        await catch_up(app, ALICE, CatchUp(instance_id=other))


@pytest.mark.parametrize("text", EVERYDAY)
@pytest.mark.parametrize("max_tokens", [300, 1500])
async def test_the_answer_stays_within_its_budget_and_says_what_it_left_out(app: App, text: str, max_tokens: int) -> None:
    bpe = pytest.importorskip("rs_bpe.bpe", reason="the tokenizer has no wheel for this platform")
    instance_id = await ready_sandbox(app, persona="human")
    for number in range(60):
        await write(app, instance_id, str(number), f"{text} {number}" * (1 + number % 3), chat=f"{4917012345670 + number}@c.us", minute=number % 60)
    answer = await catch_up(app, ADMIN, CatchUp(max_tokens=max_tokens))
    shown = chats_of(answer)
    assert shown
    assert answer.left_out == 60 - len(shown)
    assert bpe.openai.o200k_base().count(text_of(result_of(answer))) <= max_tokens


@pytest.mark.parametrize("text", EVERYDAY)
def test_tokens_are_never_counted_too_few(text: str) -> None:
    bpe = pytest.importorskip("rs_bpe.bpe", reason="the tokenizer has no wheel for this platform")
    assert bpe.openai.o200k_base().count(text) <= tokens_at_most(text) <= 8 * bpe.openai.o200k_base().count(text)


async def test_a_hit_of_a_search_is_shown_with_what_stands_around_it(app: App) -> None:
    instance_id = await ready_sandbox(app, persona="human")
    for number, text in enumerate(("one", "two", "needle", "four", "five")):
        await write(app, instance_id, str(number), text, minute=number)
    await write(app, instance_id, "9", "elsewhere", chat="bob", minute=2)
    (hit,) = (await search_messages(app, ADMIN, SearchMessages(instance_id=instance_id, query="needle", context=1))).messages
    assert [(line.text, line.sender) for line in hit.context] == [("two", "Ann Lee"), ("four", "Ann Lee")]
    assert [int(line.id) < int(hit.id) for line in hit.context] == [True, False]
    (hit,) = (await search_messages(app, ADMIN, SearchMessages(instance_id=instance_id, query="needle"))).messages
    assert hit.context == []
