"""What is removed by age and number, what is not, and what readers with an old cursor are told."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest

from db import retention
from db.database import Database
from db.retention import BATCH
from mcp_messenger.config.retention import DEFAULTS, Retained, parse_retention
from mcp_messenger.observability.workers import Workers
from mcp_messenger.policy.audit import Audit
from mcp_messenger.retention.trimming import Trimming
from mcp_messenger.security.vault import Vault
from tests.postgres import execute
from tests.running import ready_sandbox, running_app, serving
from tests.stored import new_instance, one, opened, rows

pytestmark = pytest.mark.anyio

FILL = """
    INSERT INTO events (id, instance_id, type, at) SELECT nextval('event_numbers'), %(id)s, 'receipt', now() - n * interval '1 day'
    FROM generate_series(%(days)s, 1, -1) AS n;
    INSERT INTO messages (instance_id, chat_id, body, status, sent_at)
    SELECT %(id)s, 'ann', n::text, 'received', now() - n * interval '1 day' FROM generate_series(%(days)s, 1, -1) AS n;
    INSERT INTO status_history (instance_id, status, at)
    SELECT %(id)s, 'ready', now() - n * interval '1 day' FROM generate_series(%(days)s, 1, -1) AS n;
    INSERT INTO deliveries (event_id, instance_id, target, status, done_at)
    SELECT id, %(id)s, 'webhook', 'done', at FROM events WHERE instance_id = %(id)s;
    INSERT INTO qr_codes (instance_id, sequence, issued_at, expires_at, outcome)
    SELECT %(id)s, n, now() - n * interval '1 day', now(), 'used' FROM generate_series(%(days)s, 1, -1) AS n;
    INSERT INTO reveals (instance_id, what, caller, at)
    SELECT %(id)s, 'x', 'y', now() - n * interval '1 day' FROM generate_series(%(days)s, 1, -1) AS n;
    INSERT INTO instance_logs (instance_id, line, at)
    SELECT %(id)s, 'x', now() - n * interval '1 day' FROM generate_series(%(days)s, 1, -1) AS n;
    INSERT INTO calls (id, instance_id, method, args, created_at) VALUES (gen_random_uuid(), %(id)s, 'x', '[]', now() - interval '2 days')"""
COUNT = """
    SELECT (SELECT count(*) FROM messages WHERE instance_id = %(id)s), (SELECT count(*) FROM events WHERE instance_id = %(id)s),
        (SELECT count(*) FROM deliveries WHERE instance_id = %(id)s), (SELECT count(*) FROM status_history WHERE instance_id = %(id)s),
        (SELECT count(*) FROM qr_codes WHERE instance_id = %(id)s), (SELECT count(*) FROM reveals WHERE instance_id = %(id)s),
        (SELECT count(*) FROM calls WHERE instance_id = %(id)s), (SELECT count(*) FROM instance_logs WHERE instance_id = %(id)s)"""


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with opened(database_url) as database:
        yield database


def trimming(database: Database, folder: Path, **limits: Retained) -> Trimming:
    audit = Audit(database, lambda: Vault([bytes(range(32))]))
    return Trimming(database, uuid4(), {**DEFAULTS, **limits}, folder, Workers(), audit.retire)


async def filled(database: Database, days: int = 400) -> UUID:
    instance_id = await new_instance(database)
    for statement in FILL.split(";"):
        async with database.transaction() as connection:
            await connection.execute(statement.encode(), {"id": instance_id, "days": days})
    return instance_id


async def counted(database: Database, instance_id: UUID) -> tuple[int, ...]:
    async with database.transaction() as connection:
        return (await (await connection.execute(COUNT.encode(), {"id": instance_id})).fetchall())[0]


async def test_messages_stay_and_the_rest_is_trimmed_by_its_rules(database: Database, tmp_path: Path) -> None:
    usual, careful = await filled(database), await filled(database)
    await retention.set_rules(
        database, careful, {"messages": retention.Rule(newest=30), "events": retention.Rule(), "reveals": retention.Rule(86400 * 10, 5)}
    )
    first = trimming(database, tmp_path)
    removed = await first.trim()
    assert removed["events"] == 400 - 90 + 1 > BATCH
    assert await counted(database, usual) == (400, 89, 29, 364, 6, 364, 0, 29)
    assert await counted(database, careful) == (30, 400, 29, 364, 6, 5, 0, 29)
    # Another server finds it done.
    assert await trimming(database, tmp_path).trim() == {}
    assert await first.trim(every=0) == {}


async def test_what_is_in_use_stays(database: Database, database_url: str, tmp_path: Path) -> None:
    id = await filled(database, 100)
    oldest = one(database_url, "SELECT min(id) FROM events")
    execute(
        database_url,
        f"UPDATE deliveries SET status = 'pending', done_at = NULL WHERE event_id = {oldest}",
        "UPDATE messages SET status = 'queued' WHERE body = '100'",
        f"INSERT INTO webhooks (instance_id, number, config, since) VALUES ('{id}', 2, '{{\"enabled\": true}}', 0)",
        f"UPDATE webhook_progress SET event_id = {oldest + 97}",
    )
    (tmp_path / "downloads" / str(id) / "100000").mkdir(parents=True)
    (tmp_path / "downloads" / str(uuid4()) / "5").mkdir(parents=True)
    kept_message = one(database_url, "SELECT max(id) FROM messages")
    (tmp_path / "downloads" / str(id) / str(kept_message)).mkdir()
    await trimming(database, tmp_path, events=Retained(1), messages=Retained(2 * 86400 - 60)).trim()
    # The newest is where readers begin.
    assert [row[0] for row in rows(database_url, "SELECT id FROM events ORDER BY id")] == [oldest, oldest + 98, oldest + 99]
    assert [row[0] for row in rows(database_url, "SELECT body FROM messages ORDER BY id")] == ["100", "1"]
    assert {path.name for path in (tmp_path / "downloads").glob("*/*")} == {str(kept_message), "5"}


async def test_a_row_that_somebody_holds_holds_nobody_up(database: Database, tmp_path: Path) -> None:
    id = await filled(database, 100)
    async with database.transaction() as connection:
        await connection.execute("SELECT id FROM public.events ORDER BY id LIMIT 3 FOR UPDATE")
        await trimming(database, tmp_path).trim()
    assert (await counted(database, id))[1] == 89 + 3


async def test_an_old_cursor_is_told_where_to_begin_everywhere(tmp_path: Path, database_url: str) -> None:
    async with running_app(database_url, tmp_path) as app:
        id = await ready_sandbox(app)
        execute(database_url, "UPDATE events SET at = at - interval '1 year'")
        last = one(database_url, "SELECT max(id) FROM events")
        await app.trimming.trim(every=0)
        assert one(database_url, "SELECT through FROM event_horizons") == last - 1
        async with serving(app) as url, httpx.AsyncClient(base_url=f"{url}/api/v1", trust_env=False) as client:
            places: list[tuple[str, str, dict[str, str]]] = [
                ("/events", "after", {}),
                ("/events/stream", "after", {}),
                (f"/instances/{id}/wait", "cursor", {"timeout": "0"}),
            ]
            for path, name, more in places:
                refused = await client.get(path, params={name: "1", **more})
                assert (refused.status_code, refused.json()["code"]) == (410, "cursor_expired"), path
                assert f"Begin with the cursor {last - 1}" in refused.json()["hint"]
            assert [event["id"] for event in (await client.get("/events", params={"after": last - 1})).json()["events"]] == [str(last)]
            assert (await client.get("/events")).json()["next_cursor"] == str(last)
            changed = (await client.patch(f"/instances/{id}", json={"retention": {"messages": "30d/100", "events": "keep"}})).json()
            assert changed["retention"] == {"messages": "30d/100", "events": "keep"}
            back = (await client.patch(f"/instances/{id}", json={"retention": {"messages": ""}})).json()
            assert back["retention"] == {"events": "keep"}
            for wrong in ({"media": "1d"}, {"messages": "soon"}, {"secrets": "1d"}):
                assert (await client.patch(f"/instances/{id}", json={"retention": wrong})).status_code in {400, 422}


def test_the_setting_is_read_or_refused_by_name() -> None:
    read = parse_retention("events=30d, messages=2y/1000, reveals=keep")
    assert (read["events"], read["messages"], read["reveals"]) == (Retained(30 * 86400), Retained(730 * 86400, 1000), Retained())
    assert read["deliveries"] == DEFAULTS["deliveries"]
    for wrong in ("events", "nothing=3d", "events=0d", "events=3", "events=", "media=/5"):
        with pytest.raises(ValueError, match=r"rule|age"):
            parse_retention(wrong)
