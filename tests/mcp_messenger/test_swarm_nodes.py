"""A swarm of three nodes that lose power, are drained and cut off: an account comes back elsewhere, and never runs twice.

It takes three minutes, so it runs on demand.
"""

import os
from collections.abc import Generator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from db.embedded import EmbeddedPostgres
from tests.swarm import manager, socket_folder
from tests.swarm_nodes import ELSEWHERE, MOVES, Cluster, Place, cluster, drained
from tests.waiting import until

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.timeout(500),
    pytest.mark.skipif(not os.environ.get("MCP_MESSENGER_TEST_NODES"), reason="takes three minutes: set MCP_MESSENGER_TEST_NODES"),
]

NETWORK = "mcp-messenger-test-instances"


@pytest.fixture(scope="module")
def nodes(engine: Any, image: str, embedded: EmbeddedPostgres) -> Generator[Cluster]:
    with cluster(engine, image, socket_folder(embedded.url)) as found:
        found.nodes[0].api.create_network(NETWORK, driver="overlay", attachable=True)
        yield found


async def test_with_a_volume_that_moves_it_comes_back_elsewhere(nodes: Cluster, image: str, database_url: str) -> None:
    first = nodes.nodes[0]
    async with AsyncExitStack() as managers:
        here = await managers.enter_async_context(manager(first.api, image, database_url, NETWORK, host=first.address, **MOVES))
        place = Place(nodes, here, await here.made())
        node = place.node()
        assert node is not None

        nodes.kill(node)
        await here.until_errors(place.instance_id, f"The node {node.name} that it ran on is down.")
        other = await place.until_elsewhere(node)
        nodes.revive(node)
        await until(nodes.is_whole, pause=0.5)
        assert nodes.running(node, place.instance_id) == 0, "the former task does not come back with its node"

        with drained(first.api) as drain:
            drain(other)
            cut = await place.until_elsewhere(other)

        nodes.cut_off(cut)
        last = await place.until_elsewhere(cut)
        said = nodes.said(cut, place.instance_id)
        assert "the account is let go of" in said, "a relay that is cut off lets go of its account"
        assert nodes.running(cut, place.instance_id) == 0
        nodes.heal(cut)
        await until(nodes.is_whole, pause=0.5)

        # The leader of the swarm dies, with the manager that has the lease: another manager takes the instance over.
        second = next(one for one in nodes.nodes if one not in {first, last})
        there = await managers.enter_async_context(manager(second.api, image, database_url, NETWORK, host=second.address, **MOVES))
        nodes.kill(first)
        await until(lambda: there.said().count("state: ready") > 0, within=90, pause=0.5)
        assert await there.sends(place.instance_id, "with another manager")
        nodes.revive(first)


async def test_with_a_volume_of_a_node_it_waits_for_the_node(nodes: Cluster, image: str, database_url: str) -> None:
    first = nodes.nodes[0]
    async with manager(first.api, image, database_url, NETWORK, host=first.address, **ELSEWHERE) as here:
        place = Place(nodes, here, await here.made())
        node = place.node()
        assert node is not None
        nodes.kill(node)
        words = f"The node {node.name}, which has its volume, is down. The instance goes on by itself when the node is back."
        await here.until_instance(place.instance_id, lambda found: found["status_reason"] == words)
        nodes.revive(node)
        await here.until_instance(place.instance_id, lambda found: found["status"] == "ready" and found["container"] == "running")
        assert (place.node(), await here.sends(place.instance_id, "back on its node")) == (node, True)
