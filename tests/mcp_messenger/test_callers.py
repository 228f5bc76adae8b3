"""Knowing an id is not a right: who sees and does what, over every call of the REST face."""

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import anyio.to_thread
import httpx
import pytest
from pydantic import SecretStr

from db.embedded import EmbeddedPostgres
from mcp_messenger.api.rest.aliases import OF_INSTANCE, SPELLED_OF_INSTANCE, SPELLED_OF_MANAGER
from mcp_messenger.operations.application import App
from mcp_messenger.operations.keys import CreateToken, create_user_token
from mcp_messenger.operations.operation import OfInstance, Transport
from mcp_messenger.operations.sending import SendMessage, send_message
from mcp_messenger.operations.table import BY_NAME, OPERATIONS
from mcp_messenger.operations.waiting import WaitForReply, wait_for_reply
from mcp_messenger.security.caller import ADMIN, Caller
from tests.mcp_messenger.test_cli import ran
from tests.postgres import fresh_database
from tests.running import ready_sandbox, running_app, serving

pytestmark = pytest.mark.anyio

ADMIN_TOKEN = "a-fake-admin-token-for-tests"
ROWS = {(row.method, row.path): row for row in (*OPERATIONS, *SPELLED_OF_INSTANCE, *SPELLED_OF_MANAGER) if Transport.REST in row.transports}
ALIASES = {(BY_NAME[alias.operation].method, alias.path): BY_NAME[alias.operation] for alias in OF_INSTANCE}
CALLS = {key: row for key, row in {**ROWS, **ALIASES}.items() if "{instance_id}" in key[1]}
ARGUMENTS: dict[str, Any] = {
    "chat_id": "ann",
    "chatId": "ann",
    "to": "ann",
    "message": "intruding",
    "message_id": "1",
    "source": "data:,intruding",
    "question": "which?",
    "options": ["a", "b"],
    "latitude": 1,
    "longitude": 1,
    "group_id": "team",
    "participant": "ann",
    "participants": ["ann"],
    "name": "intruders",
    "enabled": False,
    "credentials": {"account_name": "Intruder"},
    "query": "hello",
    "phone": "+15550199",
    "choices": [{"id": "a", "title": "A"}],
    "template": "hello",
    "mode": "human",
    "action": "take",
    "delivery_id": "1",
    "webhook_id": "1",
    "messages": [{"to": "ann", "message": "intruding"}],
    "text": "intruding",
    "at": "2099-01-01T09:00:00Z",
    "after": "0",
    "language": "en",
    "provider": "sandbox",
    "contact_id": "ann",
    "admit": True,
    "invite_link": "https://invite.example/intruders",
}
OF_AN_INSTANCE = ("messages", "chats", "contacts", "events", "outbox", "api_keys", "instance_secrets", "reveals", "status_history", "deliveries")


@dataclass(frozen=True)
class Someone:
    token: str
    instance_id: str
    key: str


@dataclass(frozen=True)
class House:
    """Two users with an instance each, who know all ids."""

    app: App
    url: str
    ann: Someone
    bob: Someone

    async def call(self, token: str, method: str, path: str, **arguments: Any) -> httpx.Response:
        async with httpx.AsyncClient(base_url=self.url, trust_env=False, timeout=30) as client:
            return await client.request(method, f"/api/v1{path}", headers={"Authorization": f"Bearer {token}"}, **arguments)

    async def sent_by(self, instance_ids: set[str]) -> int:
        statement = "SELECT count(*) FROM messages WHERE outgoing AND instance_id = ANY(%(ids)s)"
        return await self.app.database.value(statement, {"ids": [UUID(id) for id in instance_ids]})

    async def rows_of(self, instance_id: str) -> dict[str, list[tuple[Any, ...]]]:
        """Everything that is kept of an instance."""
        id = {"id": UUID(instance_id)}
        found = {"instance": await self.app.database.rows("SELECT i::text FROM message_instances i WHERE id = %(id)s", id)}
        for table in OF_AN_INSTANCE:
            statement = f"SELECT t::text FROM {table} t WHERE instance_id = %(id)s ORDER BY 1"
            found[table] = await self.app.database.rows(statement, id)  # pyright: ignore[reportArgumentType] - of our own names
        return found


