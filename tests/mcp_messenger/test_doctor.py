"""The doctor beside a server, without one, and with everything wrong that can be."""

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncGenerator
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from uuid import uuid4

import anyio
import pytest
from pydantic import SecretStr

from db.diagnosis import Room
from db.embedded import open_embedded
from db.migrate import rollback
from mcp_messenger.checks.address import check_keys
from mcp_messenger.checks.finding import Finding, Verdict
from mcp_messenger.checks.room import check_room
from mcp_messenger.commands.doctor import examined
from mcp_messenger.config import Config
from mcp_messenger.config.backups import BackupPlan
from mcp_messenger.config.environment import from_environment
from mcp_messenger.errors import InvalidInput
from mcp_messenger.operations.application import App
from mcp_messenger.operations.keys import CreateToken, create_user_token
from mcp_messenger.security.caller import ADMIN
from tests.mcp_messenger.test_cli import ran
from tests.program import environment, program
from tests.running import ready_sandbox, running_app, serving
from tests.standins.website import Page, website
from tests.stored import rows
from tests.system_postgres import SystemPostgres, free_port

pytestmark = pytest.mark.anyio

ADMIN_TOKEN = "a-fake-admin-token-for-tests"
WELL = ("server", "port", "database", "migrations", "data folder", "secret key", "keys")
WITH_WEBHOOK = """
    INSERT INTO message_instances (id, provider, api_webhook_schema)
    VALUES (%s, 'telegram', jsonb_build_object('enabled', %s::boolean, 'url', %s::text))"""


SECOND_WEBHOOK = """
    INSERT INTO webhooks (instance_id, number, config, since)
    VALUES (%(id)s, 2, jsonb_build_object('enabled', true, 'url', %(url)s::text), 0)"""


@pytest.fixture
def config(tmp_path: Path, database_url: str) -> Config:
    """Of a server that does not run."""
    return Config(data_dir=tmp_path, database_url=SecretStr(database_url), port=free_port())


async def of(config: Config, check: str, url: str | None = None) -> list[Finding]:
    """What is found of one part."""
    found = [one for one in await examined(config, url) if one.check == check]
    assert found
    return found


async def the(config: Config, check: str) -> Finding:
    (found,) = await of(config, check)
    return found


async def test_beside_a_server_that_is_well(tmp_path: Path, database_url: str) -> None:
    env = environment(tmp_path / "data", database_url, MCP_MESSENGER_ADMIN_TOKEN=ADMIN_TOKEN)
    with program(["serve", "--port", "0"], env) as running:
        port = running.url.rpartition(":")[2]
        done = ran(env, "doctor", "--json", "--port", port)
        assert (done.returncode, done.stderr) == (0, "")
        answer = json.loads(done.stdout)
        found = {one["check"]: one for one in answer["findings"]}
        assert answer["ok"]
        assert {name: found[name]["verdict"] for name in WELL} == dict.fromkeys(WELL, "ok")
        assert "a server of ours" in found["port"]["detail"]
        assert answer["examined_by"] == "server"
        # The settings of a shell are not the server's; and a command finds the server of its data folder on whatever port that is.
        shell = env | {"DATABASE_URL": f"postgresql://me@127.0.0.1:{free_port()}/nothing", "MCP_MESSENGER_BACKUP_EVERY": "1d"}
        said = ran(shell, "doctor")
        assert (said.returncode, said.stderr) == (0, "")
        assert "0 problems" in said.stdout
        assert "The server itself, with its own settings." in said.stdout
        assert f"127.0.0.1:{port}" in ran(shell, "doctor", "--json").stdout
        assert ADMIN_TOKEN not in done.stdout + said.stdout
    gone = ran(env, "doctor", "--json")
    assert json.loads(gone.stdout)["examined_by"] == "command"
    assert not (tmp_path / "data" / "server.json").exists()


async def test_a_server_that_may_not_be_asked_is_looked_at_from_here(app: App, config: Config) -> None:
    token = await create_user_token(app, ADMIN, CreateToken(user_id="alice"))
    reached = str(uuid4())
    await app.database.execute("INSERT INTO message_instances (id, provider, user_id) VALUES (%(id)s, 'telegram', 'alice')", {"id": reached})
    await app.database.execute(SECOND_WEBHOOK, {"id": reached, "url": "http://127.0.0.1:1/hook"})
    async with serving(app) as url:
        found = {one.check: one for one in await examined(replace(config, token=SecretStr(token.token)), url)}
    assert (found["examined by"].verdict, "administrator" in (found["examined by"].hint or "")) == (Verdict.WARNING, True)
    assert found[f"webhook 2 of telegram {reached[:8]}"].verdict is Verdict.PROBLEM


