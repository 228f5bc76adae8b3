"""The SQL of the store: whole statements that PostgreSQL understands, and that name the columns they read."""

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any, cast
from uuid import UUID, uuid4

import psycopg
import pytest

import db
from db import (
    agents,
    batches,
    besides,
    calls,
    changes,
    chat_addresses,
    chats,
    deliveries,
    events,
    history,
    inbound,
    instances,
    leases,
    media_files,
    messages,
    outbox,
    pairing,
    people,
    policy,
    search,
    secrets,
    waiting,
)
from db.database import Database
from db.json import jsonb
from tests.postgres import execute
from tests.stored import NOON, queued, rows

pytestmark = pytest.mark.anyio


def named_values(module: ModuleType) -> Iterator[tuple[str, object]]:
    """Give a module's constants, and the values of those that are mappings."""
    for name, value in vars(module).items():
        if name.isupper() and isinstance(value, Mapping):
            entries = cast("Mapping[str, object]", value)
            yield from ((f"{module.__name__}.{name}.{key}", entry) for key, entry in entries.items())
        elif name.isupper():
            yield f"{module.__name__}.{name}", value


MODULES = [importlib.import_module(f"db.{found.name}") for found in pkgutil.iter_modules(db.__path__)]
PREPARABLE = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b")
SQL = re.compile(r"\s*(SELECT|INSERT INTO|UPDATE \w+ SET|DELETE FROM|WITH \w+|LISTEN|UNLISTEN|SET LOCAL|ALTER|CREATE)\s")
STATEMENTS = {name: value for module in MODULES for name, value in named_values(module) if isinstance(value, str) and SQL.match(value)}
OF_ANY_TABLE = re.compile(r"ALTER TABLE \{\} |SELECT count\(\*\) FROM \{\}|CREATE SCHEMA IF NOT EXISTS \{\}|CREATE VIEW \{\} ")
"""psycopg.sql puts the name in, for which there is no parameter."""
STAR = re.compile(r"(SELECT|RETURNING)\s+\*|\b[a-z]\.\*")
UNKNOWN_COLUMN = "of_a_later_version"


def sources() -> Iterator[tuple[str, ast.Module]]:
    for module in MODULES:
        yield module.__name__, ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))


def prepared(statement: str) -> str:
    """With PostgreSQL's own placeholders, as the driver sends it."""
    names: list[str] = []

    def number(found: re.Match[str]) -> str:
        if found[1] not in names:
            names.append(found[1])
        return f"${names.index(found[1]) + 1}"

    return re.sub(r"%\((\w+)\)s", number, statement).replace("%%", "%")


def test_postgresql_understands_every_statement_whatever_the_search_path(database_url: str) -> None:
    refused: dict[str, str] = {}
    with psycopg.connect(database_url, options="-c search_path=") as connection:
        for name, statement in STATEMENTS.items():
            try:
                if PREPARABLE.match(statement):
                    connection.execute(f'PREPARE "{name}" AS {prepared(statement)}'.encode())
                else:
                    connection.execute(statement.encode())
                connection.commit()
            except psycopg.Error as error:
                refused[name] = str(error)
                connection.rollback()
    assert len(STATEMENTS) > 100
    assert refused == {}


def test_a_statement_that_reads_a_row_names_its_columns() -> None:
    assert [name for name, statement in STATEMENTS.items() if STAR.search(statement)] == []


def test_every_statement_is_one_constant() -> None:
    """Neither put together from parts, nor hidden in a function."""
    named = set(STATEMENTS.values())
    for module, tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and SQL.match(node.value) and not OF_ANY_TABLE.match(node.value):
                assert node.value in named, f"{module}, line {node.lineno}"
            if isinstance(node, ast.JoinedStr | ast.BinOp):
                parts = [part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str)]
                assert not any(SQL.match(part) for part in parts), f"{module}, line {node.lineno}"


TABLES = """
    SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname <> 'schema_migrations'"""


@pytest.fixture
def newer_url(database_url: str) -> str:
    """A database that a later version has given another column, of the same name in every table."""
    execute(database_url, *(f"ALTER TABLE \"{table}\" ADD COLUMN {UNKNOWN_COLUMN} jsonb DEFAULT '{{}}'" for (table,) in rows(database_url, TABLES)))
    return database_url


def incoming(instance_id: UUID, **fields: Any) -> dict[str, Any]:
    plain = dict.fromkeys(("epoch", "reply_to", "thread_id", "raw", "chat_username", "contact_username", "trace"))
    return plain | {
        "position": 0, "instance_id": str(instance_id), "chat_id": "ann", "platform_id": "1", "outgoing": False, "sender_id": "ann",
        "sender_name": "Ann Lee", "kind": "text", "body": "hello", "content": {}, "sent_at": NOON.isoformat(), "backfill": False,
        "chat_kind": "private", "chat_title": "Ann Lee", "chat_phone": "+15550100", "contact_name": "Ann Lee", "contact_phone": "+15550100",
        "contact_is_bot": False, "is_word": True, "may_wake": True,
    } | fields  # fmt: skip


async def same_words(rows: Sequence[search.Unindexed]) -> Sequence[str]:
    return ["'\x01:hello'" for _ in rows]


