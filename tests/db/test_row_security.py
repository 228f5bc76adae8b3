"""A database of a platform that lets anybody in as `anon`, and grants that role every new table."""

from pathlib import Path

import psycopg
import pytest

from db.diagnosis import diagnose
from db.migrate import migrate, packaged_versions
from tests.db.test_migrate import write
from tests.postgres import execute, with_database
from tests.stored import rows
from tests.system_postgres import SystemPostgres

pytestmark = pytest.mark.anyio

STRANGERS = ("anon", "authenticated")
AS_SUPABASE = [
    *(
        f"DO $$ BEGIN CREATE ROLE {role} NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
        for role in (*STRANGERS, "messenger_program")
    ),
    "GRANT USAGE ON SCHEMA public TO anon, authenticated, messenger_program",
    *(f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON {what} TO anon, authenticated" for what in ("TABLES", "SEQUENCES", "FUNCTIONS")),
]
RELATIONS = """
    SELECT c.oid::regclass::text, c.relkind::text, c.relrowsecurity, coalesce('security_invoker=true' = ANY(c.reloptions), false)
    FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'S') ORDER BY 1"""
FUNCTIONS = "SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
MESSAGE = "INSERT INTO messages (instance_id, chat_id, body) VALUES (gen_random_uuid(), 'ann', 'hello')"
OUTBOX = "INSERT INTO outbox (message_id, instance_id, chat_id, draft) VALUES (1, gen_random_uuid(), 'ann', '{}')"


@pytest.fixture
def supabase(empty_database_url: str) -> str:
    """An empty database whose default privileges are as Supabase's."""
    execute(empty_database_url, *AS_SUPABASE)
    return empty_database_url


def refused(url: str, role: str, statement: str) -> bool:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"SET ROLE {role}".encode())
        try:
            connection.execute(statement.encode())
        except psycopg.errors.InsufficientPrivilege:
            return True
    return False


def open_to(url: str, role: str) -> list[str]:
    """The relations and functions that the role may use in any way."""
    relations = [name for name, kind, _, _ in rows(url, RELATIONS) if kind != "S" and not refused(url, role, f"SELECT 1 FROM {name} LIMIT 1")]
    sequences = [name for name, kind, _, _ in rows(url, RELATIONS) if kind == "S" and not refused(url, role, f"SELECT nextval('{name}')")]
    functions = [name for (name,) in rows(url, FUNCTIONS) if rows(url, "SELECT has_function_privilege(%s, %s, 'EXECUTE')", role, name)[0][0]]
    return relations + sequences + functions


@pytest.mark.parametrize("role", STRANGERS)
async def test_strangers_read_nothing_and_send_nothing(supabase: str, role: str) -> None:
    await migrate(supabase)
    execute(supabase, MESSAGE)
    assert open_to(supabase, role) == []
    assert refused(supabase, role, OUTBOX)


async def test_a_database_that_was_open_is_closed(supabase: str, tmp_path: Path) -> None:
    """Its tables were made by a version that did not look at who else may read them."""
    for file in packaged_versions().iterdir():
        if file.name < "010":
            (tmp_path / file.name).write_text(file.read_text(encoding="utf-8"))
    await migrate(supabase, tmp_path)
    assert not refused(supabase, "anon", OUTBOX)
    assert any("anon" in one for one in (await diagnose(supabase)).exposed)
    await migrate(supabase)
    assert open_to(supabase, "anon") == []
    assert (await diagnose(supabase)).exposed == []


async def test_what_is_granted_again_is_refused_by_row_security(supabase: str) -> None:
    await migrate(supabase)
    execute(supabase, MESSAGE, "GRANT ALL ON ALL TABLES IN SCHEMA public TO anon")
    assert refused(supabase, "anon", OUTBOX)
    with psycopg.connect(supabase) as connection:
        connection.execute("SET ROLE anon")
        for name, kind, _, _ in rows(supabase, RELATIONS):
            if kind != "S":
                assert connection.execute(f"SELECT count(*) FROM {name}".encode()).fetchone() == (0,), name
    assert any("messages" in one for one in (await diagnose(supabase)).exposed)


async def test_every_relation_is_closed_also_those_of_a_later_migration(supabase: str, tmp_path: Path) -> None:
    for file in packaged_versions().iterdir():
        (tmp_path / file.name).write_text(file.read_text(encoding="utf-8"))
    write(
        tmp_path,
        "900_later",
        "CREATE TABLE public.later (id bigint GENERATED ALWAYS AS IDENTITY); CREATE VIEW public.seen AS SELECT id FROM public.later",
    )
    await migrate(supabase, tmp_path)
    found = rows(supabase, RELATIONS)
    assert {"later", "seen", "messages", "message_instances", "telegram_instances", "all_instances", "later_id_seq"} <= {row[0] for row in found}
    assert [name for name, kind, has_row_security, _ in found if kind in "rp" and not has_row_security] == []
    assert [name for name, kind, _, is_invoker in found if kind == "v" and not is_invoker] == []
    assert open_to(supabase, "anon") == []


async def test_tables_of_other_programs_are_left_alone(supabase: str) -> None:
    execute(supabase, "CREATE TABLE shop (id int)")
    await migrate(supabase)
    execute(supabase, "CREATE TABLE another_shop (id int)")
    assert not refused(supabase, "anon", "SELECT FROM shop")
    assert not refused(supabase, "anon", "SELECT FROM another_shop")


async def test_a_role_that_was_granted_the_tables_works_without_owning_them(supabase: str) -> None:
    await migrate(supabase)
    execute(
        supabase,
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO messenger_program",
        "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO messenger_program",
        "GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO messenger_program",
    )
    with psycopg.connect(supabase) as connection:
        connection.execute("SET ROLE messenger_program")
        connection.execute(MESSAGE.encode())
        connection.execute("INSERT INTO contacts (instance_id, id, name) VALUES (gen_random_uuid(), 'ann', 'Ann')")
        assert connection.execute("UPDATE messages SET body = 'there' RETURNING body").fetchall() == [("there",)]


async def test_on_the_system_s_postgresql(system_postgres: SystemPostgres) -> None:
    url = with_database(system_postgres.url(), "supabase")
    execute(system_postgres.url(), "DROP DATABASE IF EXISTS supabase", "CREATE DATABASE supabase")
    execute(url, *AS_SUPABASE)
    await migrate(url)
    assert open_to(url, "anon") == []
