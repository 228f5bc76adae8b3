"""Settings, read from the environment once."""

import difflib
import errno
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import urlsplit

from pydantic import SecretStr

from mcp_messenger.config import containers
from mcp_messenger.config.containers import ContainerConfig
from mcp_messenger.config.quiet_hours import Quiet, parse_quiet
from mcp_messenger.config.rate_limit import RateLimit, parse_rate_limit
from mcp_messenger.config.retention import DEFAULTS, Retained, parse_retention
from mcp_messenger.config.timing import Timing
from mcp_messenger.errors import InvalidInput
from providers.text import clean_line

Answers = Literal["lines", "json"]
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
PREFIX = "MCP_MESSENGER_"
RATE_LIMIT = RateLimit(6000, 60)
PORTS = range(4000, 6000)
MB = 1024 * 1024
LEAST_TOKEN = 16
"""Characters of an admin token that others may guess at."""
LEAST_PORT = 1024
"""Those below need rights that a server does not have."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything that can be set from outside. The README's table of settings is made from `SETTINGS`."""

    data_dir: Path
    database_url: SecretStr | None = None
    direct_database_url: SecretStr | None = None
    secret_key: SecretStr | None = None
    admin_token: SecretStr | None = None
    host: str = "127.0.0.1"
    port: int = 3000
    public_url: str | None = None
    allowed_hosts: tuple[str, ...] = ()
    allowed_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    media_roots: tuple[Path, ...] = ()
    agno_url: str | None = None
    agno_key: SecretStr | None = None
    quiet_hours: Quiet | None = None
    retention: Mapping[str, Retained] = field(default_factory=lambda: dict(DEFAULTS))
    """How long what is kept stays, by kind."""
    toolsets: tuple[str, ...] = ("default",)
    read_only: bool = False
    answers: Answers = "lines"
    rate_limit: RateLimit | None = RATE_LIMIT
    log_level: str = "INFO"
    log_json: bool = False
    environment: str = "development"
    trust_gateway: bool = False
    """In a container: who comes through a published port is the administrator, as on 127.0.0.1. Neighbours on its networks are not."""
    routes: Path = Path("/proc/net/route")
    """The kernel's table of routes, from which a container learns its gateway; no setting for people."""
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    """Reverse proxies whose X-Forwarded-For is believed."""
    agno_agents: tuple[str, ...] = ()
    """Agents that users may choose: `agent`, or `user:agent`; `*` is any."""
    max_upload: int = 100 * MB
    """Bytes of the largest file that is sent, where its messenger takes so much."""
    upload_memory: int = 256 * MB
    """Bytes of all files together that are in memory on their way to the queue."""
    ports: range | None = PORTS
    """On which a server listens for instances' own addresses, one each; None: on none."""
    containers: ContainerConfig = field(default_factory=ContainerConfig)
    timing: Timing = field(default_factory=Timing)

    @property
    def is_loopback(self) -> bool:
        return self.host in LOOPBACK

    @property
    def own_url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.public_url or f"http://{host}:{self.port}"

    def address(self, port: int) -> str:
        """Return how this computer reaches what this server listens for on a port."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - to compare with
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @property
    def own_hosts(self) -> tuple[str, ...]:
        """The names this server answers to, besides those of this computer."""
        public = urlsplit(self.public_url).hostname if self.public_url else None
        return (*self.allowed_hosts, *([public] if public else []), *([] if self.is_loopback else [self.host]))

    def check(self) -> None:
        """Refuse a set-up that would let strangers in: on this computer, whoever shows no token is the administrator."""
        if self.admin_token is not None:
            self._check_length(self.admin_token)
            return
        if self.trusted_proxies:
            raise InvalidInput(
                "Behind a proxy everybody comes from the proxy's address, and no admin token is set.",
                hint=f"Set {PREFIX}ADMIN_TOKEN to a long random value, or leave {PREFIX}TRUSTED_PROXIES out.",
            )
        if self.trust_gateway:
            return
        if not self.is_loopback:
            raise InvalidInput(
                f"Listening on {self.host} lets other machines in, and no admin token is set.",
                hint=f"Set {PREFIX}ADMIN_TOKEN to a long random value, or listen on 127.0.0.1; in a container whose port is published "
                f"on 127.0.0.1 only, {PREFIX}TRUST_GATEWAY=1 will do.",
            )
        strange = [name for name in self.own_hosts if name not in LOOPBACK]
        if strange:
            raise InvalidInput(
                f"Answering to {', '.join(strange)} lets in whoever reaches that name, and no admin token is set.",
                hint=f"Set {PREFIX}ADMIN_TOKEN to a long random value.",
            )

    def make_data_dir(self) -> None:
        """Make the data folder. Raises InvalidInput where that can never succeed; a full disk is waited for by those who write."""
        try:
            self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            never = error.errno in {errno.EEXIST, errno.ENOTDIR, errno.ENOENT, errno.EPERM, errno.EACCES, errno.EROFS, errno.ENAMETOOLONG}
            # Where the data is in a database of the user's, a server may do without the folder; a file in its place is a mistake all the same.
            if not never or (self.database_url is not None and error.errno not in {errno.EEXIST, errno.ENOTDIR}):
                return
            raise InvalidInput(
                f"The data folder {clean_line(str(self.data_dir))} cannot be made: {error.strerror}.",
                hint=f"Name a folder that this user may write with --data-dir or {PREFIX}DATA_DIR.",
            ) from error

    def _check_length(self, token: SecretStr) -> None:
        """Refuse an admin token that can be guessed, where others can try."""
        is_private = self.is_loopback and all(name in LOOPBACK for name in self.own_hosts)
        if not is_private and len(token.get_secret_value()) < LEAST_TOKEN:
            raise InvalidInput(
                f"{PREFIX}ADMIN_TOKEN has {len(token.get_secret_value())} characters, and others can reach this server and guess it.",
                hint=f"Set one of at least {LEAST_TOKEN}, such as that of: python -c 'import secrets; print(secrets.token_urlsafe(32))'",
            )

    def may_choose(self, user_id: str, agent_id: str) -> bool:
        """Return whether a user may have an agent answer for their instances; the administrator may have any."""
        return any(entry in {"*", agent_id, f"{user_id}:*", f"{user_id}:{agent_id}"} for entry in self.agno_agents)


@dataclass(frozen=True)
class Setting:
    """One variable of the environment, for the README."""

    name: str
    meaning: str


SETTINGS = (
    Setting("DATABASE_URL", "PostgreSQL 14-18 to keep everything in; unset: an embedded one in the data folder"),
    Setting("DIRECT_DATABASE_URL", "the same database without a transaction-mode pooler: for migrations and wake-ups"),
    Setting(PREFIX + "DATA_DIR", "folder of the embedded store, the secret key and media"),
    Setting(
        PREFIX + "SECRET_KEY", "key for secrets at rest (32 bytes, base64 or hex; several: the first encrypts); unset: a 0600 file in the data folder"
    ),
    Setting(
        PREFIX + "ADMIN_TOKEN",
        f"Bearer token of the administrator; required, and of at least {LEAST_TOKEN} characters, on any address but 127.0.0.1",
    ),
    Setting(
        PREFIX + "TRUSTED_PROXIES",
        "addresses or networks of reverse proxies whose X-Forwarded-For names the caller, such as 10.0.0.2; needs an admin token; unset: none",
    ),
    Setting(
        PREFIX + "TRUST_GATEWAY",
        "1, in a container whose port is published on 127.0.0.1 only: who comes through that port needs no token; its neighbours do",
    ),
    Setting(PREFIX + "HOST", "address to listen on (127.0.0.1)"),
    Setting(PREFIX + "PORT", "port to listen on (3000)"),
    Setting(PREFIX + "PORTS", "ports to listen on for instances' own addresses, one each (4000-5999); 0: none"),
    Setting(PREFIX + "PUBLIC_URL", "where platforms reach this server for webhooks, such as https://bot.example"),
    Setting(PREFIX + "ALLOWED_HOSTS", "further Host names to answer to, separated by commas"),
    Setting(PREFIX + "ALLOW_NETWORKS", "private networks that URLs given by users may lead to, such as 10.1.0.0/16"),
    Setting(
        PREFIX + "MEDIA_ROOTS", "folders that files may be sent from, separated by the platform's path separator; unset: media in the data folder"
    ),
    Setting(PREFIX + "MAX_UPLOAD", "MB of the largest file that is sent, where its messenger takes so much (100)"),
    Setting(PREFIX + "AGNO_URL", "AgentOS whose agents answer for instances with agno_enable and agent_id, such as http://127.0.0.1:7777"),
    Setting(PREFIX + "AGNO_KEY", "key of that AgentOS (its OS_SECURITY_KEY)"),
    Setting(
        PREFIX + "AGNO_AGENTS",
        "agents that users' tokens may set as agent_id, separated by commas: agent, user:agent, or * for any; unset: the administrator alone",
    ),
    Setting(
        PREFIX + "QUIET_HOURS",
        "hours of the day in which no agent answers, such as 22:00-06:00 Europe/Berlin (without a zone: UTC); it answers afterwards",
    ),
    Setting(
        PREFIX + "RETENTION",
        "how long what is kept stays, such as events=30d, messages=2y, status_history=90d/1000; keep: for ever "
        "(messages and media for ever, events 90d, deliveries 30d, status_history 1y/1000, qr_codes 7d, reveals 1y, errors 90d)",
    ),
    Setting(PREFIX + "TOOLSETS", "tool sets to show, separated by commas (default)"),
    Setting(PREFIX + "ANSWERS", "how tools answer what is read much: lines, which cost a model least, or json, with a schema (lines)"),
    Setting(PREFIX + "READ_ONLY", "1: only tools that change nothing"),
    Setting(PREFIX + "RATE_LIMIT", "calls that each key (or address without one) may make over HTTP, such as 600/min; 0: no limit (6000/min)"),
    Setting(PREFIX + "DOCKER", "1 or 0: whether instances may run in containers (unset: in `serve`, where an engine answers)"),
    Setting(
        PREFIX + "DOCKER_IMAGE", "image of instance containers; one that is missing is built from the checkout, or pulled (mcp-messenger:latest)"
    ),
    Setting(PREFIX + "DOCKER_BUILD_FROM", "folder with the Dockerfile (the checkout that the program runs from)"),
    Setting(PREFIX + "DOCKER_TARGET", "stage of the Dockerfile that is built (runtime)"),
    Setting(PREFIX + "DOCKER_BUILD_ARGS", "build arguments, NAME=value separated by commas, such as PYTHON_IMAGE=…"),
    Setting(PREFIX + "DOCKER_NETWORK", "network on which instances are reached by name, for a server that is in a container itself"),
    Setting(PREFIX + "CONTAINER_MEMORY", "memory limit of an instance container (1g)"),
    Setting(PREFIX + "CONTAINER_CPUS", "processor limit of an instance container (1)"),
    Setting(PREFIX + "CONTAINER_PIDS", "process limit of an instance container (512)"),
    Setting(containers.ENGINE, "the engine's address; DOCKER_TLS_VERIFY and DOCKER_CERT_PATH too (as the docker command finds it)"),
    Setting(
        PREFIX + "POSTGRES_BIN", "folder of the programs of PostgreSQL that keep the embedded store; unset: those that come with it, or the system's"
    ),
    Setting(PREFIX + "LOG_LEVEL", "DEBUG, INFO, WARNING or ERROR (INFO)"),
    Setting(PREFIX + "LOG_JSON", "1: logs as JSON lines"),
    Setting(PREFIX + "ENVIRONMENT", "a name that /health repeats (development)"),
)


OF_OTHERS = frozenset(
    PREFIX + name
    for name in (
        "MANAGED",
        "INSTANCE_ID",
        "API_KEY_SHA256",
        "CREDENTIALS",
        "INSTANCE_TYPES",
        "SPOOL_EVENTS",
        "SPOOL_MESSAGES",
        "SPOOL_DAYS",
        "WHATSAPP_IMAGE",
    )
)
"""Variables of our own that are no settings of a server: its containers', and those of the compose files."""
OF_TESTS = (PREFIX + "TEST_", PREFIX + "SPECS")


