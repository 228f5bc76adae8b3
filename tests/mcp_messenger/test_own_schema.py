"""Tables in a schema of our own: nothing of ours is in `public`, but the guide's names as views where they are wanted."""

from pathlib import Path
from uuid import UUID

import pytest

from db import backup
from db.connection_settings import connection_string
from db.diagnosis import diagnose
from db.migrate import rollback
from mcp_messenger.config.environment import from_environment, with_schema_of
from mcp_messenger.operations.sending import SendMessage, send_message
from mcp_messenger.security.caller import ADMIN
from tests.db.test_row_security import AS_SUPABASE, refused
from tests.postgres import execute
from tests.running import ready_sandbox, running_app
from tests.stored import one, rows
from tests.waiting import until

pytestmark = pytest.mark.anyio

RELATIONS = "SELECT relname FROM pg_class WHERE relnamespace = %s::regnamespace AND relkind IN ('r', 'p', 'v', 'S') ORDER BY 1"
ROUTINES = "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
INSERT = "INSERT INTO public.whatsappweb_instances (user_id, provider, type_instance) VALUES ('x', 'whatsappweb', ARRAY['api'])"


async def test_the_whole_application_works_in_it(empty_database_url: str, tmp_path: Path) -> None:
    execute(empty_database_url, *AS_SUPABASE, "CREATE TABLE public.messages (of text)")
    url = f"{empty_database_url}&schema=messenger"
    async with running_app(url, tmp_path, public_views=True) as app:
        instance_id = await ready_sandbox(app, persona="echo")
        sent = await send_message(app, ADMIN, SendMessage(instance_id=instance_id, to="ann", message="in public.messages, 'public'"))
        assert sent.status in {"sent", "delivered", "read"}
        await until(lambda: one(empty_database_url, "SELECT count(*) FROM messenger.messages") == 2)
        found = await diagnose(url)
        assert (found.pending, found.unknown, found.exposed) == ([], [], [])
        assert str(found.instances[0].id) == instance_id
    assert rows(empty_database_url, "SELECT body FROM messenger.messages WHERE outgoing") == [("in public.messages, 'public'",)]
    # Another program's table keeps its name.
    shown = {name for (name,) in rows(empty_database_url, RELATIONS, "public")}
    assert {"messages", "all_instances", "telegram_instances", "message_instances"} <= shown
    assert "outbox" not in shown
    assert rows(empty_database_url, ROUTINES) == []
    execute(empty_database_url, INSERT)
    assert one(empty_database_url, "SELECT user_id FROM messenger.message_instances WHERE provider = 'whatsappweb'") == "x"
    for role in ("anon", "authenticated"):
        assert refused(empty_database_url, role, "SELECT FROM public.all_instances")
        assert refused(empty_database_url, role, INSERT)
    with backup.snapshot(url) as snapshot:
        taken = {table.name: b"".join(snapshot.rows(table)) for table in snapshot.tables}
    assert UUID(instance_id).hex in taken["message_instances"].decode().replace("-", "")
    # Views of what a migration changes would hold it up.
    await rollback(url, None)
    assert rows(empty_database_url, RELATIONS, "messenger") == [("schema_migrations",)]
    assert rows(empty_database_url, RELATIONS, "public") == [("messages",)]


def test_the_direct_url_leads_to_the_same_schema() -> None:
    url, direct = "postgresql://ann@a/x?schema=messenger", "postgresql://ann@b/x?sslmode=require"
    config = from_environment({"DATABASE_URL": url, "DIRECT_DATABASE_URL": direct})
    assert config.direct_database_url is not None
    assert config.direct_database_url.get_secret_value() == f"{direct}&schema=messenger"
    assert "schema" not in connection_string(url)
    assert with_schema_of(url, "postgresql://c/x?schema=other") == url
