"""Instances in containers of their own, by a real engine: made, reached, stopped, thrown away, looked into."""

import json
import logging
import secrets
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from mcp_messenger.errors import NotAvailable
from mcp_messenger.operations import diagnostics, resources
from mcp_messenger.operations.instances import CreateInstance, create_instance, get_instance
from mcp_messenger.operations.keys import get_current_api_key, rotate_api_key
from mcp_messenger.operations.lifecycle import ProcessInstance, process_instance, restart_instance, start_instance, stop_instance
from mcp_messenger.operations.operation import Input, OfInstance
from mcp_messenger.operations.removal import DeleteInstance, delete_instance
from mcp_messenger.operations.sending import SendMessage, send_message
from mcp_messenger.operations.views import InstanceView
from mcp_messenger.operations.waiting import WaitForReply, wait_for_reply
from mcp_messenger.relay import protocol
from mcp_messenger.security.caller import ADMIN
from tests.docker_engine import CODE, contained, exec_in, site
from tests.mcp_messenger.relay.messengers import SETTINGS
from tests.running import listened_for, running_app, serving, serving_addresses, until_status
from tests.stored import rows
from tests.waiting import until, until_answer

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]


def send_to_ann(instance_id: str, text: str) -> SendMessage:
    return SendMessage.model_validate({"instance_id": instance_id, "to": "ann", "message": text})


async def test_an_instance_in_a_container_sends_and_gets_answers(database_url: str, tmp_path: Path, engine: Any, image: str) -> None:
    async with site(database_url, tmp_path, engine, image=image) as here:
        instance_id = await contained(here)
        sent = await send_message(here.app, ADMIN, send_to_ann(instance_id, "hello in there"))
        assert sent.status in {"sent", "delivered", "read"}
        replies = await wait_for_reply(here.app, ADMIN, WaitForReply(instance_id=instance_id, message_id=sent.message_id, timeout=20))
        assert "hello in there" in replies.replies[0].text
        view = (await get_instance(here.app, ADMIN, OfInstance(instance_id=instance_id))).instance
        assert (view.runtime, view.container) == ("docker", "running")


async def test_an_instance_in_a_container_has_its_address_at_the_server(database_url: str, tmp_path: Path, engine: Any, image: str) -> None:
    async with site(database_url, tmp_path, engine, image=image) as here, serving_addresses(here.app):
        instance_id = await contained(here)
        key = (await get_current_api_key(here.app, ADMIN, OfInstance(instance_id=instance_id))).api_key
        address = await listened_for(here.app, instance_id)
        assert (await get_instance(here.app, ADMIN, OfInstance(instance_id=instance_id))).address == address
        async with httpx.AsyncClient(base_url=address, headers={"Authorization": f"Bearer {key}"}, trust_env=False, timeout=30) as client:
            assert (await client.get("/health")).json()["running_here"] is True
            sent = (await client.post("/api/v1/send", json={"to": "ann", "message": "over its address"})).json()
            assert sent["status"] in {"sent", "delivered", "read"}
            assert "over its address" in (await client.get("/api/v1/messages/ann")).text


async def test_a_container_is_shut_in_and_holds_no_secret(database_url: str, tmp_path: Path, engine: Any, image: str) -> None:
    async with site(database_url, tmp_path, engine, image=image, memory=256 * 2**20, cpus=0.5, pids=100) as here:
        instance_id = await contained(here)
        found = await here.inspect(instance_id)
        host, config = found["HostConfig"], found["Config"]
        assert (host["ReadonlyRootfs"], host["CapDrop"], host["SecurityOpt"], host["Init"]) == (True, ["ALL"], ["no-new-privileges"], True)
        assert (host["Memory"], host["MemorySwap"], host["NanoCpus"], host["PidsLimit"]) == (2**28, 2**28, 500_000_000, 100)
        assert host["RestartPolicy"]["Name"] == "on-failure"
        assert host["LogConfig"]["Config"]["max-size"] == "10m"
        assert config["User"] == "10001:10001"
        assert config["Healthcheck"]["Test"]
        assert [port["HostIp"] for port in host["PortBindings"]["8080/tcp"]] == ["127.0.0.1"]
        api_key = (await get_current_api_key(here.app, ADMIN, OfInstance(instance_id=instance_id))).api_key
        _, _, files = await exec_in(here, instance_id, ["sh", "-c", "cat $(find /data /tmp -type f); env; id -u"])
        assert "10001" in files
        for secret in (CODE, api_key):
            assert secret not in json.dumps(found)
            assert secret not in files