async def test_docker_is_not_looked_at_where_it_is_turned_off(config: Config) -> None:
    found = await the(replace(config, containers=replace(config.containers, enabled=False)), "engine")
    assert (found.verdict, found.detail) == (Verdict.OK, "MCP_MESSENGER_DOCKER=0: no instance runs in a container.")


async def test_a_problem_is_an_exit_code(tmp_path: Path) -> None:
    env = environment(tmp_path / "data", f"postgresql://me:fake-password@127.0.0.1:{free_port()}/nothing")
    done = ran(env, "doctor", "--port", str(free_port()))
    assert done.returncode == 1
    assert "problem  database" in done.stdout
    assert re.search(r"\b1 problem,|\b[2-9] problems,", done.stdout)
    assert not re.search(r"\b1 (problem|warning)s", done.stdout)
    assert "DATABASE_URL" in done.stdout
    assert "fake-password" not in done.stdout + done.stderr


@pytest.fixture
async def app(database_url: str, tmp_path: Path) -> AsyncGenerator[App]:
    async with running_app(database_url, tmp_path, admin_token=SecretStr(ADMIN_TOKEN)) as app:
        yield app


async def test_each_instance_with_its_state_and_what_to_do(app: App, config: Config) -> None:
    ready, broken = await ready_sandbox(app), str(uuid4())
    await app.database.execute(
        "INSERT INTO message_instances (id, provider, status, status_reason) VALUES (%(id)s, 'telegram', 'error', 'Unauthorized')", {"id": broken}
    )
    async with serving(app) as url:
        found = {one.check: one for one in await examined(replace(config, admin_token=SecretStr(ADMIN_TOKEN)), url)}
    assert found[f"sandbox {ready[:8]}"].verdict is Verdict.OK
    failed = found[f"telegram {broken[:8]}"]
    assert (failed.verdict, failed.detail) == (Verdict.PROBLEM, "error: Unauthorized")
    assert f"mcp-messenger logs {broken}" in (failed.hint or "")


async def test_a_server_that_does_not_know_the_token(app: App, config: Config) -> None:
    async with serving(app) as url:
        well, refused = await of(config, "server", url)
    assert (well.verdict, refused.verdict) == (Verdict.OK, Verdict.PROBLEM)
    assert "MCP_MESSENGER_ADMIN_TOKEN" in (refused.hint or "")


async def test_without_a_server_it_looks_itself(config: Config, database_url: str) -> None:
    rows(database_url, "INSERT INTO message_instances (provider, status) VALUES ('telegram', 'logged_out')")
    found = await examined(config, None)
    server = next(one for one in found if one.check == "server")
    assert (server.verdict, "mcp-messenger serve" in (server.hint or "")) == (Verdict.WARNING, True)
    assert [one.verdict for one in found if one.check.startswith("telegram ")] == [Verdict.PROBLEM]


async def test_the_embedded_store_is_joined_where_it_runs_and_never_started(tmp_path: Path) -> None:
    config = Config(data_dir=tmp_path, port=free_port())
    for _ in range(2):
        assert "No embedded store runs" in (await the(config, "database")).detail
        assert not (tmp_path / "postgres").exists()
    server = await anyio.to_thread.run_sync(open_embedded, tmp_path / "postgres")
    assert "embedded PostgreSQL" in (await the(config, "database")).detail
    assert (await the(config, "migrations")).verdict is Verdict.WARNING
    await server.stop()
    assert "No embedded store runs" in (await the(config, "database")).detail
    assert not (next((tmp_path / "postgres").glob("pg*")) / "postmaster.pid").exists()


async def test_migrations_that_are_pending_or_of_a_newer_version(config: Config, database_url: str) -> None:
    assert (await the(config, "migrations")).verdict is Verdict.OK
    await rollback(database_url, "001_split_provider_tables")
    pending = await the(config, "migrations")
    assert (pending.verdict, "002_product" in pending.detail) == (Verdict.WARNING, True)
    rows(database_url, "INSERT INTO schema_migrations (version) VALUES ('999_future')")
    newer = await the(config, "migrations")
    assert (newer.verdict, "999_future" in newer.detail, "Upgrade" in (newer.hint or "")) == (Verdict.PROBLEM, True, True)


