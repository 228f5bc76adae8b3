"""What many stored messages cost: python -m tests.benchmarks.bench_growth MILLIONS …

A fresh store is filled for each number, and then all are asked the same in turn: storing, listing, searching and catching up. `bare` is the
figure of the first number.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import anyio
from pydantic import SecretStr

from mcp_messenger.app import running
from mcp_messenger.config import Config
from mcp_messenger.delivery.inbound import Source
from mcp_messenger.operations.application import App
from mcp_messenger.operations.catching_up import CatchUp, catch_up
from mcp_messenger.operations.chats import ListChats, list_chats
from mcp_messenger.operations.messages import GetMessages, get_messages
from mcp_messenger.operations.searching import SearchMessages, search_messages
from mcp_messenger.security.caller import ADMIN
from providers.events import MessageReceived
from providers.models import Chat, ChatKind, Contact, Message
from tests.benchmarks.figures import Figure, percentile, table
from tests.benchmarks.many_messages import INSTANCE, fill
from tests.benchmarks.store import Store, fresh_store
from tests.postgres import execute
from tests.stored import one

ROUNDS = 150
EVENTS = """
    INSERT INTO events (id, instance_id, type, chat_id, message_id, at)
    SELECT nextval('event_numbers'), instance_id, 'message', chat_id, id, sent_at FROM messages ORDER BY id"""
ID = str(INSTANCE)


async def _store(app: App) -> None:
    id = uuid4().hex
    chat = Chat(id=f"chat{int(id[:4], 16) % 500}", kind=ChatKind.PRIVATE, title="chat")
    message = Message(id=id, chat_id=chat.id, at=datetime.now(UTC), text="a new order of a new day", sender_id="p")
    await app.inbound.deliver(Source(INSTANCE, None), [MessageReceived(message=message, chat=chat, sender=Contact(id="p", name="Person"))])


ASKS: dict[str, Callable[[App], Awaitable[object]]] = {
    "store a message": _store,
    "list chats": lambda app: list_chats(app, ADMIN, ListChats(instance_id=ID)),
    "list messages": lambda app: get_messages(app, ADMIN, GetMessages(instance_id=ID, chat_id="chat8")),
    "search a common word": lambda app: search_messages(app, ADMIN, SearchMessages(instance_id=ID, query="common")),
    "search a rare word": lambda app: search_messages(app, ADMIN, SearchMessages(instance_id=ID, query="rare")),
    "search a word of the older half": lambda app: search_messages(app, ADMIN, SearchMessages(instance_id=ID, query="former")),
    "catch up": lambda app: catch_up(app, ADMIN, CatchUp()),
}


@asynccontextmanager
async def filled(messages: int) -> AsyncGenerator[tuple[App, Store]]:
    async with fresh_store() as store:
        began = time.perf_counter()
        fill(store.url, messages)
        execute(store.url, EVENTS, "VACUUM ANALYZE events", "CHECKPOINT")
        print(f"{messages} messages are there after {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory() as folder:
            async with running(Config(data_dir=Path(folder), database_url=SecretStr(store.url))) as app:
                yield app, store


async def measure(sizes: Sequence[int]) -> list[Figure]:
    figures = list[Figure]()
    async with AsyncExitStack() as stack:
        sites = {size: await stack.enter_async_context(filled(size)) for size in sizes}
        for what, ask in ASKS.items():
            times: dict[int, list[float]] = {size: [] for size in sizes}
            for _ in range(ROUNDS):
                for size, (app, _) in sites.items():
                    began = time.perf_counter()
                    await ask(app)
                    times[size].append((time.perf_counter() - began) * 1000)
            for part in (50, 95):
                found = {size: percentile(times[size], part) for size in sizes}
                figures += [Figure(f"{what} at {size / 1e6:g} million, p{part}", found[size], "ms", found[sizes[0]]) for size in sizes]
        for size, (_, store) in sites.items():
            tables = [one(store.url, f"SELECT pg_total_relation_size('{name}')") for name in ("messages", "message_words", "events")]
            figures.append(Figure(f"bytes a message at {size / 1e6:g} million", sum(tables) / size, "B"))
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.bench_growth", description=__doc__)
    parser.add_argument("millions", nargs="+", type=float)
    sizes = [int(millions * 1e6) for millions in parser.parse_args().millions]
    print(table(anyio.run(measure, sizes)))


if __name__ == "__main__":
    main()
