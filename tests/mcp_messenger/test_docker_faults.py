"""What goes wrong around containers: killed, out of memory, crashing, without a port, an image, a volume or an engine; and neighbours."""

import io
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import anyio
import pytest

from db import instances
from mcp_messenger.config.containers import ContainerConfig
from mcp_messenger.operations import diagnostics
from mcp_messenger.operations.application import App
from mcp_messenger.operations.instances import CreateInstance, create_instance
from mcp_messenger.operations.lifecycle import start_instance, stop_instance
from mcp_messenger.operations.operation import OfInstance
from mcp_messenger.operations.removal import DeleteInstance, delete_instance
from mcp_messenger.operations.sending import SendMessage, send_message
from mcp_messenger.security.caller import ADMIN, parse_instance_id
from tests.docker_engine import CODE, EngineProxy, Site, contained, exec_in, site
from tests.running import ready_sandbox, running_app, until_status
from tests.stored import rows
from tests.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]

PATIENCE = 60.0
OURS = "mcp-messenger.installation"


async def begun(app: App, **settings: Any) -> str:
    """The id of a new sandbox instance that is to run in a container."""
    credentials = {"access_code": CODE, "page": False, **settings}
    return (await create_instance(app, ADMIN, CreateInstance(provider="sandbox", runtime="docker", credentials=credentials))).instance_id


async def until_reason(app: App, instance_id: str, words: str) -> str:
    """The status, as soon as its reason holds these words."""
    id = parse_instance_id(instance_id)
    with anyio.fail_after(PATIENCE):
        while True:
            async with app.feed.waiter(id) as grown:
                row = await instances.get(app.database, id)
                if row is not None and words in (row.status_reason or ""):
                    return row.status
                await grown.wait()


async def sends(app: App, instance_id: str, text: str) -> bool:
    args = SendMessage.model_validate({"instance_id": instance_id, "to": "ann", "message": text})
    return (await send_message(app, ADMIN, args)).status in {"sent", "delivered", "read"}


async def errors_of(app: App, instance_id: str) -> str:
    return str((await diagnostics.get_errors(app, ADMIN, diagnostics.History(instance_id=instance_id))).errors)


@pytest.mark.parametrize("how", ["kill", "remove_container", "kill the relay"])
async def test_a_container_that_is_killed_or_removed_comes_back(database_url: str, tmp_path: Path, engine: Any, image: str, how: str) -> None:
    async with site(database_url, tmp_path, engine, image=image) as here:
        instance_id = await contained(here)
        await exec_in(here, instance_id, ["touch", "/data/of-the-login"])
        before = rows(database_url, "SELECT count(*) FROM status_history WHERE status = 'ready'")
        port = here.docker.containers[UUID(instance_id)].port
        if how == "kill the relay":
            # The engine starts it again by itself.
            await exec_in(here, instance_id, ["sh", "-c", "kill -9 -1"])
        else:
            await here.ask(how, here.name(instance_id), **({"force": True} if how == "remove_container" else {}))
        await until(lambda: rows(database_url, "SELECT count(*) FROM status_history WHERE status = 'ready'") > before)
        assert "exit code 137 (killed)" in await errors_of(here.app, instance_id)
        assert here.docker.containers[UUID(instance_id)].port != port, "the engine chooses a port at each start"
        assert await sends(here.app, instance_id, "are you there again?")
        assert (await exec_in(here, instance_id, ["ls", "/data/of-the-login"]))[1] == 0


async def test_a_container_that_runs_out_of_memory_says_so(database_url: str, tmp_path: Path, engine: Any, image: str) -> None:
    # Far less than the program needs to start.
    async with site(database_url, tmp_path, engine, image=image, memory=16 * 2**20) as here:
        instance_id = await begun(here.app)
        await until_reason(here.app, instance_id, "ran out of memory (limit 16 MB)")


async def test_a_crash_loop_is_left_alone_and_told_with_its_last_words(database_url: str, tmp_path: Path, engine: Any, image: str) -> None:
    name = await built(engine, f'FROM {image}\nENTRYPOINT ["sh", "-c", "echo the disk is on fire; exit 3"]\n')
    async with site(database_url, tmp_path, engine, image=name) as here:
        instance_id = await begun(here.app)
        assert await until_reason(here.app, instance_id, 'Its last words: "the disk is on fire".') == "error"
        found = await here.inspect(instance_id)
        assert (found["State"]["Running"], found["State"]["ExitCode"]) == (False, 3)
    await anyio.to_thread.run_sync(lambda: engine.remove_image(name))