async def test_a_secret_key_that_is_missing_open_to_others_or_another(app: App, config: Config) -> None:
    await ready_sandbox(app, auto_scan=False, access_code="sandbox-fake")
    key = config.data_dir / "secret.key"
    assert "opens all" in (await the(config, "secret key")).detail
    if sys.platform != "win32":
        key.chmod(0o644)
        opened = await the(config, "secret key")
        assert (opened.verdict, "chmod 600" in (opened.hint or "")) == (Verdict.PROBLEM, True)
        key.chmod(0o600)
    other = await the(replace(config, secret_key=SecretStr(os.urandom(32).hex())), "secret key")
    assert (other.verdict, "do not open" in other.detail) == (Verdict.PROBLEM, True)
    former = key.read_text()
    key.unlink()
    missing = await the(config, "secret key")
    assert (missing.verdict, "missing" in missing.detail) == (Verdict.PROBLEM, True)
    assert not key.exists()
    rotated = await the(replace(config, secret_key=SecretStr(f"{os.urandom(32).hex()},{former.strip()}")), "secret key")
    assert (rotated.verdict, "former key" in rotated.detail) == (Verdict.WARNING, True)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")
async def test_a_data_folder_that_others_may_change(config: Config) -> None:
    config.data_dir.chmod(0o777)
    found = await the(config, "data folder")
    assert (found.verdict, "chmod 700" in (found.hint or "")) == (Verdict.PROBLEM, True)


