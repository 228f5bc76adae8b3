"""The embedded PostgreSQL on a disk that is full for a while: the reason is told, and it works again by itself."""

import os
import subprocess
from collections.abc import Generator
from pathlib import Path

import anyio
import psutil
import pytest

from db.errors import Reason, StoreUnavailable
from mcp_messenger.app import running
from mcp_messenger.config import Config
from mcp_messenger.operations.sending import SendMessage, send_message
from mcp_messenger.security.caller import ADMIN
from tests.running import ready_sandbox
from tests.waiting import until

pytestmark = pytest.mark.anyio


@pytest.fixture
def small_disk(tmp_path: Path) -> Generator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160m,mode=0755", "tmpfs", str(disk)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a small disk of its own cannot be mounted here: {getattr(error, 'stderr', b'').decode().strip() or error}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(disk: Path) -> Path:
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            try:
                while file.write(b"\0" * size) == size:
                    pass
            except OSError:
                continue
    assert os.statvfs(disk).f_bavail == 0
    return ballast


def kill_server(data: Path) -> None:
    pid = int(next(data.glob("postgres/pg*/postmaster.pid")).read_text().splitlines()[0])
    assert psutil.Process(pid).name().startswith("postgres")
    psutil.Process(pid).kill()


async def test_a_full_disk_is_told_in_words_and_the_store_works_again_when_there_is_room(small_disk: Path) -> None:
    data = small_disk / "data"
    async with running(Config(data_dir=data)) as app:
        instance_id = await ready_sandbox(app, persona="human")
        ballast = fill(small_disk)
        kill_server(data)
        reasons: list[StoreUnavailable] = []

        async def refused_for_the_true_reason() -> None:
            while not (reasons and reasons[-1].reason is Reason.DISK_FULL):
                with pytest.raises(StoreUnavailable) as caught:
                    await send_message(app, ADMIN, SendMessage(instance_id=instance_id, to="ann", message="is there room?"))
                reasons.append(caught.value)

        with anyio.fail_after(60):
            await refused_for_the_true_reason()
        said = f"{reasons[-1].detail} {reasons[-1].hint}"
        assert "The disk is full" in said
        assert "DATABASE_URL" not in said
        ballast.unlink()
        with anyio.fail_after(60):
            while True:
                try:
                    sent = await send_message(app, ADMIN, SendMessage(instance_id=instance_id, to="ann", message="there is"))
                    break
                except StoreUnavailable:
                    continue
        assert sent.status in {"sent", "delivered", "read"}
        await until(lambda: not app.workers.failing())
