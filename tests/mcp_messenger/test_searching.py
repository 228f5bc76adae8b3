"""A search finds what is there now, whoever stored it, within its filters, and ends after a bounded amount of work."""

from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from db.changes import DELETE, EDIT, change
from db.json import jsonb
from db.search import Span
from mcp_messenger.delivery.inbound import Source
from mcp_messenger.errors import InvalidInput
from mcp_messenger.operations.account_actions import BlockContact, block_contact, list_blocked
from mcp_messenger.operations.addresses import recipient
from mcp_messenger.operations.application import App
from mcp_messenger.operations.operation import OfInstance
from mcp_messenger.operations.platform_search import PlatformHit, SearchPlatform, search_platform
from mcp_messenger.operations.searching import Hits, SearchMessages, search_messages
from mcp_messenger.operations.sending import SendMessage, send_message
from mcp_messenger.search.find import Effort, find
from mcp_messenger.search.query import parse
from mcp_messenger.security.caller import ADMIN, Caller, instance_of
from providers.models import Chat, ChatKind, Media, MediaKind
from tests.postgres import execute
from tests.running import ready_sandbox, running_app, until
from tests.stored import NOON, new_instance, one, received

pytestmark = pytest.mark.anyio
CLUB = Chat(id="club", kind=ChatKind.GROUP, title="Rowing club")


@pytest.fixture
async def app(database_url: str, tmp_path: Path) -> AsyncGenerator[App]:
    async with running_app(database_url, tmp_path) as app:
        yield app


async def texts(app: App, query: str = "", *, caller: Caller = ADMIN, **arguments: object) -> list[str]:
    answer = await search_messages(app, caller, SearchMessages.model_validate({"query": query, **arguments}))
    return [hit.text for hit in answer.messages]


async def test_all_accounts_are_searched_with_filters(app: App) -> None:
    first, second = [await new_instance(app.database) for _ in range(2)]
    picture = Media(kind=MediaKind.IMAGE, ref="r", name="boat_plan.png")
    await app.inbound.deliver(Source(first, None), [received("1", "boat one"), received("2", "boat two", chat=CLUB, minute=1, media=(picture,))])
    await app.inbound.deliver(Source(second, None), [received("1", "boat three", minute=2), received("2", "boat four", minute=3, outgoing=True)])
    found = await search_messages(app, ADMIN, SearchMessages(query="boat"))
    assert [(hit.text, hit.chat, hit.instance_id) for hit in found.messages[2:]] == [
        ("boat two", "Rowing club", str(first)), ("boat one", "Ann Lee", str(first)),
    ]  # fmt: skip
    assert await texts(app, "boat", instance_id=str(second)) == ["boat four", "boat three"]
    assert await texts(app, "boat", chat_id="club") == ["boat two"]
    assert await texts(app, "plan", kind="image") == ["boat two"]
    assert await texts(app, has_media=True) == ["boat two"]
    assert await texts(app, "boat", sender="lee ann", direction="in", until="2026-05-04T12:01") == ["boat one"]
    assert await texts(app, "boat", sender="me") == ["boat four"]
    assert await texts(app, "boat -four", since=(NOON + timedelta(minutes=2)).isoformat()) == ["boat three"]
    assert await texts(app, "boat", since="1d") == []
    assert await texts(app, "boat", caller=Caller(user_id="somebody else")) == []
    pages = [await search_messages(app, ADMIN, SearchMessages(query="boat", limit=3))]
    pages.append(await search_messages(app, ADMIN, SearchMessages(query="boat", limit=3, cursor=pages[0].next_cursor)))
    assert [[hit.text for hit in page.messages] for page in pages] == [["boat four", "boat three", "boat two"], ["boat one"]]
    assert pages[1].next_cursor is None
    for nothing in ("-boat", "!!", ""):
        with pytest.raises(InvalidInput):
            await texts(app, nothing)
    with pytest.raises(InvalidInput, match="since"):
        await texts(app, "boat", since="soon")


async def test_edited_deleted_and_foreign_rows_are_found_as_they_are(app: App, database_url: str) -> None:
    instance_id = await new_instance(app.database)
    await app.inbound.deliver(Source(instance_id, None), [received("1", "violet"), received("2", "orange"), received("3", "scarlet")])
    assert await texts(app, "violet OR orange OR scarlet") == ["scarlet", "orange", "violet"]
    of = {"instance_id": instance_id, "epoch": None, "at": NOON}
    await change(app.database, EDIT, {**of, "message_id": "1", "text": "turquoise", "content": jsonb({}), "type": "message_edited"})
    await change(app.database, DELETE, {**of, "message_id": "2", "type": "message_deleted"})
    execute(database_url, "DELETE FROM messages WHERE body = 'scarlet'")
    # As a version of the program writes it that knows nothing of words.
    execute(database_url, f"INSERT INTO messages (instance_id, chat_id, body, sent_at) VALUES ('{instance_id}', 'ann', 'magenta', now())")
    assert await texts(app, "violet OR orange OR scarlet") == []
    assert await texts(app, "turquoise OR magenta") == ["magenta", "turquoise"]


