"""Listing and full-text search at a million stored messages, through the operations."""

import json
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from mcp_messenger.app import running
from mcp_messenger.config import Config
from mcp_messenger.operations.application import App
from mcp_messenger.operations.catching_up import CatchUp, catch_up
from mcp_messenger.operations.chats import ListChats, list_chats
from mcp_messenger.operations.messages import GetMessages, get_messages
from mcp_messenger.operations.searching import SearchMessages, search_messages
from mcp_messenger.search.query import parse
from mcp_messenger.security.caller import ADMIN
from tests.benchmarks.figures import Figure, Target, at_most, percentile
from tests.benchmarks.many_messages import INSTANCE, fill
from tests.benchmarks.store import fresh_store

ASKS = 60
CASES = json.loads((Path(__file__).parents[1] / "cases" / "search-words.json").read_text())["cases"]


async def measure() -> list[Figure]:
    async with fresh_store() as store:
        fill(store.url)
        with tempfile.TemporaryDirectory() as folder:
            async with running(Config(data_dir=Path(folder), database_url=SecretStr(store.url))) as app:
                figures = [
                    Figure(f"{what} at 1,000,000 messages, p95", await _p95(ask), "ms", target=_target(what)) for what, ask in _asks(app).items()
                ]
                slowest = max([(await _p95(_search(app, query), asks=20), query) for query in _queries()])
                return [*figures, Figure(f"search {slowest[1]}, the slowest of the cases, p95", slowest[0], "ms", target=at_most(20))]


def _target(what: str) -> Target | None:
    return None if what == "catch up" else at_most(20)


def _asks(app: App) -> dict[str, Callable[[], Awaitable[object]]]:
    id = str(INSTANCE)

    def search(query: str, chat_id: str | None = None) -> Callable[[], Awaitable[object]]:
        return _search(app, query, instance_id=id, chat_id=chat_id)

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
        "search a word that is common in other chats": search("elsewhere", "chat8"),
        "search a word that was common long ago": search("former"),
        "search all accounts": _search(app, "foreign common"),
        "search by a sender": _search(app, "", sender="Person", has_media=True),
        "catch up": lambda: catch_up(app, ADMIN, CatchUp()),
        "search two words": search("common word42"),
        "search by a beginning": search("middl"),
        "search in one chat": search("common", "chat8"),
        "search a word nobody wrote": search("absent"),
        "search two pages": second_page,
    }


def _search(app: App, query: str, **arguments: Any) -> Callable[[], Awaitable[object]]:
    return lambda: search_messages(app, ADMIN, SearchMessages(query=query, **arguments))


def _queries() -> list[str]:
    """Return the queries of the cases, but for those that hold no word."""
    return [query for case in CASES if parse(query := case["input"][0]["query"]).wanted]


async def _p95(ask: Callable[[], Awaitable[object]], asks: int = ASKS) -> float:
    """Milliseconds."""
    for _ in range(5):
        await ask()
    taken: list[float] = []
    for _ in range(asks):
        begun = time.perf_counter()
        await ask()
        taken.append((time.perf_counter() - begun) * 1000)
    return percentile(taken, 95)