async def test_the_relay_is_published_to_its_manager_alone_and_takes_no_other_key(database_url: str, tmp_path: Path, engine: Any, image: str) -> None:
    async with site(database_url, tmp_path, engine, image=image) as here:
        instance_id = await contained(here)
        of = OfInstance(instance_id=instance_id)
        api_key = (await get_current_api_key(here.app, ADMIN, of)).api_key
        found = await here.inspect(instance_id)
        assert [(port["HostIp"], port["HostPort"] or "0") for port in found["HostConfig"]["PortBindings"]["8080/tcp"]] == [("127.0.0.1", "0")]
        (published,) = found["NetworkSettings"]["Ports"]["8080/tcp"]
        relay_key = here.app.vault().relay_key(UUID(instance_id)).get_secret_value()

        async def status(path: str, key: str | None) -> int:
            headers = {} if key is None else {"Authorization": f"Bearer {key}"}
            async with httpx.AsyncClient(trust_env=False) as client:
                return (await client.get(f"http://127.0.0.1:{published['HostPort']}{path}", headers=headers)).status_code

        assert await status("/health", None) == 200
        for key in (None, api_key, "mm_not-the-key-of-this-relay-000000000000"):
            assert await status(protocol.EVENTS, key) == 401
        assert await status(protocol.EVENTS, relay_key) == 200
        assert await status("/api/v1/account", relay_key) == 404
        await rotate_api_key(here.app, ADMIN, of)
        assert (await send_message(here.app, ADMIN, send_to_ann(instance_id, "with another API key"))).status in {"sent", "delivered", "read"}
        again = await here.inspect(instance_id)
        assert (again["Id"], again["State"]["StartedAt"]) == (found["Id"], found["State"]["StartedAt"]), "an API key is none of the relay's business"


async def test_an_instance_without_an_api_key_runs_in_a_container(database_url: str, tmp_path: Path, engine: Any, image: str) -> None:
    async with site(database_url, tmp_path, engine, image=image) as here:
        instance_id = await contained(here)
        rows(database_url, "DELETE FROM api_keys")
        await restart_instance(here.app, ADMIN, OfInstance(instance_id=instance_id))
        await until_status(here.app, instance_id, "ready")
        assert (await send_message(here.app, ADMIN, send_to_ann(instance_id, "without a key"))).status in {"sent", "delivered", "read"}


async def test_another_first_secret_key_makes_the_container_again_with_the_same_login(
    database_url: str, tmp_path: Path, engine: Any, image: str
) -> None:
    async with site(database_url, tmp_path, engine, image=image, keep=True) as here:
        instance_id = await contained(here)
        first = (await here.inspect(instance_id))["Id"]
        await exec_in(here, instance_id, ["touch", "/data/of-the-login"])
    # Both keys are in the file, the new one first, as in the variable.
    file = tmp_path / "secret.key"
    file.write_text(f"{secrets.token_hex(32)},{file.read_text().strip()}")
    async with site(database_url, tmp_path, engine, image=image) as here:
        await until(lambda: [one.id for one in here.docker.containers.values() if one.state == "running"] not in ([], [first]))
        await until_status(here.app, instance_id, "ready")
        assert (await here.inspect(instance_id))["Id"] != first
        assert (await exec_in(here, instance_id, ["ls", "/data/of-the-login"]))[1] == 0
        assert (await send_message(here.app, ADMIN, send_to_ann(instance_id, "still there?"))).status in {"sent", "delivered", "read"}


