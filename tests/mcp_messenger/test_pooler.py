"""The whole application behind a pooler in transaction mode: no session of its own, so no wake-ups and nothing prepared."""

from dataclasses import replace
from pathlib import Path
from uuid import UUID

import anyio
import pytest
from pydantic import SecretStr

from db.errors import StoreUnavailable
from mcp_messenger.app import running
from mcp_messenger.commands.doctor import examined
from mcp_messenger.config import Config
from mcp_messenger.delivery.feed import POLL_WITH_WAKEUPS, POLL_WITHOUT_WAKEUPS
from mcp_messenger.operations import message_actions, sending, waiting
from mcp_messenger.operations.application import App
from mcp_messenger.operations.waiting import WaitForReply
from mcp_messenger.security.caller import ADMIN
from tests.running import ready_sandbox, running_app
from tests.stored import one
from tests.system_postgres import free_port
from tests.waiting import until

pytestmark = pytest.mark.anyio


async def converse(app: App, instance_id: str, within: float) -> None:
    with anyio.fail_after(within):
        sent = await sending.send_message(app, ADMIN, sending.SendMessage(instance_id=instance_id, to="ann", message="hello"))
        assert sent.status in {"sent", "delivered", "read"}
        reply = WaitForReply(instance_id=instance_id, message_id=sent.message_id, settle=0)
        assert (await waiting.wait_for_reply(app, ADMIN, reply)).replies[0].text == "echo: hello"


@pytest.mark.parametrize("direct", [True, False])
async def test_two_processes_behind_a_pooler(pgbouncer: str, database_url: str, tmp_path: Path, direct: bool) -> None:
    """With a direct connection beside the pooler there are wake-ups; without one they look for themselves."""
    straight = SecretStr(database_url) if direct else None
    async with running_app(pgbouncer, tmp_path, direct_database_url=straight) as owner:
        instance_id = await ready_sandbox(owner)
        async with running_app(pgbouncer, tmp_path, direct_database_url=straight) as other:
            assert other.supervisor.get(UUID(instance_id)) is None
            if direct:
                await until(lambda: other.feed.poll_every == owner.feed.poll_every == POLL_WITH_WAKEUPS)
            for app in (owner, other):
                for _ in range(3):
                    await converse(app, instance_id, 2 if direct else 8)
            await message_actions.set_typing(other, ADMIN, message_actions.SetTyping(instance_id=instance_id, chat_id="ann"))
            if not direct:
                assert other.feed.poll_every == owner.feed.poll_every == POLL_WITHOUT_WAKEUPS
    assert one(database_url, "SELECT count(*) FROM messages WHERE outgoing") == 6


async def test_migrations_go_past_the_pooler(pgbouncer: str, empty_database_url: str, tmp_path: Path) -> None:
    """Only they, and the wake-ups, use the direct connection."""
    config = Config(data_dir=tmp_path, database_url=SecretStr(pgbouncer), direct_database_url=SecretStr(empty_database_url))
    async with running(config) as app:
        await app.database.started()
        assert one(empty_database_url, "SELECT count(*) FROM schema_migrations") > 0
        instance_id = await ready_sandbox(app)
        assert one(empty_database_url, "SELECT count(*) FROM message_instances") == 0
        assert instance_id


async def test_a_direct_url_that_cannot_be_read_is_named(pgbouncer: str, tmp_path: Path) -> None:
    config = Config(data_dir=tmp_path, database_url=SecretStr(pgbouncer), direct_database_url=SecretStr("postgresql//nonsense"))
    async with running(config) as app:
        with pytest.raises(StoreUnavailable, match="DIRECT_DATABASE_URL cannot be read"):
            await app.database.started()


async def test_without_the_direct_database_the_pooler_does(pgbouncer: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    unreachable = SecretStr(f"postgresql://nobody@127.0.0.1:{free_port()}/nothing")
    async with running_app(pgbouncer, tmp_path, direct_database_url=unreachable) as app:
        await converse(app, await ready_sandbox(app), 8)
    assert "DIRECT_DATABASE_URL does not answer" in caplog.text


ONLY_IPV6 = "postgresql://nobody:fake-password@[fe80::1]:5432/nothing"
"""An address of a link that is not named: there is no way to it from any machine, as from one without IPv6 to any such address."""


async def test_a_direct_database_that_has_only_ipv6_is_named_with_the_way_out(
    pgbouncer: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = Config(data_dir=tmp_path, database_url=SecretStr(pgbouncer), direct_database_url=SecretStr(ONLY_IPV6), port=free_port())
    async with running(config) as app:
        await app.database.started()
        await until(lambda: "only an IPv6 address" in caplog.text)
    assert "session pooler" in caplog.text
    said = " ".join(f"{one.detail} {one.hint}" for one in await examined(config, None))
    assert "DIRECT_DATABASE_URL has only an IPv6 address" in said
    assert "Session pooler, port 5432" in said
    alone = replace(config, database_url=SecretStr(ONLY_IPV6), direct_database_url=None)
    async with running(alone) as app:
        with pytest.raises(StoreUnavailable, match="DATABASE_URL has only an IPv6 address") as caught:
            await app.database.started()
    assert "session pooler" in (caught.value.hint or "")
    assert "fake-password" not in caplog.text + said