def require_known(environ: Mapping[str, str]) -> None:
    """Raise InvalidInput for a setting that does not exist, with the one it may mean: what is misspelt would be ignored, READONLY for example."""
    known = {one.name for one in SETTINGS} | OF_OTHERS
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in known and not name.startswith(OF_TESTS):
            # Compared without underscores, which are what people leave out.
            plain = {one.removeprefix(PREFIX).replace("_", ""): one for one in known}
            close = difflib.get_close_matches(name.removeprefix(PREFIX).replace("_", ""), plain, 1, 0.7)
            meant = f"Is {plain[close[0]]} meant? " if close else ""
            raise InvalidInput(f"There is no setting {clean_line(name)}.", hint=f"{meant}Unset it, or see docs/settings.md.")


def from_environment(environ: Mapping[str, str]) -> Config:
    """Raises InvalidInput naming the variable that cannot be read, or does not exist."""
    require_known(environ)

    def get(name: str, default: str = "") -> str:
        return environ.get(PREFIX + name, "").strip() or default

    def secret(name: str) -> SecretStr | None:
        value = environ.get(name, "").strip()
        return SecretStr(value) if value else None

    return Config(
        data_dir=folder_of(PREFIX + "DATA_DIR", get("DATA_DIR")) if get("DATA_DIR") else default_data_dir(),
        database_url=secret("DATABASE_URL"),
        direct_database_url=secret("DIRECT_DATABASE_URL"),
        secret_key=secret(PREFIX + "SECRET_KEY"),
        admin_token=secret(PREFIX + "ADMIN_TOKEN"),
        host=get("HOST", "127.0.0.1"),
        port=_port(get("PORT", "3000")),
        public_url=_url("PUBLIC_URL", get("PUBLIC_URL").rstrip("/")),
        agno_url=_url("AGNO_URL", get("AGNO_URL").rstrip("/")),
        agno_key=secret(PREFIX + "AGNO_KEY"),
        quiet_hours=_quiet(get("QUIET_HOURS")),
        retention=_retention(get("RETENTION")),
        allowed_hosts=_names(get("ALLOWED_HOSTS")),
        allowed_networks=_networks("ALLOW_NETWORKS", get("ALLOW_NETWORKS")),
        trusted_proxies=_networks("TRUSTED_PROXIES", get("TRUSTED_PROXIES")),
        agno_agents=_names(get("AGNO_AGENTS")),
        max_upload=_number("MAX_UPLOAD", get("MAX_UPLOAD", "100")) * MB,
        media_roots=_paths(get("MEDIA_ROOTS")),
        toolsets=_names(get("TOOLSETS", "default")),
        read_only=_flag("READ_ONLY", get("READ_ONLY")),
        answers=_answers(get("ANSWERS", "lines")),
        rate_limit=parse_rate_limit(get("RATE_LIMIT"), PREFIX + "RATE_LIMIT") if get("RATE_LIMIT") else RATE_LIMIT,
        log_level=get("LOG_LEVEL", "INFO").upper(),
        log_json=_flag("LOG_JSON", get("LOG_JSON")),
        environment=get("ENVIRONMENT", "development"),
        trust_gateway=_flag("TRUST_GATEWAY", get("TRUST_GATEWAY")),
        ports=_ports(get("PORTS")),
        containers=containers.from_environment(get, environ.get(containers.ENGINE, "").strip() or None, environ),
    )


