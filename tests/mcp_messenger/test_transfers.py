"""Exports and imports: what is in the file, what another installation makes of it, and that it is there once."""

import io
import json
import zipfile
from collections.abc import Generator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from db.embedded import EmbeddedPostgres
from mcp_messenger.delivery.inbound import Source
from mcp_messenger.errors import Conflict, InvalidInput
from mcp_messenger.operations.application import App
from mcp_messenger.operations.importing import ImportData, import_data
from mcp_messenger.security.caller import ADMIN, Caller
from providers.events import Event
from providers.models import Chat, ChatKind, Contact
from tests.mcp_messenger.test_cli import ran
from tests.mcp_messenger.test_erasing import HERS, PERSON, TEAM, message
from tests.postgres import execute, fresh_database
from tests.program import environment
from tests.running import ready_sandbox, running_app, serving
from tests.stored import one, rows

pytestmark = pytest.mark.anyio

BOB = Contact(id="bob", name="Bob Stone")
BOBS = Chat(id="bob", kind=ChatKind.PRIVATE, title="Bob Stone")
STATE = """
    SELECT (SELECT json_agg(m ORDER BY m.id) FROM (SELECT id, instance_id, chat_id, platform_id, outgoing, status, sender_id, body, content, raw,
            sent_at, created_at, idempotency_key, error FROM messages) m)::text,
        (SELECT json_agg(c ORDER BY c.instance_id, c.id) FROM (SELECT instance_id, id, kind, title, username, phone, unread, last_message_id, last_at,
            last_incoming_at FROM chats) c)::text,
        (SELECT json_agg(c ORDER BY c.instance_id, c.id) FROM contacts c)::text, (SELECT json_agg(p ORDER BY p.id) FROM people p)::text,
        (SELECT json_agg(x ORDER BY x.contact_id) FROM (SELECT instance_id, contact_id, person_id, confirmed_at FROM identities) x)::text"""


@pytest.fixture
def other_url(embedded: EmbeddedPostgres) -> Generator[str]:
    with fresh_database(embedded.url) as url:
        yield url


async def filled(app: App, url: str, data: Path) -> UUID:
    """An instance with Annabel's private chat, a team that she and Bob write in, Bob's chat, a send that waits, and a file of hers."""
    id = UUID(await ready_sandbox(app))

    async def deliver(event: Event) -> None:
        await app.inbound.deliver(Source(id, None), [event])

    await deliver(message("1", "the pineapple is ripe\n\\N \u2028 🙂", HERS, PERSON))
    await deliver(message("2", "a pineapple in the team", TEAM, PERSON))
    await deliver(message("3", "harmless words", TEAM, BOB))
    await deliver(message("4", "of Bob alone", BOBS, BOB))
    execute(
        url,
        f"INSERT INTO messages (instance_id, chat_id, outgoing, status, body, idempotency_key) "
        f"VALUES ('{id}', '{HERS.id}', true, 'queued', 'on its way', 'a key')",
        f"UPDATE chats SET (last_message_id, last_at) = (SELECT id, sent_at FROM messages WHERE outgoing) WHERE id = '{HERS.id}'",
        "INSERT INTO people (id, user_id, name) VALUES ('00000000-0000-4000-8000-0000000000aa', 'local', 'Annabel')",
        f"INSERT INTO identities (person_id, instance_id, contact_id, confirmed_at) "
        f"VALUES ('00000000-0000-4000-8000-0000000000aa', '{id}', '{PERSON.id}', now())",
    )
    folder = data / "downloads" / str(id) / str(one(url, "SELECT id FROM messages WHERE platform_id = '1'"))
    folder.mkdir(parents=True)
    (folder / "0-Фото.png").write_bytes(b"\x00picture")
    return id


def lines_of(content: bytes) -> list[dict[str, Any]]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return [json.loads(line) for line in archive.read("export.jsonl").splitlines()]


def texts(content: bytes) -> set[str]:
    return {line["body"].split("\n")[0] for line in lines_of(content) if line["type"] == "message"}


