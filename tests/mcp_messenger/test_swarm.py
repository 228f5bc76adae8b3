"""Instances as services of a swarm of one node: made, reached over the overlay network, killed, moved on, thrown away."""

import hashlib
import json
import os
from collections.abc import AsyncGenerator, Generator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import docker.errors
import pytest

from mcp_messenger.config.containers import ContainerConfig, SwarmConfig
from mcp_messenger.instances.runtimes.service_spec import NODE, SECRET_FILE, SWEEP
from mcp_messenger.security.vault import Vault
from tests.docker_engine import CODE
from tests.running import running_app
from tests.stored import rows
from tests.swarm import KEY, Manager, manager, remove_services, services_of, swarm, tasks_of, turn, volume_files
from tests.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]

LONG = pytest.mark.skipif(not os.environ.get("MCP_MESSENGER_TEST_NODES"), reason="takes half a minute: set MCP_MESSENGER_TEST_NODES")
NETWORK = f"mcp-messenger-test-{uuid4().hex[:8]}"


@pytest.fixture
def one_node(engine: Any) -> Generator[Any]:
    with turn(), swarm(engine):
        engine.create_network(NETWORK, driver="overlay", attachable=True)
        yield engine
        remove_services(engine)
        engine.remove_network(NETWORK)


async def test_without_a_swarm_and_off_its_network_the_reason_is_said(database_url: str, tmp_path: Path, engine: Any) -> None:
    containers = ContainerConfig(swarm=SwarmConfig(network=NETWORK))
    with turn():
        if engine.info()["Swarm"]["LocalNodeState"] != "inactive":
            pytest.skip("the engine is in a swarm")
        await _check_reasons(database_url, tmp_path, engine, containers)


async def _check_reasons(database_url: str, tmp_path: Path, engine: Any, containers: ContainerConfig) -> None:
    async with running_app(database_url, tmp_path, containers=containers) as app:
        assert app.swarm is not None
        await until(lambda: app.swarm is not None and "The engine is in no swarm." in (app.swarm.away or ""))
        with swarm(engine):
            # A process outside of containers has no address on an overlay network.
            await until(lambda: app.swarm is not None and f"not on the network {NETWORK}" in (app.swarm.away or ""))
            engine.remove_network(NETWORK)


@pytest.fixture
async def here(one_node: Any, image: str, database_url: str) -> AsyncGenerator[Manager]:
    async with manager(one_node, image, database_url, NETWORK) as found:
        yield found


async def test_a_service_lives_from_its_making_to_its_end(here: Manager, image: str, database_url: str) -> None:
    engine, instance_id = here.engine, await here.made()
    (service,) = services_of(engine, instance_id)
    await _check_hardening(service, instance_id)
    assert await here.sends(instance_id, "hello in there")
    assert (await here.ask("GET", f"/instances/{instance_id}"))["instance"]["container"] == "running"
    # One that is bound to its node after it has begun is not begun again for that.
    (task,) = tasks_of(engine, instance_id)
    assert service["Spec"]["Labels"][NODE] == task["NodeID"]

    engine.kill(task["Status"]["ContainerStatus"]["ContainerID"])
    await here.until_errors(instance_id, "non-zero exit (137)")
    await here.until_instance(instance_id, lambda found: found["status"] == "ready")
    assert await here.sends(instance_id, "are you there again?")

    assert (await here.ask("POST", f"/instances/{instance_id}/stop"))["status"] == "stopped"
    assert [one["Status"]["State"] for one in tasks_of(engine, instance_id) if one["DesiredState"] == "running"] == []
    assert services_of(engine, instance_id)[0]["Spec"]["Mode"]["Replicated"]["Replicas"] == 0
    await here.ask("POST", f"/instances/{instance_id}/start")
    await here.until_instance(instance_id, lambda found: found["status"] == "ready")
    assert "Relay of the Sandbox" in (await here.http.get(f"/api/v1/instances/{instance_id}/logs")).text

    volume = service["Spec"]["TaskTemplate"]["ContainerSpec"]["Mounts"][0]["Source"]
    assert volume_files(engine, image, volume)
    await here.ask("DELETE", f"/instances/{instance_id}")
    assert (services_of(engine, instance_id), [one for one in engine.secrets() if instance_id in str(one)]) == ([], [])
    # The volume cannot be removed from another node: a task on its own node empties it, and goes.
    await until(lambda: volume_files(engine, image, volume) == [], within=60)
    await until(lambda: engine.services(filters={"label": SWEEP}) == [], within=90)
    # Swarm removes the container a moment after its service.
    await until(lambda: _is_removed(engine, volume), pause=0.5)