async def test_instances_on_published_ports_do_not_reach_one_another(database_url: str, tmp_path: Path, engine: Any, image: str) -> None:
    async with site(database_url, tmp_path, engine, image=image) as here:
        made = [await contained(here) for _ in range(2)]
        own, other = [next(iter((await here.inspect(id))["NetworkSettings"]["Networks"].values()))["IPAddress"] for id in made]
        program = "import socket, sys; socket.create_connection((sys.argv[1], 8080), 2)"
        assert (await exec_in(here, made[0], ["python3", "-c", program, own]))[1] == 0
        assert (await exec_in(here, made[0], ["python3", "-c", program, other]))[1] == 1


async def test_on_a_network_nothing_is_published(database_url: str, tmp_path: Path, engine: Any, image: str) -> None:
    async with site(database_url, tmp_path, engine, image=image, network="bridge") as here:
        await until(lambda: here.docker.away is None)
        settings = {"access_code": CODE, "page": False}
        made = await create_instance(here.app, ADMIN, CreateInstance(provider="sandbox", runtime="docker", credentials=settings))
        await until(lambda: [one.state for one in here.docker.containers.values()] == ["running"])
        found = await here.inspect(made.instance_id)
        assert not found["HostConfig"]["PortBindings"]
        assert not any(found["NetworkSettings"]["Ports"].values())


async def test_stop_start_recreate_and_delete(database_url: str, tmp_path: Path, engine: Any, image: str) -> None:
    async with site(database_url, tmp_path, engine, image=image) as here:
        instance_id = await contained(here)
        of = OfInstance(instance_id=instance_id)
        first = (await here.inspect(instance_id))["Id"]
        assert (await stop_instance(here.app, ADMIN, of)).status == "stopped"
        state = (await here.inspect(instance_id))["State"]
        assert (state["Running"], state["ExitCode"]) == (False, 0), "it was given the time to end by itself"
        await start_instance(here.app, ADMIN, of)
        await until_status(here.app, instance_id, "ready")
        await process_instance(here.app, ADMIN, ProcessInstance(instance_id=instance_id))
        assert (await here.inspect(instance_id))["Id"] == first
        await exec_in(here, instance_id, ["touch", "/data/of-the-login"])
        await process_instance(here.app, ADMIN, ProcessInstance(instance_id=instance_id, force_recreate=True))
        await until_status(here.app, instance_id, "ready")
        assert (await here.inspect(instance_id))["Id"] != first
        assert (await exec_in(here, instance_id, ["ls", "/data/of-the-login"]))[1] != 0
        await delete_instance(here.app, ADMIN, DeleteInstance(instance_id=instance_id))
        assert (await here.containers(), await here.volumes()) == ([], [])


async def test_a_manager_that_comes_back_adopts_what_runs(database_url: str, tmp_path: Path, engine: Any, image: str) -> None:
    async with site(database_url, tmp_path, engine, image=image, keep=True) as here:
        instance_id = await contained(here)
        first = await here.inspect(instance_id)
    async with site(database_url, tmp_path, engine, image=image) as here:
        # The store says ready from before.
        await until(lambda: (owned := here.app.supervisor.get(UUID(instance_id))) is not None and owned.provider.state.state == "ready")
        await until_status(here.app, instance_id, "ready")
        again = await here.inspect(instance_id)
        assert (again["Id"], again["State"]["StartedAt"]) == (first["Id"], first["State"]["StartedAt"])
        sent = await send_message(here.app, ADMIN, send_to_ann(instance_id, "still there?"))
        assert sent.status in {"sent", "delivered", "read"}