async def moves_in(app: App, user_id: str) -> Someone:
    instance_id = await ready_sandbox(app, Caller(user_id))
    sent = await send_message(app, ADMIN, SendMessage.model_validate({"instance_id": instance_id, "to": "ann", "message": f"hello from {user_id}"}))
    # After the answer nothing moves by itself any more.
    answered = await wait_for_reply(app, ADMIN, WaitForReply(instance_id=instance_id, message_id=sent.message_id, timeout=20))
    assert answered.replies
    token = (await create_user_token(app, ADMIN, CreateToken(user_id=user_id))).token
    return Someone(token, instance_id, "")


@pytest.fixture(scope="module")
async def house(embedded: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    with fresh_database(embedded.url) as database_url:
        async with running_app(database_url, tmp_path_factory.mktemp("data"), admin_token=SecretStr(ADMIN_TOKEN)) as app, serving(app) as url:
            people: list[Someone] = []
            for name in ("ann", "bob"):
                someone = await moves_in(app, name)
                async with httpx.AsyncClient(base_url=url, trust_env=False, headers={"Authorization": f"Bearer {ADMIN_TOKEN}"}) as admin:
                    key = (await admin.get(f"/api/v1/instances/{someone.instance_id}/current-api-key")).json()["api_key"]
                people.append(Someone(someone.token, someone.instance_id, key))
            yield House(app, url, *people)


@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call[0]} {call[1]}".replace("/", " "))
@pytest.mark.parametrize("who", ["user", "key"])
async def test_another_users_instance_is_as_if_it_were_not(house: House, call: tuple[str, str], who: str) -> None:
    """With a token that may do everything with its own, and with the key of another instance."""
    method, path = call
    row = CALLS[call]
    before = await house.rows_of(house.bob.instance_id)
    given = {"instance_id": house.bob.instance_id, **{name: value for name, value in ARGUMENTS.items() if name in row.input.model_fields}}
    in_path = {name: given.pop(name) for name in list(given) if f"{{{name}}}" in path}
    arguments: dict[str, Any] = {"json": given} if method in {"POST", "PUT", "PATCH"} else {"params": given}
    answer = await house.call(house.ann.token if who == "user" else house.ann.key, method, path.format(**in_path), **arguments)
    if who == "key" and answer.status_code == 403:
        assert answer.json()["code"] == "forbidden"
    else:
        assert (answer.status_code, answer.json()["code"]) == (404, "instance_not_found"), answer.text
    missing = await house.call(house.ann.token, "GET", "/instances/00000000-0000-0000-0000-000000000000")
    assert missing.json()["code"] == "instance_not_found"
    assert await house.rows_of(house.bob.instance_id) == before


def test_every_operation_of_an_instance_was_tried() -> None:
    assert {row.name for row in OPERATIONS if Transport.REST in row.transports and issubclass(row.input, OfInstance)} <= {
        row.name for row in CALLS.values()
    }


async def test_events_and_streams_of_others_are_not_to_be_had(house: House) -> None:
    for path in ("/events", "/events/stream"):
        for token in (house.ann.token, house.ann.key):
            answer = await house.call(token, "GET", f"{path}?instance_id={house.bob.instance_id}")
            assert (answer.status_code, answer.json()["code"]) == (404, "instance_not_found")