async def built(engine: Any, dockerfile: str) -> str:
    name = f"mcp-messenger-test-crash:{uuid4().hex[:8]}"
    await anyio.to_thread.run_sync(lambda: list(engine.build(fileobj=io.BytesIO(dockerfile.encode()), tag=name, rm=True)))
    return name


async def test_a_volume_that_was_deleted_is_missed(database_url: str, tmp_path: Path, engine: Any, image: str) -> None:
    async with site(database_url, tmp_path, engine, image=image, keep=True) as here:
        instance_id = await contained(here)
        name = here.name(instance_id)
    # The engine gives up a volume only when no container has it any more.
    await anyio.to_thread.run_sync(lambda: engine.remove_container(name, force=True))
    await anyio.to_thread.run_sync(lambda: engine.remove_volume(name))
    async with site(database_url, tmp_path, engine, image=image) as here:
        await until_reason_was(database_url, "The volume with the login was gone.")
        await until_status(here.app, instance_id, "ready")
        assert await here.volumes() == [name]


async def until_reason_was(database_url: str, words: str) -> None:
    await until(lambda: bool(rows(database_url, "SELECT 1 FROM status_history WHERE position(%s in reason) > 0", words)))


async def test_a_missing_image_is_built_while_the_state_tells_the_steps(database_url: str, tmp_path: Path, engine: Any, image: str) -> None:
    folder, name = tmp_path / "source", f"mcp-messenger-test-built:{uuid4().hex[:8]}"
    folder.mkdir()
    (folder / "Dockerfile").write_text("ARG FROM_IMAGE\nFROM ${FROM_IMAGE} AS runtime\nLABEL built=here\n")
    async with site(database_url, tmp_path, engine, image=name, build_from=folder, build_args={"FROM_IMAGE": image}) as here:
        instance_id = await begun(here.app)
        await until_status(here.app, instance_id, "ready")
        assert (await here.inspect(instance_id))["Config"]["Labels"]["built"] == "here"
        told = [row[0] for row in rows(database_url, "SELECT reason FROM status_history WHERE status = 'processing' AND reason IS NOT NULL")]
        assert any(name in reason for reason in told), told
    await anyio.to_thread.run_sync(lambda: engine.remove_image(name))


async def test_an_image_that_cannot_be_had_is_told_in_dockers_words(database_url: str, tmp_path: Path, engine: Any) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM scratch AS runtime\nCOPY nothing-there /\n")
    async with site(database_url, tmp_path, engine, image="mcp-messenger-test-broken:latest", build_from=folder) as here:
        instance_id = await begun(here.app)
        assert await until_reason(here.app, instance_id, "could not be built") == "error"
        assert await until_reason(here.app, instance_id, "nothing-there") == "error"


async def test_without_an_engine_the_rest_works_and_containers_come_when_it_does(database_url: str, tmp_path: Path, engine: Any, image: str) -> None:
    proxy = EngineProxy(tmp_path / "engine.sock")
    async with site(database_url, tmp_path / "data", engine, image=image, engine=proxy.address) as here:
        instance_id = await begun(here.app)
        assert await until_reason(here.app, instance_id, "Docker does not answer") == "processing"
        await ready_sandbox(here.app)
        waits = await create_instance(here.app, ADMIN, CreateInstance(provider="whatsappweb"))
        assert waits.instance.runtime == "docker", "a browser is not looked for here because the engine is away"
        await delete_instance(here.app, ADMIN, DeleteInstance(instance_id=waits.instance_id))
        await proxy.come_back()
        await until_status(here.app, instance_id, "ready")
        await proxy.go_down()
        await until(lambda: here.docker.away is not None)
        # It goes on without: only its making needs the engine.
        assert (await instances.get(here.app.database, parse_instance_id(instance_id))).status == "ready"  # pyright: ignore[reportOptionalMemberAccess]
        await here.ask("kill", here.name(instance_id))
        await proxy.come_back()
        await until_reason_was(database_url, "ended with exit code 137")
        await until_status(here.app, instance_id, "ready")
        await proxy.go_down()