async def test_other_limits_make_another_container_with_the_same_login(database_url: str, tmp_path: Path, engine: Any, image: str) -> None:
    async with site(database_url, tmp_path, engine, image=image, keep=True) as here:
        instance_id = await contained(here)
        first = (await here.inspect(instance_id))["Id"]
        await exec_in(here, instance_id, ["touch", "/data/of-the-login"])
    async with site(database_url, tmp_path, engine, image=image, memory=300 * 2**20) as here:
        await until(lambda: [one.id for one in here.docker.containers.values() if one.state == "running"] not in ([], [first]))
        await until_status(here.app, instance_id, "ready")
        assert (await here.inspect(instance_id))["HostConfig"]["Memory"] == 300 * 2**20
        assert (await exec_in(here, instance_id, ["ls", "/data/of-the-login"]))[1] == 0


async def test_logs_are_those_of_the_manager_and_of_the_container(
    database_url: str, tmp_path: Path, engine: Any, image: str, caplog: pytest.LogCaptureFixture
) -> None:
    # As the program logs, and pytest does not.
    caplog.set_level(logging.INFO, "mcp_messenger")
    async with site(database_url, tmp_path, engine, image=image) as here, serving(here.app) as url:
        instance_id = await contained(here)
        lines = (await diagnostics.get_logs(here.app, ADMIN, diagnostics.GetLogs(instance_id=instance_id))).lines
        assert any("state: ready" in line and "instances.states" in line for line in lines)
        theirs: bytes = await here.ask("logs", here.name(instance_id))
        assert theirs.splitlines()
        assert {line.decode() for line in theirs.splitlines() if b"time=" in line} <= set(lines)
        async with (
            httpx.AsyncClient(trust_env=False, timeout=20) as client,
            client.stream("GET", f"{url}/api/v1/instances/{instance_id}/logs?follow=true&tail=1") as stream,
        ):
            coming = stream.aiter_lines()
            assert (await anext(coming)).startswith("data: ")
            await exec_in(here, instance_id, ["bash", "-c", "echo a line of its own >/proc/1/fd/2"])
            async for line in coming:
                if line == "data: a line of its own":
                    break
            else:
                pytest.fail("the stream ended without the line")


async def test_resources_are_those_of_the_engine(database_url: str, tmp_path: Path, engine: Any, image: str) -> None:
    async with site(database_url, tmp_path, engine, image=image, memory=512 * 2**20) as here:
        instance_id = await contained(here)
        found = await resources.get_resources(here.app, ADMIN, Input())
        assert found.docker is not None
        assert (found.docker.away, found.docker.containers, found.docker.running) == (None, 1, 1)
        assert found.docker.version == (await here.ask("version"))["Version"]
        (one,) = found.containers
        assert (one.instance_id, one.state, one.memory_limit_mb) == (instance_id, "running", 512.0)
        assert one.memory_mb is not None
        assert 5 < one.memory_mb < 512
        assert one.processes


async def test_where_there_is_no_docker_runtime_it_is_refused(database_url: str, tmp_path: Path) -> None:
    async with running_app(database_url, tmp_path) as app:
        for runtime in ("docker", "swarm"):
            with pytest.raises(NotAvailable, match=f"The runtime {runtime} is not available"):
                await create_instance(app, ADMIN, CreateInstance.model_validate({"provider": "sandbox", "runtime": runtime}))


async def test_every_messenger_runs_in_a_container(database_url: str, tmp_path: Path, engine: Any, image: str) -> None:
    async with site(database_url, tmp_path, engine, image=image) as here:
        made = [
            (await create_instance(here.app, ADMIN, CreateInstance(provider=provider, runtime="docker", credentials=settings))).instance_id
            for provider, settings in SETTINGS.items()
        ]
        for instance_id, provider in zip(made, SETTINGS, strict=True):
            ask = partial(get_instance, here.app, ADMIN, OfInstance(instance_id=instance_id))
            view = (await until_answer(ask, lambda found: found.instance.container == "running" and _has_spoken(found.instance), 120)).instance
            assert (view.status == "ready") == (provider == "sandbox"), (provider, view.status_reason)


def _has_spoken(view: InstanceView) -> bool:
    """The platform's own trouble has been told, not that of a container on its way."""
    return view.status in {"ready", "error"} or (view.status in {"starting", "degraded"} and "container" not in (view.status_reason or "container"))
