"""Answers that are shown while they grow: one message, edited until the whole stands there."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import anyio
import pytest

from mcp_messenger.agents.answer import STANDS
from mcp_messenger.agents.text import BROKEN_OFF, MARK, STOPPED, first_and_rest, has_sentence, rest_of, so_far
from mcp_messenger.delivery.inbound import Source
from mcp_messenger.operations.lifecycle import start_instance, stop_instance
from mcp_messenger.operations.operation import OfInstance
from mcp_messenger.operations.sending import SendMessage, send_message
from mcp_messenger.security.caller import ADMIN
from providers.events import StopRequested
from providers.limits import TextUnit
from providers.models import TextFormat
from tests.agent_desk import Desk, opened
from tests.postgres import execute
from tests.running import running_app, until_status
from tests.standins.agent_os import agent_os
from tests.stored import one, rows
from tests.waiting import until

pytestmark = pytest.mark.anyio

STORY = "Once upon a time there was a fox. It lived in a wood. One day it went **far** away, and it was never seen again."
FIRST = "Once upon a time there was a fox."
SECOND = f"{FIRST} It lived in a wood."
AFTER_FIRST, AFTER_SECOND = len(FIRST.split()), len(SECOND.split())
LEFT = "SELECT count(*) FROM deliveries WHERE shown IS NOT NULL OR answer IS NOT NULL"


def story(message: str) -> str:
    return STORY


@pytest.fixture
async def desk(database_url: str, tmp_path: Path) -> AsyncGenerator[Desk]:
    async with agent_os(answer=story) as stand_in, opened(database_url, tmp_path, stand_in, stream=True) as desk:
        yield desk


def pause(desk: Desk, *after: int) -> list[anyio.Event]:
    desk.agents.pauses = {count: anyio.Event() for count in after}
    return list(desk.agents.pauses.values())


async def test_an_answer_grows_in_one_message(desk: Desk) -> None:
    first, second = pause(desk, AFTER_FIRST, AFTER_SECOND)
    await desk.write("tell me a story")
    await until(lambda: desk.stands() == [FIRST + MARK])
    assert one(desk.url, "SELECT shown FROM deliveries") == FIRST
    first.set()
    await until(lambda: desk.stands() == [SECOND + MARK])
    second.set()
    await until(lambda: desk.stands() == [STORY])
    (post,) = desk.posts()
    assert (post.edited, post.format) == (True, TextFormat.MARKDOWN)
    await until(lambda: desk.reasons() == [("done", None)])
    assert (desk.answers(), len(desk.agents.runs), one(desk.url, LEFT)) == ([STORY], 1, 0)


async def test_an_answer_that_is_whole_at_once_is_not_edited(desk: Desk) -> None:
    await desk.write("tell me a story")
    await until(lambda: desk.reasons() == [("done", None)])
    await until(lambda: desk.stands() == [STORY])
    assert not desk.posts()[0].edited


async def test_half_a_sentence_is_shown_after_a_while(desk: Desk) -> None:
    (end,) = pause(desk, 4)
    await desk.write("tell me a story")
    await until(lambda: desk.stands() == ["Once upon a time" + MARK])
    end.set()
    await until(lambda: desk.stands() == [STORY])


async def test_edits_start_nothing_and_pause_nothing(desk: Desk) -> None:
    first, second = pause(desk, AFTER_FIRST, AFTER_SECOND)
    await desk.write("tell me a story")
    await until(lambda: desk.stands() == [FIRST + MARK])
    first.set()
    await until(lambda: desk.stands() == [SECOND + MARK])
    second.set()
    await until(lambda: desk.reasons() == [("done", None)])
    await until(lambda: rows(desk.url, "SELECT 1 FROM events WHERE type = 'message_edited'"))
    assert (await desk.current()).mode == "agent"
    await desk.write("and another")
    await until(lambda: len(desk.stands()) == 2)
    assert len(desk.agents.runs) == 2


async def test_what_does_not_go_into_one_message_goes_on_in_another(desk: Desk) -> None:
    words = " ".join(f"word{number}" for number in range(1000))
    desk.agents.answer = lambda message: words
    first, second = pause(desk, 20, 900)
    await desk.write("tell me all words")
    await until(lambda: desk.stands() != [])
    first.set()
    await until(lambda: len(desk.stands()[0]) > 4000)
    assert desk.stands()[0].endswith(MARK)
    second.set()
    await until(lambda: desk.reasons() == [("done", None)])
    await until(lambda: len(desk.stands()) == 2)
    assert " ".join(desk.stands()) == words
    assert one(desk.url, "SELECT count(*) FROM messages WHERE idempotency_key LIKE 'agno:%%'") == 2


async def test_a_person_who_takes_over_ends_it(desk: Desk) -> None:
    first, _ = pause(desk, AFTER_FIRST, AFTER_SECOND)
    await desk.write("tell me a story")
    await until(lambda: desk.stands() == [FIRST + MARK])
    await desk.write("I do it", outgoing=True, sender_id=None)
    first.set()
    await until(lambda: desk.reasons()[0] == ("done", "A person took over."))
    assert desk.stands() == [FIRST + MARK]
    assert one(desk.url, LEFT) == 0


async def test_the_stop_button_ends_the_run_and_the_next_question_is_answered(desk: Desk) -> None:
    pause(desk, AFTER_FIRST, AFTER_SECOND)
    await desk.write("tell me a story")
    await until(lambda: desk.stands() == [FIRST + MARK])
    source = Source(UUID(desk.instance_id), None)
    await desk.app.inbound.deliver(source, [StopRequested(chat_id="team", at=datetime.now(UTC))])
    assert desk.reasons() == [("pending", None)]
    await desk.app.inbound.deliver(source, [StopRequested(chat_id="ann", sender_id="ann", at=datetime.now(UTC))])
    await until(lambda: desk.stands() == [f"{FIRST}{MARK}\n\n{STOPPED}"])
    assert desk.reasons() == [("done", "A person stopped the answer.")]
    assert desk.agents.cancelled == [desk.agents.runs[0].session_id]
    assert rows(desk.url, "SELECT chat_id FROM events WHERE type = 'stop_requested' ORDER BY id") == [("team",), ("ann",)]
    desk.agents.pauses.clear()
    await desk.write("and a short one")
    await until(lambda: desk.stands()[1:] == [STORY])


async def test_a_half_answer_is_completed_by_the_next_run(desk: Desk) -> None:
    (end,) = pause(desk, AFTER_FIRST)
    desk.agents.breaks_off = True
    await desk.write("tell me a story")
    await until(lambda: desk.stands() == [FIRST + MARK])
    # A second question must not be mixed into the first one's answer.
    await desk.write("and then?")
    end.set()
    await until(lambda: rows(desk.url, "SELECT 1 FROM instance_errors"))
    assert desk.stands() == [FIRST + MARK]
    desk.agents.breaks_off = False
    desk.hasten()
    await until(lambda: desk.stands() == [STORY, STORY])
    assert [run.message for run in desk.agents.runs] == ["tell me a story", "tell me a story", "and then?"]
    await until(lambda: [status for status, _ in desk.reasons()] == ["done", "done"])


async def test_a_half_answer_that_is_given_up_says_so(desk: Desk) -> None:
    (end,) = pause(desk, AFTER_FIRST)
    desk.agents.breaks_off = True
    await desk.write("tell me a story")
    await until(lambda: desk.stands() == [FIRST + MARK])
    end.set()
    await until(lambda: rows(desk.url, "SELECT 1 FROM instance_errors"))
    execute(desk.url, "UPDATE messages SET sent_at = now() - interval '2 days' WHERE NOT outgoing")
    desk.hasten()
    reason = "It was not answered within 24 h. The stream broke off before the run was complete."
    await until(lambda: desk.reasons() == [("dead", reason)])
    (text,) = desk.stands()
    assert text.startswith(FIRST)
    assert text.endswith(f"{MARK}\n\n{BROKEN_OFF}")
    assert desk.answers() == [text]
    await until(lambda: ("It was not answered within 24 h.",) in rows(desk.url, "SELECT message FROM instance_errors"))


async def test_a_message_that_was_deleted_meanwhile_is_followed_by_the_rest(desk: Desk) -> None:
    (end,) = pause(desk, AFTER_FIRST)
    await desk.write("tell me a story")
    await until(lambda: desk.stands() == [FIRST + MARK])
    await desk.provider.delete("ann", desk.posts()[0].message.id)
    end.set()
    await until(lambda: len(desk.stands()) == 2)
    assert desk.stands()[1] == STORY.removeprefix(FIRST).strip()
    await until(lambda: desk.reasons() == [("done", None)])


async def test_a_beginning_that_was_queued_unknown_to_us_is_completed(desk: Desk) -> None:
    """As by a statement that was carried out though its connection broke."""
    desk.agents.gate = anyio.Event()
    await desk.write("tell me a story")
    await until(lambda: desk.agents.runs)
    sent = SendMessage.model_validate({"instance_id": desk.instance_id, "to": "ann", "message": FIRST + MARK, "idempotency_key": "k"})
    await send_message(desk.app, ADMIN, sent)
    execute(desk.url, "UPDATE messages SET idempotency_key = 'agno:' || (SELECT id FROM deliveries) WHERE idempotency_key = 'k'")
    desk.agents.gate.set()
    await until(lambda: desk.reasons() == [("done", None)])
    assert desk.stands() == [STORY]


async def test_a_server_that_stops_leaves_it_to_the_next(database_url: str, tmp_path: Path) -> None:
    async with agent_os(answer=story) as stand_in:
        async with opened(database_url, tmp_path, stand_in, stream=True) as desk:
            pause(desk, AFTER_FIRST)
            await desk.write("tell me a story")
            await until(lambda: desk.stands() == [FIRST + MARK])
        assert rows(database_url, "SELECT status, lease_until, shown FROM deliveries") == [("pending", None, FIRST)]
        stand_in.pauses = {}
        async with running_app(database_url, tmp_path, agno_url=stand_in.url) as app:
            again = Desk(app, database_url, desk.instance_id, stand_in)
            await until(lambda: again.reasons() == [("done", None)])
            assert (again.stands(), len(stand_in.runs)) == ([STORY], 2)


async def test_an_instance_that_is_stopped_meanwhile_gets_its_answer_later_and_without_another_run(desk: Desk) -> None:
    (end,) = pause(desk, AFTER_FIRST)
    await desk.write("tell me a story")
    await until(lambda: desk.stands() == [FIRST + MARK])
    await until(lambda: one(desk.url, "SELECT status FROM messages WHERE queued") in STANDS)
    instance = OfInstance(instance_id=desk.instance_id)
    await stop_instance(desk.app, ADMIN, instance)
    end.set()
    await until(lambda: rows(desk.url, "SELECT 1 FROM instance_errors"))
    assert one(desk.url, "SELECT answer FROM deliveries") == STORY
    await start_instance(desk.app, ADMIN, instance)
    await until_status(desk.app, desk.instance_id, "ready")
    desk.hasten()
    await until(lambda: desk.reasons() == [("done", None)])
    assert (desk.stands(), len(desk.agents.runs)) == ([STORY], 1)


def test_what_is_a_sentence() -> None:
    assert has_sentence("This is one. And")
    assert has_sentence("今天天气非常好，我们去公园吧。")
    assert has_sentence("A heading of this\n")
    for text in ("", "This is", "This is one.", "1. ", "Hi! ", "3.14159265358 is"):
        assert not has_sentence(text), text


def test_what_can_be_shown_so_far() -> None:
    assert so_far("Two words and ha", 100, TextUnit.CHARACTERS) == "Two words and"
    assert so_far("Two words ", 100, TextUnit.CHARACTERS) == "Two words"
    assert so_far("今天" * 30, 100, TextUnit.CHARACTERS) == "今天" * 30
    shown = so_far("word " * 100, 100, TextUnit.CHARACTERS)
    assert shown == " ".join(["word"] * 19)
    assert so_far("  ", 100, TextUnit.CHARACTERS) == ""


def test_the_rest_goes_on_where_the_first_message_ends() -> None:
    assert first_and_rest("one two three", 8, TextUnit.CHARACTERS) == ("one two", "three")
    assert first_and_rest("one", 8, TextUnit.CHARACTERS) == ("one", "")
    assert rest_of("one two three", "one two") == "three"
    assert rest_of("one two three", "eins zwei") == rest_of("one two three", None) == "one two three"
