"""Processes that die or stop at the worst moment: nothing is lost, nothing is sent twice, unknown only where it may have gone."""

import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.peer import Peer, Refused, peer
from tests.postgres import execute
from tests.standins.telegram_bot_api import StandInBot, TelegramStandIn
from tests.stored import one, rows
from tests.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL and SIGSTOP")]

TAKE_OVER = "UPDATE leases SET expires_at = now() - interval '1 second'"
"""What time would do after a kill."""


@pytest.fixture
async def telegram() -> AsyncIterator[TelegramStandIn]:
    async with TelegramStandIn() as telegram:
        yield telegram


async def telegram_instance(process: Peer, telegram: TelegramStandIn, bot: StandInBot) -> str:
    made = await process.call("create_instance", provider="telegram", credentials={"token": bot.token, "base_url": telegram.url})
    await process.until_ready(made["instance_id"])
    await telegram.until_called(bot, "getUpdates")
    return made["instance_id"]


def texts(bot: StandInBot) -> list[str]:
    return [call.params["text"] for call in bot.sent]


@pytest.mark.parametrize(
    ("point", "status", "gone", "gone_after_retry"),
    [
        ("before the queue", None, 0, 1),
        ("after the queue", "sent", 1, 1),
        ("after the claim", "unknown", 0, 0),
        ("after the platform", "unknown", 1, 1),
        ("after the settling", "sent", 1, 1),
    ],
)
async def test_a_kill_while_sending(
    point: str, status: str | None, gone: int, gone_after_retry: int, telegram: TelegramStandIn, database_url: str, tmp_path: Path
) -> None:
    bot = telegram.add_bot()
    chat_id = str(bot.person("Ann"))
    async with peer(database_url, tmp_path, dies=point) as doomed:
        instance_id = await telegram_instance(doomed, telegram, bot)
        send: dict[str, Any] = {"instance_id": instance_id, "to": chat_id, "message": "hello", "idempotency_key": "k1"}
        await doomed.tell("send_message", **send)
        assert await doomed.ended() == -signal.SIGKILL
    execute(database_url, TAKE_OVER)
    async with peer(database_url, tmp_path) as successor:
        await successor.until_ready(instance_id)
        if status is not None:
            await until(lambda: one(database_url, "SELECT status FROM messages") == status)
        assert len(texts(bot)) == gone
        assert one(database_url, "SELECT count(*) FROM outbox") == 0
        retried = await successor.call("send_message", **send)
        assert retried["status"] == (status or "sent")
        assert len(texts(bot)) == gone_after_retry
        await successor.call("send_message", **{**send, "message": "the next one", "idempotency_key": "k2"})
        assert texts(bot)[-1] == "the next one"
        assert one(database_url, "SELECT count(*) FROM messages") == 2


async def test_a_kill_while_the_platform_works_on_it(telegram: TelegramStandIn, database_url: str, tmp_path: Path) -> None:
    bot = telegram.add_bot()
    chat_id = str(bot.person("Ann"))
    async with peer(database_url, tmp_path) as doomed:
        instance_id = await telegram_instance(doomed, telegram, bot)
        hold = bot.hold_next("sendMessage")
        for text in ("first", "second"):
            await doomed.tell("send_message", instance_id=instance_id, to=chat_id, message=text)
            await until(lambda text=text: rows(database_url, "SELECT 1 FROM messages WHERE body = %s", text))
        await hold.arrived.wait()
        doomed.signal(signal.SIGKILL)
        await doomed.ended()
        hold.let_go.set()
    execute(database_url, TAKE_OVER)
    async with peer(database_url, tmp_path) as successor:
        await successor.until_ready(instance_id)
        await until(lambda: not rows(database_url, "SELECT 1 FROM outbox"))
    assert rows(database_url, "SELECT body, status FROM messages ORDER BY id") == [("first", "unknown"), ("second", "sent")]
    assert texts(bot) == ["first", "second"]


@pytest.mark.parametrize("point", ["before storing", "after storing"])
async def test_a_kill_while_receiving(point: str, telegram: TelegramStandIn, database_url: str, tmp_path: Path) -> None:
    """Telegram is told that it was taken only when it is stored, so it brings again what was not."""
    bot = telegram.add_bot()
    ann = bot.person("Ann")
    async with peer(database_url, tmp_path, dies=point) as doomed:
        instance_id = await telegram_instance(doomed, telegram, bot)
        bot.user_writes(ann, "hello")
        assert await doomed.ended() == -signal.SIGKILL
    stored = [] if point == "before storing" else [("hello",)]
    assert rows(database_url, "SELECT body FROM messages") == stored
    bot.user_writes(ann, "are you there?")
    execute(database_url, TAKE_OVER)
    async with peer(database_url, tmp_path) as successor:
        await successor.until_ready(instance_id)
        await telegram.until(lambda: not bot.pending)
    assert rows(database_url, "SELECT body FROM messages ORDER BY id") == [("hello",), ("are you there?",)]
    assert one(database_url, "SELECT count(*) FROM events WHERE type = 'message'") == 2
    assert one(database_url, "SELECT unread FROM chats") == 2


