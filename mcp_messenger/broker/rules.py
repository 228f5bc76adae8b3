"""Which calls of the engine's API a server may make, and how they are passed on.

A call is taken apart and made again out of its known parts: no path, query, header or body of the caller's reaches the engine as it was. What a
container is made of must equal the specification that the server itself would make for an instance.
"""

import functools
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from typing import Any, cast
from uuid import UUID

from mcp_messenger.broker.settings import VARIABLES, BrokerConfig
from mcp_messenger.config.modes import API_MODES
from mcp_messenger.instances.runtimes import networks
from mcp_messenger.instances.runtimes.spec import DATA, INSTALLATION, INSTANCE, PORT, SECOND, Spec, labels_of, name_of, own_network
from mcp_messenger.instances.runtimes.volumes import EMPTY_IMAGE, empty_archive, mounting

Json = Mapping[str, Any]
Query = Mapping[str, str]
Nothing: Json = {}

MANAGER = "mcp-messenger.manager"
"""Label of the containers that servers run in: those that may join an instance's network."""
VERSION = r"(?:/v(?P<version>1\.\d{2}))?"
CONTAINER = r"(?P<name>mcp-messenger-[0-9a-f]{8}-[0-9a-f-]{36})"
NETWORK = rf"(?P<name>mcp-messenger-[0-9a-f]{{8}}|zz-{CONTAINER.replace('?P<name>', '?:')}|[0-9a-f]{{64}})"
HELPER = rf"(?P<name>{EMPTY_IMAGE}-[0-9a-f]{{8}})"
"""A container that is never started: a backup reads and writes a volume through it."""
ID = re.compile(r"[0-9a-f]{12,64}")
RELAY_VARIABLES = frozenset("MCP_MESSENGER_" + name for name in ("MANAGED", "INSTANCE_ID", "API_KEY_SHA256", "DATA_DIR", "PORT"))


class NotTaken(Exception):
    """The call is none that a server needs."""


@dataclass(frozen=True)
class Call:
    """As it is passed on."""

    method: str
    path: str
    query: Query = field(default_factory=dict[str, str])
    body: Any = None
    content: bytes | None = None
    """A tar archive of the broker's own."""
    is_upload: bool = False
    """With the archive that comes in."""
    is_stream: bool = False


@dataclass(frozen=True)
class Asked:
    """As it came in."""

    version: str
    name: str
    query: Query
    body: Json

    def known(self, *names: str) -> dict[str, str]:
        """Return the query. Raises NotTaken for a parameter that has another name."""
        if unknown := self.query.keys() - set(names):
            raise NotTaken(f"the parameter {min(unknown)}")
        return dict(self.query)


Find = Callable[[str], Awaitable[Json | None]]
"""Asks the engine for the JSON at a path; None where there is nothing."""


