"""A store for one benchmark: an embedded server as it is shipped, with a migrated database, gone afterwards."""

import contextlib
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from db.embedded import start_embedded
from db.migrate import migrate
from tests.postgres import execute, with_database


@dataclass(frozen=True)
class Store:
    url: str
    folder: Path

    async def another(self, name: str) -> str:
        """The URL of a second migrated database on the same server."""
        execute(self.url, f"CREATE DATABASE {name}")
        url = with_database(self.url, name)
        await migrate(url)
        return url

    def cpu_seconds(self) -> float:
        """Of all processes of the server, those that ended included."""
        postmaster = psutil.Process(int(next(self.folder.glob("pg*/postmaster.pid")).read_text().split()[0]))
        times = postmaster.cpu_times()
        total = times.user + times.system + times.children_user + times.children_system
        for child in postmaster.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                total += child.cpu_times().user + child.cpu_times().system
        return total


@asynccontextmanager
async def fresh_store() -> AsyncGenerator[Store]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "store"
        server = await start_embedded(folder)
        try:
            await migrate(server.url)
            yield Store(server.url, folder)
        finally:
            await server.stop()