def folder_of(setting: str, value: str) -> Path:
    """Return the folder that a setting or an option names, with ~ as the home folder.

    Raises InvalidInput for a variable that nobody has expanded, such as ${HOME} or %APPDATA%: it would become a folder of that name.
    """
    variable = re.search(r"\$\{[^}/]*\}?|%\w+%|(?:^|(?<=[/\\]))\$[A-Za-z_]\w*(?=$|[/\\])", value)
    if variable is not None:
        raise InvalidInput(
            f"{setting} has {variable[0]} in it, which nothing has replaced.", hint="Write the whole path of the folder, or begin with ~/."
        )
    if any(ord(character) < 32 or "\ud800" <= character <= "\udfff" for character in value):
        raise InvalidInput(f"{setting} has a control character in it, or bytes that are not UTF-8.", hint="Choose a folder without them.")
    try:
        return Path(value).expanduser()
    except RuntimeError:
        raise InvalidInput(f"{setting} is {value!r}, and there is no such home folder.", hint="Write the whole path of the folder.") from None


def default_data_dir() -> Path:
    from platformdirs import user_data_path

    return user_data_path("mcp-messenger", appauthor=False)


def _answers(value: str) -> Answers:
    for answers in get_args(Answers):
        if value.lower() == answers:
            return answers
    raise InvalidInput(f"{PREFIX}ANSWERS is {value!r}.", hint="Give lines or json.")


