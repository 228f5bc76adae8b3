"""Instances in containers: how soon one is ready, what a list of them costs, and what each costs the manager. Nothing where no engine answers."""

import gc
import hashlib
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import anyio
import anyio.to_thread
import docker
import docker.errors
import psutil
from pydantic import SecretStr

from mcp_messenger.instances.runtimes.passes import answers
from mcp_messenger.instances.runtimes.spec import INSTALLATION, labels_of, spec_for
from mcp_messenger.operations.instances import ListInstances, list_instances
from mcp_messenger.security.caller import ADMIN
from tests.benchmarks.figures import Figure, at_most, interleaved
from tests.benchmarks.store import fresh_store
from tests.docker_engine import SOCKET, Site, build_image, contained, site
from tests.postgres import execute
from tests.waiting import until

ROUNDS = 5
LISTED = 50
LISTINGS = 20
HELD = 6
"""Instances over which the manager's memory is counted, after two that have everything imported."""
LISTED_ROWS = """
    INSERT INTO message_instances (id, user_id, provider, runtime, desired, status)
    VALUES ('{}', 'listed', 'sandbox', 'docker', 'stopped', 'stopped')"""


async def measure() -> list[Figure]:
    try:
        client = docker.DockerClient(f"unix://{SOCKET}", version="auto", timeout=60)
    except docker.errors.DockerException as error:
        print(f"docker: left out, no engine answers: {error}", file=sys.stderr)
        return []
    engine: Any = client.api
    image = await anyio.to_thread.run_sync(build_image, engine)
    async with fresh_store() as store:
        with tempfile.TemporaryDirectory() as folder:
            async with site(store.url, Path(folder), engine, image=image) as here:
                starts = await _starts(here, engine)
                memory = await _memory(here)
                listings = await _listings(here, engine, store.url)
    return [
        Figure("container: created to ready, against docker run to its health", starts[0], "s", starts[1], at_most(1.5, "ratio")),
        Figure(f"container: list of {LISTED} with their state, against one list by the engine", listings[0], "ms", listings[1], at_most(3, "ratio")),
        Figure("container: manager's memory for each", memory, "MB", target=at_most(1)),
    ]


async def _starts(here: Site, engine: Any) -> tuple[float, float]:
    await contained(here)

    async def ours() -> float:
        begun = time.perf_counter()
        await contained(here)
        return time.perf_counter() - begun

    async def bare() -> float:
        begun = time.perf_counter()
        name, url = await anyio.to_thread.run_sync(_run, here, engine)
        while not await answers(url):  # noqa: ASYNC110 - there is no event for it
            await anyio.sleep(0.01)
        seconds = time.perf_counter() - begun
        await anyio.to_thread.run_sync(lambda: engine.remove_container(name, force=True, v=True))
        return seconds

    found = await interleaved(ROUNDS, {"ours": ours, "bare": bare})
    return statistics.median(found["ours"]), statistics.median(found["bare"])


def _run(here: Site, engine: Any) -> tuple[str, str]:
    """The same program as `docker run` would start it: no limits, a port that the engine chooses."""
    environment = {
        "MCP_MESSENGER_MANAGED": "1",
        "MCP_MESSENGER_INSTANCE_ID": str(uuid4()),
        "MCP_MESSENGER_API_KEY_SHA256": hashlib.sha256(b"fake key of a benchmark").hexdigest(),
        "MCP_MESSENGER_PORT": "8080",
    }
    host = engine.create_host_config(port_bindings={8080: ("127.0.0.1", None)})
    command = ["--mode", "sandbox-api", "--host", "0.0.0.0", "--api-port", "8080"]
    image = here.app.config.containers.image
    name = engine.create_container(image, command, environment=environment, ports=[8080], host_config=host)["Id"]
    engine.start(name)
    port = engine.inspect_container(name)["NetworkSettings"]["Ports"]["8080/tcp"][0]["HostPort"]
    return name, f"http://127.0.0.1:{port}"


async def _memory(here: Site) -> float:
    before = _megabytes()
    for _ in range(HELD):
        await contained(here)
    return (_megabytes() - before) / HELD


def _megabytes() -> float:
    gc.collect()
    return psutil.Process().memory_info().rss / 2**20


async def _listings(here: Site, engine: Any, database_url: str) -> tuple[float, float]:
    """In milliseconds. The containers are made and not started: a list does not care."""
    ids = [uuid4() for _ in range(LISTED)]
    execute(database_url, *(LISTED_ROWS.format(id) for id in ids))
    await anyio.to_thread.run_sync(lambda: [_make(here, engine, id) for id in ids])
    await until(lambda: here.docker.containers.keys() >= set(ids))

    async def ours() -> float:
        begun = time.perf_counter()
        page = await list_instances(here.app, ADMIN, ListInstances(limit=LISTED, user_id="listed"))
        assert [one.container for one in page.instances] == ["created"] * LISTED
        return 1000 * (time.perf_counter() - begun)

    async def bare() -> float:
        begun = time.perf_counter()
        found = await anyio.to_thread.run_sync(lambda: engine.containers(all=True, filters={"label": f"{INSTALLATION}={here.installation}"}))
        assert len(found) >= LISTED
        return 1000 * (time.perf_counter() - begun)

    found = await interleaved(LISTINGS, {"ours": ours, "bare": bare})
    return statistics.median(found["ours"]), statistics.median(found["bare"])


def _make(here: Site, engine: Any, instance_id: UUID) -> None:
    config = here.app.config.containers
    image_id = engine.inspect_image(config.image)["Id"]
    installation = UUID(here.installation)
    of: dict[str, Any] = {"installation": installation, "instance_id": instance_id, "image_id": image_id}
    spec = spec_for(config, **of, mode="sandbox-api", relay_key=SecretStr("fake"), passed_on={})
    engine.create_volume(spec.name, labels=labels_of(spec.installation, instance_id))
    engine.create_container(**spec.arguments(engine))
