"""Sends through the sandbox, from the operation to its answer: by one caller, and by many in one chat; against the provider's own call."""

import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import anyio

from mcp_messenger.operations.application import App
from mcp_messenger.operations.sending import SendMessage, send_message
from mcp_messenger.security.caller import ADMIN
from providers.models import Draft
from tests.benchmarks.figures import Figure, at_least, at_most, interleaved
from tests.benchmarks.store import Store, fresh_store
from tests.running import ready_sandbox, running_app

ROUNDS = 3
SENDS = 128
CALLERS = (1, 32)
CHAT = "ann"


@dataclass(frozen=True)
class Sends:
    """`rate` is a second; milliseconds of the processor for one send, of the server (with its callers) and of PostgreSQL."""

    rate: float
    server: float
    store: float


async def through_the_product(app: App, store: Store, instance_id: str, callers: int) -> Sends:
    async def call() -> None:
        for _ in range(SENDS // callers):
            sent = await send_message(app, ADMIN, SendMessage(instance_id=instance_id, to=CHAT, message="hello"))
            assert sent.platform_id, sent

    began, server, postgres = time.perf_counter(), time.process_time(), store.cpu_seconds()
    async with anyio.create_task_group() as tasks:
        for _ in range(callers):
            tasks.start_soon(call)
    seconds = time.perf_counter() - began
    return Sends(SENDS / seconds, (time.process_time() - server) / SENDS * 1000, (store.cpu_seconds() - postgres) / SENDS * 1000)


async def bare(app: App, instance_id: str) -> Sends:
    """The provider's call alone, without a store."""
    owned = app.supervisor.get(UUID(instance_id))
    assert owned is not None
    began, server = time.perf_counter(), time.process_time()
    for number in range(SENDS):
        await owned.provider.send(Draft(client_id=str(-number), chat_id=CHAT, text="hello"))
    return Sends(SENDS / (time.perf_counter() - began), (time.process_time() - server) / SENDS * 1000, 0.0)


async def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        async with fresh_store() as store, running_app(store.url, Path(folder)) as app:
            instance_id = await ready_sandbox(app, persona="human")
            forms: dict[str, Callable[[], Awaitable[Sends]]] = {}
            for callers in CALLERS:
                forms[f"{callers}"] = lambda callers=callers: through_the_product(app, store, instance_id, callers)
            forms["bare"] = lambda: bare(app, instance_id)
            await interleaved(1, forms)
            found = await interleaved(ROUNDS, forms)

    def median(form: str, of: str) -> float:
        return statistics.median(getattr(one, of) for one in found[form])

    return [
        Figure("sandbox: sends by one caller", median("1", "rate"), "/s", median("bare", "rate"), at_least(250, "value")),
        Figure("sandbox: the same, processor of the server for one", median("1", "server"), "ms", median("bare", "server"), at_most(3)),
        Figure("sandbox: the same, of PostgreSQL", median("1", "store"), "ms", None, at_most(3)),
        Figure("sandbox: sends by 32 callers in one chat", median("32", "rate"), "/s", median("1", "rate"), at_least(250, "value")),
    ]
