"""A PostgreSQL that refuses instead of dying: nobody ends, everybody is told why, and the work goes on by itself afterwards."""

import signal
import sys
from pathlib import Path
from typing import Any

import anyio
import httpx
import psycopg
import pytest

from db.errors import StoreUnavailable
from mcp_messenger.api.rest.streams import current_health
from mcp_messenger.delivery.inbound import Source
from mcp_messenger.operations.application import App
from mcp_messenger.operations.instances import CreateInstance, create_instance
from mcp_messenger.operations.sending import SendMessage, send_message
from mcp_messenger.security.caller import ADMIN, parse_instance_id
from tests.peer import peer
from tests.postgres import execute
from tests.refusals import REFUSALS, WRITES_ONLY, refusing
from tests.running import ready_sandbox, running_app, serving, until_status
from tests.standins.telegram_bot_api import StandInBot, TelegramStandIn
from tests.stored import one, received, rows
from tests.waiting import until, until_answer

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")]

NOWHERE = "http://127.0.0.1:9"
WRITERS = {"supervisor", "outbox", "webhooks", "agents", "calls", "inbound"}
AT_START = {"supervisor", "webhooks", "webhooks tidying", "agents", "rate limiter"}
TAKE_OVER = "UPDATE leases SET expires_at = now() - interval '1 second'"


WAITING = (
    "INSERT INTO message_instances (id, provider, desired) VALUES ('00000000-0000-0000-0000-00000000000f', 'sandbox', 'stopped')",
    """INSERT INTO deliveries (event_id, instance_id, chat_id, target, run_at)
        SELECT 1, '00000000-0000-0000-0000-00000000000f', 'ann', target, now() + interval '1 day' FROM unnest(ARRAY['webhook', 'agno']) AS target""",
)
"""Who has nothing to deliver only looks whether that is so."""


def failed(app: App) -> set[str]:
    return {name for name, _ in app.workers.failures}


async def works(app: App, instance_id: str) -> None:
    """It receives, sends, and says that it is well."""
    with anyio.fail_after(30):
        await until_status(app, instance_id, "ready")
        # Whoever ran it when the store began to refuse may have let go of it meanwhile.
        await until(lambda: app.supervisor.get(parse_instance_id(instance_id)) is not None)
        answer = await send_message(app, ADMIN, SendMessage(instance_id=instance_id, to="ann", message="still there?"))
        assert answer.status in {"sent", "delivered", "read"}
        await until_answer(lambda: current_health(app), lambda health: health.status == "healthy")
        # A worker that failed a moment ago counts until its next turn.
        await until(lambda: app.workers.failing() == [])


async def says_unwell(app: App) -> None:
    health = await until_answer(lambda: current_health(app), lambda health: health.status != "healthy", 20)
    assert health.checks["database"] != "ok"


@pytest.mark.parametrize("how", REFUSALS)
async def test_every_worker_goes_on_after_a_store_that_refused(how: str, database_url: str, tmp_path: Path) -> None:
    execute(database_url, *WAITING)
    async with running_app(database_url, tmp_path, agno_url=NOWHERE) as app:
        instance_id = await ready_sandbox(app, persona="human")
        id = parse_instance_id(instance_id)
        owned = app.supervisor.get(id)
        assert owned is not None
        with refusing(database_url, how):
            owned.wake_outbox()
            with pytest.raises(StoreUnavailable):
                await app.inbound.deliver(Source(id, None), [received("kept back")])
            expected = WRITERS if how in WRITES_ONLY else WRITERS | {"feed"}
            await until(lambda: expected <= failed(app) or owned.wake_outbox())
            await says_unwell(app)
        await works(app, instance_id)
        await app.inbound.deliver(Source(id, None), [received("kept back")])
    assert one(database_url, "SELECT count(*) FROM messages WHERE platform_id = 'kept back'") == 1


@pytest.mark.parametrize("how", REFUSALS)
async def test_a_server_that_starts_while_the_store_refuses_begins_its_work_afterwards(how: str, database_url: str, tmp_path: Path) -> None:
    execute(database_url, *WAITING)
    with refusing(database_url, how):
        async with running_app(database_url, tmp_path, agno_url=NOWHERE) as app:
            await until(lambda: failed(app) >= AT_START)
            await says_unwell(app)
    async with running_app(database_url, tmp_path, agno_url=NOWHERE) as app:
        await works(app, await ready_sandbox(app, persona="human"))


@pytest.mark.parametrize(("how", "words"), [("read only", "refuses writes"), ("cancelled", "longer than the server allows"), ("disk full", "disk")])
async def test_what_a_caller_reads_of_a_store_that_refuses(how: str, words: str, database_url: str, tmp_path: Path) -> None:
    async with running_app(database_url, tmp_path) as app, serving(app) as url, httpx.AsyncClient(base_url=url, trust_env=False) as client:
        instance_id = await ready_sandbox(app)
        with refusing(database_url, how):
            answer = await client.post(f"/api/v1/instances/{instance_id}/send", json={"to": "ann", "message": "hello"}, timeout=60)
    assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
    assert words in answer.json()["detail"]
    assert "doctor" in answer.json()["hint"]
    assert "driver" not in answer.text
    assert "DATABASE_URL" not in answer.text


async def test_a_server_that_starts_on_a_read_only_store_says_so_though_nothing_is_to_be_written(database_url: str, tmp_path: Path) -> None:
    with refusing(database_url, "read only"):
        async with running_app(database_url, tmp_path) as app, serving(app) as url, httpx.AsyncClient(base_url=url, trust_env=False) as client:
            health = await client.get("/health")
            refused = await client.post("/api/v1/instances", json={"provider": "sandbox"}, timeout=60)
    assert (health.status_code, health.json()["status"]) == (503, "unhealthy")
    assert "refuses writes" in health.json()["checks"]["database"]
    assert (refused.status_code, refused.json()["code"]) == (503, "store_unavailable")
    assert "refuses writes" in refused.json()["detail"]