class Rules:
    """Serves one installation: the first that is named. Another one needs another broker."""

    def __init__(self, config: BrokerConfig, find: Find) -> None:
        self._config = config
        self._find = find
        self._installation: UUID | None = None
        self._routes: Sequence[tuple[str, re.Pattern[str], Callable[[Asked], Awaitable[Call]]]] = [
            (method, re.compile(VERSION + path), work)
            for method, path, work in (
                ("GET", "/_ping", self._plain("/_ping")),
                ("GET", "/version", self._plain("/version")),
                ("GET", "/events", self._events),
                ("GET", "/containers/json", self._listing("/containers/json", "all", "limit", "size", "trunc_cmd")),
                ("POST", "/containers/create", self._create_container),
                ("GET", f"/containers/{CONTAINER}/json", self._of_container("GET", "/json")),
                ("GET", f"/containers/{CONTAINER}/logs", self._logs),
                ("GET", f"/containers/{CONTAINER}/stats", self._stats),
                ("POST", f"/containers/{CONTAINER}/start", self._of_container("POST", "/start")),
                ("POST", f"/containers/{CONTAINER}/stop", self._of_container("POST", "/stop", "t")),
                ("DELETE", f"/containers/{CONTAINER}", self._remove_container),
                ("GET", f"/containers/{HELPER}/archive", self._of_helper("GET", "/archive", DATA)),
                ("PUT", f"/containers/{HELPER}/archive", self._of_helper("PUT", "/archive", "/")),
                ("DELETE", f"/containers/{HELPER}", self._of_helper("DELETE", "", None)),
                ("GET", "/volumes", self._listing("/volumes")),
                ("POST", "/volumes/create", self._create_volume),
                ("GET", f"/volumes/{CONTAINER}", self._of_volume("GET")),
                ("DELETE", f"/volumes/{CONTAINER}", self._of_volume("DELETE")),
                ("GET", "/images/(?P<name>[a-zA-Z0-9][a-zA-Z0-9._:/-]*)/json", self._image),
                ("POST", "/images/create", self._pull),
                ("GET", "/networks", self._listing("/networks")),
                ("POST", "/networks/create", self._create_network),
                ("GET", f"/networks/{NETWORK}", self._of_network("GET")),
                ("DELETE", f"/networks/{NETWORK}", self._of_network("DELETE")),
                ("POST", f"/networks/{NETWORK}/connect", self._join),
                ("POST", f"/networks/{NETWORK}/disconnect", self._leave),
            )
        ]

    async def taken(self, method: str, path: str, query: Query, body: Json) -> Call:
        """Return the call as it is passed on. Raises NotTaken; nothing has reached the engine then but questions."""
        for allowed, pattern, work in self._routes:
            found = pattern.fullmatch(path) if method == allowed else None
            if found is not None:
                parts = found.groupdict()
                return await work(Asked(parts["version"] or "1.41", parts.get("name") or "", query, body))
        raise NotTaken(f"{method} {path}")

    def _serve(self, installation: object) -> UUID:
        """Raises NotTaken for another installation than the one that is served."""
        try:
            given = UUID(str(installation))
        except ValueError:
            raise NotTaken("something without an installation's label") from None
        self._installation = self._installation or given
        if given != self._installation:
            raise NotTaken(f"the installation {given}: this broker serves {self._installation} until it is started again")
        return given

    def _plain(self, path: str) -> Callable[[Asked], Awaitable[Call]]:
        async def work(asked: Asked) -> Call:
            asked.known()
            return Call("GET", path)

        return work

    def _filtered(self, text: str, **more: str) -> str:
        """Return the filters made again: those of the one label, and `more`."""
        try:
            given: Any = json.loads(text)
            (label,) = given["label"]
        except (ValueError, KeyError, TypeError):
            raise NotTaken("a list without the filter of the installation's label") from None
        name, _, value = str(label).partition("=")
        expected = {key: [value] for key, value in more.items()} | {"label": [label]}
        if name != INSTALLATION or given != expected:
            raise NotTaken("other filters than that of the installation's label")
        self._serve(value)
        return json.dumps(expected)

    def _listing(self, path: str, *more: str) -> Callable[[Asked], Awaitable[Call]]:
        async def work(asked: Asked) -> Call:
            query = asked.known("filters", *more)
            return Call("GET", path, query | {"filters": self._filtered(query.get("filters", ""))})

        return work

    async def _events(self, asked: Asked) -> Call:
        query = asked.known("filters", "since", "until")
        return Call("GET", "/events", query | {"filters": self._filtered(query.get("filters", ""), type="container")}, is_stream=True)

    async def _own(self, kind: str, name: str, labels_in: Callable[[Json], Any]) -> str:
        """Return the engine's id of something of this installation's. Raises NotTaken for something of others; what is missing keeps its name."""
        found = await self._find(f"/{kind}s/{name}" + ("/json" if kind == "container" else ""))
        if found is None:
            return name
        labels: Json = Nothing if labels_in(found) is None else labels_in(found)
        if INSTALLATION not in labels:
            raise NotTaken(f"the {kind} {name}, which is not one of an installation's")
        self._serve(labels[INSTALLATION])
        return found.get("Id") or name

    async def _container(self, name: str) -> str:
        return await self._own("container", name, lambda found: found["Config"]["Labels"])

    def _of_container(self, method: str, rest: str, *parameters: str) -> Callable[[Asked], Awaitable[Call]]:
        async def work(asked: Asked) -> Call:
            query = asked.known(*parameters)
            return Call(method, f"/containers/{await self._container(asked.name)}{rest}", query)

        return work

    async def _logs(self, asked: Asked) -> Call:
        query = asked.known("stdout", "stderr", "follow", "since", "until", "tail", "timestamps")
        return Call("GET", f"/containers/{await self._container(asked.name)}/logs", query, is_stream=True)

    async def _stats(self, asked: Asked) -> Call:
        asked.known("stream", "one-shot")
        return Call("GET", f"/containers/{await self._container(asked.name)}/stats", {"stream": "false"})

    async def _remove_container(self, asked: Asked) -> Call:
        asked.known("v", "link", "force")
        return Call("DELETE", f"/containers/{await self._container(asked.name)}", {"force": "true"})

    async def _create_container(self, asked: Asked) -> Call:
        query = asked.known("name", "platform")
        if re.fullmatch(HELPER, query.get("name", "")):
            return await self._create_helper(asked, query["name"])
        spec = await self._spec(asked.body)
        if query.get("name") != spec.name or "platform" in query:
            raise NotTaken("a container with another name than its instance's")
        expected = _written(_sdk(asked.version).create_container_config(**_config_of(spec, asked.version)))
        if _written(asked.body) != expected:
            raise NotTaken(f"a container that differs from an instance's in {_difference(_written(asked.body), expected)}")
        return Call("POST", "/containers/create", {"name": spec.name}, expected)

    async def _spec(self, body: Json) -> Spec:
        """Return the specification that such a body is of, without anything that is not in one. Raises NotTaken."""
        try:
            labels, host = body["Labels"], body["HostConfig"]
            installation, instance_id = self._serve(labels[INSTALLATION]), UUID(labels[INSTANCE])
            environment = dict(cast("str", entry).split("=", 1) for entry in body["Env"])
            command = list[str](body["Cmd"])
            spec = Spec(
                installation=installation,
                instance_id=instance_id,
                image_id=str(body["Image"]),
                command=command,
                environment=environment,
                network=str(host["NetworkMode"]),
                is_published=bool(host.get("PortBindings")),
                memory=int(host["Memory"]),
                cpus=int(host["NanoCpus"]) / SECOND,
                pids=int(host["PidsLimit"]),
            )
        except (KeyError, TypeError, ValueError):
            raise NotTaken("a container that is no instance's") from None
        limits = self._config.containers
        if command != ["--mode", command[1] if len(command) > 1 else "", "--host", "0.0.0.0", "--api-port", str(PORT)]:  # noqa: S104 - in there
            raise NotTaken("another command than a relay's")
        if command[1] not in API_MODES:
            raise NotTaken("another mode than one messenger's")
        if unknown := environment.keys() - RELAY_VARIABLES - VARIABLES:
            raise NotTaken(f"the variable {min(unknown)}")
        if environment.get("MCP_MESSENGER_MANAGED") != "1" or environment.get("MCP_MESSENGER_INSTANCE_ID") != str(instance_id):
            raise NotTaken("a program that is no instance's relay")
        if not (0 < spec.memory <= limits.memory and 0 < spec.cpus <= limits.cpus and 0 < spec.pids <= limits.pids):
            raise NotTaken("limits above those of the broker")
        if spec.network != (_shared_network(installation) if spec.is_published else own_network(installation, instance_id)):
            raise NotTaken(f"the network {spec.network}")
        if spec.image_id not in await self._image_ids():
            raise NotTaken("another image than " + " and ".join(sorted(self._config.images)))
        return spec

    async def _image_ids(self) -> set[str]:
        found = [await self._find(f"/images/{name}/json") for name in sorted(self._config.images)]
        return {image["Id"] for image in found if image is not None}

    async def _create_helper(self, asked: Asked, name: str) -> Call:
        binds: Any = asked.body.get("HostConfig")
        try:
            volume = str(binds["Binds"][0]).partition(":")[0]
        except (KeyError, IndexError, TypeError):
            raise NotTaken("a container without a volume") from None
        if not re.fullmatch(CONTAINER, volume):
            raise NotTaken(f"the volume {volume}")
        await self._own("volume", volume, lambda found: found["Labels"])
        sdk = _sdk(asked.version)
        expected = _written(sdk.create_container_config(**mounting(sdk, EMPTY_IMAGE, volume)))
        if _written(asked.body) != expected:
            raise NotTaken(f"a container that differs from a backup's in {_difference(_written(asked.body), expected)}")
        return Call("POST", "/containers/create", {"name": name}, expected)

    def _of_helper(self, method: str, rest: str, path: str | None) -> Callable[[Asked], Awaitable[Call]]:
        async def work(asked: Asked) -> Call:
            given = asked.known(*({"path"} if path is not None else {"v", "link", "force"}))
            if given.get("path") != path:
                raise NotTaken("another folder than that of a volume")
            found = await self._find(f"/containers/{asked.name}/json")
            if found is not None:
                if found["Config"]["Image"] != EMPTY_IMAGE or found["State"]["Status"] != "created" or len(found["Mounts"]) != 1:
                    raise NotTaken(f"the container {asked.name}, which is no backup's")
                await self._own("volume", found["Mounts"][0]["Name"], lambda volume: volume["Labels"])
            query = {"force": "true"} if path is None else {"path": path}
            return Call(method, f"/containers/{asked.name}{rest}", query, is_upload=method == "PUT", is_stream=method == "GET")

        return work

    async def _create_volume(self, asked: Asked) -> Call:
        asked.known()
        name, labels = self._named(asked.body)
        if {key for key, value in asked.body.items() if value} != {"Name", "Labels"} or name != asked.body["Name"]:
            raise NotTaken("a volume that is no instance's")
        return Call("POST", "/volumes/create", body={"Name": name, "Labels": labels})

    def _named(self, body: Json) -> tuple[str, dict[str, str]]:
        """Return the name and labels of what belongs to the instance that the labels name. Raises NotTaken."""
        try:
            installation, instance_id = self._serve(body["Labels"][INSTALLATION]), UUID(body["Labels"][INSTANCE])
        except (KeyError, TypeError, ValueError):
            raise NotTaken("something that is no instance's") from None
        labels = labels_of(installation, instance_id)
        if body["Labels"] != labels:
            raise NotTaken("other labels than an instance's")
        return name_of(installation, instance_id), labels

    def _of_volume(self, method: str) -> Callable[[Asked], Awaitable[Call]]:
        async def work(asked: Asked) -> Call:
            asked.known("force")
            await self._own("volume", asked.name, lambda found: found["Labels"])
            return Call(method, f"/volumes/{asked.name}")

        return work

    async def _image(self, asked: Asked) -> Call:
        asked.known()
        self._require_image(asked.name)
        return Call("GET", f"/images/{asked.name}/json")

    async def _pull(self, asked: Asked) -> Call:
        query = asked.known("fromImage", "tag", "platform", "fromSrc", "repo")
        if query == {"fromSrc": "-", "repo": EMPTY_IMAGE}:
            return Call("POST", "/images/create", query, content=empty_archive(), is_stream=True)
        if "fromSrc" in query or "repo" in query:
            raise NotTaken("an image that is not pulled")
        if query.get("fromImage") == EMPTY_IMAGE:
            raise NotTaken("an image that nobody offers")
        self._require_image(f"{query.get('fromImage', '')}:{query.get('tag', '')}")
        return Call("POST", "/images/create", {name: query[name] for name in ("fromImage", "tag")}, is_stream=True)

    def _require_image(self, name: str) -> None:
        if name == EMPTY_IMAGE:
            return
        if name not in self._config.images and name.removesuffix(":latest") not in self._config.images:
            raise NotTaken(f"the image {name}: the broker has {' and '.join(sorted(self._config.images))}")

    async def _create_network(self, asked: Asked) -> Call:
        asked.known()
        expected = _written(self._network(asked.body))
        if _written(asked.body) != expected:
            raise NotTaken(f"a network that differs from an instance's in {_difference(_written(asked.body), expected)}")
        return Call("POST", "/networks/create", body=expected)

    def _network(self, body: Json) -> Json:
        """Return the body that the server would send for such a network."""
        labels: Any = body.get("Labels")
        if isinstance(labels, dict) and INSTANCE not in labels:
            installation = self._serve(cast("Json", labels).get(INSTALLATION))
            return _network_body(networks.shared_arguments(_shared_network(installation), installation))
        _, own = self._named(body)
        installation, instance_id = UUID(own[INSTALLATION]), UUID(own[INSTANCE])
        try:
            subnet = IPv4Network(body["IPAM"]["Config"][0]["Subnet"])
        except (KeyError, IndexError, TypeError, ValueError):
            raise NotTaken("a network without its addresses") from None
        if subnet.prefixlen != networks.PREFIX or not subnet.subnet_of(self._config.containers.subnets):
            raise NotTaken(f"the addresses {subnet}")
        return _network_body(networks.own_arguments(own_network(installation, instance_id), installation, instance_id, subnet))

    async def _network_id(self, name: str) -> str:
        return await self._own("network", name, lambda found: found["Labels"])

    def _of_network(self, method: str) -> Callable[[Asked], Awaitable[Call]]:
        async def work(asked: Asked) -> Call:
            asked.known()
            return Call(method, f"/networks/{await self._network_id(asked.name)}")

        return work

    async def _join(self, asked: Asked) -> Call:
        if not asked.name.startswith("zz-") or {key for key, value in asked.body.items() if value} != {"Container"}:
            raise NotTaken("another way to join a network than a server's")
        return Call("POST", f"/networks/{await self._network_id(asked.name)}/connect", body={"Container": await self._manager(asked.body)})

    async def _leave(self, asked: Asked) -> Call:
        if {key for key, value in asked.body.items() if value} - {"Force"} != {"Container"}:
            raise NotTaken("another way to leave a network than a server's")
        body = {"Container": await self._manager(asked.body), "Force": True}
        return Call("POST", f"/networks/{await self._network_id(asked.name)}/disconnect", body=body)

    async def _manager(self, body: Json) -> str:
        """Return the id of a container that a server runs in, or that is an instance's. Raises NotTaken for any other."""
        given = body.get("Container")
        if not isinstance(given, str) or not ID.fullmatch(given):
            raise NotTaken("a container without its id")
        found = await self._find(f"/containers/{given}/json")
        labels: Json = {} if found is None else found["Config"]["Labels"] or {}
        if found is None or (MANAGER not in labels and labels.get(INSTALLATION) != str(self._installation)):
            raise NotTaken(f"a container without the label {MANAGER}")
        return found["Id"]


