"""The broker before a real engine: what a server needs goes through, and nothing else has any effect."""

import copy
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from pydantic import SecretStr

from mcp_messenger.broker import settings
from mcp_messenger.broker.rules import MANAGER
from mcp_messenger.config.containers import ContainerConfig
from mcp_messenger.instances.runtimes.engine import Engine
from mcp_messenger.instances.runtimes.spec import INSTALLATION, INSTANCE, labels_of, own_network, spec_for
from mcp_messenger.instances.runtimes.volumes import EMPTY_IMAGE, EngineVolumes, mounting
from mcp_messenger.operations import diagnostics, resources
from mcp_messenger.operations.lifecycle import restart_instance
from mcp_messenger.operations.operation import Input, OfInstance
from mcp_messenger.operations.removal import DeleteInstance, delete_instance
from mcp_messenger.operations.sending import SendMessage, send_message
from mcp_messenger.security.caller import ADMIN
from providers import REGISTRY, provider_class
from tests.docker_engine import SOCKET, contained, site
from tests.program import ROOT, environment
from tests.running import until_status

pytestmark = [pytest.mark.timeout(300)]

VERSION = "v1.41"
Change = Callable[[dict[str, Any]], Any]


@pytest.fixture(scope="module")
def broker(engine: Any, image: str) -> Generator[Path]:
    """The socket of a broker that serves this image, in a folder that others may enter."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    path = folder / "broker.sock"
    env = environment(folder / "data", MCP_MESSENGER_BROKER=str(path), MCP_MESSENGER_DOCKER_IMAGE=image, DOCKER_HOST=f"unix://{SOCKET}")
    process = subprocess.Popen([sys.executable, "-m", "mcp_messenger", "broker"], env=env, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    said = process.stderr.readline()
    assert "the broker listens" in said, said + process.stderr.read()
    yield path
    process.terminate()
    assert process.wait(20) == 0
    assert not path.exists()
    shutil.rmtree(folder)


def test_the_broker_knows_the_images_and_variables_of_all_messengers() -> None:
    classes = [provider_class(name) for name in REGISTRY]
    assert {cls.image_stage for cls in classes} == set(settings.STAGES)
    assert {name for cls in classes for name in cls.passed_on} == settings.VARIABLES


@pytest.mark.anyio
async def test_an_instance_lives_and_dies_through_the_broker(database_url: str, tmp_path: Path, engine: Any, image: str, broker: Path) -> None:
    async with site(database_url, tmp_path, engine, image=image, engine=f"unix://{broker}") as here:
        instance_id = await contained(here)
        args = SendMessage.model_validate({"instance_id": instance_id, "to": "ann", "message": "through the broker"})
        assert (await send_message(here.app, ADMIN, args)).status in {"sent", "delivered", "read"}
        assert any("time=" in line for line in (await diagnostics.get_logs(here.app, ADMIN, diagnostics.GetLogs(instance_id=instance_id))).lines)
        assert (await resources.get_resources(here.app, ADMIN, Input())).containers[0].processes
        await here.ask("kill", here.name(instance_id))
        await restart_instance(here.app, ADMIN, OfInstance(instance_id=instance_id))
        await until_status(here.app, instance_id, "ready")
        await delete_instance(here.app, ADMIN, DeleteInstance(instance_id=instance_id))
        assert (await here.containers(), await here.volumes()) == ([], [])


class Attacker:
    """Knows everything that the server knows, and calls the broker by itself."""

    def __init__(self, broker: Path, engine: Any, image: str) -> None:
        self.http = httpx.Client(transport=httpx.HTTPTransport(uds=str(broker)), base_url="http://broker", timeout=30)
        self.path = broker
        self.installation, self.instance_id = uuid4(), uuid4()
        self.image_id = engine.inspect_image(image)["Id"]
        of: dict[str, Any] = {"installation": self.installation, "instance_id": self.instance_id, "image_id": self.image_id}
        config = ContainerConfig(network="own")
        self.spec = spec_for(config, **of, mode="sandbox-api", relay_key=SecretStr("fake"), passed_on={})
        arguments = self.spec.arguments(engine)
        del arguments["name"]
        self.body: dict[str, Any] = engine.create_container_config(**arguments)

    def create(self, body: Any, name: str | None = None) -> httpx.Response:
        return self.http.post(f"/{VERSION}/containers/create", params={"name": name or self.spec.name}, json=body)

    def filters(self, **more: list[str]) -> dict[str, str]:
        import json

        return {"filters": json.dumps({"label": [f"{INSTALLATION}={self.installation}"], **more})}


@pytest.fixture
def attacker(engine: Any, image: str, tmp_path: Path) -> Generator[Attacker]:
    """Before a broker of its own, for a broker serves the first installation that it hears of."""
    path = tmp_path / "broker.sock"
    env = environment(tmp_path / "data", MCP_MESSENGER_BROKER=str(path), MCP_MESSENGER_DOCKER_IMAGE=image, DOCKER_HOST=f"unix://{SOCKET}")
    process = subprocess.Popen([sys.executable, "-m", "mcp_messenger", "broker"], env=env, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert "the broker listens" in process.stderr.readline()
    made = Attacker(path, engine, image)
    yield made
    made.http.close()
    process.terminate()
    process.wait(20)


def host(name: str, value: Any) -> tuple[str, Change]:
    return f"HostConfig.{name}={value}", lambda body: body["HostConfig"].__setitem__(name, value)


def top(name: str, value: Any) -> tuple[str, Change]:
    return f"{name}={value}", lambda body: body.__setitem__(name, value)


def variable(entry: str) -> tuple[str, Change]:
    return entry, lambda body: body["Env"].append(entry)


CHANGES: list[tuple[str, Change]] = [
    host("Binds", ["/:/host"]),
    host("Binds", ["/var/run/docker.sock:/var/run/docker.sock"]),
    host("Mounts", [{"Type": "bind", "Source": "/", "Target": "/host"}]),
    host("VolumesFrom", ["another"]),
    host("Privileged", True),
    host("CapAdd", ["SYS_ADMIN"]),
    host("CapDrop", []),
    host("SecurityOpt", ["seccomp=unconfined"]),
    host("SecurityOpt", []),
    host("MaskedPaths", ["/nothing"]),
    host("ReadonlyPaths", ["/nothing"]),
    host("NetworkMode", "host"),
    host("NetworkMode", "bridge"),
    host("NetworkMode", "container:another"),
    host("PidMode", "host"),
    host("IpcMode", "host"),
    host("UTSMode", "host"),
    host("UsernsMode", "host"),
    host("CgroupnsMode", "host"),
    host("CgroupParent", "/"),
    host("Cgroup", "another"),
    host("Devices", [{"PathOnHost": "/dev/sda", "PathInContainer": "/dev/sda", "CgroupPermissions": "rwm"}]),
    host("DeviceCgroupRules", ["a *:* rwm"]),
    host("DeviceRequests", [{"Driver": "nvidia", "Count": -1}]),
    host("ReadonlyRootfs", False),
    host("Memory", 2**40),
    host("MemorySwap", -1),
    host("NanoCpus", 64 * 10**9),
    host("PidsLimit", -1),
    host("OomScoreAdj", -1000),
    host("Sysctls", {"kernel.shm_rmid_forced": "1"}),
    host("Ulimits", [{"Name": "nofile", "Soft": 10**6, "Hard": 10**6}]),
    host("GroupAdd", ["0"]),
    host("ExtraHosts", ["postgres:10.0.0.1"]),
    host("Dns", ["10.0.0.1"]),
    host("Links", ["another:another"]),
    host("PortBindings", {"8080/tcp": [{"HostIp": "0.0.0.0", "HostPort": "80"}]}),
    host("PublishAllPorts", True),
    host("Runtime", "another"),
    host("Isolation", "process"),
    host("LogConfig", {"Type": "syslog", "Config": {"syslog-address": "tcp://10.0.0.1:514"}}),
    host("RestartPolicy", {"Name": "always"}),
    host("Tmpfs", {"/tmp": "exec"}),
    host("StorageOpt", {"size": "100G"}),
    host("AutoRemove", True),
    host("ContainerIDFile", "/tmp/id"),
    host("VolumeDriver", "another"),
    top("Image", "local/another:latest"),
    top("User", "0"),
    top("Entrypoint", ["sh", "-c", "id"]),
    top("Cmd", ["serve"]),
    top("Cmd", ["--mode", "instance-manager", "--host", "0.0.0.0", "--api-port", "8080"]),
    top("Cmd", ["--mode", "sandbox-api", "--host", "0.0.0.0", "--api-port", "8080", "--data-dir", "/proc"]),
    top("WorkingDir", "/proc/1/root"),
    top("Volumes", {"/data": {}}),
    top("Healthcheck", {"Test": ["CMD-SHELL", "id"]}),
    top("Hostname", "postgres"),
    top("Domainname", "example"),
    top("MacAddress", "02:42:ac:11:00:02"),
    top("NetworkingConfig", {"EndpointsConfig": {"host": {}}}),
    top("StopSignal", "SIGKILL"),
    top("OnBuild", ["RUN id"]),
    top("Tty", True),
    top("Labels", {MANAGER: "1"}),
    ("a manager's label", lambda body: body["Labels"].__setitem__(MANAGER, "1")),
    ("another installation", lambda body: body["Labels"].__setitem__(INSTALLATION, str(uuid4()))),
    ("another instance", lambda body: body["Labels"].__setitem__(INSTANCE, str(uuid4()))),
    variable("LD_PRELOAD=/data/evil.so"),
    variable("PYTHONPATH=/data"),
    variable("MCP_MESSENGER_MANAGED=0"),
    variable("DATABASE_URL=postgresql://10.0.0.1/"),
    top("Env", None),
    top("HostConfig", None),
    top("HostConfig", []),
    top("Labels", None),
]


def everything(engine: Any) -> set[str]:
    """What there is at the engine, besides what other tests make at the same time."""
    found = {f"container {one['Id']}" for one in engine.containers(all=True) if not of_a_test(one) and "mcp-messenger-test" not in one["Image"]}
    return found | {f"network {one['Name']}" for one in engine.networks() if not of_a_test(one)}


def of_a_test(one: dict[str, Any]) -> bool:
    labels = one.get("Labels") or {}
    return INSTALLATION in labels or labels.get("com.docker.compose.project", "").startswith("mcp-messenger-test")


def own(engine: Any, attacker: Attacker) -> list[str]:
    label = {"label": f"{INSTALLATION}={attacker.installation}"}
    made = [one["Names"][0] for one in engine.containers(all=True, filters=label)]
    made += [one["Name"] for one in engine.volumes(filters=label)["Volumes"] or ()]
    return made + [one["Name"] for one in engine.networks(filters=label)]


def test_a_container_that_differs_from_an_instances_in_anything_is_refused(engine: Any, attacker: Attacker) -> None:
    before = everything(engine)
    assert attacker.http.get(f"/{VERSION}/containers/json", params=attacker.filters()).json() == []
    for what, change in CHANGES:
        body = copy.deepcopy(attacker.body)
        change(body)
        assert body != attacker.body, what
        answer = attacker.create(body)
        assert (answer.status_code, "does not take" in answer.json()["message"]) == (403, True), what
    for name in ("another", f"{attacker.spec.name}x", "../images", attacker.spec.name.upper()):
        assert attacker.create(attacker.body, name).status_code == 403
    assert (everything(engine), own(engine, attacker)) == (before, [])
    # The same body without a change is taken, so what was refused was refused for the change.
    network = {
        "Name": own_network(attacker.installation, attacker.instance_id),
        "Driver": "bridge",
        "CheckDuplicate": True,
        "Labels": labels_of(attacker.installation, attacker.instance_id),
        "IPAM": {"Driver": "default", "Config": [{"Subnet": "10.231.255.0/28"}]},
    }
    try:
        assert attacker.http.post(f"/{VERSION}/networks/create", json=network).status_code == 201
        assert attacker.create(attacker.body).status_code == 201
        made = engine.inspect_container(attacker.spec.name)
        assert (made["HostConfig"]["Binds"], made["HostConfig"]["Privileged"]) == ([f"{attacker.spec.name}:/data:rw"], False)
    finally:
        attacker.http.delete(f"/{VERSION}/containers/{attacker.spec.name}")
        attacker.http.delete(f"/{VERSION}/networks/{network['Name']}")
        engine.remove_volume(attacker.spec.name)
    assert (everything(engine), own(engine, attacker)) == (before, [])


def test_a_backup_reads_and_writes_volumes_through_the_broker_and_nothing_else_does(engine: Any, attacker: Attacker) -> None:
    volumes = EngineVolumes(Engine(f"unix://{attacker.path}"), attacker.installation)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        folder = tarfile.TarInfo("data")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o700
        tar.addfile(folder)
        file = tarfile.TarInfo("data/of-the-login")
        file.size = 5
        tar.addfile(file, io.BytesIO(b"login"))
    before = everything(engine)
    try:
        assert volumes.write(attacker.instance_id, [archive.getvalue()], replace=False)
        read = io.BytesIO(b"".join(volumes.read(attacker.instance_id)))
        with tarfile.open(fileobj=read) as tar:
            assert tar.extractfile("data/of-the-login").read() == b"login"  # pyright: ignore[reportOptionalMemberAccess]
        helper = "mcp-messenger-empty-00000000"
        good = engine.create_container_config(**mounting(engine, EMPTY_IMAGE, attacker.spec.name))
        for what, change in (
            host("Binds", ["/:/data:rw"]),
            host("NetworkMode", "host"),
            host("Privileged", True),
            top("Cmd", ["sh"]),
            top("User", "0"),
        ):
            body = copy.deepcopy(good)
            change(body)
            assert attacker.create(body, helper).status_code == 403, what
        assert attacker.create(good, helper).status_code == 201
        assert attacker.http.post(f"/{VERSION}/containers/{helper}/start").status_code == 403
        assert attacker.http.get(f"/{VERSION}/containers/{helper}/archive", params={"path": "/etc"}).status_code == 403
        assert attacker.http.delete(f"/{VERSION}/containers/{helper}").status_code == 204
    finally:
        engine.remove_volume(attacker.spec.name)
    assert (everything(engine), own(engine, attacker)) == (before, [])


def calls(attacker: Attacker, stranger: str, manager: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Calls of the engine's API that no server needs, and those of a server at things that are not its own."""
    name, body = attacker.spec.name, attacker.body
    ours = f"{INSTALLATION}={attacker.installation}"
    yield from (("GET", path, {}) for path in ("/info", "/images/json", "/system/df", "/swarm", "/nodes", "/services", "/secrets", "/plugins"))
    yield from (
        ("POST", path, {}) for path in ("/build", "/commit", "/auth", "/session", "/grpc", "/swarm/init", "/services/create", "/secrets/create")
    )
    yield from (("POST", f"/{kind}/prune", {}) for kind in ("containers", "images", "networks", "volumes", "build"))
    for own_or_not in (name, stranger):
        for act in ("exec", "attach", "kill", "rename", "update", "pause", "resize", "wait", "restart"):
            yield "POST", f"/containers/{own_or_not}/{act}", {"json": {"Cmd": ["id"]}}
        for act in ("export", "archive?path=/", "top", "changes", "attach/ws"):
            yield "GET", f"/containers/{own_or_not}/{act}", {}
        yield "PUT", f"/containers/{own_or_not}/archive", {"params": {"path": "/"}, "content": b"{}"}
    for act in ("json", "logs", "stats"):
        yield "GET", f"/containers/{stranger}/{act}", {}
    for act in ("start", "stop"):
        yield "POST", f"/containers/{stranger}/{act}", {}
    yield "DELETE", f"/containers/{stranger}", {}
    yield "GET", "/containers/json", {}
    yield "GET", "/containers/json", {"params": {"filters": "{}"}}
    yield "GET", "/containers/json", {"params": {"filters": '{"label": []}'}}
    yield "GET", "/containers/json", {"params": {"filters": f'{{"label": ["{INSTALLATION}"]}}'}}
    yield "GET", "/containers/json", {"params": {"filters": f'{{"label": ["{INSTALLATION}={uuid4()}"]}}'}}
    yield "GET", "/containers/json", {"params": [("filters", attacker.filters()["filters"]), ("filters", "{}")]}
    yield "GET", "/events", {}
    yield "GET", "/events", {"params": attacker.filters(type=["image"])}
    yield "GET", "/volumes", {}
    yield "POST", "/volumes/create", {"json": {"Name": name, "Labels": body["Labels"], "DriverOpts": {"type": "none", "o": "bind", "device": "/"}}}
    yield "POST", "/volumes/create", {"json": {"Name": "another", "Labels": labels_of(attacker.installation, attacker.instance_id)}}
    yield "POST", "/volumes/create", {"json": {"Name": name, "Driver": "another", "Labels": labels_of(attacker.installation, attacker.instance_id)}}
    yield "DELETE", "/volumes/another", {}
    yield "POST", "/images/create", {"params": {"fromImage": "docker.io/evil", "tag": "latest"}}
    yield "POST", "/images/create", {"params": {"fromSrc": "http://10.0.0.1/evil.tar", "repo": "evil"}}
    yield "GET", "/images/local/another/json", {}
    yield "DELETE", f"/images/{attacker.image_id}", {}
    network = own_network(attacker.installation, attacker.instance_id)
    labels = labels_of(attacker.installation, attacker.instance_id)
    shape = {"Name": network, "Driver": "bridge", "CheckDuplicate": True, "Labels": labels}
    within = {"Driver": "default", "Config": [{"Subnet": "10.231.255.0/28"}]}
    yield "POST", "/networks/create", {"json": shape}
    yield "POST", "/networks/create", {"json": {**shape, "Driver": "macvlan", "IPAM": within, "Options": {"parent": "eth0"}}}
    yield "POST", "/networks/create", {"json": {**shape, "IPAM": {"Driver": "default", "Config": [{"Subnet": "10.0.0.0/8"}]}}}
    yield "POST", "/networks/create", {"json": {**shape, "IPAM": {"Driver": "default", "Config": [{"Subnet": "169.254.169.0/28"}]}}}
    yield "POST", "/networks/create", {"json": {"Name": f"mcp-messenger-{attacker.installation.hex[:8]}", "Labels": {INSTALLATION: ours}}}
    yield "POST", "/networks/bridge/connect", {"json": {"Container": manager}}
    yield "POST", "/networks/host/connect", {"json": {"Container": manager}}
    yield "POST", f"/networks/{network}/connect", {"json": {"Container": stranger}}
    yield "POST", f"/networks/{network}/connect", {"json": {"Container": manager, "EndpointConfig": {"IPAMConfig": {"IPv4Address": "10.0.0.1"}}}}
    yield "DELETE", "/networks/bridge", {}
    for path in (f"/containers/{name}/../{stranger}/json", f"/containers/{name}%2F..%2F{stranger}/json", "//containers/json", "/containers/json/"):
        yield "GET", path, {"params": attacker.filters()}
    yield "POST", "/containers/create", {"content": b"[" * 100_000}
    yield "POST", "/containers/create", {"content": b'{"Labels": ' + b'"x"' * 40_000}


