"""The application's parts, built once and passed first to every operation."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from db.database import Database
from mcp_messenger.agents.agents import Agents
from mcp_messenger.backup.schedule import BackupSchedule
from mcp_messenger.config import Config
from mcp_messenger.delivery.alarm import Alarm
from mcp_messenger.delivery.feed import Feed
from mcp_messenger.delivery.inbound import Inbound
from mcp_messenger.delivery.outbox import Outbox
from mcp_messenger.delivery.webhooks import Webhooks
from mcp_messenger.instances.addresses import Addresses
from mcp_messenger.instances.calls import Calls
from mcp_messenger.instances.memory import Memory
from mcp_messenger.instances.runtimes.containers import Listed
from mcp_messenger.instances.runtimes.docker import DockerRuntime
from mcp_messenger.instances.runtimes.swarm import SwarmRuntime
from mcp_messenger.instances.supervisor import Supervisor
from mcp_messenger.media.decoding import Decoder
from mcp_messenger.media.transcribing import Transcriber
from mcp_messenger.net.byte_room import ByteRoom
from mcp_messenger.observability.clock import ClockWatch
from mcp_messenger.observability.logbook import Logbook
from mcp_messenger.observability.metrics import Metrics
from mcp_messenger.observability.workers import Workers
from mcp_messenger.operations.page_address import PageAddress
from mcp_messenger.operations.shared_answers import SharedAnswers
from mcp_messenger.policy.judging import Judge
from mcp_messenger.retention.trimming import Trimming
from mcp_messenger.search.index import SearchIndex
from mcp_messenger.security.held import Held
from mcp_messenger.security.keyring import Keyring
from mcp_messenger.security.quotas import Quotas
from mcp_messenger.security.rate_limiter import RateLimiter

FolderIdentity = tuple[int, int]
"""Device and number of a folder: it keeps them when it is renamed, and another one in its place has others."""


def folder_identity(folder: Path) -> FolderIdentity | None:
    """Return None where the folder is not there."""
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


@dataclass(frozen=True)
class App:
    config: Config
    database: Database
    feed: Feed
    followed: SharedAnswers[Any]
    """Of the log, for those who follow it: see operations/events.py."""
    inbound: Inbound
    outbox: Outbox
    alarm: Alarm
    webhooks: Webhooks
    agents: Agents
    supervisor: Supervisor
    addresses: Addresses
    trimming: Trimming
    backups: BackupSchedule
    clock: ClockWatch
    calls: Calls
    memory: Memory
    search_index: SearchIndex
    logbook: Logbook
    limiter: RateLimiter
    upload_room: ByteRoom
    held: Held
    decoder: Decoder
    transcriber: Transcriber | None
    quotas: Quotas
    judge: Judge
    pages: PageAddress
    metrics: Metrics
    workers: Workers
    docker: DockerRuntime | None
    """None where no instance runs in a container of an engine."""
    swarm: SwarmRuntime | None
    """None where no instance runs as a service of a swarm."""
    vault: Keyring
    data_folder: FolderIdentity | None
    """Of the data folder when the application was built; None where there was none."""
    tls: Callable[[], ssl.SSLContext]
    started: float

    def instance_dir(self, instance_id: UUID) -> Path:
        return self.config.data_dir / "instances" / str(instance_id)

    def container(self, instance_id: UUID) -> Listed | None:
        """Return the instance's container or task as it was at the last look; None where it has none."""
        for engine in (self.docker, self.swarm):
            if engine is not None and (found := engine.containers.get(instance_id)) is not None:
                return found
        return None

    def downloads_dir(self, instance_id: UUID) -> Path:
        """Return the folder of received files: apart from the media that everybody may send, for one account's files are not another's."""
        return self.config.data_dir / "downloads" / str(instance_id)