async def test_what_is_exported_comes_into_another_installation_once(tmp_path: Path, database_url: str, other_url: str) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    async with running_app(database_url, here) as app, serving(app) as url, httpx.AsyncClient(base_url=f"{url}/api/v1", trust_env=False) as client:
        id = await filled(app, database_url, here)
        answer = await client.get("/users/local/export")
        assert answer.headers["content-type"] == "application/zip"
        assert answer.headers["content-disposition"].endswith(".zip")
        whole = answer.content
        assert texts((await client.get(f"/instances/{id}/chats/bob/export")).content) == {"of Bob alone"}
        hers = {"the pineapple is ripe", "a pineapple in the team", "on its way"}
        assert texts((await client.get(f"/instances/{id}/contacts/{PERSON.id}/export")).content) == hers
        person = (await client.get("/people/00000000-0000-4000-8000-0000000000aa/export")).content
        assert texts(person) == hers
        assert "harmless" not in str(lines_of(person))
        assert (await client.get(f"/instances/{id}/chats/nobody/export")).json()["code"] == "chat_not_found"
        key = (await client.get(f"/instances/{id}/current-api-key")).json()["api_key"]
        refused = await client.get(f"/instances/{id}/export", headers={"Authorization": f"Bearer {key}"})
        assert refused.status_code == 403
        before = rows(database_url, STATE)
        same = (await client.post("/import", content=whole)).json()
        assert (same.get("messages"), same.get("known")) == (0, 5), same
        assert rows(database_url, STATE) == before
    assert key not in str(lines_of(whole))
    assert not [path for path in here.iterdir() if path.name.startswith("tmp")]
    async with running_app(other_url, there) as app, serving(app) as url, httpx.AsyncClient(base_url=f"{url}/api/v1", trust_env=False) as client:
        # Numbers that are taken here are not taken twice.
        taken = one(database_url, "SELECT id FROM messages WHERE platform_id = '4'")
        execute(other_url, f"INSERT INTO messages (id, instance_id, chat_id, body) VALUES ({taken}, gen_random_uuid(), 'x', 'of another')")
        done = (await client.post("/import", content=whole, headers={"content-type": "application/zip"})).json()
        counts = {name: count for name, count in done.items() if count}
        chats, contacts = rows(database_url, "SELECT (SELECT count(*) FROM chats), (SELECT count(*) FROM contacts)")[0]
        assert counts == {"instances": 1, "chats": chats, "contacts": contacts, "people": 1, "messages": 5, "files": 1}
        first = rows(other_url, STATE)
        again = (await client.post("/import", content=whole)).json()
        assert {name: count for name, count in again.items() if count} == {"known": 5}
        assert rows(other_url, STATE) == first
        assert rows(other_url, "SELECT desired, status FROM message_instances") == [("stopped", "stopped")]
        kept = rows(database_url, "SELECT id, body, sent_at FROM messages WHERE platform_id IN ('1', '2', '3') ORDER BY id")
        assert rows(other_url, "SELECT id, body, sent_at FROM messages WHERE platform_id IN ('1', '2', '3') ORDER BY id") == kept
        assert one(other_url, "SELECT id FROM messages WHERE platform_id = '4'") > max(one(database_url, "SELECT max(id) FROM messages"), taken)
        assert rows(other_url, "SELECT status, error->>'code', idempotency_key FROM messages WHERE outgoing") == [("unknown", "imported", "a key")]
        assert rows(other_url, "SELECT * FROM outbox") == rows(other_url, "SELECT * FROM events WHERE type = 'message'") == []
        assert one(other_url, "SELECT nextval('messages_id_seq')") > one(other_url, "SELECT max(id) FROM messages")
        assert (await client.get(f"/instances/{id}/messages/{HERS.id}")).json()["messages"][0]["text"] == "on its way"
        file = there / "downloads" / str(id) / str(one(other_url, "SELECT id FROM messages WHERE platform_id = '1'")) / "0-Фото.png"
        assert file.read_bytes() == b"\x00picture"
        # What is erased afterwards does not come back by another import.
        await client.post(f"/instances/{id}/contacts/{PERSON.id}/erase")
        after = (await client.post("/import", content=whole)).json()
        assert {name: count for name, count in after.items() if count} == {"known": 2, "erased": 3}
        assert "pineapple" not in str(rows(other_url, STATE))
        assert not file.exists()


def archived(*lines: dict[str, Any], **files: bytes) -> ImportData:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("export.jsonl", "".join(f"{json.dumps(line)}\n" for line in lines))
        for name, file in files.items():
            archive.writestr(name, file)
    content.seek(0)
    return ImportData.of(content)


