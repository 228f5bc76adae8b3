"""Agents that answer: a run for each burst, one answer, and none where a person, a loop or the night stands in the way."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime, time
from pathlib import Path
from uuid import UUID

import anyio
import pytest
from pydantic import SecretStr

from db.agents import owner_wrote
from mcp_messenger.config.quiet_hours import Quiet
from providers.models import Media, MediaKind
from tests.agent_desk import ANSWERS, TEAM, Desk, opened
from tests.postgres import execute
from tests.running import running_app
from tests.standins.agent_os import agent_os
from tests.stored import one, rows
from tests.waiting import until

pytestmark = pytest.mark.anyio


@pytest.fixture
async def desk(database_url: str, tmp_path: Path) -> AsyncGenerator[Desk]:
    async with agent_os() as stand_in, opened(database_url, tmp_path, stand_in) as desk:
        yield desk


async def test_what_comes_in_is_answered_once_in_a_session_of_its_chat(desk: Desk) -> None:
    await desk.write("hello")
    await until(lambda: desk.answers() == ["agent: hello"])
    await until(lambda: one(desk.url, "SELECT status FROM messages WHERE queued") in {"sent", "delivered", "read"})
    await desk.write("again")
    await until(lambda: desk.answers() == ["agent: hello", "agent: again"])
    first, second = desk.agents.runs
    assert first.session_id == second.session_id == first.user_id == second.user_id == f"{desk.instance_id}:ann"
    await until(lambda: [status for status, _ in desk.reasons()] == ["done", "done"])


async def test_a_burst_is_one_run(desk: Desk) -> None:
    for text in ("one", "two", "three"):
        await desk.write(text)
    await until(lambda: desk.answers() == ["agent: one\ntwo\nthree"])
    assert len(desk.agents.runs) == 1
    await until(lambda: [status for status, _ in desk.reasons()] == ["done"] * 3)


async def test_a_file_goes_along(desk: Desk) -> None:
    missing = Media(kind=MediaKind.DOCUMENT, ref="nowhere", name="plan.pdf")
    await desk.write("look", media=(missing,), kind="media")
    await until(lambda: desk.agents.runs)
    assert desk.agents.runs[0].message.startswith('look\n[a file that could not be fetched: "plan.pdf"')


async def test_an_agent_that_is_down_is_an_error_of_the_instance_and_is_tried_again(desk: Desk) -> None:
    desk.agents.broken = 503
    await desk.write("hello")
    await until(lambda: rows(desk.url, "SELECT 1 FROM instance_errors"))
    assert rows(desk.url, "SELECT code, message FROM instance_errors") == [("agent_failed", "AgentOS answered 503: broken.")]
    desk.agents.broken = None
    desk.hasten()
    await until(lambda: desk.answers() == ["agent: hello"])


async def test_half_an_answer_is_none(desk: Desk) -> None:
    desk.agents.breaks_off = True
    await desk.write("hello")
    await until(lambda: rows(desk.url, "SELECT 1 FROM instance_errors"))
    assert desk.answers() == []
    desk.agents.breaks_off = False
    desk.hasten()
    await until(lambda: desk.answers() == ["agent: hello"])


async def test_what_is_too_old_is_not_answered_any_more(desk: Desk) -> None:
    await desk.write("long ago", at=datetime(2026, 1, 1, tzinfo=UTC))
    await until(lambda: desk.reasons() == [("dead", "It was not answered within 24 h.")])
    assert desk.agents.runs == []


async def test_a_crash_after_the_answer_was_queued_does_not_answer_twice(desk: Desk) -> None:
    await desk.write("hello")
    await until(lambda: [status for status, _ in desk.reasons()] == ["done"])
    # As it would be after a kill between the two.
    execute(desk.url, "UPDATE deliveries SET status = 'pending', lease_until = now() - interval '1 second'")
    await until(lambda: [status for status, _ in desk.reasons()] == ["done"])
    assert desk.answers() == ["agent: hello"]
    assert len(desk.agents.runs) == 1


async def test_what_was_running_when_the_server_stopped_is_run_again(database_url: str, tmp_path: Path) -> None:
    async with agent_os(gate=anyio.Event()) as stand_in:
        async with opened(database_url, tmp_path, stand_in) as desk:
            await desk.write("hello")
            await until(lambda: stand_in.runs)
        assert rows(database_url, "SELECT status, lease_until FROM deliveries") == [("pending", None)]
        stand_in.gate = None
        async with running_app(database_url, tmp_path, agno_url=stand_in.url):
            await until(lambda: rows(database_url, ANSWERS) == [("agent: hello",)])
        assert len(stand_in.runs) == 2


async def test_the_owners_own_message_pauses_the_agent_in_that_chat(desk: Desk) -> None:
    await desk.write("I take care of it", outgoing=True, sender_id=None)
    await until(lambda: [status for status, _ in desk.reasons()] == ["done"])
    current = await desk.current()
    assert (current.mode, current.reason) == ("paused", "The owner wrote there.")
    await desk.write("thank you")
    await until(lambda: [status for status, _ in desk.reasons()] == ["done", "done"])
    assert desk.agents.runs == []
    await desk.mode("agent")
    await desk.write("are you there?")
    await until(lambda: desk.answers() == ["agent: are you there?"])


async def test_the_agents_own_answer_starts_nothing_and_pauses_nothing(desk: Desk) -> None:
    await desk.write("hello")
    await until(lambda: one(desk.url, "SELECT count(*) FROM messages WHERE queued AND status IN ('sent', 'delivered', 'read')") == 1)
    assert (await desk.current()).mode == "agent"
    assert one(desk.url, "SELECT count(*) FROM deliveries WHERE target = 'agno'") == 1


async def test_an_answer_is_not_sent_when_the_owner_wrote_meanwhile(desk: Desk) -> None:
    desk.agents.gate = anyio.Event()
    await desk.write("hello")
    await until(lambda: desk.agents.runs)
    await desk.write("I am here", outgoing=True, sender_id=None)
    desk.agents.gate.set()
    await until(lambda: desk.reasons()[0] == ("done", "A person took over."))
    assert desk.answers() == []


async def test_an_echo_of_what_we_send_meanwhile_is_no_person_who_takes_over(desk: Desk) -> None:
    desk.agents.gate = anyio.Event()
    await desk.write("hello")
    await until(lambda: desk.agents.runs)
    # A message of ours whose echo came in before the platform's answer to us.
    execute(
        desk.url,
        "INSERT INTO messages (instance_id, chat_id, outgoing, status, platform_id, body) "
        f"VALUES ('{desk.instance_id}', 'ann', true, 'sent', 'echo', 'by somebody''s program')",
        "INSERT INTO outbox (message_id, instance_id, chat_id, draft, claimed_epoch) "
        "SELECT id, instance_id, chat_id, '{}', 999 FROM messages WHERE platform_id = 'echo'",
    )
    desk.agents.gate.set()
    assert await owner_wrote(desk.app.database, UUID(desk.instance_id), "ann", after=1) is None
    execute(desk.url, "DELETE FROM outbox WHERE claimed_epoch = 999", "UPDATE messages SET queued = true WHERE platform_id = 'echo'")
    await until(lambda: desk.answers() == ["by somebody's program", "agent: hello"])


async def test_a_chat_that_a_person_took_over_stays_theirs(desk: Desk) -> None:
    assert (await desk.mode("human")).mode == "human"
    await desk.write("hello")
    await until(lambda: desk.reasons() == [("done", "The chat is with a person: human.")])
    await desk.write("me", outgoing=True, sender_id=None)
    await until(lambda: [status for status, _ in desk.reasons()] == ["done", "done"])
    assert (await desk.current()).mode == "human"
    assert (await desk.mode("paused", 5)).until is not None
    execute(desk.url, "UPDATE agent_chats SET until = now() - interval '1 second'")
    assert (await desk.current()).mode == "agent"


async def test_in_a_group_only_who_mentions_it_is_answered(desk: Desk) -> None:
    await desk.write("hello all", chat=TEAM)
    await until(lambda: [status for status, _ in desk.reasons()] == ["done"])
    assert desk.agents.runs == []
    await desk.write("@robo hello", chat=TEAM, mentions_me=True)
    await until(lambda: desk.agents.runs)
    assert desk.agents.runs[0].message == '"Ann" (ann): @robo hello'


async def test_two_bots_do_not_talk_for_ever(desk: Desk) -> None:
    for turn in range(5):
        await desk.write(f"beep {turn}", is_bot=True)
        await until(lambda turn=turn: len(desk.answers()) == turn + 1)
    await desk.write("beep again", is_bot=True)
    await until(lambda: desk.reasons()[-1] == ("done", "Another bot has had its answers for this hour."))
    assert len(desk.agents.runs) == 5


async def test_a_chat_that_goes_round_and_round_cools_down(desk: Desk) -> None:
    answered = (
        "INSERT INTO messages (instance_id, chat_id, outgoing, status, idempotency_key, queued) "
        f"SELECT '{desk.instance_id}', 'ann', true, 'sent', 'agno:' || -n, true FROM generate_series(1, 20) n"
    )
    execute(desk.url, answered)
    await desk.write("and again")
    await until(lambda: [status for status, _ in desk.reasons()] == ["done"])
    assert ((await desk.current()).mode, desk.agents.runs) == ("paused", [])


async def test_at_night_it_waits_for_the_morning(database_url: str, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    quiet = Quiet(time((now.hour - 1) % 24), time((now.hour + 2) % 24))
    async with agent_os() as stand_in, opened(database_url, tmp_path, stand_in, quiet_hours=quiet) as desk:
        await desk.write("are you awake?")
        await until(lambda: one(database_url, "SELECT run_at > now() + interval '50 minutes' FROM deliveries"))
        assert stand_in.runs == []


async def test_an_instances_own_quiet_hours_come_before_the_servers(database_url: str, tmp_path: Path) -> None:
    always = Quiet(time(0), time(23, 59, 59))
    async with agent_os() as stand_in, opened(database_url, tmp_path, stand_in, quiet_hours=always) as desk:
        await desk.quiet_hours("off")
        await desk.write("are you awake?")
        await until(lambda: desk.answers() == ["agent: are you awake?"])
        await desk.quiet_hours("")
        await desk.write("and now?")
        await until(lambda: one(database_url, "SELECT count(*) FROM deliveries WHERE run_at > now() + interval '1 minute'") == 1)
        assert len(stand_in.runs) == 1
        await desk.quiet_hours("off")
        await until(lambda: desk.answers()[-1] == "agent: and now?")


async def test_quiet_hours_that_another_computer_cannot_read_are_an_error_of_the_instance(desk: Desk) -> None:
    execute(desk.url, "UPDATE message_instances SET quiet_hours = '22:00-07:00 Nowhere/Else'")
    await desk.write("hello")
    await until(lambda: rows(desk.url, "SELECT 1 FROM instance_errors"))
    assert "Nowhere/Else" in one(desk.url, "SELECT message FROM instance_errors")
    await desk.quiet_hours("off")
    await until(lambda: desk.answers() == ["agent: hello"])


async def test_the_key_is_sent_and_a_wrong_one_is_said(database_url: str, tmp_path: Path) -> None:
    async with agent_os(key="not-a-real-key") as stand_in:
        async with opened(database_url, tmp_path, stand_in, agno_key=SecretStr("wrong")) as desk:
            await desk.write("hello")
            await until(lambda: rows(database_url, "SELECT message FROM instance_errors"))
            assert rows(database_url, "SELECT message FROM instance_errors") == [("AgentOS answered 401: Invalid authentication token.",)]
        desk.hasten()
        async with running_app(database_url, tmp_path, agno_url=stand_in.url, agno_key=SecretStr("not-a-real-key")):
            await until(lambda: rows(database_url, ANSWERS) == [("agent: hello",)])
