"""The machine's Docker engine for the tests, and the program's image, built once. Skipped where no engine answers."""

import asyncio
import hashlib
import ipaddress
import os
import subprocess
import tempfile
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import anyio.to_thread
import docker
import docker.errors
import pytest

from db.filelock import exclusive
from mcp_messenger.config.containers import ContainerConfig
from mcp_messenger.instances.runtimes.docker import DockerRuntime
from mcp_messenger.instances.runtimes.spec import INSTALLATION, name_of
from mcp_messenger.operations.application import App
from mcp_messenger.operations.instances import CreateInstance, create_instance
from mcp_messenger.security.caller import ADMIN
from tests.program import ROOT
from tests.proxy import Proxy
from tests.running import running_app, until_status
from tests.waiting import until

SOCKET = Path("/var/run/docker.sock")
SOURCES = ("Dockerfile", ".dockerignore", "pyproject.toml", "requirements.lock", "providers", "db", "mcp_messenger")
REPOSITORY = "mcp-messenger-test"
OLD = 24 * 3600
"""Seconds after which an image of former sources is removed."""
CODE = "sandbox-fake-access-code"
LOCAL_PYTHON = "local/python:3.13-slim"
LOCAL_NODE = "local/node:22-slim"
"""Base images for machines that reach no registry."""


@pytest.fixture(scope="session")
def engine() -> Generator[Any]:
    """The SDK's low-level client."""
    try:
        client = docker.DockerClient(f"unix://{SOCKET}", version="auto", timeout=60)
    except docker.errors.DockerException as error:
        pytest.skip(f"no Docker engine answers: {error}")
    yield client.api
    client.close()


def _content() -> str:
    digest = hashlib.sha256()
    for source in map(ROOT.joinpath, SOURCES):
        for path in sorted(source.rglob("*")) if source.is_dir() else [source]:
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def base_arguments(engine: Any) -> dict[str, str]:
    try:
        engine.inspect_image(LOCAL_PYTHON)
    except docker.errors.NotFound:
        return {}
    return {"PYTHON_IMAGE": LOCAL_PYTHON, "NODE_IMAGE": LOCAL_NODE}


@pytest.fixture(scope="session")
def image(engine: Any) -> str:
    """The name of the program's image, of these very sources."""
    return build_image(engine)


@pytest.fixture(scope="session")
def whatsapp_image(engine: Any) -> str:
    """The name from which the name of the image with a browser is derived; that one is there too, with the lighter browser."""
    return whatsapp_base(engine, "chromium-headless-shell")


def whatsapp_base(engine: Any, browser: str) -> str:
    return build_image(engine, "whatsapp", BROWSER_PACKAGE=browser).replace("-whatsapp:", ":")


def build_image(engine: Any, stage: str = "runtime", **arguments: str) -> str:
    variant = "".join(f"-{value}" for _, value in sorted(arguments.items()))
    name, _ = ContainerConfig(image=f"{REPOSITORY}:{_content()}{variant}").image_of(stage)
    with exclusive(Path(tempfile.gettempdir()) / "mcp-messenger-test-image.lock", timeout=600):
        for one in engine.images(REPOSITORY):
            if one["Created"] < time.time() - OLD:
                engine.remove_image(one["Id"], force=True)
        if not engine.images(name):
            given = [f"--build-arg={key}={value}" for key, value in {**base_arguments(engine), **arguments}.items()]
            command = ["docker", "build", "-q", "-t", name, "--target", stage, *given, "."]
            env = {**os.environ, "DOCKER_BUILDKIT": "0"}
            built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=env, check=False)
            assert built.returncode == 0, built.stdout + built.stderr
    return name


class EngineProxy(Proxy):
    """Before the engine's socket."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(SOCKET), "")
        self._here = path

    @property
    def address(self) -> str:
        return f"unix://{self._here}"

    async def come_back(self) -> None:
        self._server = await asyncio.start_unix_server(self._accept, self._here)

    async def go_down(self) -> None:
        self._here.unlink(missing_ok=True)
        if self._server is not None:
            await super().go_down()
            self._server = None


class Site:
    """An application with containers, and what its engine knows of them."""

    def __init__(self, app: App, engine: Any) -> None:
        self.app = app
        self._engine = engine

    @property
    def docker(self) -> DockerRuntime:
        assert self.app.docker is not None
        return self.app.docker

    @property
    def installation(self) -> str:
        return str(self.docker.installation)

    def name(self, instance_id: str) -> str:
        return name_of(UUID(self.installation), UUID(instance_id))

    async def inspect(self, instance_id: str) -> dict[str, Any]:
        return await self.ask("inspect_container", self.name(instance_id))

    async def ask(self, method: str, *args: Any, **options: Any) -> Any:
        return await anyio.to_thread.run_sync(lambda: getattr(self._engine, method)(*args, **options))

    async def containers(self) -> list[dict[str, Any]]:
        return await self.ask("containers", all=True, filters={"label": f"{INSTALLATION}={self.installation}"})

    async def volumes(self) -> list[str]:
        return [one["Name"] for one in (await self.ask("volumes", filters={"label": f"{INSTALLATION}={self.installation}"}))["Volumes"] or ()]


def bridge_address(engine: Any) -> str:
    """Where containers reach what listens on this machine: on the bridge of the engine's own network."""
    subnet = ipaddress.ip_network(engine.inspect_network("bridge")["IPAM"]["Config"][0]["Subnet"])
    return str(next(subnet.hosts()))


@asynccontextmanager
async def site(database_url: str, data_dir: Path, client: Any, *, keep: bool = False, **containers: Any) -> AsyncGenerator[Site]:
    """`containers` are of ContainerConfig's fields. Everything of it is removed at the end, unless another is to take it over."""
    found: Site | None = None
    try:
        async with running_app(database_url, data_dir, containers=ContainerConfig(enabled=True, **containers)) as app:
            found = Site(app, client)
            yield found
    finally:
        # Now that nobody would make them anew.
        if found is not None and found.docker.installation is not None and not keep:
            await anyio.to_thread.run_sync(remove_all, client, found.installation)


async def contained(site: Site, **credentials: Any) -> str:
    """The id of a new sandbox instance in a container, ready."""
    await until(lambda: site.docker.away is None)
    settings = {"access_code": CODE, "page": False, **credentials}
    made = await create_instance(site.app, ADMIN, CreateInstance(provider="sandbox", runtime="docker", credentials=settings))
    await until_status(site.app, made.instance_id, "ready")
    return made.instance_id


async def exec_in(site: Site, instance_id: str, command: list[str]) -> tuple[str, int, str]:
    made = await site.ask("exec_create", site.name(instance_id), command)
    output: bytes = await site.ask("exec_start", made["Id"])
    code = (await site.ask("exec_inspect", made["Id"]))["ExitCode"]
    return made["Id"], code, output.decode(errors="replace")


def remove_all(engine: Any, installation: str) -> None:
    label = {"label": f"{INSTALLATION}={installation}"}
    for one in engine.containers(all=True, filters=label):
        engine.remove_container(one["Id"], force=True)
    for one in engine.volumes(filters=label)["Volumes"] or ():
        engine.remove_volume(one["Name"])
    for one in engine.networks(filters=label):
        engine.remove_network(one["Id"])


def main() -> None:
    """Build what the tests need, where an engine answers."""
    client = docker.DockerClient(f"unix://{SOCKET}", version="auto", timeout=60)
    build_image(client.api)
    whatsapp_base(client.api, "chromium-headless-shell")


if __name__ == "__main__":
    main()
