"""Reads and writes the volumes of instances through the engine's archive calls, whether their containers run or not."""

import io
import secrets
import tarfile
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from typing import Any
from uuid import UUID

from mcp_messenger.backup.volumes import Volumes
from mcp_messenger.errors import NoSuchThing
from mcp_messenger.instances.runtimes.containers import check_owner
from mcp_messenger.instances.runtimes.engine import Engine
from mcp_messenger.instances.runtimes.spec import DATA, INSTALLATION, INSTANCE, labels_of, name_of

EMPTY_IMAGE = "mcp-messenger-empty"
"""Holds no file, for a container that is never started: the engine reaches a volume only through a container."""


class EngineVolumes(Volumes):
    def __init__(self, engine: Engine, installation: UUID) -> None:
        self._engine = engine
        self._installation = installation

    def listing(self) -> Sequence[UUID]:
        found = self._engine.call_here(lambda api: api.volumes(filters={"label": f"{INSTALLATION}={self._installation}"}))
        ids: list[UUID] = []
        for volume in found["Volumes"] or ():
            with suppress(ValueError):
                ids.append(UUID(volume["Labels"].get(INSTANCE, "")))
        return sorted(ids)

    def read(self, instance_id: UUID) -> Generator[bytes]:
        with self._mounted(instance_id) as container:
            yield from self._engine.stream_here(lambda api: api.get_archive(container, DATA)[0])

    def write(self, instance_id: UUID, content: Iterable[bytes], *, replace: bool) -> bool:
        name = name_of(self._installation, instance_id)
        with suppress(NoSuchThing):
            check_owner(self._engine.call_here(lambda api: api.inspect_volume(name))["Labels"] or {}, self._installation, f"volume {name}")
            if not replace:
                return False
            with suppress(NoSuchThing):
                self._engine.call_here(lambda api: api.remove_container(name, force=True))
            self._engine.call_here(lambda api: api.remove_volume(name))
        self._engine.call_here(lambda api: api.create_volume(name, labels=labels_of(self._installation, instance_id)))
        with self._mounted(instance_id) as container:
            self._engine.call_here(lambda api: api.put_archive(container, "/", iter(content)))
        return True

    @contextmanager
    def _mounted(self, instance_id: UUID) -> Generator[str]:
        """Give a container that has the volume in its place, and does not run."""
        name = name_of(self._installation, instance_id)
        helper = f"{EMPTY_IMAGE}-{secrets.token_hex(4)}"
        image = self._empty_image()
        self._engine.call_here(lambda api: api.create_container(name=helper, **mounting(api, image, name)))
        try:
            yield helper
        finally:
            with suppress(NoSuchThing):
                self._engine.call_here(lambda api: api.remove_container(helper, force=True))

    def _empty_image(self) -> str:
        try:
            self._engine.call_here(lambda api: api.inspect_image(EMPTY_IMAGE))
        except NoSuchThing:
            self._engine.call_here(lambda api: api.import_image_from_data(empty_archive(), repository=EMPTY_IMAGE))
        return EMPTY_IMAGE


def mounting(api: Any, image: str, volume: str) -> dict[str, Any]:
    """Return the arguments of create_container for a container that has the volume in its place, and is never started."""
    host = api.create_host_config(binds={volume: {"bind": DATA, "mode": "rw"}}, network_mode="none")
    return {"image": image, "command": ["none"], "host_config": host}


def empty_archive() -> bytes:
    content = io.BytesIO()
    tarfile.open(fileobj=content, mode="w").close()
    return content.getvalue()