async def test_lists_and_totals_show_what_is_the_callers(house: House) -> None:
    ann, bob = house.ann.instance_id, house.bob.instance_id
    for token, seen in (
        (ADMIN_TOKEN, {ann, bob}),
        (house.ann.token, {ann}),
        (house.ann.key, {ann}),
        (house.bob.token, {bob}),
        (house.bob.key, {bob}),
    ):
        for path in ("/instances", "/multi-provider/instances", "/instances?user_id=bob", "/instances?limit=100"):
            listed = {row["id"] for row in (await house.call(token, "GET", path)).json()["instances"]}
            assert listed <= seen
            assert "user_id" in path or listed == seen
        events = (await house.call(token, "GET", "/events?limit=500")).json()["events"]
        assert {event["instance_id"] for event in events} == seen
        totals = (await house.call(token, "GET", "/instances/memory/stats")).json()["stats"]
        assert (totals["total_instances"], totals["running_here"]) == (len(seen), len(seen))
        stats = (await house.call(token, "GET", "/multi-provider/stats")).json()["providers"]["sandbox"]
        assert (stats["instances"], stats["messages_out"]) == ({"ready": len(seen)}, await house.sent_by(seen))
        assert (await house.call(token, "GET", "/multi-provider/active-providers")).json()["providers"] == ["sandbox"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/instances", {"provider": "sandbox"}),
        ("POST", "/multi-provider/instances", {"provider": "sandbox"}),
        ("PATCH", "/instances/{id}", {"credentials": {"account_name": "Me"}}),
        ("DELETE", "/instances/{id}", None),
        ("DELETE", "/multi-provider/instances/{id}", None),
        ("POST", "/instances/{id}/process", {"force_recreate": True}),
        ("GET", "/instances/{id}/current-api-key", None),
        ("POST", "/instances/{id}/api-key/rotate", None),
        ("GET", "/instances/{id}/credentials?reveal=true", None),
        ("PUT", "/instances/{id}/credentials", {"credentials": {"account_name": "Me"}}),
        ("POST", "/tokens", {"user_id": "ann"}),
        ("DELETE", "/tokens/ann", None),
        ("POST", "/resources/ports/clear-cache", None),
    ],
)
async def test_an_instances_key_only_uses_it(house: House, method: str, path: str, body: Any) -> None:
    before = await house.rows_of(house.ann.instance_id)
    answer = await house.call(house.ann.key, method, path.replace("{id}", house.ann.instance_id), json=body)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert answer.json()["hint"]
    assert await house.rows_of(house.ann.instance_id) == before


@pytest.mark.parametrize(("method", "path", "body"), [("POST", "/tokens", {"user_id": "bob"}), ("DELETE", "/tokens/bob", None)])
async def test_a_user_makes_no_tokens(house: House, method: str, path: str, body: Any) -> None:
    assert (await house.call(house.ann.token, method, path, json=body)).status_code == 403
    assert (await house.call(house.bob.token, "GET", "/instances")).status_code == 200


async def test_a_key_sends_for_its_instance(house: House) -> None:
    sent = await house.call(house.bob.key, "POST", f"/instances/{house.bob.instance_id}/send", json={"to": "ann", "message": "with my key"})
    assert sent.status_code == 200
    assert sent.json()["status"] in {"sent", "delivered", "read"}


async def test_a_user_makes_instances_of_their_own_only(house: House) -> None:
    refused = await house.call(house.ann.token, "POST", "/instances", json={"provider": "sandbox", "user_id": "bob"})
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    made = await house.call(house.ann.token, "POST", "/instances", json={"provider": "sandbox"})
    assert made.json()["instance"]["user_id"] == "ann"
    deleted = await house.call(house.ann.token, "DELETE", f"/instances/{made.json()['instance_id']}?purge=true")
    assert deleted.status_code == 200
    assert (await house.call(made.json()["api_key"], "GET", "/instances")).status_code == 401


