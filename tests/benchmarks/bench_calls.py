"""Calls over stdio, one after the other: lists from the store, against a bare server's small tool."""

import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.benchmarks.bare_mcp import TOOL
from tests.benchmarks.bench_stdio import INITIALIZE, Client
from tests.benchmarks.figures import Figure, at_least, interleaved
from tests.benchmarks.store import fresh_store
from tests.postgres import execute
from tests.program import environment

ROUNDS = 5
CALLS = 300
INSTANCE = str(uuid.UUID(int=1))
ROWS = (
    f"INSERT INTO message_instances (id, user_id, provider) VALUES ('{INSTANCE}', 'local', 'sandbox')",
    f"INSERT INTO chats (instance_id, id, kind, title, last_at) VALUES ('{INSTANCE}', 'ann', 'private', 'Ann', now())",
    f"""INSERT INTO messages (instance_id, chat_id, platform_id, status, sender_id, sender_name, body, sent_at)
        SELECT '{INSTANCE}', 'ann', n, 'received', 'ann', 'Ann', 'good morning, number ' || n, now() - make_interval(mins => n)
        FROM generate_series(1, 500) n""",
    "ANALYZE",
)


def calls(client: Client, tool: str, arguments: dict[str, Any]) -> float:
    """Calls a second."""
    began = time.perf_counter()
    for _ in range(CALLS):
        answer = client.ask("tools/call", {"name": tool, "arguments": arguments})
        assert not answer.get("isError"), answer
    return CALLS / (time.perf_counter() - began)


async def measure() -> list[Figure]:
    async with fresh_store() as store:
        execute(store.url, *ROWS)
        with ExitStack() as opened:
            folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
            log = opened.enter_context((folder / "log").open("wb"))
            clients = list[Client]()
            for module in ("mcp_messenger", "tests.benchmarks.bare_mcp"):
                process = opened.enter_context(
                    subprocess.Popen(
                        [sys.executable, "-m", module],
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        stderr=log,
                        env=environment(folder / "data", store.url),
                    )
                )
                opened.callback(process.terminate)
                clients.append(Client(process))
                clients[-1].ask("initialize", INITIALIZE)
                clients[-1].tell("notifications/initialized")
            ours, bare = clients

            async def run(client: Client, tool: str, **arguments: Any) -> float:
                return calls(client, tool, arguments)

            forms = {
                "instances": lambda: run(ours, "list_instances"),
                "messages": lambda: run(ours, "get_messages", instance_id=INSTANCE, chat_id="ann"),
                "bare": lambda: run(bare, TOOL, instance_id=INSTANCE),
            }
            await interleaved(1, forms)
            found = {name: statistics.median(rates) for name, rates in (await interleaved(ROUNDS, forms)).items()}
    return [
        Figure("calls over stdio: list_instances", found["instances"], "/s", found["bare"], at_least(0.75)),
        Figure("calls over stdio: get_messages, 20 rows", found["messages"], "/s", found["bare"], at_least(0.5)),
    ]
