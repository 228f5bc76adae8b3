"""The audit log: who did what to whom and who let them, in a chain that shows what was changed, removed or added."""

import argparse
import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest
from mcp import Client

from mcp_messenger.commands.audit import audit
from mcp_messenger.operations.application import App
from mcp_messenger.operations.keys import CreateToken, create_user_token
from mcp_messenger.policy.audit import Audit
from mcp_messenger.security.caller import ADMIN, Caller
from tests.mcp_clients import call, in_memory, refused
from tests.postgres import execute
from tests.running import ready_sandbox, running_app, serving
from tests.stored import one, rows

pytestmark = pytest.mark.anyio

UNGUARDED = "SET session_replication_role = replica;"
"""As the owner of the database may do: no trigger runs."""


@pytest.fixture
async def app(database_url: str, tmp_path: Path) -> AsyncGenerator[App]:
    async with running_app(database_url, tmp_path) as app:
        yield app


@pytest.fixture
async def owner(app: App) -> AsyncGenerator[httpx.AsyncClient]:
    async with serving(app) as url, httpx.AsyncClient(base_url=f"{url}/api/v1", trust_env=False) as http:
        yield http


@pytest.fixture
async def agent(app: App) -> AsyncGenerator[Client]:
    async with in_memory(app) as client:
        yield client


async def logged(owner: httpx.AsyncClient, **wanted: Any) -> list[dict[str, Any]]:
    return (await owner.get("/audit", params=wanted)).raise_for_status().json()["entries"]


async def checked(owner: httpx.AsyncClient, **given: Any) -> dict[str, Any]:
    return (await owner.get("/audit/verify", params=given)).raise_for_status().json()


def faults(check: dict[str, Any]) -> list[tuple[str, int]]:
    return [(one["fault"], one["position"]) for one in check["faults"]]


async def test_each_call_that_changes_something_is_one_row_that_says_who_let_it(app: App, owner: httpx.AsyncClient, agent: Client) -> None:
    instance = await ready_sandbox(app)
    sent = await call(agent, "send_message", instance_id=instance, to="ann", message="The door code is 4711.")
    await owner.post(f"/instances/{instance}/message/{sent['message_id']}/react", json={"emoji": "👍"})
    await owner.put(f"/instances/{instance}/policy", json={"outbound": {"deny": ["bob"], "links": "ask"}})
    assert "policy_denied" in await refused(agent, "send_message", instance_id=instance, to="bob", message="hi")
    assert "approval_required" in await refused(agent, "send_message", instance_id=instance, to="ann", message="see https://a.example")
    assert "approval_required" in await refused(agent, "send_message", instance_id=instance, to="ann", message="see https://a.example")
    waiting = (await owner.get("/approvals")).json()["approvals"][0]["approval_id"]
    await owner.post(f"/approvals/{waiting}/approve")
    await owner.post(f"/instances/{instance}/chats/ann/read")
    await owner.get(f"/instances/{instance}/chats")

    found = [(one["operation"], one["outcome"], one["chat_id"], one["rule"], one["decided_by"]) for one in await logged(owner, oldest_first=True)]
    assert found == [
        ("send_message", "allowed", "ann", "none", "policy"),
        ("react", "allowed", "ann", "none", "caller"),
        ("set_policy", "allowed", None, None, "caller"),
        ("send_message", "denied", "bob", "deny", "policy"),
        ("send_message", "asked", "ann", "links", "policy"),
        ("decide_approval", "approved", "ann", "links", "admin"),
        ("send_message", "allowed", "ann", "approval", "admin"),
    ]
    entries = await logged(owner, instance_id=instance, oldest_first=True)
    assert entries[0]["message_id"] == sent["message_id"]
    assert {one["user_id"] for one in entries} == {"local"}
    assert entries[0]["client"].startswith("mcp")
    assert entries[1]["client"].startswith("python-httpx")
    assert all(one["content"] for one in entries if one["outcome"] == "allowed")
    assert "4711" not in json.dumps(entries)
    assert entries[-1]["approval_id"] == waiting
    assert (await checked(owner))["ok"]