def _shared_network(installation: UUID) -> str:
    return f"mcp-messenger-{installation.hex[:8]}"


@functools.lru_cache(maxsize=4)
def _sdk(version: str) -> Any:
    """Return the SDK's client, which is never connected: it only writes bodies."""
    import docker

    return docker.APIClient(base_url="unix:///nowhere", version=version)


def _config_of(spec: Spec, version: str) -> dict[str, Any]:
    arguments = spec.arguments(_sdk(version))
    del arguments["name"]
    return arguments


def _network_body(arguments: Json) -> dict[str, Any]:
    """Return the body of the SDK's create_network, which has no function of its own for it."""
    return {
        "Name": arguments["name"],
        "Driver": arguments["driver"],
        "Options": arguments.get("options"),
        "IPAM": arguments.get("ipam"),
        "CheckDuplicate": arguments["check_duplicate"],
        "Labels": arguments["labels"],
    }


def _written(content: Any) -> Any:
    """Return JSON without what is null, which the SDK writes in some places and leaves out in others."""
    if isinstance(content, dict):
        return {key: _written(value) for key, value in cast("Json", content).items() if value is not None}
    return [_written(one) for one in cast("list[Any]", content)] if isinstance(content, (list, tuple)) else content


def _difference(given: Json, expected: Json) -> str:
    """Name the first field that differs."""
    for key in sorted(given.keys() | expected.keys()):
        if given.get(key) != expected.get(key):
            inner, wanted = given.get(key), expected.get(key)
            both = isinstance(inner, dict) and isinstance(wanted, dict)
            return f"{key}.{_difference(cast('Json', inner), cast('Json', wanted))}" if both else key
    return "nothing"