async def test_messages_from_before_the_index_are_found_and_nothing_is_lost_between_pages(app: App, database_url: str) -> None:
    """Several eras, of which the search looks into a few at a time."""
    instance_id = await new_instance(app.database)
    execute(
        database_url,
        "INSERT INTO messages (instance_id, chat_id, body, sent_at) "
        f"SELECT '{instance_id}', 'ann', 'plum ' || n, now() - interval '1 year' + make_interval(secs => n) FROM generate_series(1, 60) AS n",
        "TRUNCATE search_pending",
        "UPDATE search_progress SET next_id = (SELECT max(id) FROM messages)",
    )
    app.search_index.wake()
    await until(lambda: one(database_url, "SELECT next_id FROM search_progress") == 0)
    await app.inbound.deliver(Source(instance_id, None), [received("1", "plum 61")])
    found: list[Hits] = [await search_messages(app, ADMIN, SearchMessages(query="plum", limit=7))]
    while found[-1].next_cursor:
        found.append(await search_messages(app, ADMIN, SearchMessages(query="plum", limit=7, cursor=found[-1].next_cursor)))
    assert sorted(hit.text for page in found for hit in page.messages) == sorted(f"plum {n}" for n in range(1, 62))


async def test_a_search_that_takes_long_says_how_far_it_looked_and_goes_on_from_there(app: App) -> None:
    for minute in range(3):
        await app.inbound.deliver(Source(await new_instance(app.database), None), [received("1", f"pear {minute}", minute=minute)])
    assert await texts(app, "pear") == ["pear 2", "pear 1", "pear 0"]
    looks: list[tuple[int, bool]] = []
    span: Span | None = Span()
    while span is not None:
        found = await find(app.database, parse("pear 0").expression(), None, span, limit=5, effort=Effort(first_look=1, within=0.0))
        looks.append((len(found.hits), found.looked_to is not None))
        span = Span(before=found.before, era=found.era) if found.era else None
    assert looks == [(0, True), (0, True), (1, False)]


async def test_a_name_is_an_address_where_it_is_one_persons_who_is_known(app: App) -> None:
    instance_id = await ready_sandbox(app, persona="human")
    source = Source(UUID(instance_id), None)
    bob, other, stranger = (Chat(id=id, kind=ChatKind.PRIVATE, title=title) for id, title in (("b1", "Zed Quill"), ("b2", "Eve"), ("b3", "Eve")))
    for number, chat in enumerate((bob, other, stranger)):
        await app.inbound.deliver(source, [received(f"n{number}", chat=chat), received(f"o{number}", chat=chat, outgoing=chat is not stranger)])
    row = await instance_of(app.database, ADMIN, instance_id)
    assert (await recipient(app, row, "zed quill")).chat_id == "b1"
    assert (await recipient(app, row, "b2")).chat_id == "b2"
    with pytest.raises(InvalidInput, match=r"b2 \(private, last message 2026-05-04\); b3"):
        await recipient(app, row, "Eve")
    mallory = Chat(id="m1", kind=ChatKind.PRIVATE, title="Mom")
    await app.inbound.deliver(source, [received("m", chat=mallory)])
    with pytest.raises(InvalidInput, match="nothing was sent yet: m1"):
        # With a Cyrillic letter.
        await recipient(app, row, "M\u043em")


async def test_a_send_can_wait_for_the_answer(app: App) -> None:
    instance_id = await ready_sandbox(app)
    sent = await send_message(app, ADMIN, SendMessage(instance_id=instance_id, to="ann", message="Can you hear me?", wait=20))
    assert sent.replies
    assert sent.shown()["untrusted"] is True


async def test_the_messengers_own_search_finds_what_is_there_and_the_block_list_is_the_messengers(app: App) -> None:
    instance_id = await ready_sandbox(app, persona="human")
    await send_message(app, ADMIN, SendMessage(instance_id=instance_id, to="ann", message="the heron flies"))
    asked = SearchPlatform(instance_id=instance_id, query="heron", chat_id="ann")

    async def found() -> list[PlatformHit]:
        return (await search_platform(app, ADMIN, asked)).messages

    await until(found)
    (hit,) = await found()
    assert (hit.chat_id, hit.chat, hit.own, hit.text) == ("ann", "Ann Lee", True, "the heron flies")
    assert (await search_platform(app, ADMIN, asked.model_copy(update={"chat_id": "team"}))).messages == []
    await block_contact(app, ADMIN, BlockContact(instance_id=instance_id, contact_id="ann"))
    assert (await list_blocked(app, ADMIN, OfInstance(instance_id=instance_id))).contacts == ["ann"]
