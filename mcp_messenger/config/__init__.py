"""Settings, as everything else reads them."""

import errno
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import SecretStr

from mcp_messenger.config.agents import AgentConfig
from mcp_messenger.config.backups import BackupPlan
from mcp_messenger.config.containers import ContainerConfig
from mcp_messenger.config.quiet_hours import Quiet
from mcp_messenger.config.quotas import DEFAULTS as DEFAULT_QUOTAS
from mcp_messenger.config.quotas import Quota
from mcp_messenger.config.rate_limit import RateLimit
from mcp_messenger.config.retention import DEFAULTS, Retained
from mcp_messenger.config.timing import Timing
from mcp_messenger.config.transcriber import TranscriberConfig
from mcp_messenger.errors import InvalidInput
from providers.text import clean_line

Answers = Literal["lines", "json"]
PREFIX = "MCP_MESSENGER_"
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
RATE_LIMIT = RateLimit(6000, 60)
DEFAULT_PORT = 3000
PORTS = range(4000, 6000)
MB = 1024 * 1024
NO_ADDRESS = "https://PUBLIC-ADDRESS-OF-THIS-SERVER"
"""Stands where the public URL would, while none is set."""
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
    token: SecretStr | None = None
    """With which commands ask a server; None: with the admin token."""
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    public_url: str | None = None
    allowed_hosts: tuple[str, ...] = ()
    allowed_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    media_roots: tuple[Path, ...] = ()
    agno_url: str | None = None
    agno_key: SecretStr | None = None
    agents: Mapping[str, AgentConfig] = field(default_factory=dict[str, AgentConfig])
    """Agents that are no AgentOS's, by name."""
    quiet_hours: Quiet | None = None
    retention: Mapping[str, Retained] = field(default_factory=lambda: dict(DEFAULTS))
    """How long what is kept stays, by kind."""
    backups: BackupPlan | None = None
    """None: the server makes none by itself."""
    toolsets: tuple[str, ...] = ("default",)
    read_only: bool = False
    answers: Answers = "lines"
    rate_limit: RateLimit | None = RATE_LIMIT
    log_level: str = "INFO"
    log_json: bool = False
    quotas: Mapping[Quota, int | None] = field(default_factory=lambda: dict(DEFAULT_QUOTAS))
    """How much each user may have."""
    environment: str = "development"
    public_views: bool = False
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
    keep_files: int = 25 * MB
    """Bytes of the largest file of a message that is kept when it comes in; 0: none is."""
    transcriber: TranscriberConfig | None = None
    """What writes voice messages down; None: nothing does."""
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
