"""A person is erased: nothing of them is left in a dump of the database or in the files, and their history does not come back."""

import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from db.binaries import find_binaries
from db.chats import upsert, upsert_contacts
from mcp_messenger.delivery.inbound import Source
from providers.events import Event, MessageReceived, ReactionChanged
from providers.models import Chat, ChatKind, Contact
from tests.postgres import execute
from tests.running import ready_sandbox, running_app, serving
from tests.stored import one, received, rows

pytestmark = pytest.mark.anyio

SECRETS = ("Annabel Quince", "annaquince", "+15557771234", "pineapple", "ann-77712")
PERSON = Contact(id="ann-77712", name="Annabel Quince", username="annaquince", phone="+15557771234")
HERS = Chat(id="ann-77712", kind=ChatKind.PRIVATE, title="Annabel Quince", username="annaquince", phone="+15557771234")
TEAM = Chat(id="team", kind=ChatKind.GROUP, title="Team")


def dump(url: str, folder: Path) -> str:
    """All of the database and all files, as text."""
    done = subprocess.run([find_binaries().program("pg_dump"), "--inserts", url], capture_output=True, check=True)
    files = [path.read_bytes() + str(path).encode() for path in folder.rglob("*") if path.is_file() and "postgres" not in path.parts]
    return (done.stdout + b"".join(files)).decode(errors="replace")


def message(id: str, text: str, chat: Chat, sender: Contact, *, days_ago: float = 0, **fields: Any) -> MessageReceived:
    given = received(id, text, chat=chat, **fields)
    changed = given.message.model_copy(update={"at": datetime.now(UTC) - timedelta(days=days_ago), "sender_id": sender.id})
    return given.model_copy(update={"message": changed, "sender": sender})


async def test_a_person_is_erased_everywhere_and_stays_erased(tmp_path: Path, database_url: str) -> None:
    async with running_app(database_url, tmp_path) as app:
        id = UUID(await ready_sandbox(app))

        async def deliver(event: Event) -> None:
            await app.inbound.deliver(Source(id, None), [event])

        await deliver(message("1", "the pineapple is ripe", HERS, PERSON))
        await deliver(message("2", "a pineapple in the team", TEAM, PERSON))
        bob = Contact(id="bob", name="Bob Stone")
        await deliver(message("3", "harmless words", TEAM, bob, reply_to="2"))
        await deliver(ReactionChanged(chat_id="team", message_id="3", sender_id=PERSON.id, emojis=("👍",), at=datetime.now(UTC)))
        execute(
            database_url,
            f"INSERT INTO instance_errors (instance_id, code, message) VALUES ('{id}', 'x', 'Annabel Quince is away'), ('{id}', 'x', 'kept')",
            f"INSERT INTO deliveries (event_id, instance_id, chat_id, target, last_error) "
            f"SELECT id, '{id}', chat_id, 'webhook', 'pineapple' FROM events WHERE chat_id = 'team' AND message_id IN "
            f"(SELECT id FROM messages WHERE platform_id = '2')",
            'UPDATE messages SET raw = \'{"members": ["ann-77712", "Annabel Quince"]}\' WHERE platform_id = \'3\'',
            "INSERT INTO search_pending (message_id) SELECT id FROM messages",
        )
        execute(database_url, 'UPDATE messages SET content = content || \'{"quoted": {"text": "a pineapple"}}\' WHERE platform_id = \'3\'')
        file = tmp_path / "downloads" / str(id) / str(one(database_url, "SELECT id FROM messages WHERE platform_id = '1'")) / "0-pineapple.txt"
        file.parent.mkdir(parents=True)
        file.write_text("pineapple")
        before = dump(database_url, tmp_path)
        assert all(secret in before for secret in SECRETS)
        async with serving(app) as url, httpx.AsyncClient(base_url=f"{url}/api/v1", trust_env=False) as client:
            answer = (await client.post(f"/instances/{id}/contacts/{PERSON.id}/erase")).json()
            assert answer == {"messages": 2, "chats": 1, "contacts": 1, "instances": 0}
            after = dump(database_url, tmp_path)
            assert [line for line in after.splitlines() if any(secret in line for secret in SECRETS)] == []
            assert "harmless words" in after
            assert rows(database_url, "SELECT message FROM instance_errors") == [("kept",)]
            assert not file.exists()
            # A catch-up and the platform's lists do not bring her back.
            await deliver(message("1", "the pineapple is ripe", HERS, PERSON, days_ago=1, backfill=True))
            await deliver(message("2", "a pineapple in the team", TEAM, PERSON, days_ago=1, backfill=True))
            await upsert(app.database, id, [(HERS.id, "private", "Annabel Quince", "annaquince", "+15557771234")])
            await upsert_contacts(app.database, id, [(PERSON.id, "Annabel Quince", "annaquince", "+15557771234", False, False)])
            after = dump(database_url, tmp_path)
            assert [line for line in after.splitlines() if any(secret in line for secret in SECRETS)] == []
            # A new word of hers is a new beginning.
            await deliver(message("9", "hello again", HERS, PERSON, days_ago=-0.001))
            assert rows(database_url, "SELECT body FROM messages WHERE chat_id = %s", HERS.id) == [("hello again",)]
            chat = (await client.post(f"/instances/{id}/chats/{HERS.id}/erase")).json()
            assert (chat["messages"], chat["chats"]) == (1, 1)
            kinds = rows(database_url, "SELECT kind, count(*) FROM erasures GROUP BY kind ORDER BY kind")
            assert {kind for kind, _ in kinds} == {"chat", "sender"}
            bearer = {"Authorization": f"Bearer {await key_of(client, id)}"}
            refused = await client.post(f"/instances/{id}/contacts/{PERSON.id}/erase", headers=bearer)
            assert refused.status_code == 403
            gone = (await client.post("/users/local/erase")).json()
            assert gone["instances"] == 1
            assert "harmless words" not in dump(database_url, tmp_path)


async def key_of(client: httpx.AsyncClient, id: UUID) -> str:
    return json.loads((await client.get(f"/instances/{id}/current-api-key")).text)["api_key"]
