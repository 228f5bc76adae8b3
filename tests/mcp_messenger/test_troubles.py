"""Each trouble that a server names: in /health with what to do, as a figure, and by the doctor after it."""

import subprocess
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from pydantic import SecretStr

from mcp_messenger.checks.finding import Verdict
from mcp_messenger.commands.doctor import examined
from mcp_messenger.config.backups import BackupPlan
from mcp_messenger.observability.clock import ClockWatch
from mcp_messenger.operations.application import App
from mcp_messenger.operations.warnings import PARTS
from tests.mcp_messenger.test_metrics import ADMIN_TOKEN, samples
from tests.postgres import execute
from tests.refusals import refusing
from tests.running import ready_sandbox, running_app, serving
from tests.waiting import until_answer

pytestmark = pytest.mark.anyio


@dataclass
class Clock:
    """A clock that a test sets, beside one that it does not."""

    now: float = 1_800_000_000.0

    def steady(self) -> float:
        return 1000.0


@dataclass(frozen=True)
class Trouble:
    """`part` is what it is called. `where` is the field of the checks that has it."""

    part: str
    words: str
    where: str = "warnings"
    status: int = 200
    also: frozenset[str] = frozenset()
    """What goes with it."""


@dataclass(frozen=True)
class Site:
    app: App
    url: str
    client: httpx.AsyncClient

    async def says(self, trouble: Trouble) -> None:
        """The trouble is named everywhere, and nothing else is."""

        def is_named(answer: httpx.Response) -> bool:
            checks = answer.json()["checks"]
            found = checks.get("warnings", {}).get(trouble.part) if trouble.where == "warnings" else checks.get(trouble.where)
            return answer.status_code == trouble.status and trouble.words in (found or "")

        answer = await until_answer(lambda: self.client.get("/health"), is_named, 20)
        others = answer.json()["checks"].get("warnings", {}).keys() - {trouble.part}
        assert others == set()
        assert await self._figures() == {part: float(part in {trouble.part, *trouble.also}) for part in PARTS}
        findings = [one for one in await examined(self.app.config, self.url) if one.verdict is not Verdict.OK]
        assert any(trouble.words in one.detail for one in findings), findings

    async def is_well(self) -> None:
        answer = await until_answer(lambda: self.client.get("/health"), lambda answer: answer.status_code == 200, 20)
        assert "warnings" not in answer.json()["checks"]
        assert await self._figures() == dict.fromkeys(PARTS, 0.0)

    async def _figures(self) -> dict[str, float]:
        return {sample.labels["part"]: sample.value for sample in await samples(self.url) if sample.name == "mcp_messenger_warning"}


@pytest.fixture
def disk(tmp_path: Path) -> Generator[Path]:
    """A disk of its own, with more room than a warning is made of."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600m,mode=0755", "tmpfs", str(folder)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no disk can be mounted here: {getattr(error, 'stderr', b'').decode().strip() or error}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def shrunk(folder: Path) -> Generator[None]:
    subprocess.run(["mount", "-o", "remount,size=100m", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,size=600m", str(folder)], check=True)


@contextmanager
def read_only(folder: Path) -> Generator[None]:
    """Mounted over itself, for a disk with a file that is open for writing cannot be made read-only."""
    subprocess.run(["mount", "--bind", str(folder), str(folder)], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def renamed(path: Path) -> Generator[None]:
    away = path.rename(path.with_name(f"{path.name}-away"))
    try:
        yield
    finally:
        away.rename(path)


@contextmanager
def stored(url: str, statement: str, undone: str) -> Generator[None]:
    execute(url, statement)
    try:
        yield
    finally:
        execute(url, undone)


async def test_each_trouble_is_named_with_what_to_do_in_health_figures_and_doctor(disk: Path, database_url: str) -> None:
    data, clock = disk / "data", Clock()
    plan = BackupPlan(3600, disk / "backups")
    async with running_app(database_url, data, backups=plan, admin_token=SecretStr(ADMIN_TOKEN)) as running:
        app = replace(running, clock=ClockWatch(lambda: clock.now, clock.steady))
        id = UUID(await ready_sandbox(app))
        assert await app.backups.back_up()
        async with serving(app) as url, httpx.AsyncClient(base_url=url, trust_env=False) as client:
            site = Site(app, url, client)
            await site.is_well()
            waiting = (
                f"INSERT INTO outbox (message_id, instance_id, chat_id, draft, not_before, claimed_epoch) "
                f"VALUES (99, '{id}', 'ann', '{{}}', now() - interval '10 minutes', 1000000)"
            )
            silent = (
                f"INSERT INTO deliveries (event_id, instance_id, chat_id, target, run_at, attempts, last_error) "
                f"SELECT max(id), '{id}', 'ann', 'agno', now() + interval '1 hour', 2, 'It does not answer.' FROM events"
            )
            failed = "UPDATE chores SET failed_at = now(), trouble = 'There is no room.' WHERE name = 'backup'"
            mended = "UPDATE chores SET failed_at = NULL, trouble = NULL WHERE name = 'backup'"
            overdue = "UPDATE chores SET done_at = now() - interval '3 hours' WHERE name = 'backup'"
            done = "UPDATE chores SET done_at = now() WHERE name = 'backup'"
            troubles: list[tuple[AbstractContextManager[object], Trouble]] = [
                (stored(database_url, waiting, "DELETE FROM outbox"), Trouble("queue", "restart_instance")),
                (stored(database_url, silent, "DELETE FROM deliveries"), Trouble("agents", "do not answer")),
                (stored(database_url, failed, mended), Trouble("backup", "The last backup failed: There is no room.")),
                (stored(database_url, overdue, done), Trouble("backup", "No backup was made in time. The newest is 3 h old.")),
                (refusing(database_url, "read only"), Trouble("database", "refuses writes", where="database", status=503)),
                (renamed(data / "secret.key"), Trouble("secrets", "secret.key is missing", where="secrets")),
                (shrunk(disk), Trouble("disk", "Make room")),
                (read_only(data), Trouble("disk", "it is read-only")),
                (renamed(data), Trouble("disk", "is gone", also=frozenset({"secrets"}))),
            ]
            for begins, trouble in troubles:
                with begins:
                    await site.says(trouble)
                await site.is_well()
            clock.now -= 3600
            await site.says(Trouble("clock", "jumped by -3600 s"))


def test_a_jump_of_the_clock_is_told_for_an_hour_and_slow_corrections_are_not() -> None:
    wall, steady = [0.0], [0.0]
    watch = ClockWatch(lambda: 1_800_000_000.0 + wall[0], lambda: steady[0])
    for _ in range(1000):
        wall[0] += 5.002
        steady[0] += 5
        assert watch.trouble is None
    wall[0] += 3600
    assert "+3600 s" in (watch.trouble or "")
    steady[0] += 3601
    wall[0] += 3601
    assert watch.trouble is None
