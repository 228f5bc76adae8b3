"""WhatsApp Web's containers beside one of the bare library, with a real browser against the stand-in; needs a Docker engine.

python -m tests.benchmarks.bench_whatsapp_containers [--instances 1] [--browsers chromium chromium-headless-shell] [--pages heavy light]

A light page has what the library needs; a heavy one as much script and data as WhatsApp's own.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import anyio
import docker

from mcp_messenger.config.containers import ContainerConfig
from mcp_messenger.instances.runtimes.spec import SECOND
from mcp_messenger.operations.instances import CreateInstance, create_instance, get_instance
from mcp_messenger.operations.lifecycle import start_instance, stop_instance
from mcp_messenger.operations.login import get_qr
from mcp_messenger.operations.operation import OfInstance
from mcp_messenger.security.caller import ADMIN
from providers.errors import MessengerError
from tests.benchmarks.figures import Figure, at_most, table
from tests.benchmarks.store import fresh_store
from tests.docker_engine import SOCKET, Site, bridge_address, site, whatsapp_base
from tests.standins.whatsapp_web import WhatsAppStandIn
from tests.waiting import until

BARE = Path(__file__).parent / "bare_whatsapp.cjs"
IDLE = 30.0
"""Seconds that a browser gets to come to rest."""


async def linked(here: Site, whatsapp: WhatsAppStandIn, number: int) -> tuple[str, float]:
    """A new instance that is ready, and the seconds to its first QR code."""
    account = whatsapp.account(f"1555{number:04d}", f"Agent {number}")
    began = time.monotonic()
    made = await create_instance(here.app, ADMIN, CreateInstance(provider="whatsappweb"))
    of = OfInstance(instance_id=made.instance_id)
    with anyio.fail_after(120):
        while True:
            try:
                code = await get_qr(here.app, ADMIN, of)
                break
            except MessengerError:
                await anyio.sleep(0.05)
        seconds = time.monotonic() - began
        account.scan(code.qr)
        await until_ready(here, of)
    return made.instance_id, seconds


async def until_ready(here: Site, of: OfInstance) -> None:
    while (await get_instance(here.app, ADMIN, of)).status != "ready":  # noqa: ASYNC110 - a container tells of itself through the store
        await anyio.sleep(0.05)


async def logged_in_again(here: Site, instance_id: str) -> float:
    """Seconds from a start with the stored login until it is ready."""
    of = OfInstance(instance_id=instance_id)
    await stop_instance(here.app, ADMIN, of)
    began = time.monotonic()
    await start_instance(here.app, ADMIN, of)
    with anyio.fail_after(120):
        await until_ready(here, of)
    return time.monotonic() - began


def megabytes(engine: Any, name: str) -> float:
    """The working set: what a container uses, without what the kernel can drop at once (inactive pages of files)."""
    memory = engine.stats(name, stream=False)["memory_stats"]
    of = memory.get("stats", {})
    return (memory["usage"] - of.get("total_inactive_file", of.get("inactive_file", 0))) / 1e6


async def bare(engine: Any, image: str, browser: str, whatsapp: WhatsAppStandIn) -> dict[str, float]:
    """The same of the bare library in a container of the same image, with the limits of ours."""
    arguments = json.dumps(["--no-sandbox", "--disable-dev-shm-usage", *whatsapp.chromium_args])
    limits = ContainerConfig()
    host = engine.create_host_config(
        binds={str(BARE): {"bind": "/bare.cjs", "mode": "ro"}},
        mem_limit=limits.memory,
        memswap_limit=limits.memory,
        nano_cpus=int(limits.cpus * SECOND),
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        init=True,
    )
    made = engine.create_container(
        image,
        entrypoint=["node", "/bare.cjs"],
        command=["/opt/whatsapp", f"/usr/bin/{browser}", arguments, "/data"],
        environment={"HOME": "/tmp"},
        host_config=host,
    )["Id"]

    def said(word: str) -> list[str]:
        return [line for line in engine.logs(made, stderr=False).decode().splitlines() if line.startswith(word)]

    try:
        began = time.monotonic()
        engine.start(made)
        (code,) = await until(lambda: said("qr"), within=60)
        seconds = time.monotonic() - began
        whatsapp.account("15559999", "Bare").scan(code.partition(" ")[2])
        await until(lambda: said("ready"), within=60)
        await anyio.to_thread.run_sync(lambda: engine.stop(made, timeout=20))
        began = time.monotonic()
        engine.start(made)
        await until(lambda: len(said("ready")) > 1, within=60)
        again = time.monotonic() - began
        await anyio.sleep(IDLE)
        return {"qr": seconds, "ready": again, "memory": await anyio.to_thread.run_sync(megabytes, engine, made)}
    finally:
        engine.remove_container(made, force=True, v=True)


async def measure(instances: int, browser: str, page: str) -> list[Figure]:
    engine = docker.DockerClient(f"unix://{SOCKET}", version="auto", timeout=60).api
    name = whatsapp_base(engine, browser)
    image, _ = ContainerConfig(image=name).image_of("whatsapp")
    with tempfile.TemporaryDirectory() as folder:
        async with fresh_store() as store, WhatsAppStandIn(bridge_address(engine), is_heavy=page == "heavy") as whatsapp:
            environ = {"WA_CHROMIUM_ARGS": json.dumps(["--no-sandbox", *whatsapp.chromium_args])}
            async with site(store.url, Path(folder), engine, image=name, environ=environ) as here:
                await until(lambda: here.docker.away is None)
                made = [await linked(here, whatsapp, number) for number in range(instances)]
                again = [await logged_in_again(here, instance_id) for instance_id, _ in made]
                await anyio.sleep(IDLE)
                used = [await anyio.to_thread.run_sync(megabytes, engine, here.name(str(UUID(instance_id)))) for instance_id, _ in made]
            plain = await bare(engine, image, browser, whatsapp)
    size = engine.inspect_image(image)["Size"] / 1e6
    return [
        Figure(f"WhatsApp Web in a container ({browser}, {page} page): at rest", max(used), "MB", plain["memory"], at_most(231)),
        Figure(f"the same, {instances} side by side", sum(used), "MB"),
        Figure("the same, created to QR code", statistics.median(seconds for _, seconds in made), "s", plain["qr"]),
        Figure("the same, started with a stored login to ready", statistics.median(again), "s", plain["ready"]),
        Figure("the same, size of the image", size, "MB", target=at_most(900)),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instances", type=int, default=1)
    parser.add_argument("--browsers", nargs="+", default=["chromium", "chromium-headless-shell"], help="Debian's packages")
    parser.add_argument("--pages", nargs="+", default=["heavy", "light"], choices=["heavy", "light"])
    options = parser.parse_args()
    kinds = [(browser, page) for browser in options.browsers for page in options.pages]
    print(table([figure for browser, page in kinds for figure in anyio.run(measure, options.instances, browser, page)]))


if __name__ == "__main__":
    main()
