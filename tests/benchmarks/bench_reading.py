"""Listing and full-text search at a million stored messages, through the operations."""

import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import UUID

from pydantic import SecretStr

from mcp_messenger.app import running
from mcp_messenger.config import Config
from mcp_messenger.operations.application import App
from mcp_messenger.operations.catching_up import CatchUp, catch_up
from mcp_messenger.operations.chats import ListChats, list_chats
from mcp_messenger.operations.messages import GetMessages, SearchMessages, get_messages, search_messages
from mcp_messenger.security.caller import ADMIN
from tests.benchmarks.figures import Figure, Target, at_most, percentile
from tests.benchmarks.store import fresh_store
from tests.postgres import execute

MESSAGES = 1_000_000
ASKS = 60
INSTANCE = UUID(int=1)

# Half of all messages hold "common" or "обычное", one of 200 "middling", one of 100,000 "rare"; half belong to the instance that is asked,
# and none of these holds "foreign", which is in half of the others.
FILL = f"""
    INSERT INTO messages (instance_id, chat_id, platform_id, status, sender_id, sender_name, body, sent_at)
    SELECT CASE WHEN n % 2 = 0 THEN '{INSTANCE}'::uuid ELSE '{UUID(int=2)}'::uuid END, 'chat' || (n / 2) % 500, 'm' || n, 'received', 'p', 'Person',
        'order ' || n || ' about word' || n % 5000 || CASE WHEN n % 4 < 2 THEN ' common' ELSE ' обычное' END
            || CASE WHEN n % 4 = 1 THEN ' foreign' ELSE '' END
            || CASE WHEN n % 200 = 0 THEN ' middling' ELSE '' END || CASE WHEN n % 100000 = 0 THEN ' rare' ELSE '' END,
        now() - make_interval(secs => {MESSAGES} - n)
    FROM generate_series(1, {MESSAGES}) AS n"""
CHATS = """
    INSERT INTO chats (instance_id, id, kind, title, last_message_id, last_at)
    SELECT instance_id, chat_id, 'private', chat_id, max(id), max(sent_at) FROM messages GROUP BY instance_id, chat_id"""
INSTANCES = f"INSERT INTO message_instances (id, user_id, provider) VALUES ('{INSTANCE}', 'local', 'sandbox')"


async def measure() -> list[Figure]:
    async with fresh_store() as store:
        execute(store.url, FILL, CHATS, INSTANCES, "VACUUM ANALYZE")
        with tempfile.TemporaryDirectory() as folder:
            async with running(Config(data_dir=Path(folder), database_url=SecretStr(store.url))) as app:
                return [Figure(f"{what} at 1,000,000 messages, p95", await _p95(ask), "ms", target=_target(what)) for what, ask in _asks(app).items()]


def _target(what: str) -> Target | None:
    """There is none for the hardest: a word that is common, and not where it is looked for."""
    return None if what in {"catch up", "search a word that is common elsewhere", "search two common words that never meet"} else at_most(20)


def _asks(app: App) -> dict[str, Callable[[], Awaitable[object]]]:
    id = str(INSTANCE)

    def search(query: str, chat_id: str | None = None) -> Callable[[], Awaitable[object]]:
        return lambda: search_messages(app, ADMIN, SearchMessages(instance_id=id, query=query, chat_id=chat_id))

    async def second_page() -> None:
        first = await search_messages(app, ADMIN, SearchMessages(instance_id=id, query="middling"))
        await search_messages(app, ADMIN, SearchMessages(instance_id=id, query="middling", cursor=first.next_cursor))

    async def around() -> None:
        await search_messages(app, ADMIN, SearchMessages(instance_id=id, query="common", context=2))

    return {
        "list chats": lambda: list_chats(app, ADMIN, ListChats(instance_id=id)),
        "list messages": lambda: get_messages(app, ADMIN, GetMessages(instance_id=id, chat_id="chat8")),
        "search a rare word": search("rare"),
        "search a middling word": search("middling"),
        "search a common word": search("common"),
        "search a common word, with what stands around": around,
        "search a common word in Cyrillic letters": search("обычное"),
        "search a word that is common elsewhere": search("foreign"),
        "search two common words that never meet": search("common обычное"),
        "catch up": lambda: catch_up(app, ADMIN, CatchUp()),
        "search two words": search("common word42"),
        "search by a beginning": search("middl"),
        "search in one chat": search("common", "chat8"),
        "search a word nobody wrote": search("absent"),
        "search two pages": second_page,
    }


async def _p95(ask: Callable[[], Awaitable[object]]) -> float:
    """Milliseconds."""
    for _ in range(5):
        await ask()
    taken: list[float] = []
    for _ in range(ASKS):
        begun = time.perf_counter()
        await ask()
        taken.append((time.perf_counter() - begun) * 1000)
    return percentile(taken, 95)
