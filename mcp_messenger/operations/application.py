"""The application's parts, built once and passed first to every operation."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from db.database import Database
from mcp_messenger.agents.agents import Agents
from mcp_messenger.config import Config
from mcp_messenger.delivery.feed import Feed
from mcp_messenger.delivery.inbound import Inbound
from mcp_messenger.delivery.outbox import Outbox
from mcp_messenger.delivery.webhooks import Webhooks
from mcp_messenger.instances.addresses import Addresses
from mcp_messenger.instances.calls import Calls
from mcp_messenger.instances.memory import Memory
from mcp_messenger.instances.runtimes.containers import Listed
from mcp_messenger.instances.runtimes.docker import DockerRuntime
from mcp_messenger.instances.supervisor import Supervisor
from mcp_messenger.net.byte_room import ByteRoom
from mcp_messenger.observability.logbook import Logbook
from mcp_messenger.observability.metrics import Metrics
from mcp_messenger.observability.workers import Workers
from mcp_messenger.policy.judging import Judge
from mcp_messenger.retention.trimming import Trimming
from mcp_messenger.search.index import SearchIndex
from mcp_messenger.security.held import Held
from mcp_messenger.security.keyring import Keyring
from mcp_messenger.security.rate_limiter import RateLimiter


@dataclass(frozen=True)
class App:
    config: Config
    database: Database
    feed: Feed
    inbound: Inbound
    outbox: Outbox
    webhooks: Webhooks
    agents: Agents
    supervisor: Supervisor
    addresses: Addresses
    trimming: Trimming
    calls: Calls
    memory: Memory
    search_index: SearchIndex
    logbook: Logbook
    limiter: RateLimiter
    upload_room: ByteRoom
    held: Held
    judge: Judge
    metrics: Metrics
    workers: Workers
    docker: DockerRuntime | None
    """None where instances run in this process only."""
    vault: Keyring
    tls: Callable[[], ssl.SSLContext]
    started: float

    def instance_dir(self, instance_id: UUID) -> Path:
        return self.config.data_dir / "instances" / str(instance_id)

    def container(self, instance_id: UUID) -> Listed | None:
        """Return the instance's container as it was at the engine's last event; None where it has none."""
        return None if self.docker is None else self.docker.containers.get(instance_id)

    def downloads_dir(self, instance_id: UUID) -> Path:
        """Return the folder of received files: apart from the media that everybody may send, for one account's files are not another's."""
        return self.config.data_dir / "downloads" / str(instance_id)