async def test_a_data_folder_that_is_a_file(config: Config, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    assert (await the(replace(config, data_dir=file), "data folder")).verdict is Verdict.PROBLEM


async def test_a_port_that_another_program_has(config: Config) -> None:
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", config.port):
        found = await the(config, "port")
    assert found.verdict is Verdict.PROBLEM
    assert f"({os.getpid()})" in found.detail or sys.platform != "linux"


@pytest.mark.parametrize(("runtime", "verdict"), [("process", Verdict.WARNING), ("docker", Verdict.PROBLEM)])
async def test_an_engine_that_does_not_answer(
    config: Config, database_url: str, monkeypatch: pytest.MonkeyPatch, runtime: str, verdict: Verdict
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{free_port()}")
    rows(database_url, "INSERT INTO message_instances (provider, runtime) VALUES ('whatsappweb', %s)", runtime)
    found = await the(replace(config, containers=replace(config.containers, enabled=None)), "engine")
    assert (found.verdict, "Docker" in (found.hint or "")) == (verdict, True)


async def test_webhooks_are_reached_without_an_event(config: Config, database_url: str) -> None:
    """Through the guard: what is private is refused unless it is allowed."""
    reached, away, off = (uuid4() for _ in range(3))
    async with website({"/in?key=a-fake-key": Page(status=405), "/second": Page(status=404)}) as site:
        rows(database_url, WITH_WEBHOOK, reached, True, site.url("/in?key=a-fake-key"))
        rows(database_url, WITH_WEBHOOK, away, True, f"http://127.0.0.1:{free_port()}/hook?key=a-fake-key")
        rows(database_url, WITH_WEBHOOK, off, False, "http://127.0.0.1:1/")
        refused = [one for one in await examined(config, None) if one.check.startswith("webhook")]
        assert [one.verdict for one in refused] == [Verdict.PROBLEM] * 2
        assert all("MCP_MESSENGER_ALLOW_NETWORKS" in (one.hint or "") for one in refused)
        assert site.requests == []
        rows(database_url, SECOND_WEBHOOK.replace("%(id)s", "%s").replace("%(url)s", "%s"), reached, site.url("/second"))
        allowed = replace(config, allowed_networks=(ip_network("127.0.0.0/8"),))
        found = {one.check: one for one in await examined(allowed, None) if one.check.startswith("webhook")}
    assert [request.split()[0] for request in site.requests] == ["HEAD", "HEAD"]
    assert (found[f"webhook of telegram {str(reached)[:8]}"].verdict, len(found)) == (Verdict.OK, 3)
    assert "404" in found[f"webhook 2 of telegram {str(reached)[:8]}"].detail
    missing = found[f"webhook of telegram {str(away)[:8]}"]
    assert missing.verdict is Verdict.PROBLEM
    assert "a-fake-key" not in missing.detail


@pytest.mark.parametrize(
    ("settings", "verdict", "words"),
    [
        ({}, Verdict.OK, "administrator"),
        ({"admin_token": SecretStr("short")}, Verdict.WARNING, "shorter"),
        ({"admin_token": SecretStr(ADMIN_TOKEN)}, Verdict.OK, "is set"),
        ({"host": "0.0.0.0"}, Verdict.PROBLEM, "no admin token"),
        ({"public_url": "https://bot.example"}, Verdict.PROBLEM, "no admin token"),
    ],
)
def test_keys(config: Config, settings: dict[str, object], verdict: Verdict, words: str) -> None:
    (found,) = check_keys(replace(config, **settings))  # pyright: ignore[reportArgumentType] - settings of several types
    assert (found.verdict, words in found.detail) == (verdict, True)


async def test_a_public_url_that_no_platform_would_use(config: Config) -> None:
    plain = await the(replace(config, public_url="http://127.0.0.1:9"), "public URL")
    assert (plain.verdict, "https" in plain.detail) == (Verdict.WARNING, True)
    away = await the(replace(config, public_url=f"https://127.0.0.1:{free_port()}"), "public URL")
    assert (away.verdict, "does not answer" in away.detail) == (Verdict.WARNING, True)


async def test_a_pooler_that_swallows_wake_ups(config: Config, pgbouncer: str, database_url: str) -> None:
    pooled = replace(config, database_url=SecretStr(pgbouncer))
    _, found = await of(pooled, "database")
    assert (found.verdict, "DIRECT_DATABASE_URL" in (found.hint or "")) == (Verdict.WARNING, True)
    _, found = await of(replace(pooled, direct_database_url=SecretStr(database_url)), "database")
    assert found.verdict is Verdict.OK
    _, found = await of(replace(pooled, direct_database_url=SecretStr(pgbouncer)), "database")
    assert found.verdict is Verdict.WARNING


async def test_tls_is_told(config: Config, system_postgres: SystemPostgres) -> None:
    found = await the(replace(config, database_url=SecretStr(system_postgres.url())), "database")
    assert (found.verdict, found.detail.endswith("over TLS.")) == (Verdict.OK, True)


OF_TIMES = """
    INSERT INTO messages (id, instance_id, chat_id, body, created_at)
    SELECT n, gen_random_uuid(), 'x', repeat('x', 500), now() - interval '30 days' FROM generate_series(1, 1500) AS n
    UNION ALL SELECT 1000000 + n, gen_random_uuid(), 'x', repeat('x', 500), now() FROM generate_series(1, 700) AS n"""


async def test_how_much_room_a_message_takes_and_how_long_the_disk_lasts(config: Config, database_url: str) -> None:
    rows(database_url, OF_TIMES)
    found = await the(config, "room")
    assert (found.verdict, "2200 messages take" in found.detail) == (Verdict.OK, True)
    assert "700 came in the last 7 days" in found.detail, "numbers that were left out do not count"
    assert "a year on the database's disk" in found.detail
    embedded = replace(config, database_url=None)
    (small,) = await check_room(embedded, Room(size=2 * 10**9, messages=10**6, week=7))
    assert (small.verdict, "2.00 kB each" in small.detail) == (Verdict.OK, True)
    (full,) = await check_room(embedded, Room(size=2 * 10**12, messages=10**6, week=10**6))
    assert (full.verdict, "MCP_MESSENGER_RETENTION" in (full.hint or "")) == (Verdict.WARNING, True)
    assert await check_room(config, None) == []


async def test_backups_that_are_made_missing_or_overdue(config: Config, tmp_path: Path) -> None:
    assert "MCP_MESSENGER_BACKUP_EVERY" in (await the(config, "backups")).detail
    planned = replace(config, backups=from_environment({"MCP_MESSENGER_BACKUP_EVERY": "12h", "MCP_MESSENGER_BACKUP_KEEP": "3"}).backups)
    assert planned.backups == BackupPlan(12 * 3600, None, 3)
    assert (await the(planned, "backups")).verdict is Verdict.WARNING
    file = tmp_path / "backups" / "mcp-messenger-20260101-000000.backup"
    file.parent.mkdir()
    file.write_text("x")
    assert (await the(planned, "backups")).verdict is Verdict.OK
    os.utime(file, (0, file.stat().st_mtime - 2 * 86400))
    assert "48 h old" in (await the(planned, "backups")).detail


@pytest.mark.parametrize(
    ("environ", "words"),
    [({"EVERY": "soon"}, "period"), ({"EVERY": "0d"}, "period"), ({"KEEP": "3"}, "no effect"), ({"EVERY": "1d", "KEEP": "0"}, "KEEP")],
)
def test_a_plan_of_backups_that_makes_no_sense_is_refused(environ: dict[str, str], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        from_environment({f"MCP_MESSENGER_BACKUP_{name}": value for name, value in environ.items()})
