"""How fast a backup is written and checked, beside copying a file of its size; and restored."""

import tempfile
import time
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread

from mcp_messenger.backup.restoring import restore
from mcp_messenger.backup.writing import write_backup
from tests.benchmarks.figures import Figure, at_least
from tests.benchmarks.store import fresh_store
from tests.postgres import execute

MESSAGES = 300_000
FILL = f"""
    INSERT INTO messages (instance_id, chat_id, platform_id, sender_id, sender_name, body, content)
    SELECT '00000000-0000-4000-8000-000000000001', (n % 1000)::text, n::text, 'ann', 'Ann Lee', repeat(md5(n::text) || ' ', 20), '{{"format": null}}'
    FROM generate_series(1, {MESSAGES}) AS n"""
BLOCK = 1 << 20


async def measure() -> list[Figure]:
    async with fresh_store() as store:
        execute(store.url, FILL, "CHECKPOINT")
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            file = folder / "file"
            writing = min([await _seconds(partial(write_backup, file, store.url, folder, force=True)) for _ in range(3)])
            megabytes = file.stat().st_size / 1e6
            copying = min([await _seconds(partial(_copy, file, folder / "copy")) for _ in range(3)])
            began = time.perf_counter()
            await restore(file, await store.another("there"), folder / "there")
            restoring = time.perf_counter() - began
    return [
        Figure(
            f"backup: {megabytes:.0f} MB, written and checked, beside copying",
            megabytes / writing,
            "MB/s",
            megabytes / copying,
            at_least(100, "value"),
        ),
        Figure("backup: restored into another database", megabytes / restoring, "MB/s"),
    ]


async def _seconds(work: "partial[object]") -> float:
    began = time.perf_counter()
    await anyio.to_thread.run_sync(work)
    return time.perf_counter() - began


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as given, target.open("wb") as taken:
        while block := given.read(BLOCK):
            taken.write(block)
