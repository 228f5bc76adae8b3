"""A swarm of three engines in containers: how soon an instance sends and gets answers again when its node is lost, drained or cut off.

python -m tests.benchmarks.bench_swarm
"""

import sys
import time
from collections.abc import Callable

import anyio
import docker

from tests.benchmarks.figures import Figure, at_most, table
from tests.benchmarks.store import fresh_store
from tests.docker_engine import SOCKET, build_image
from tests.swarm import manager, socket_folder
from tests.swarm_nodes import MOVES, Node, Place, cluster, drained
from tests.waiting import until

NETWORK = "mcp-messenger-bench-instances"


async def measure() -> list[Figure]:
    engine = docker.DockerClient(f"unix://{SOCKET}", version="auto", timeout=120).api
    image = build_image(engine)
    async with fresh_store() as store:
        with cluster(engine, image, socket_folder(store.url)) as nodes:
            first = nodes.nodes[0]
            first.api.create_network(NETWORK, driver="overlay", attachable=True)
            async with manager(first.api, image, store.url, NETWORK, host=first.address, **MOVES) as here:
                begun = time.monotonic()
                place = Place(nodes, here, await here.made())
                made = time.monotonic() - begun

                async def after(what: Callable[[Node], None]) -> float:
                    node = place.node()
                    assert node is not None
                    begun = time.monotonic()
                    what(node)
                    await place.until_elsewhere(node)
                    return time.monotonic() - begun

                lost = await after(nodes.kill)
                for node in nodes.nodes:
                    nodes.revive(node)
                await until(nodes.is_whole, pause=0.5)
                with drained(first.api) as drain:
                    left = await after(drain)
                cut = await after(nodes.cut_off)
    return [
        Figure("swarm: an instance made, to ready", made, "s"),
        Figure("swarm: from its node's loss to sending and receiving on another", lost, "s", target=at_most(20)),
        Figure("swarm: the same, when its node is drained", left, "s"),
        Figure("swarm: the same, when its node is cut off and its relay has to let go first", cut, "s", target=at_most(25)),
    ]


if __name__ == "__main__":
    found = anyio.run(measure)
    print(table(found))
    sys.exit(any(figure.verdict == "NOT MET" for figure in found))
