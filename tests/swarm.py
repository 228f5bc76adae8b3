"""Managers in containers on an overlay network, and what their swarm knows of their instances. Skipped where no engine answers."""

import subprocess
import tempfile
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import anyio
import docker.errors
import httpx
import pytest
import requests

from db.filelock import exclusive
from mcp_messenger.instances.runtimes.spec import INSTALLATION, INSTANCE
from tests.docker_engine import CODE
from tests.waiting import until, until_blocking

TOKEN = "fake-admin-token-of-a-test"
KEY = bytes(range(32)).hex()
STARTS_WITHIN = 30.0


def socket_folder(database_url: str) -> str:
    """The folder of PostgreSQL's socket, which a container of the same machine can mount."""
    query = parse_qs(urlsplit(database_url).query)
    if "host" not in query:
        pytest.skip("the embedded PostgreSQL has no socket here")
    return query["host"][0]


def turn() -> AbstractContextManager[None]:
    """One test at a time, in all of pytest's workers: the engine is in one swarm or in none."""
    return exclusive(Path(tempfile.gettempdir()) / "mcp-messenger-test-swarm.lock", timeout=280)


@contextmanager
def swarm(engine: Any) -> Generator[None]:
    """The engine as the one node of a swarm; out of it again at the end, if it was in none."""
    state = engine.info()["Swarm"]
    if state["LocalNodeState"] == "active":
        if not state["ControlAvailable"]:
            pytest.skip("the engine is a worker of somebody's swarm")
        yield
        return
    engine.init_swarm(advertise_addr="127.0.0.1")
    try:
        yield
    finally:
        engine.leave_swarm(force=True)


class Manager:
    """One server in a container of an engine at `host`, called over its published port."""

    def __init__(self, engine: Any, container: str, host: str) -> None:
        self.engine = engine
        self.container = container
        port = engine.inspect_container(container)["NetworkSettings"]["Ports"]["3000/tcp"][0]["HostPort"]
        self.http = httpx.AsyncClient(base_url=f"http://{host}:{port}", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60, trust_env=False)

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        answer = await self.http.request(method, f"/api/v1{path}", json=body)
        assert answer.is_success, f"{answer.text}\n{self.said()}"
        return answer.json() if answer.content else None

    def said(self) -> str:
        return self.engine.logs(self.container, tail=60).decode(errors="replace")

    async def until_up(self) -> None:
        async def is_healthy() -> bool:
            try:
                return (await self.http.get("/health")).is_success
            except httpx.TransportError:
                return False

        try:
            await until(is_healthy, within=STARTS_WITHIN, pause=0.2)
        except AssertionError:
            raise AssertionError(self.said()) from None

    async def made(self, **settings: Any) -> str:
        """The id of a new sandbox instance in the swarm, ready."""
        body = {"provider": "sandbox", "runtime": "swarm", "credentials": {"access_code": CODE, "page": False, **settings}}
        instance_id = (await self.ask("POST", "/instances", body))["instance_id"]
        await self.until_instance(instance_id, lambda found: found["status"] == "ready")
        return instance_id

    async def until_instance(self, instance_id: str, is_it: Callable[[Mapping[str, Any]], bool], within: float = STARTS_WITHIN) -> Mapping[str, Any]:
        found: dict[str, Any] = {}

        async def holds() -> bool:
            found.update((await self.ask("GET", f"/instances/{instance_id}"))["instance"])
            return is_it(found)

        try:
            await until(holds, within=within, pause=0.2)
        except AssertionError:
            raise AssertionError(f"{found.get('status')}: {found.get('status_reason')}\n{self.said()}") from None
        return found

    async def until_errors(self, instance_id: str, words: str) -> None:
        """Return as soon as the instance's errors have these words."""

        async def holds() -> bool:
            return words in str(await self.ask("GET", f"/instances/{instance_id}/errors"))

        await until(holds, pause=0.2)

    async def sends(self, instance_id: str, text: str) -> bool:
        sent = await self.ask("POST", f"/instances/{instance_id}/send", {"to": "ann", "message": text})
        return sent["status"] in {"sent", "delivered", "read"}


@asynccontextmanager
async def manager(engine: Any, image: str, database_url: str, network: str, *, host: str = "127.0.0.1", **settings: str) -> AsyncGenerator[Manager]:
    """A server on the overlay network. It is root in its container, for the sockets belong to whoever runs the tests."""
    folder = socket_folder(database_url)
    environment = {
        "DATABASE_URL": database_url,
        "MCP_MESSENGER_HOST": "0.0.0.0",
        "MCP_MESSENGER_ADMIN_TOKEN": TOKEN,
        "MCP_MESSENGER_SECRET_KEY": KEY,
        "MCP_MESSENGER_DOCKER": "0",
        "MCP_MESSENGER_DOCKER_IMAGE": image,
        "MCP_MESSENGER_PORTS": "0",
        "MCP_MESSENGER_ALLOWED_HOSTS": host,
        "MCP_MESSENGER_SWARM": "1",
        "MCP_MESSENGER_SWARM_NETWORK": network,
        **settings,
    }
    published = ("127.0.0.1",) if host == "127.0.0.1" else None
    binds = [f"{folder}:{folder}", "/var/run/docker.sock:/var/run/docker.sock"]
    config = engine.create_host_config(binds=binds, network_mode=network, port_bindings={3000: published})
    name = f"mcp-messenger-test-manager-{uuid4().hex[:8]}"
    made = engine.create_container(image, ["serve"], name=name, user="0", environment=environment, ports=[3000], host_config=config)["Id"]
    # A node that was cut off takes a moment until it can join the network again.
    await until(lambda: _is_started(engine, made), pause=1)
    found = Manager(engine, made, host)
    try:
        await found.until_up()
        yield found
    finally:
        await found.http.aclose()
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(_remove, engine, made)


def _is_started(engine: Any, container: str) -> bool:
    with suppress(docker.errors.APIError):
        engine.start(container)
        return True
    return False


def _remove(engine: Any, container: str) -> None:
    # The node that it ran on may have been killed.
    with suppress(docker.errors.APIError, requests.RequestException):
        engine.remove_container(container, force=True, v=True)


def services_of(engine: Any, instance_id: str) -> list[dict[str, Any]]:
    return engine.services(filters={"label": f"{INSTANCE}={instance_id}"})


def tasks_of(engine: Any, instance_id: str) -> list[dict[str, Any]]:
    """Newest first."""
    (service,) = services_of(engine, instance_id)
    return sorted(engine.tasks(filters={"service": service["ID"]}), key=lambda one: one["CreatedAt"], reverse=True)


def remove_services(engine: Any) -> None:
    """Of all installations, of which a swarm that was made for a test has no other; with their volumes on this node."""
    volumes: set[str] = set()
    for one in engine.services(filters={"label": INSTALLATION}):
        volumes |= {mount["Source"] for mount in one["Spec"]["TaskTemplate"]["ContainerSpec"]["Mounts"] if mount["Type"] == "volume"}
        engine.remove_service(one["ID"])
    until_blocking(lambda: not engine.containers(all=True, filters={"label": ["com.docker.swarm.service.id", INSTANCE]}))
    for one in engine.secrets(filters={"label": INSTALLATION}):
        engine.remove_secret(one["ID"])
    for volume in volumes:
        with suppress(docker.errors.NotFound):
            engine.remove_volume(volume)


def volume_files(engine: Any, image: str, volume: str) -> list[str]:
    command = ["docker", "run", "--rm", "--entrypoint", "find", "-v", f"{volume}:/data", image, "/data", "-mindepth", "1"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