async def test_what_a_removed_instance_left_is_removed_later_by_its_owner_alone(house: House) -> None:
    made = (await house.call(house.ann.token, "POST", "/instances", json={"provider": "sandbox"})).json()["instance_id"]
    folder = house.app.downloads_dir(UUID(made))
    folder.mkdir(parents=True)
    (folder / "photo").write_text("personal")
    await house.app.database.execute("INSERT INTO chats (instance_id, id, kind, title) VALUES (%(id)s, 'c', 'private', 'Ann')", {"id": UUID(made)})
    assert (await house.call(house.ann.token, "DELETE", f"/instances/{made}")).status_code == 200
    assert len((await house.rows_of(made))["chats"]) == 1

    listed = [(await house.call(token, "GET", "/removed-instances")).json()["removed"] for token in (house.ann.token, house.bob.token, ADMIN_TOKEN)]
    assert [[one["instance_id"] for one in removed].count(made) for removed in listed] == [1, 0, 1]
    purge = f"/instances/{made}?purge=true"
    for refused in (await house.call(house.bob.token, "DELETE", purge), await house.call(house.ann.token, "DELETE", f"/instances/{made}")):
        assert refused.json()["code"] == "instance_not_found"
    assert (await house.call(house.ann.token, "DELETE", purge)).status_code == 200
    assert not any((await house.rows_of(made)).values())
    assert not folder.exists()
    assert (await house.call(ADMIN_TOKEN, "DELETE", purge)).json()["code"] == "instance_not_found"


async def test_what_an_earlier_version_left_is_the_administrators_to_remove(house: House) -> None:
    left = uuid4()
    await house.app.database.execute("INSERT INTO chats (instance_id, id, kind, title) VALUES (%(id)s, 'c', 'private', 'Ann')", {"id": left})
    other = uuid4()
    await house.app.database.execute("INSERT INTO chats (instance_id, id, kind, title) VALUES (%(id)s, 'c', 'private', 'Bob')", {"id": other})
    pages = [(await house.call(ADMIN_TOKEN, "GET", "/removed-instances?limit=1")).json()]
    while cursor := pages[-1]["next_cursor"]:
        pages.append((await house.call(ADMIN_TOKEN, "GET", f"/removed-instances?limit=1&cursor={cursor}")).json())
    listed = [one["instance_id"] for page in pages for one in page["removed"]]
    assert (len(listed), {str(left), str(other)} <= set(listed)) == (len(set(listed)), True)
    env = {"MCP_MESSENGER_ADMIN_TOKEN": ADMIN_TOKEN, "PATH": os.environ["PATH"], "HOME": str(house.app.config.data_dir)}
    shown = await anyio.to_thread.run_sync(ran, env, "purge", "--url", house.url)
    assert str(left) in shown.stdout
    done = await anyio.to_thread.run_sync(ran, env, "purge", str(left), "--url", house.url)
    assert done.stdout.strip() == f"Nothing is left of {left}."
    assert not any((await house.rows_of(str(left))).values())
    still = await anyio.to_thread.run_sync(ran, env, "purge", house.ann.instance_id, "--url", house.url)
    assert (still.returncode, "is no removed instance" in still.stderr) == (1, True)
    for unknown in ("nope", str(left)):
        refused = await anyio.to_thread.run_sync(ran, env, "purge", unknown, "--url", house.url)
        assert (refused.returncode, f"No removed instance has the id '{unknown}'" in refused.stderr) == (1, True)
    assert len((await house.rows_of(house.ann.instance_id))["instance"]) == 1


async def test_revoked_tokens_end_at_once(house: House) -> None:
    token = (await house.call(ADMIN_TOKEN, "POST", "/tokens", json={"user_id": "dora"})).json()["token"]
    assert (await house.call(token, "GET", "/instances")).json()["instances"] == []
    assert (await house.call(ADMIN_TOKEN, "DELETE", "/tokens/dora")).json() == {"cleared": 1}
    refused = await house.call(token, "GET", "/instances")
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize("token", ["mm_nobodys", "\xe4\xf6", ADMIN_TOKEN[:-1], ADMIN_TOKEN + "x", "x" * 5000])
async def test_tokens_of_nobody(house: House, token: str) -> None:
    async with httpx.AsyncClient(base_url=house.url, trust_env=False) as client:
        answer = await client.get("/api/v1/instances", headers=[(b"Authorization", f"Bearer {token}".encode("latin-1"))])
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