async def test_another_process_takes_over_within_15_s_and_who_comes_back_late_is_refused(
    telegram: TelegramStandIn, database_url: str, tmp_path: Path, record_property: Any
) -> None:
    bot = telegram.add_bot()
    ann = bot.person("Ann")
    async with peer(database_url, tmp_path) as sleeper:
        instance_id = await telegram_instance(sleeper, telegram, bot)
        async with peer(database_url, tmp_path) as successor:
            assert await successor.call("held") == []
            sleeper.signal(signal.SIGSTOP)
            began = time.monotonic()
            # The answer to the sleeper's long poll: it lies in its socket until it wakes up.
            bot.user_writes(ann, "hello")
            with anyio.fail_after(15):
                await until(lambda: rows(database_url, "SELECT 1 FROM messages"))
            record_property("taken_over_after", round(time.monotonic() - began, 1))
            sleeper.signal(signal.SIGCONT)
            with anyio.fail_after(10):
                await sleeper.until_it_holds()
            assert await successor.call("held") == [instance_id]
            bot.user_writes(ann, "again")
            await until(lambda: one(database_url, "SELECT count(*) FROM messages") == 2)
            # It asks the one who holds it now.
            answer = await sleeper.call("send_message", instance_id=instance_id, to=str(ann), message="hi")
            assert answer["status"] == "sent"
            assert texts(bot) == ["hi"]
            assert one(database_url, "SELECT count(*) FROM events WHERE type = 'message'") == 3
            assert one(database_url, "SELECT epoch FROM leases") == 2


async def test_who_was_frozen_before_a_send_and_wakes_up_replaced_does_not_send_it(
    telegram: TelegramStandIn, database_url: str, tmp_path: Path
) -> None:
    """The fourth message waits for the rate, claimed and not yet sent, when the process stops for longer than its lease."""
    bot = telegram.add_bot()
    chat_id = str(bot.person("Ann"))
    async with peer(database_url, tmp_path) as sleeper:
        instance_id = await telegram_instance(sleeper, telegram, bot)
        for number in range(4):
            await sleeper.tell("send_message", instance_id=instance_id, to=chat_id, message=str(number))
            await until(lambda number=number: rows(database_url, "SELECT 1 FROM messages WHERE body = %s", str(number)))
        await until(lambda: rows(database_url, "SELECT 1 FROM messages WHERE body = '3' AND status = 'sending'"))
        sleeper.signal(signal.SIGSTOP)
        assert texts(bot) == ["0", "1", "2"]
        async with peer(database_url, tmp_path) as successor:
            await successor.until_it_holds(instance_id)
            await until(lambda: one(database_url, "SELECT status FROM messages WHERE body = '3'") == "unknown")
            sleeper.signal(signal.SIGCONT)
            await sleeper.until_it_holds()
            answer = await sleeper.call("send_message", instance_id=instance_id, to=chat_id, message="4")
            assert answer["status"] == "sent"
            assert texts(bot) == ["0", "1", "2", "4"]


async def test_a_kill_is_noticed_within_15_s(database_url: str, tmp_path: Path, record_property: Any) -> None:
    async with peer(database_url, tmp_path) as doomed:
        credentials = {"auto_scan": True, "page": False}
        instance_id = (await doomed.call("create_instance", provider="sandbox", credentials=credentials))["instance_id"]
        await doomed.until_ready(instance_id)
        async with peer(database_url, tmp_path) as successor:
            doomed.signal(signal.SIGKILL)
            began = time.monotonic()
            await successor.tell("send_message", instance_id=instance_id, to="ann", message="hello")
            with anyio.fail_after(15):
                await successor.until_it_holds(instance_id)
                await until(lambda: one(database_url, "SELECT status FROM messages WHERE outgoing") in {"sent", "delivered", "read"})
            record_property("taken_over_after", round(time.monotonic() - began, 1))


async def test_who_stops_in_order_hands_over_at_once(database_url: str, tmp_path: Path) -> None:
    async with peer(database_url, tmp_path) as first, peer(database_url, tmp_path) as second:
        credentials = {"auto_scan": True, "page": False}
        made = [(await first.call("create_instance", provider="sandbox", credentials=credentials))["instance_id"] for _ in range(3)]
        for instance_id in made:
            await first.until_ready(instance_id)
        with anyio.fail_after(3):
            assert await first.stop() == 0
            await second.until_it_holds(*made)


async def test_one_key_in_two_processes_is_one_message(telegram: TelegramStandIn, database_url: str, tmp_path: Path) -> None:
    bot = telegram.add_bot()
    chat_id = str(bot.person("Ann"))
    async with peer(database_url, tmp_path) as first, peer(database_url, tmp_path) as second:
        instance_id = await telegram_instance(first, telegram, bot)
        answers: list[Any] = []

        async def send(through: Peer, text: str = "hello") -> None:
            answers.append(await through.call("send_message", instance_id=instance_id, to=chat_id, message=text, idempotency_key="k"))

        async with anyio.create_task_group() as tasks:
            for through in (first, second) * 5:
                tasks.start_soon(send, through)
        assert len(answers) == 10
        assert all(answer == answers[0] for answer in answers)
        assert texts(bot) == ["hello"]
        with pytest.raises(Refused, match="idempotency_conflict"):
            await send(second, "something else")
        assert texts(bot) == ["hello"]