HEAD = {"type": "export", "format": 1}
END = {"type": "end"}
AT = "2026-05-04T12:00:00+00:00"
ID = "00000000-0000-4000-8000-000000000001"
INSTANCE = {"type": "instance", "id": ID, "provider": "sandbox", "created_at": AT}
MESSAGE = {
    "type": "message", "instance_id": ID, "id": 7, "chat_id": "ann", "outgoing": False, "status": "received", "kind": "text", "body": "hello",
    "sent_at": AT, "created_at": AT,
}  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([], "another version"),
        ([HEAD | {"format": 2}, END], "another version"),
        ([HEAD, INSTANCE], "no end"),
        ([HEAD, MESSAGE, END], "not in the export"),
        ([HEAD, INSTANCE | {"provider": "pigeon"}, END], "pigeon"),
        ([HEAD, INSTANCE, MESSAGE | {"status": "thrown"}, END], "status"),
        ([HEAD, INSTANCE, MESSAGE | {"id": 0}, END], "id"),
    ],
)
async def test_a_file_that_is_no_export_is_refused_with_the_reason(
    database_url: str, tmp_path: Path, lines: list[dict[str, Any]], words: str
) -> None:
    async with running_app(database_url, tmp_path) as app:
        with pytest.raises(InvalidInput, match=words):
            await import_data(app, ADMIN, archived(*lines))
        with pytest.raises(InvalidInput, match="no export"):
            await import_data(app, ADMIN, ImportData.of(io.BytesIO(b"PK no zip")))
        with pytest.raises(InvalidInput, match="no file"):
            await import_data(app, ADMIN, ImportData())


async def test_a_user_imports_for_themselves_alone_and_a_crafted_file_breaks_nothing(database_url: str, tmp_path: Path) -> None:
    async with running_app(database_url, tmp_path) as app:
        told = INSTANCE | {"user_id": "mallory", "runtime": "docker", "agent_id": "boss", "agno_enable": True, "settings": {"page": True}}
        huge = MESSAGE | {"id": 2**62, "platform_id": "p"}
        twins = [huge | {"id": 8, "body": "the same platform id"}, MESSAGE | {"body": "nul \u0000 \ud800"}, MESSAGE | {"body": "the same number"}]
        files = {f"media/{ID}/7/../../x": b"x", f"media/{ID}/7/a.txt": b"a", f"media/{ID}/{2**62}/..": b"x"}
        done = await import_data(app, Caller(user_id="ann"), archived(HEAD, told, huge, *twins, {"type": "later"}, END, **files))
        assert (done.instances, done.messages, done.known, done.files) == (1, 3, 1, 1)
        assert rows(database_url, "SELECT user_id, runtime, agent_id, agno_enable, settings, desired FROM message_instances") == [
            ("ann", "process", None, False, {}, "stopped")
        ]
        assert [path.name for path in tmp_path.rglob("*.txt")] == ["a.txt"]
        assert one(database_url, "SELECT max(id) FROM messages") < 100
        with pytest.raises(Conflict):
            await import_data(app, Caller(user_id="bob"), archived(HEAD, INSTANCE, END))


def test_the_commands_export_import_and_erase(tmp_path: Path, database_url: str, other_url: str) -> None:
    here, there, file = environment(tmp_path / "here", database_url), environment(tmp_path / "there", other_url), str(tmp_path / "file.zip")
    execute(
        database_url,
        f"INSERT INTO message_instances (id, provider) VALUES ('{ID}', 'sandbox')",
        f"INSERT INTO messages (instance_id, chat_id, body) VALUES ('{ID}', 'ann', 'hello')",
        f"INSERT INTO chats (instance_id, id, title) VALUES ('{ID}', 'ann', 'Ann')",
    )
    assert "Whose data?" in ran(here, "export", file).stderr
    assert "one of --instance" in ran(here, "export", file, "--user", "x", "--chat", "ann").stderr
    done = ran(here, "export", file, "--instance", ID[:30], "--chat", "ann", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows"] == {"instance": 1, "chat": 1, "message": 1}
    assert "--force" in ran(here, "export", file, "--instance", ID).stderr
    assert [path.name for path in tmp_path.glob("*.partial")] == []
    put = ran(there, "import", file)
    assert put.returncode == 0, put.stderr
    assert "1 instances, 1 chats" in put.stdout
    assert json.loads(ran(there, "import", file, "--json").stdout)["known"] == 1
    assert rows(other_url, "SELECT body FROM messages") == [("hello",)]
    unasked = ran(there, "erase", "--instance", ID, "--chat", "ann", "--url", "http://127.0.0.1:1")
    assert (unasked.returncode, "No server answers" in unasked.stderr) == (1, True)