async def test_what_belongs_to_nobody_is_collected_and_what_is_not_ours_is_left(database_url: str, tmp_path: Path, engine: Any, image: str) -> None:
    async with site(database_url, tmp_path, engine, image=image, keep=True) as here:
        instance_id, installation = await contained(here), here.installation
    strangers = [f"not-ours-{uuid4().hex[:8]}", f"other-{uuid4().hex[:8]}"]
    labels: list[dict[str, str]] = [{}, {OURS: str(uuid4()), "mcp-messenger.instance": str(uuid4())}]

    def make_strangers() -> None:
        for name, label in zip(strangers, labels, strict=True):
            engine.create_volume(name, labels=label)
            engine.create_container(image, name=name, labels=label)

    def remove_strangers() -> list[str]:
        found = [one["Names"][0].strip("/") for one in engine.containers(all=True) if one["Names"][0].strip("/") in strangers]
        for name in strangers:
            engine.remove_container(name)
            engine.remove_volume(name)
        return found

    await anyio.to_thread.run_sync(make_strangers)
    try:
        # As if it had been deleted by a process without an engine.
        rows(database_url, "DELETE FROM leases WHERE instance_id = %s", instance_id)
        rows(database_url, "DELETE FROM message_instances WHERE id = %s", instance_id)
        async with site(database_url, tmp_path, engine, image=image) as here:
            await until(lambda: here.docker.away is None)
            assert here.installation == installation
            assert (await here.containers(), await here.volumes()) == ([], [])
    finally:
        assert sorted(await anyio.to_thread.run_sync(remove_strangers)) == sorted(strangers)


async def test_a_container_of_somebody_else_with_the_instances_name_is_left_alone(database_url: str, tmp_path: Path, engine: Any, image: str) -> None:
    async with site(database_url, tmp_path, engine, image=image) as here:
        await until(lambda: here.docker.away is None)
        instance_id = await stopped_without_container(here)
        name = here.name(instance_id)
        stranger = (await here.ask("create_container", image, name=name))["Id"]
        await start_instance(here.app, ADMIN, OfInstance(instance_id=instance_id))
        assert await until_reason(here.app, instance_id, "is not one of this installation's") == "error"
        assert (await here.ask("inspect_container", name))["Id"] == stranger
        await here.ask("remove_container", name)
        await until_status(here.app, instance_id, "ready")


async def stopped_without_container(here: Site) -> str:
    instance_id = await contained(here)
    await stop_instance(here.app, ADMIN, OfInstance(instance_id=instance_id))
    await here.ask("remove_container", here.name(instance_id))
    return instance_id


async def test_an_instance_that_was_stopped_while_nobody_looked_is_stopped(database_url: str, tmp_path: Path, engine: Any, image: str) -> None:
    async with site(database_url, tmp_path, engine, image=image, keep=True) as here:
        instance_id = await contained(here)
    rows(database_url, "UPDATE message_instances SET desired = 'stopped'")
    async with site(database_url, tmp_path, engine, image=image) as here:
        await until(lambda: [one.state for one in here.docker.containers.values()] == ["exited"])
        await until_status(here.app, instance_id, "stopped")


async def test_two_managers_of_one_database_have_one_container(database_url: str, tmp_path: Path, engine: Any, image: str) -> None:
    containers = ContainerConfig(enabled=True, image=image)
    async with site(database_url, tmp_path, engine, image=image) as second:
        async with running_app(database_url, tmp_path, containers=containers) as first:
            made = [await contained(second) for _ in range(2)]
            await until(lambda: len(second.docker.containers) == 2)
            before = {one["Id"] for one in await second.containers()}
            assert len(before) == 2
            holders = [first if first.supervisor.get(parse_instance_id(id)) else second.app for id in made]
            assert all(app.supervisor.get(parse_instance_id(id)) for app, id in zip(holders, made, strict=True))
        # The other has gone: what it held is taken over, and goes on in the container that it is in.
        await until(lambda: all(second.app.supervisor.get(parse_instance_id(id)) for id in made))
        for id in made:
            await until_status(second.app, id, "ready")
        assert {one["Id"] for one in await second.containers()} == before
