"""What instances in containers keep is in a backup, by a real engine, and comes back into another installation."""

import io
import tarfile
from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from db.embedded import EmbeddedPostgres
from mcp_messenger.backup.archive import verify
from mcp_messenger.backup.restoring import restore
from mcp_messenger.backup.writing import write_backup
from mcp_messenger.errors import EngineAway
from mcp_messenger.instances.runtimes.engine import Engine
from mcp_messenger.instances.runtimes.volumes import EMPTY_IMAGE, EngineVolumes
from tests.docker_engine import SOCKET, remove_all
from tests.postgres import execute, fresh_database
from tests.stored import one, rows

pytestmark = pytest.mark.anyio

FIRST, SECOND = (UUID(int=number, version=4) for number in (1, 2))


@pytest.fixture
def other_url(embedded: EmbeddedPostgres) -> Generator[str]:
    with fresh_database(embedded.url) as url:
        yield url


def login(words: str) -> bytes:
    """The content of a volume as the engine gives it: a folder of the instance's user with a file of the same."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        folder, file = tarfile.TarInfo("data"), tarfile.TarInfo("data/session")
        folder.type, folder.mode, file.mode, file.size, file.mtime = tarfile.DIRTYPE, 0o700, 0o600, len(words), 1
        for entry in (folder, file):
            entry.uid = entry.gid = 10001
        archive.addfile(folder)
        archive.addfile(file, io.BytesIO(words.encode()))
    return content.getvalue()


def kept(volumes: EngineVolumes, instance_id: UUID) -> list[tuple[str, int, int, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(b"".join(volumes.read(instance_id)))) as archive:
        return [(entry.name, entry.uid, entry.mode & 0o777, content.read() if (content := archive.extractfile(entry)) else b"") for entry in archive]


@pytest.fixture
def installations(engine: Any) -> Generator[tuple[UUID, UUID]]:
    ids = uuid4(), uuid4()
    yield ids
    for id in ids:
        remove_all(engine, str(id))


async def test_logins_in_containers_are_saved_and_come_back(
    installations: tuple[UUID, UUID], engine: Any, tmp_path: Path, database_url: str, other_url: str
) -> None:
    here = EngineVolumes(Engine(f"unix://{SOCKET}"), installations[0])
    execute(database_url, f"INSERT INTO installation (id) VALUES ('{installations[0]}')")
    for id in (FIRST, SECOND):
        execute(database_url, f"INSERT INTO message_instances (id, provider, runtime) VALUES ('{id}', 'sandbox', 'docker')")
        assert here.write(id, [login(f"login of {id}")], replace=False)
    expected = [("data", 10001, 0o700, b""), ("data/session", 10001, 0o600, f"login of {FIRST}".encode())]
    assert kept(here, FIRST) == expected

    def volumes_of(id: UUID) -> EngineVolumes:
        return EngineVolumes(Engine(f"unix://{SOCKET}"), id)

    made = write_backup(tmp_path / "file", database_url, tmp_path / "here", volumes_of=volumes_of)
    assert (made.volumes, made.warnings) == (2, ())
    # Without an engine it says what is missing, and a restore begins with nothing.
    nowhere = Engine(f"unix://{tmp_path}/no-engine")
    poor = write_backup(tmp_path / "poor", database_url, tmp_path / "here", volumes_of=partial(EngineVolumes, nowhere))
    assert (poor.volumes, "2 instances in containers" in poor.warnings[0]) == (0, True)
    with pytest.raises(EngineAway):
        await restore(tmp_path / "file", other_url, tmp_path / "there", volumes_of=partial(EngineVolumes, nowhere))
    assert rows(other_url, "SELECT * FROM message_instances") == []
    assert not (tmp_path / "there").exists()
    # A copy is another installation, whose volumes are its own; one that is there already is not overwritten.
    execute(other_url, f"INSERT INTO installation (id) VALUES ('{installations[1]}')")
    restored = await restore(tmp_path / "file", other_url, tmp_path / "there", volumes_of=volumes_of)
    copy = volumes_of(one(other_url, "SELECT id FROM installation"))
    try:
        assert restored.left_alone == ()
        assert copy.listing() == [FIRST, SECOND]
        assert kept(copy, FIRST) == expected
        assert kept(here, FIRST) == expected
    finally:
        remove_all(engine, str(one(other_url, "SELECT id FROM installation")))
    assert [made["Names"] for made in engine.containers(all=True) if EMPTY_IMAGE in made["Names"][0]] == []
    here.write(FIRST, [login("logged in again")], replace=True)
    assert (await restore(tmp_path / "file", database_url, tmp_path / "again", take_over=True, force=True, volumes_of=volumes_of)).left_alone == ()
    assert kept(here, FIRST) == expected, "forced, as the rest of it"
    assert verify(tmp_path / "file").volumes == 2


def test_what_is_there_is_replaced_only_on_purpose(installations: tuple[UUID, UUID]) -> None:
    here = EngineVolumes(Engine(f"unix://{SOCKET}"), installations[0])
    assert here.write(FIRST, [login("first")], replace=False)
    assert not here.write(FIRST, [login("second")], replace=False)
    assert kept(here, FIRST)[1][3] == b"first"
    assert here.write(FIRST, [login("second")], replace=True)
    assert kept(here, FIRST)[1][3] == b"second"
