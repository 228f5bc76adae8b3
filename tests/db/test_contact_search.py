"""Contacts among a hundred thousand: found by an index, and found as before."""

from collections.abc import Generator
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from db import chats, people
from db.database import Database
from db.embedded import EmbeddedPostgres
from tests.postgres import execute, fresh_database
from tests.stored import opened

pytestmark = pytest.mark.anyio

MINE, OTHER = uuid4(), uuid4()
FILL = f"""
    INSERT INTO contacts (instance_id, id, name, username, phone)
    SELECT CASE WHEN n % 2 = 0 THEN '{MINE}'::uuid ELSE '{OTHER}'::uuid END, 'c' || n, 'Name ' || md5(n::text), 'user' || n, '+1555' || (n / 2 * 7)
    FROM generate_series(1, 100000) AS n"""
INSTANCES = f"INSERT INTO message_instances (id, user_id, provider) VALUES ('{MINE}', 'ann', 'telegram'), ('{OTHER}', 'ann', 'slack')"
LINKS = f"""
    WITH person AS (INSERT INTO people (user_id) SELECT 'ann' FROM generate_series(1, 5000) RETURNING id)
    INSERT INTO identities (person_id, instance_id, contact_id) SELECT id, '{MINE}', 'c' || 2 * row_number() OVER () FROM person"""


@pytest.fixture(scope="module")
def full_url(embedded: EmbeddedPostgres) -> Generator[str]:
    with fresh_database(embedded.url) as url:
        execute(url, INSTANCES, FILL, LINKS, "VACUUM ANALYZE")
        yield url


def plan(url: str, statement: str, **params: Any) -> str:
    with psycopg.connect(url) as connection:
        return "\n".join(row[0] for row in connection.execute(("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) " + statement).encode(), params))


def test_a_search_reads_the_index_of_triples(full_url: str) -> None:
    found = plan(full_url, chats.CONTACTS, instance_id=MINE, longest="user77778", patterns="%user77778%", digits=None, named="", after=None, limit=21)
    assert "Index Scan on contacts_search" in found
    assert "Seq Scan on contacts" not in found


def test_phones_are_joined_by_their_index(full_url: str) -> None:
    found = plan(full_url, people.ALIKE, user_id="ann", limit=20)
    assert "contacts_phone" in found
    assert "Seq Scan on contacts" not in found


def test_links_of_a_contact_are_found_by_their_index(full_url: str) -> None:
    found = plan(full_url, people.ALIKE, user_id="ann", limit=20)
    assert "identities_of_contact" in found or "identities_pkey" in found
    assert "Seq Scan on identities" not in found


@pytest.mark.parametrize(
    ("query", "ids"),
    [("user77778", ["c77778"]), ("USER77778", ["c77778"]), ("c99998", ["c99998"]), ("ser7777", ["c77770"]), ("%", []), ("no such", [])],
)
async def test_a_search_finds_any_part_in_any_case(full_url: str, query: str, ids: list[str]) -> None:
    async with opened(full_url) as database:
        found = [contact.id for contact in await chats.contacts(database, MINE, query=query, after=None, limit=100)]
    assert set(ids) <= set(found)
    assert all(int(id[1:]) % 2 == 0 for id in found)


async def added(database: Database, *contacts: tuple[str, str, str | None, str | None]) -> UUID:
    instance_id = uuid4()
    await chats.upsert_contacts(database, instance_id, [(*contact, False, False) for contact in contacts])
    return instance_id


@pytest.mark.parametrize("query", ["жо", "жора", "ж", "_b", "a%", "+15", "'quo", "zoë l", "ann", "\\"])
async def test_a_search_finds_what_a_plain_comparison_finds(database: Database, query: str) -> None:
    known = [
        ("1", "Жора Ж", None, None), ("2", "a_b", "A%B", None), ("3", "O'Quote 'quo", None, "+155501"),
        ("4", "Zoë Lee", "ann", None), ("ann", "", None, ""), ("6", "back\\slash", None, None),
    ]  # fmt: skip
    instance_id = await added(database, *known)
    expected = [row[0] for row in known if any(query in (part or "").lower() for part in row)]
    assert [contact.id for contact in await chats.contacts(database, instance_id, query=query, after=None, limit=10)] == sorted(expected)