def _names(value: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in value.split(",") if name.strip())


def _paths(value: str) -> tuple[Path, ...]:
    import os

    return tuple(Path(part).expanduser() for part in value.split(os.pathsep) if part)


def _port(value: str) -> int:
    if not value.isdecimal() or not 0 <= int(value) <= 65535:
        raise InvalidInput(f"{PREFIX}PORT is {value!r}, which is no port.", hint="Give a number from 0 to 65535.")
    return int(value)


def _number(name: str, value: str) -> int:
    if not (value.isascii() and value.isdecimal() and 0 < int(value) < 10**9):
        raise InvalidInput(f"{PREFIX}{name} is {clean_line(value)!r}.", hint="Give a whole number above 0.")
    return int(value)


def _ports(value: str) -> range | None:
    if not value:
        return PORTS
    if value == "0":
        return None
    found = re.fullmatch(r"(\d{1,5})-(\d{1,5})", value)
    ports = range(int(found[1]), int(found[2]) + 1) if found else range(0)
    if not ports or ports[0] < LEAST_PORT or ports[-1] > 65535:
        raise InvalidInput(f"{PREFIX}PORTS is {value!r}.", hint="Give a range above 1023 such as 4000-5999, or 0 for none.")
    return ports


def _quiet(value: str) -> Quiet | None:
    if not value:
        return None
    try:
        return parse_quiet(value)
    except ValueError as error:
        raise InvalidInput(f"{PREFIX}QUIET_HOURS is {value!r}: {error}.") from None


def _retention(value: str) -> Mapping[str, Retained]:
    try:
        return parse_retention(value)
    except ValueError as error:
        raise InvalidInput(f"{PREFIX}RETENTION: {error}.") from None


def _url(name: str, value: str) -> str | None:
    try:
        parts = urlsplit(value)
    except ValueError:
        parts = urlsplit("")
    if value and (parts.scheme not in {"http", "https"} or not parts.hostname):
        raise InvalidInput(f"{PREFIX}{name} is {value!r}, which is no address.", hint="Give one such as https://bot.example.")
    return value or None


def _flag(name: str, value: str) -> bool:
    if value.lower() not in {"", "0", "1", "true", "false", "yes", "no"}:
        raise InvalidInput(f"{PREFIX}{name} is {value!r}.", hint="Give 1 or 0.")
    return value.lower() in {"1", "true", "yes"}


def _networks(setting: str, value: str) -> tuple[IPv4Network | IPv6Network, ...]:
    try:
        return tuple(ip_network(name) for name in _names(value))
    except ValueError as error:
        raise InvalidInput(f"{PREFIX}{setting}: {error}.", hint="Give networks such as 10.1.0.0/16, separated by commas.") from error
