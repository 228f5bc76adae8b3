"""An image that is pulled: from a registry, with its progress, and what is told where it cannot be had."""

import io
import json
import tarfile
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio.to_thread
import docker.errors
import pytest

from mcp_messenger.operations.instances import CreateInstance, create_instance
from mcp_messenger.security.caller import ADMIN
from tests.docker_engine import CODE, site
from tests.mcp_messenger.test_docker_faults import until_reason
from tests.standins.registry import Registry, registry

NAME = "mcp-messenger-test-pull"

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]


def saved(engine: Any, path: Path) -> None:
    """An image in which there is nothing to run."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(uuid4().hex))
    made = json.loads(engine.import_image_from_data(tar.getvalue(), repository=NAME, tag="empty").splitlines()[-1])["status"]
    with path.open("wb") as file:
        for chunk in engine.get_image(made):
            file.write(chunk)
    engine.remove_image(made, force=True)


def forget(engine: Any, image: str) -> None:
    with suppress(docker.errors.ImageNotFound):
        engine.remove_image(image, force=True)


async def test_a_missing_image_is_pulled_while_the_state_tells_how_far(database_url: str, tmp_path: Path, engine: Any) -> None:
    await anyio.to_thread.run_sync(saved, engine, tmp_path / "image.tar")
    with registry(NAME, uuid4().hex[:8], tmp_path / "blobs") as here:
        await anyio.to_thread.run_sync(here.take, tmp_path / "image.tar", {"pulled": "here"})
        try:
            await pulled(database_url, tmp_path, engine, here)
        finally:
            await anyio.to_thread.run_sync(forget, engine, here.image)


async def pulled(database_url: str, tmp_path: Path, engine: Any, here: Registry) -> None:
    here.refuses = True
    async with site(database_url, tmp_path / "data", engine, image=here.image) as ours:
        given = CreateInstance(provider="sandbox", runtime="docker", credentials={"access_code": CODE, "page": False})
        instance_id = (await create_instance(ours.app, ADMIN, given)).instance_id
        assert await until_reason(ours.app, instance_id, f"{here.image} could not be pulled: Docker says: denied. Build it") == "error"
        here.hold.clear()
        here.refuses = False
        assert await until_reason(ours.app, instance_id, "is being pulled: ") == "processing"
        here.hold.set()
        # Nothing is in it that could run.
        assert await until_reason(ours.app, instance_id, "exit code 127") in {"degraded", "processing", "error"}
        assert (await ours.ask("inspect_image", here.image))["Config"]["Labels"] == {"pulled": "here"}
