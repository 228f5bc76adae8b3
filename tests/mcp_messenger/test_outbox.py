"""Sends: what the caller reads, what stays in the store, and that nothing goes out twice, in the wrong order or too fast."""

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import anyio
import pytest

from mcp_messenger.config.timing import Timing
from mcp_messenger.delivery.pacing import Pacing
from mcp_messenger.errors import IdempotencyConflict
from mcp_messenger.operations import queueing, sending
from mcp_messenger.operations.application import App
from mcp_messenger.operations.instances import CreateInstance, create_instance
from mcp_messenger.operations.queueing import SendAnswer
from mcp_messenger.operations.sending import SendMessage
from mcp_messenger.security.caller import ADMIN
from providers import errors
from providers.limits import Limits, Rate
from providers.telegram.provider import TelegramProvider
from tests.breaking import BreakingSandbox
from tests.postgres import execute
from tests.running import ready_sandbox, registered, running_app, until_status
from tests.standins.telegram_bot_api import StandInBot, TelegramStandIn
from tests.stored import one, rows
from tests.waiting import until

pytestmark = pytest.mark.anyio
USUAL = Timing()

WENT_OUT = {"sent", "delivered", "read"}


async def send(app: App, instance_id: str, to: str, text: str = "hello", **more: Any) -> SendAnswer:
    return await sending.send_message(app, ADMIN, SendMessage(instance_id=instance_id, to=to, message=text, **more))


def state(url: str, chat_id: str) -> tuple[str, str | None]:
    """The status of the message to a chat, and the code of what went wrong."""
    found = rows(url, "SELECT status, error->>'code' FROM messages WHERE outgoing AND chat_id = %s ORDER BY id DESC LIMIT 1", chat_id)
    return found[0] if found else ("none yet", None)


@asynccontextmanager
async def sandbox(database_url: str, data_dir: Path, *, timing: Timing = USUAL, **settings: Any) -> AsyncGenerator[tuple[App, str]]:
    async with running_app(database_url, data_dir, timing=timing) as app:
        yield app, await ready_sandbox(app, **settings)


@pytest.mark.parametrize(("contact", "error"), [("blocked", errors.Forbidden), ("window-closed", errors.WindowClosed)])
async def test_what_the_platform_refuses_the_caller_reads(contact: str, error: type[Exception], database_url: str, tmp_path: Path) -> None:
    async with sandbox(database_url, tmp_path) as (app, instance_id):
        for _ in range(2):
            with pytest.raises(error, match=contact):
                await send(app, instance_id, contact, idempotency_key="k")
    assert state(database_url, contact)[0] == "failed"
    assert one(database_url, "SELECT count(*) FROM messages") == 1
    assert one(database_url, "SELECT count(*) FROM outbox") == 0


async def test_what_may_have_gone_is_unknown_until_the_platform_shows_it(database_url: str, tmp_path: Path) -> None:
    async with sandbox(database_url, tmp_path, persona="human") as (app, instance_id):
        answer = await send(app, instance_id, "maybe-sent")
        assert answer.status in {"unknown", *WENT_OUT}
        await until(lambda: state(database_url, "maybe-sent")[0] in WENT_OUT)
        assert state(database_url, "maybe-sent")[1] is None
    assert one(database_url, "SELECT count(*) FROM messages") == 1


async def test_what_was_lost_stays_unknown_and_is_never_sent_again(database_url: str, tmp_path: Path, breaking: type[BreakingSandbox]) -> None:
    breaking.asked.clear()
    async with sandbox(database_url, tmp_path) as (app, instance_id):
        answer = await send(app, instance_id, "lost", idempotency_key="k")
        assert (answer.status, answer.platform_id) == ("unknown", None)
        assert "broke" in (answer.detail or "")
        assert await send(app, instance_id, "lost", idempotency_key="k") == answer
    async with running_app(database_url, tmp_path) as app:
        await until_status(app, instance_id, "ready")
        await send(app, instance_id, "ann")
        assert await send(app, instance_id, "lost", idempotency_key="k") == answer
    assert [draft.chat_id for draft in breaking.asked] == ["lost", "ann"]