def _is_removed(engine: Any, volume: str) -> bool:
    with suppress(docker.errors.APIError):
        engine.remove_volume(volume)
        return True
    return False


async def _check_hardening(service: dict[str, Any], instance_id: str) -> None:
    template = service["Spec"]["TaskTemplate"]
    container = template["ContainerSpec"]
    assert (container["ReadOnly"], container["Init"], container["CapabilityDrop"], container["User"]) == (True, True, ["ALL"], "10001:10001")
    assert template["Resources"]["Limits"] == {"NanoCPUs": 10**9, "MemoryBytes": 2**30, "Pids": 512}
    assert (service["Spec"]["UpdateConfig"]["Order"], service["Spec"]["EndpointSpec"]) == ("stop-first", {"Mode": "dnsrr"})
    assert template["RestartPolicy"]["Condition"] == "any"
    assert service["Spec"]["Mode"] == {"Replicated": {"Replicas": 1}}
    # No secret: the key's digest is in a secret of Swarm's.
    assert [one["File"]["Name"] for one in container["Secrets"]] == [SECRET_FILE]
    key = Vault([bytes.fromhex(KEY)]).relay_key(UUID(instance_id)).get_secret_value()
    for secret in (CODE, key, hashlib.sha256(key.encode()).hexdigest()):
        assert secret not in json.dumps(service)


@LONG
async def test_two_managers_share_the_services_and_one_takes_over(here: Manager, image: str, database_url: str) -> None:
    made = [await here.made() for _ in range(2)]
    tasks = {id: tasks_of(here.engine, id)[0]["ID"] for id in made}
    async with manager(here.engine, image, database_url, NETWORK) as second:
        await until(lambda: len(rows(database_url, OWNERS)) == 2, within=60)
        here.engine.kill(here.container)
        await until(lambda: len(rows(database_url, OWNERS)) == 1, within=60)
        for id in made:
            await second.until_instance(id, lambda found: found["status"] == "ready" and found["container"] == "running")
            assert await second.sends(id, "with another manager")
        assert {id: tasks_of(here.engine, id)[0]["ID"] for id in made} == tasks, "the services went on"


OWNERS = """
    SELECT DISTINCT owner FROM leases JOIN message_instances i ON i.id = instance_id WHERE expires_at > now() AND i.status = 'ready'"""


@LONG
async def test_a_node_that_is_drained_is_named_and_the_instance_comes_back_with_it(here: Manager) -> None:
    instance_id = await here.made()
    (node,) = here.engine.nodes()
    availability = {"Role": "manager", "Availability": "drain"}
    here.engine.update_node(node["ID"], node["Version"]["Index"], availability)
    try:
        words = "which has its volume, is drained. The instance goes on by itself when the node is back."
        await here.until_instance(instance_id, lambda found: words in (found["status_reason"] or ""))
    finally:
        (node,) = here.engine.nodes()
        here.engine.update_node(node["ID"], node["Version"]["Index"], {**availability, "Availability": "active"})
    await here.until_instance(instance_id, lambda found: found["status"] == "ready")
    assert await here.sends(instance_id, "back again")