def test_every_other_call_is_refused_and_changes_nothing(engine: Any, attacker: Attacker, image: str) -> None:
    attacker.http.get(f"/{VERSION}/containers/json", params=attacker.filters())
    stranger = engine.create_container(image, labels={"of": "somebody else"})["Id"]
    try:
        before, images = everything(engine), {one["Id"] for one in engine.images()}
        state = engine.inspect_container(stranger)["State"]
        for method, path, given in calls(attacker, stranger, stranger[:12]):
            for prefix in ("", f"/{VERSION}"):
                answer = attacker.http.request(method, f"{prefix}{path}", **given)
                assert answer.status_code == 403, (method, prefix + path, answer.text)
        assert (everything(engine), own(engine, attacker)) == (before, [])
        assert images <= {one["Id"] for one in engine.images()}
        assert engine.inspect_container(stranger)["State"] == state
    finally:
        engine.remove_container(stranger, force=True)


def test_another_user_of_the_machine_is_refused(broker: Path, attacker: Attacker) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can become another user")
    program = f"""
import os, socket
os.setuid(12345)
connection = socket.socket(socket.AF_UNIX)
connection.connect({str(broker)!r})
connection.sendall(b"GET /version HTTP/1.1\\r\\nHost: broker\\r\\nConnection: close\\r\\n\\r\\n")
print(connection.makefile().read())
"""
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "403 Forbidden" in said.stdout, said.stdout + said.stderr
    assert "does not take calls of the user 12345" in said.stdout
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(broker)), base_url="http://broker") as same_user:
        assert same_user.get("/version").status_code == 200


def test_a_second_broker_does_not_take_the_socket_of_the_first(broker: Path, image: str) -> None:
    env = environment(broker.parent / "data", MCP_MESSENGER_BROKER=str(broker), MCP_MESSENGER_DOCKER_IMAGE=image)
    second = subprocess.run([sys.executable, "-m", "mcp_messenger", "broker"], env=env, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (second.returncode, f"Another broker serves {broker}." in second.stderr) == (1, True)
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(broker)), base_url="http://broker") as client:
        assert client.get("/version").status_code == 200