async def telegram_bot(app: App, telegram: TelegramStandIn) -> tuple[str, StandInBot, str]:
    bot = telegram.add_bot()
    chat_id = str(bot.person("Ann"))
    credentials = {"token": bot.token, "base_url": telegram.url}
    made = await create_instance(app, ADMIN, CreateInstance.model_validate({"provider": "telegram", "credentials": credentials}))
    await until_status(app, made.instance_id, "ready")
    return made.instance_id, bot, chat_id


@pytest.mark.parametrize("how", REFUSALS)
async def test_what_the_platform_took_is_settled_and_nothing_waits_behind_it(how: str, database_url: str, tmp_path: Path) -> None:
    async with TelegramStandIn() as telegram, running_app(database_url, tmp_path) as app:
        instance_id, bot, chat_id = await telegram_bot(app, telegram)
        hold = bot.hold_next("sendMessage")
        answers: dict[str, str] = {}

        async def send(text: str) -> None:
            try:
                answers[text] = (await send_message(app, ADMIN, SendMessage(instance_id=instance_id, to=chat_id, message=text))).status
            except StoreUnavailable as error:
                answers[text] = error.code

        async with anyio.create_task_group() as senders:
            senders.start_soon(send, "first")
            await hold.arrived.wait()
            senders.start_soon(send, "second")
            await until(lambda: one(database_url, "SELECT count(*) FROM outbox") == 2)
            with refusing(database_url, how):
                hold.let_go.set()
                await until(lambda: "settling" in failed(app))
        await until(lambda: one(database_url, "SELECT count(*) FROM outbox") == 0, 40)
        assert [call.params["text"] for call in bot.sent] == ["first", "second"]
        await until(lambda: not list(tmp_path.rglob("unsettled-*")))
    assert rows(database_url, "SELECT body, status, platform_id IS NOT NULL FROM messages WHERE outgoing ORDER BY id") == [
        ("first", "sent", True),
        ("second", "sent", True),
    ]


async def test_a_table_that_is_locked_for_longer_than_a_lease_costs_no_send(database_url: str, tmp_path: Path) -> None:
    """The instance is let go of meanwhile; its next owner on this machine reads what had become of the send."""
    async with TelegramStandIn() as telegram, running_app(database_url, tmp_path) as app:
        instance_id, bot, chat_id = await telegram_bot(app, telegram)
        hold = bot.hold_next("sendMessage")
        message = SendMessage(instance_id=instance_id, to=chat_id, message="hello")

        async def send() -> None:
            try:
                await send_message(app, ADMIN, message)
            except StoreUnavailable:
                return

        async with anyio.create_task_group() as senders:
            senders.start_soon(send)
            await hold.arrived.wait()
            with psycopg.connect(database_url) as locker:
                locker.execute("LOCK TABLE messages, leases")
                hold.let_go.set()
                await until(lambda: list(tmp_path.rglob("unsettled-*")))
                await until(lambda: app.supervisor.get(parse_instance_id(instance_id)) is None)
        await until(lambda: one(database_url, "SELECT status FROM messages WHERE outgoing") == "sent", 40)
        await until(lambda: not list(tmp_path.rglob("unsettled-*")))
        assert len(bot.sent) == 1


async def test_the_platform_s_id_survives_a_kill_while_the_store_refuses(database_url: str, tmp_path: Path) -> None:
    async with TelegramStandIn() as telegram:
        bot = telegram.add_bot()
        chat_id = str(bot.person("Ann"))
        async with peer(database_url, tmp_path) as doomed:
            made = await doomed.call("create_instance", provider="telegram", credentials={"token": bot.token, "base_url": telegram.url})
            instance_id: str = made["instance_id"]
            await doomed.until_ready(instance_id)
            hold = bot.hold_next("sendMessage")
            send: dict[str, Any] = {"instance_id": instance_id, "to": chat_id, "message": "hello", "idempotency_key": "k1"}
            await doomed.tell("send_message", **send)
            await hold.arrived.wait()
            with refusing(database_url, "read only"):
                hold.let_go.set()
                await until(lambda: list(tmp_path.rglob("unsettled-*")))
                doomed.signal(signal.SIGKILL)
                assert await doomed.ended() == -signal.SIGKILL
        assert one(database_url, "SELECT status FROM messages WHERE outgoing") == "sending"
        execute(database_url, TAKE_OVER)
        async with peer(database_url, tmp_path) as successor:
            await successor.until_ready(instance_id)
            retried = await successor.call("send_message", **send)
            await until(lambda: not list(tmp_path.rglob("unsettled-*")))
        assert (retried["status"], len(bot.sent)) == ("sent", 1)
        assert retried["platform_id"]


async def test_nothing_is_confirmed_to_the_platform_while_the_store_refuses(database_url: str, tmp_path: Path) -> None:
    async with TelegramStandIn() as telegram, running_app(database_url, tmp_path) as app:
        _, bot, chat_id = await telegram_bot(app, telegram)
        with refusing(database_url, "read only"):
            bot.user_writes(int(chat_id), "hello")
            await until(lambda: "inbound" in failed(app))
            assert bot.pending
        await telegram.until(lambda: not bot.pending)
    assert rows(database_url, "SELECT body FROM messages WHERE NOT outgoing") == [("hello",)]