async def test_a_row_is_neither_changed_nor_removed_and_whoever_does_it_all_the_same_is_found_out(
    app: App, owner: httpx.AsyncClient, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    instance = await ready_sandbox(app)
    for number in range(8):
        await owner.post(f"/instances/{instance}/send", json={"to": "ann", "message": f"number {number}"})
    before = await checked(owner)
    assert (before["ok"], before["rows"], before["is_signed"]) == (True, 8, True)
    for statement in ("UPDATE audit_log SET chat_id = 'bob'", "DELETE FROM audit_log", "TRUNCATE audit_log", "UPDATE audit_log SET position = NULL"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            execute(database_url, statement)

    def meddle(*statements: str) -> None:
        execute(database_url, UNGUARDED, *statements)

    meddle("UPDATE audit_log SET chat_id = 'bob' WHERE position = 2")
    assert faults(await checked(owner)) == [("changed", 2)]
    caller = one(database_url, "SELECT caller FROM audit_log WHERE position = 3")
    meddle("UPDATE audit_log SET chat_id = 'ann' WHERE position = 2", "UPDATE audit_log SET caller = 'user:eve' WHERE position = 3")
    assert faults(await checked(owner)) == [("changed", 3)]
    meddle(f"UPDATE audit_log SET caller = '{caller}' WHERE position = 3", "CREATE TABLE kept AS SELECT * FROM audit_log WHERE position = 5")
    assert (await checked(owner))["ok"]
    meddle("DELETE FROM audit_log WHERE position = 5")
    assert faults(await checked(owner)) == [("removed", 5)]
    meddle("INSERT INTO audit_log SELECT * FROM kept", "UPDATE audit_log SET chat_id = NULL, erased_at = now() WHERE position = 4")
    assert ("emptied", 4) in faults(await checked(owner))
    meddle("UPDATE audit_log SET chat_id = 'ann', erased_at = NULL WHERE position = 4", "DELETE FROM audit_log WHERE position = 8")
    assert faults(await checked(owner)) == [("removed", 8)]
    # Whoever sets back the end as well cannot sign it.
    meddle("UPDATE audit_head SET position = 7, hash = (SELECT hash FROM audit_log WHERE position = 7)")
    assert faults(await checked(owner)) == [("head", 7)]
    url = str(owner.base_url).partition("/api")[0]
    told = argparse.Namespace(url=url, verify=True, export=False, json=False, head=None, instance=None)
    assert await audit(app.config, told) == 1
    assert "row 7: the end of the log is not the one that was signed" in capsys.readouterr().out


async def test_a_row_that_somebody_else_added_and_a_log_that_was_set_back_are_found_out(
    app: App, owner: httpx.AsyncClient, database_url: str
) -> None:
    instance = await ready_sandbox(app)
    await owner.post(f"/instances/{instance}/send", json={"to": "ann", "message": "one"})
    early = await checked(owner)
    saved = rows(database_url, "SELECT position, hash, signature FROM audit_head")[0]
    await owner.post(f"/instances/{instance}/send", json={"to": "ann", "message": "two"})
    late = await checked(owner, head=early["head"])
    assert (early["ok"], late["ok"], late["rows"]) == (True, True, 2)
    # A true end of an earlier time is signed; who has kept the later one elsewhere sees that it is gone.
    execute(database_url, UNGUARDED, "DELETE FROM audit_log WHERE position = 2")
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE audit_head SET position = %s, hash = %s, signature = %s", saved)
    assert (await checked(owner))["ok"]
    assert faults(await checked(owner, head=late["head"])) == [("head", 1)]

    execute(
        database_url,
        "INSERT INTO audit_log (id, at, caller, operation, outcome) VALUES (gen_random_uuid(), now(), 'user:ann', 'send_message', 'allowed')",
    )
    assert faults(await checked(owner)) == [("inserted", 2)]
    await owner.post(f"/instances/{instance}/send", json={"to": "ann", "message": "three"})
    assert faults(await checked(owner)) == [("inserted", 2)]
    execute(database_url, "DELETE FROM audit_head")
    await owner.post(f"/instances/{instance}/send", json={"to": "ann", "message": "four"})
    # The log goes on, and the row after the unsigned end stays marked.
    assert faults(await checked(owner)) == [("inserted", 2), ("inserted", 4)]


async def test_what_is_erased_or_too_old_is_gone_from_the_log_and_the_chain_holds(app: App, owner: httpx.AsyncClient, database_url: str) -> None:
    instance = await ready_sandbox(app)
    for to in ("ann", "bob", "ann"):
        await owner.post(f"/instances/{instance}/send", json={"to": to, "message": f"to {to}"})
    await app.judge.audit.seal()
    await owner.post(f"/instances/{instance}/send", json={"to": "ann", "message": "not sealed yet"})
    assert (await owner.post(f"/instances/{instance}/chats/ann/erase")).json()["chats"] == 1
    assert rows(database_url, "SELECT count(*) FROM audit_log WHERE chat_id = 'ann' OR target = 'ann'") == [(0,)]
    assert rows(database_url, "SELECT count(*) FROM audit_log WHERE erased_at IS NOT NULL AND content IS NULL AND salt IS NULL") == [(3,)]
    found = await checked(owner)
    assert (found["ok"], found["rows"]) == (True, 6)
    # More than the erasure says that it emptied.
    execute(database_url, UNGUARDED, "UPDATE audit_log SET erased_at = (SELECT max(erased_at) FROM audit_log), chat_id = NULL WHERE chat_id = 'bob'")
    assert {fault for fault, _ in faults(await checked(owner))} == {"emptied"}

    execute(database_url, UNGUARDED, "DELETE FROM audit_log", "DELETE FROM audit_head")
    for number in range(4):
        await owner.post(f"/instances/{instance}/send", json={"to": "bob", "message": f"number {number}"})
    await app.judge.audit.seal()
    assert await app.judge.audit.retire(3600) == 0
    assert await app.judge.audit.retire(0) == 4
    await owner.post(f"/instances/{instance}/send", json={"to": "bob", "message": "later"})
    kept = await checked(owner)
    assert (kept["ok"], kept["rows"], kept["head"].partition(":")[0]) == (True, 2, "6")
    execute(database_url, UNGUARDED, "DELETE FROM audit_log WHERE position = 5")
    assert not (await checked(owner))["ok"]


async def test_a_purged_instance_leaves_rows_that_name_nobody(app: App, owner: httpx.AsyncClient, database_url: str) -> None:
    instance = await ready_sandbox(app)
    await owner.post(f"/instances/{instance}/send", json={"to": "ann", "message": "hello"})
    assert (await owner.delete(f"/instances/{instance}", params={"purge": True})).is_success
    assert rows(database_url, "SELECT count(*) FROM audit_log WHERE chat_id IS NOT NULL") == [(0,)]
    assert (await checked(owner))["ok"]


async def test_users_read_their_own_rows_and_agents_none(
    app: App, owner: httpx.AsyncClient, agent: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    anns, bobs = [await ready_sandbox(app, Caller(user_id=name)) for name in ("ann", "bob")]
    tokens = {name: (await create_user_token(app, ADMIN, CreateToken(user_id=name))).token for name in ("ann", "bob")}
    key = (await owner.get(f"/instances/{anns}/current-api-key")).json()["api_key"]
    for instance in (anns, bobs):
        await owner.post(f"/instances/{instance}/send", json={"to": "ann", "message": "hello"})

    async def seen(token: str, path: str = "/audit") -> httpx.Response:
        return await owner.get(path, headers={"authorization": f"Bearer {token}"})

    shown = (await seen(tokens["ann"])).json()["entries"]
    # The place in the chain counts over all users.
    assert {(one["instance_id"], one["position"], one["hash"]) for one in shown} == {(anns, None, None)}
    assert (await seen(tokens["ann"], f"/audit?instance_id={bobs}")).status_code == 404
    assert (await seen(tokens["ann"], "/audit/verify")).status_code == 403
    assert (await seen(key)).status_code == 403
    assert not {"list_audit", "verify_audit"} & {tool.name for tool in (await agent.list_tools()).tools}

    url = str(owner.base_url).partition("/api")[0]
    plain = argparse.Namespace(url=url, verify=False, export=True, json=False, head=None, instance=None)
    assert await audit(app.config, plain) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [UUID(one["id"]) for one in lines] == sorted(UUID(one["id"]) for one in lines)
    assert {one["instance_id"] for one in lines} == {anns, bobs}


async def test_a_key_that_lacks_a_scope_is_in_the_log(app: App, owner: httpx.AsyncClient) -> None:
    instance = await ready_sandbox(app)
    made = (await owner.post("/keys", json={"name": "reader", "scopes": ["read"]})).json()
    refusal = await owner.post(f"/instances/{instance}/send", json={"to": "ann", "message": "x"}, headers={"authorization": f"Bearer {made['key']}"})
    assert refusal.status_code == 403
    denied = (await logged(owner, outcome="denied"))[0]
    assert (denied["operation"], denied["code"], denied["key_id"]) == ("send_message", "missing_scope", made["id"])


async def test_processes_without_the_key_and_senders_at_once_lose_nothing(app: App, owner: httpx.AsyncClient, database_url: str) -> None:
    instance = await ready_sandbox(app)
    another = Audit(app.database, app.vault)
    for number in range(30):
        await owner.post(f"/instances/{instance}/send", json={"to": "ann", "message": f"number {number}"})
        if number % 3 == 0:
            await another.seal()
    found = await checked(owner)
    assert (found["ok"], found["rows"], found["to_seal"]) == (True, 30, 0)
    assert rows(database_url, "SELECT min(position), max(position), count(*) FROM audit_log") == [(1, 30, 30)]