async def test_what_surely_did_not_go_waits_to_be_tried_again(database_url: str, tmp_path: Path) -> None:
    async with sandbox(database_url, tmp_path, timing=Timing(platform=0.5)) as (app, instance_id):
        answer = await send(app, instance_id, "unreachable")
        assert (answer.status, answer.detail) == ("queued", "The sandbox did not take the call for 'unreachable'; nothing was sent.")
        attempts, wait = rows(database_url, "SELECT attempts, extract(epoch FROM not_before - now())::float8 FROM outbox")[0]
        assert attempts == 1
        assert 1 < wait <= 2
        assert (await send(app, instance_id, "ann")).status in WENT_OUT


async def test_in_the_end_it_is_given_up(database_url: str, tmp_path: Path) -> None:
    async with sandbox(database_url, tmp_path, timing=Timing(send_attempts=3, send_delay_max=0.05)) as (app, instance_id):
        with pytest.raises(errors.MessengerError, match="Given up after 3 attempts: The sandbox did not take the call"):
            await send(app, instance_id, "unreachable")
    assert state(database_url, "unreachable") == ("failed", "unreachable")


async def test_too_fast_pauses_the_whole_instance_and_then_it_goes(database_url: str, tmp_path: Path) -> None:
    async with sandbox(database_url, tmp_path) as (app, instance_id):
        began = anyio.current_time()
        answers: list[SendAnswer] = []

        async def one_more(to: str) -> None:
            answers.append(await send(app, instance_id, to))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one_more, "rate-limited")
            await until(lambda: state(database_url, "rate-limited") == ("queued", "rate_limited"))
            assert 0 < one(database_url, "SELECT extract(epoch FROM not_before - now())::float8 FROM outbox") <= 1
            tasks.start_soon(one_more, "ann")
        assert all(answer.status in WENT_OUT for answer in answers)
        assert anyio.current_time() - began >= 1
        assert one(database_url, "SELECT count(*) FROM messages WHERE outgoing") == 2


async def test_one_that_waits_does_not_keep_those_behind_it_for_longer(database_url: str, tmp_path: Path) -> None:
    async with sandbox(database_url, tmp_path) as (app, instance_id):
        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                for text in ("first", "second"):
                    tasks.start_soon(send, app, instance_id, "rate-limited", text)
                    await until(lambda text=text: rows(database_url, "SELECT 1 FROM messages WHERE body = %s", text))
        found = rows(database_url, "SELECT body, status FROM messages WHERE outgoing ORDER BY sent_at")
        assert [body for body, _ in found] == ["first", "second"]
        assert {status for _, status in found} <= WENT_OUT


async def test_what_fails_after_it_was_sent(database_url: str, tmp_path: Path) -> None:
    async with sandbox(database_url, tmp_path) as (app, instance_id):
        # The receipt may be faster than our look at the message.
        with suppress(errors.Rejected):
            assert (await send(app, instance_id, "failing")).status == "sent"
        await until(lambda: state(database_url, "failing") == ("failed", "rejected"))
        with pytest.raises(errors.Rejected, match="fails every message"):
            queueing.answer(await app.outbox.wait_settled(UUID(instance_id), 1, 5))


async def test_one_key_one_message(database_url: str, tmp_path: Path) -> None:
    async with sandbox(database_url, tmp_path, persona="human") as (app, instance_id):
        answers: list[SendAnswer] = []

        async def again() -> None:
            answers.append(await send(app, instance_id, "ann", idempotency_key="k"))

        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(again)
        assert len({(answer.message_id, answer.platform_id) for answer in answers}) == 1
        assert one(database_url, "SELECT count(*) FROM messages") == 1
        for different in ({"text": "other"}, {"to": "bob"}, {"silent": True}):
            asked: dict[str, Any] = {"to": "ann", "idempotency_key": "k", **different}
            with pytest.raises(IdempotencyConflict):
                await send(app, instance_id, **asked)
        assert (await send(app, instance_id, "ann")).message_id != answers[0].message_id


async def test_a_provider_with_a_bug_leaves_it_unknown(database_url: str, tmp_path: Path, breaking: type[BreakingSandbox]) -> None:
    async with sandbox(database_url, tmp_path) as (app, instance_id):
        with breaking.broken("send"):
            answer = await send(app, instance_id, "ann")
            assert answer.status == "unknown"
            assert state(database_url, "ann") == ("unknown", "internal_error")
        assert (await send(app, instance_id, "ann", "next")).status in WENT_OUT


