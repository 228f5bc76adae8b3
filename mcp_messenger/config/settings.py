"""The table of settings: their names in the environment and what they mean."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

from mcp_messenger.config import LEAST_TOKEN, PREFIX, containers
from mcp_messenger.config.backups import KEEP
from mcp_messenger.config.transcriber import MODEL
from mcp_messenger.errors import InvalidInput
from providers.text import clean_line

OF_STORE = frozenset({"DATABASE_URL", "DIRECT_DATABASE_URL"})
"""Settings without our prefix that hold passwords."""


@dataclass(frozen=True)
class Setting:
    """One variable of the environment, for the README."""

    name: str
    meaning: str


SETTINGS = (
    Setting("DATABASE_URL", "PostgreSQL 14-18 to keep everything in, such as …/postgres?schema=messenger; unset: an embedded one in the data folder"),
    Setting("DIRECT_DATABASE_URL", "the same database without a transaction-mode pooler: for migrations and wake-ups"),
    Setting(PREFIX + "PUBLIC_VIEWS", "1: where DATABASE_URL names another schema, keep the tables of instances and messages in public as views"),
    Setting(PREFIX + "DATA_DIR", "folder of the embedded store, the secret key and media"),
    Setting(
        PREFIX + "SECRET_KEY", "key for secrets at rest (32 bytes, base64 or hex; several: the first encrypts); unset: a 0600 file in the data folder"
    ),
    Setting(
        PREFIX + "ADMIN_TOKEN",
        f"Bearer token of the administrator; required, and of at least {LEAST_TOKEN} characters, on any address but 127.0.0.1",
    ),
    Setting(PREFIX + "TOKEN", "token or key with which commands ask a server, such as a user's own; unset: the admin token"),
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
    Setting(PREFIX + "KEEP_FILES", "MB of the largest file of a message that is kept when it comes in; 0: none (25)"),
    Setting(
        PREFIX + "TRANSCRIBER",
        "what writes voice messages down: a command that prints what is said in {file}, or the address of a server that speaks OpenAI's API, "
        "such as https://api.openai.com/v1/audio/transcriptions; unset: nothing does",
    ),
    Setting(PREFIX + "TRANSCRIBER_KEY", "key of that server"),
    Setting(PREFIX + "TRANSCRIBER_MODEL", f"model that it is to use ({MODEL})"),
    Setting(PREFIX + "AGNO_URL", "AgentOS whose agents answer for instances with agno_enable and agent_id, such as http://127.0.0.1:7777"),
    Setting(PREFIX + "AGNO_KEY", "key of that AgentOS (its OS_SECURITY_KEY)"),
    Setting(
        PREFIX + "AGENTS",
        'further agents by name, as a JSON file or its text: {"shop": {"kind": "openai", "url": "…/v1/chat/completions", "model": "…"}}; '
        "kinds: openai, a2a, webhook",
    ),
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
        "(messages and media for ever, events 90d, deliveries 30d, status_history 1y/1000, qr_codes 7d, reveals 1y, logs 30d/2000, "
        "errors 90d, audit 2y); kept_mb: MB of files that are kept as they come in, of each instance (/2048)",
    ),
    Setting(PREFIX + "BACKUP_EVERY", "how often the server makes a backup by itself, such as 12h, 1d or 1w; unset: never"),
    Setting(PREFIX + "BACKUP_FOLDER", "folder of these backups, best on another disk (backups in the data folder)"),
    Setting(PREFIX + "BACKUP_KEEP", f"how many of these backups stay; the oldest goes when a newer one is written and checked ({KEEP})"),
    Setting(
        PREFIX + "QUOTAS",
        "how much each user's token may have, such as instances=20, memory=8g; any: no limit "
        "(instances=100, memory=64g of containers, media=20g of downloads, subscriptions=1000, waits=100)",
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
    Setting(
        PREFIX + "DOCKER_NETWORK",
        "for a server that is in a container itself: own, a network for each instance, which the server joins; or the name of one on which all are "
        "reached, and reach one another (unset: ports of 127.0.0.1)",
    ),
    Setting(PREFIX + "DOCKER_SUBNETS", f"private addresses for those networks, 16 for each instance ({containers.SUBNETS})"),
    Setting(PREFIX + "BROKER", "socket on which `mcp-messenger broker` takes calls for the engine (/run/mcp-messenger/broker.sock)"),
    Setting(PREFIX + "BROKER_UID", "number of the user whose calls the broker takes (that of its own user)"),
    Setting(PREFIX + "CONTAINER_MEMORY", "memory limit of an instance container (1g)"),
    Setting(PREFIX + "CONTAINER_CPUS", "processor limit of an instance container (1)"),
    Setting(PREFIX + "CONTAINER_PIDS", "process limit of an instance container (512)"),
    Setting(PREFIX + "SWARM", "1: instances may run as services of the Docker swarm that the engine manages (0)"),
    Setting(PREFIX + "SWARM_NETWORK", "overlay network on which this server reaches those services (mcp-messenger-instances)"),
    Setting(PREFIX + "SWARM_CONSTRAINTS", "where they may run, such as node.labels.messengers==true; several separated by commas"),
    Setting(
        PREFIX + "SWARM_VOLUME_DRIVER",
        "driver of volumes that every node can mount, so that an instance may move; unset: it stays on the node where it began",
    ),
    Setting(PREFIX + "SWARM_VOLUME_OPTIONS", "options of that driver, NAME=value separated by spaces; {name} is the volume's name"),
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
        "IN_IMAGE",
        "INSTANCE_ID",
        "API_KEY_SHA256",
        "SECRET_FILE",
        "FENCE",
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