def test_what_statements_repeat_they_repeat_to_the_letter() -> None:
    """A statement is whole, so that it can be read and pasted; what several of them must do alike may not drift apart."""
    reported = [value for value in vars(changes).values() if isinstance(value, str) and "guard AS" in value]
    assert len(reported) > 5
    assert len({value[: value.index("\n    ),")] for value in reported}) == 1, "how a former owner is refused"
    tails = {value[value.index("), due AS (") :] for value in [*reported, chat_addresses.MIGRATED]}
    assert len(tails) == 1, "how an event gets its deliveries and its wake-up"
    repeated = [
        ("which chat an id means", chat_addresses.FIND, policy.SITUATION),
        ("how a chat is known", pairing.KNOWN.partition("SELECT")[2], besides.BESIDES),
        ("what is claimed of a file", media_files.CLAIM[media_files.CLAIM.index("LIMIT 1 FOR UPDATE") :], media_files.CLAIM_VOICE),
    ]
    for what, part, whole in repeated:
        assert re.sub(r"\s+", " ", part).strip() in re.sub(r"\s+", " ", whole), what


async def test_this_version_works_beside_a_column_of_a_later_one(newer_url: str, database: Database) -> None:
    owner, user = uuid4(), "ann"
    row = await instances.create(database, new_instance(user))
    assert row is not None
    assert await instances.get(database, row.id) == row
    assert [one.id for one in await instances.listing(database, limit=10)] == [row.id]
    assert await instances.set_desired(database, row.id, "running") is not None
    assert await instances.update(database, row.id, api_webhook_schema={"enabled": True}) is not None
    epoch = (await leases.acquire(database, owner, ["process"]))[row.id]
    assert row.id in await leases.desired_states(database, [row.id])

    appended = await inbound.append_messages(database, [incoming(row.id)])
    message_id = appended[0].message_id or 0
    edited = {"instance_id": row.id, "epoch": epoch, "message_id": "1", "text": "hello there", "content": jsonb({}), "at": NOON, "type": "edit"}
    assert await changes.change(database, changes.EDIT, edited) is not None
    sent_id = await queued(database, row.id, key="once")
    assert [send.message_id for send in await outbox.claim(database, row.id, epoch=epoch, in_flight=())] == [sent_id]
    assert await outbox.sent(database, row.id, sent_id, platform_id="2", sent_at=NOON + timedelta(minutes=1), content={}) is not None

    message = await messages.get(database, row.id, message_id)
    assert message is not None
    assert message.body == "hello there"
    assert await search.index(database, same_words, form=1, limit=5, former=True) == 2
    found, _ = await search.hits(database, "'\x01:hello'", await search.eras(database, [row.id], search.Span()), search.Span(), limit=5)
    assert [hit.message_id for hit in found] == [sent_id, message_id]
    assert len(await messages.of_chat(database, row.id, "ann", before=None, limit=5)) == 2
    chat = await chats.get(database, row.id, "ann")
    assert await chats.listing(database, row.id, limit=5) == [chat]
    await chats.upsert(database, row.id, [("bob", "private", "Bob", None, "+15550100")])
    await chats.upsert_contacts(database, row.id, [("bob", "Bob", None, "+15550100", False, False)])
    assert [contact.id for contact in await chats.contacts(database, row.id, query="o", after=None, limit=5)] == ["bob"]
    assert await people.alike(database, user_id=user, limit=5) == [(row.id, "ann", row.id, "bob")]
    person = await people.propose(database, user_id=user, person_id=None, name="Ann", contacts=[(row.id, "ann"), (row.id, "bob")])
    assert len(await people.get(database, person, user_id=user)) == 2
    assert len(await events.after(database, 0, instance_ids=None, limit=10)) == 3
    claimed = await deliveries.claim(database, "webhook", limit=5, each=5, busy={}, breaker=5, lease=60)
    assert [(one.type, one.chat_title) for one in claimed] == [("message", "Ann Lee")]
    assert len(await deliveries.listing(database, row.id, status=None, before=1 << 60, limit=5)) == 3
    assert (await batches.progress(database, claimed[0].id, "agno:1")).message_id is None
    assert (await agents.mode(database, row.id, "ann")).mode == "agent"
    await history.record_error(database, row.id, "fake", "fake")
    assert len(await history.errors(database, row.id, limit=5)) == 1
    assert [secret.field for secret in await secrets.of_instance(database, row.id)] == ["token"]
    assert len(await secrets.keys(database, row.id, limit=5)) == 1
    call = uuid4()
    await calls.ask(database, call, row.id, "typing", {})
    assert [asked.id for asked in await calls.claim(database, {row.id: epoch})] == [call]
    found = await waiting.waiting_chats(database, instance_ids=[row.id], since=NOON, limit=5)
    assert [one.id for one in await waiting.last_words(database, found, each=5)] == [message_id]
    assert [one.id for one in await waiting.around(database, [sent_id], lines=3, length=100)] == [message_id]
    assert await instances.delete(database, row.id, purge=True)


def new_instance(user_id: str) -> instances.NewInstance:
    return instances.NewInstance(
        id=uuid4(), user_id=user_id, provider="sandbox", type_instance=["api"], runtime="process", settings={}, agent_id=None, agno_enable=False,
        stream=False, quiet_hours=None, agent_routes=None, api_webhook_schema=None, sealed={"token": b"fake"},
        key=secrets.NewKey(uuid4(), "fake", uuid4().bytes, b"fake"),
    )  # fmt: skip