async def test_what_cannot_be_read_any_more_did_not_go(database_url: str, tmp_path: Path) -> None:
    async with sandbox(database_url, tmp_path) as (app, instance_id):
        owned = app.supervisor.get(UUID(instance_id))
        assert owned is not None
        execute(
            database_url,
            f"INSERT INTO messages (instance_id, chat_id, outgoing, status) VALUES ('{instance_id}', 'bob', true, 'queued')",
            f"INSERT INTO outbox SELECT id, '{instance_id}', 'bob', '{{\"from\": \"the future\"}}' FROM messages",
        )
        owned.wake_outbox()
        await until(lambda: state(database_url, "bob") == ("failed", "invalid_request"))


async def test_what_is_asked_for_before_it_is_ready_goes_when_it_is(database_url: str, tmp_path: Path) -> None:
    async with running_app(database_url, tmp_path) as app:
        settings = {"auto_scan": True, "page": False}
        made = await create_instance(app, ADMIN, CreateInstance(provider="sandbox", credentials=settings))
        assert (await send(app, made.instance_id, "ann")).status in WENT_OUT


@asynccontextmanager
async def telegram_bot(database_url: str, data_dir: Path, *, timing: Timing = USUAL) -> AsyncGenerator[tuple[App, str, TelegramStandIn, StandInBot]]:
    async with TelegramStandIn() as telegram, running_app(database_url, data_dir, timing=timing) as app:
        bot = telegram.add_bot()
        create = CreateInstance(provider="telegram", credentials={"token": bot.token, "base_url": telegram.url})
        instance_id = (await create_instance(app, ADMIN, create)).instance_id
        await until_status(app, instance_id, "ready")
        yield app, instance_id, telegram, bot


def texts(bot: StandInBot, chat: int) -> list[str]:
    return [call.params["text"] for call in bot.sent if call.params["chat_id"] == str(chat)]


async def test_each_chat_keeps_its_order_and_waits_for_no_other(database_url: str, tmp_path: Path) -> None:
    async with telegram_bot(database_url, tmp_path) as (app, instance_id, _, bot):
        ann, bob = bot.person("Ann"), bot.person("Bob")
        hold = bot.hold_next("sendMessage")
        async with anyio.create_task_group() as tasks:
            for number in range(6):
                tasks.start_soon(send, app, instance_id, str(ann), f"a{number}")
                await until(lambda number=number: rows(database_url, "SELECT 1 FROM messages WHERE body = %s", f"a{number}"))
            await hold.arrived.wait()
            await send(app, instance_id, str(bob), "b0")
            assert texts(bot, ann) == []
            hold.let_go.set()
        assert texts(bot, ann) == [f"a{number}" for number in range(6)]
        assert texts(bot, bob) == ["b0"]
        assert rows(database_url, "SELECT body FROM messages WHERE chat_id = %s ORDER BY platform_id", str(ann)) == [(f"a{n}",) for n in range(6)]


async def test_a_connection_that_breaks_after_the_call_leaves_it_unknown(database_url: str, tmp_path: Path) -> None:
    async with telegram_bot(database_url, tmp_path) as (app, instance_id, _, bot):
        ann = bot.person("Ann")
        bot.drop_next("sendMessage", "after")
        answer = await send(app, instance_id, str(ann), idempotency_key="k")
        assert answer.status == "unknown"
        assert (await send(app, instance_id, str(ann), "next")).status == "sent"
        assert await send(app, instance_id, str(ann), idempotency_key="k") == answer
        assert texts(bot, ann) == ["hello", "next"]


async def test_a_part_that_is_refused_in_the_middle_is_told_and_a_retry_with_the_key_repeats_nothing(database_url: str, tmp_path: Path) -> None:
    async with telegram_bot(database_url, tmp_path) as (app, instance_id, _, bot):
        ann = bot.person("Ann")
        bot.hold_next("sendMessage").let_go.set()
        bot.fail_next("sendMessage", 403, "Forbidden: bot was blocked by the user")
        text = f"{'a' * 4000} {'b' * 4000} {'c' * 4000}"
        answer = await send(app, instance_id, str(ann), text, extra={"split": True}, idempotency_key="k")
        assert answer.status == "unknown"
        assert answer.detail is not None
        assert answer.detail.startswith(f"1 of 3 messages went out ({ann}:")
        assert f"The rest was not sent; it begins with “{'b' * 60}" in answer.detail
        assert rows(database_url, "SELECT body, status, error->>'message' FROM messages") == [(text, "unknown", answer.detail)]
        assert await send(app, instance_id, str(ann), text, extra={"split": True}, idempotency_key="k") == answer
        assert texts(bot, ann) == ["a" * 4000]


async def test_a_platform_that_is_down_gets_it_when_it_is_back(database_url: str, tmp_path: Path) -> None:
    async with telegram_bot(database_url, tmp_path, timing=Timing(send_delay_max=0.2)) as (app, instance_id, telegram, bot):
        ann = bot.person("Ann")
        await telegram.go_down()
        answers: list[SendAnswer] = []

        async def ask() -> None:
            answers.append(await send(app, instance_id, str(ann)))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await until(lambda: one(database_url, "SELECT max(attempts) FROM outbox") == 2)
            assert state(database_url, str(ann))[0] in {"queued", "sending"}
            await telegram.come_back()
        assert answers[0].status == "sent"
        assert texts(bot, ann) == ["hello"]


async def test_telegram_s_flood_control_is_obeyed(database_url: str, tmp_path: Path) -> None:
    async with telegram_bot(database_url, tmp_path) as (app, instance_id, _, bot):
        ann, bob = bot.person("Ann"), bot.person("Bob")
        bot.flood_next("sendMessage", 2)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send, app, instance_id, str(ann))
            await until(lambda: state(database_url, str(ann)) == ("queued", "rate_limited"))
            tasks.start_soon(send, app, instance_id, str(bob))
            await until(lambda: rows(database_url, "SELECT 1 FROM messages WHERE chat_id = %s AND error->>'code' = 'paced'", str(bob)))
            assert bot.sent == []
        assert (texts(bot, ann), texts(bot, bob)) == (["hello"], ["hello"])


class SlowTelegram(TelegramProvider):
    limits = TelegramProvider.limits.model_copy(update={"group_rate": Rate(count=2, seconds=120)})


async def test_a_long_wait_for_the_rate_is_spent_in_the_queue(database_url: str, tmp_path: Path) -> None:
    with registered(SlowTelegram):
        async with telegram_bot(database_url, tmp_path) as (app, instance_id, _, bot):
            team = bot.group("Team")
            bot.user_writes(team, "welcome", by=bot.person("Ann"))
            await until(lambda: rows(database_url, "SELECT 1 FROM chats WHERE kind = 'group'"))
            async with anyio.create_task_group() as tasks:
                for number in range(3):
                    tasks.start_soon(send, app, instance_id, str(team), str(number))
                await until(lambda: rows(database_url, "SELECT 1 FROM messages WHERE status = 'queued' AND error->>'code' = 'paced'"))
                assert len(texts(bot, team)) == 2
                ((attempts, epoch, wait),) = rows(
                    database_url, "SELECT attempts, claimed_epoch, extract(epoch FROM not_before - now())::float8 FROM outbox"
                )
                assert (attempts, epoch) == (0, None)
                assert 1 < wait <= 60
                owned = app.supervisor.get(UUID(instance_id))
                assert owned is not None
                owned.pacing = Pacing(Limits(max_text=4096), time.monotonic)
                execute(database_url, "UPDATE outbox SET not_before = now()")
                owned.wake_outbox()
            assert sorted(texts(bot, team)) == ["0", "1", "2"]


async def test_a_group_that_moved_while_we_wrote(database_url: str, tmp_path: Path) -> None:
    async with telegram_bot(database_url, tmp_path) as (app, instance_id, _, bot):
        team = bot.group("Team", kind="group")
        bot.user_writes(team, "welcome", by=bot.person("Ann"))
        await until(lambda: rows(database_url, "SELECT 1 FROM chats WHERE kind = 'group'"))
        new = bot.group_becomes_supergroup(team, announce=False)
        for number in range(2):
            answer = await send(app, instance_id, str(team), f"hello {number}")
            assert (answer.status, answer.chat_id) == ("sent", str(new))
        assert texts(bot, new) == ["hello 0", "hello 1"]
        assert rows(database_url, "SELECT DISTINCT chat_id FROM messages") == [(str(new),)]
        assert one(database_url, "SELECT title FROM chats WHERE id = %s", str(new)) == "Team"
        assert one(database_url, "SELECT count(*) FROM events WHERE type = 'chat_migrated'") == 1
