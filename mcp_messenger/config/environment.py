"""Settings, read from the environment once."""

import re
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import get_args
from urllib.parse import parse_qsl, urlsplit

from pydantic import SecretStr

from mcp_messenger.config import DEFAULT_PORT, LEAST_PORT, MB, PORTS, PREFIX, RATE_LIMIT, Answers, Config, containers
from mcp_messenger.config.agents import AgentConfig, parse_agents
from mcp_messenger.config.backups import KEEP, BackupPlan, parse_period
from mcp_messenger.config.quiet_hours import Quiet, parse_quiet
from mcp_messenger.config.quotas import Quota, parse_quotas
from mcp_messenger.config.rate_limit import parse_rate_limit
from mcp_messenger.config.retention import Retained, parse_retention
from mcp_messenger.config.settings import require_known
from mcp_messenger.config.transcriber import TranscriberConfig, parse_transcriber
from mcp_messenger.errors import InvalidInput
from providers.text import clean_line


def with_schema_of(url: str, other: str) -> str:
    """Return the address with the schema that the other one names, where it names none: they lead to one database."""
    schema, own = (dict(parse_qsl(one.partition("?")[2])).get("schema") for one in (other, url))
    if schema is None or own is not None:
        return url
    return f"{url}{'&' if '?' in url else '?'}schema={schema}"


def from_environment(environ: Mapping[str, str]) -> Config:
    """Raises InvalidInput naming the variable that cannot be read, or does not exist."""
    require_known(environ)

    def get(name: str, default: str = "") -> str:
        return environ.get(PREFIX + name, "").strip() or default

    def secret(name: str) -> SecretStr | None:
        value = environ.get(name, "").strip()
        return SecretStr(value) if value else None

    database_url, direct_database_url = secret("DATABASE_URL"), secret("DIRECT_DATABASE_URL")
    if database_url is not None and direct_database_url is not None:
        direct_database_url = SecretStr(with_schema_of(direct_database_url.get_secret_value(), database_url.get_secret_value()))
    return Config(
        data_dir=folder_of(PREFIX + "DATA_DIR", get("DATA_DIR")) if get("DATA_DIR") else default_data_dir(),
        database_url=database_url,
        direct_database_url=direct_database_url,
        public_views=_flag("PUBLIC_VIEWS", get("PUBLIC_VIEWS")),
        secret_key=secret(PREFIX + "SECRET_KEY"),
        admin_token=secret(PREFIX + "ADMIN_TOKEN"),
        token=secret(PREFIX + "TOKEN"),
        host=get("HOST", "127.0.0.1"),
        port=_port(get("PORT", str(DEFAULT_PORT))),
        public_url=_url("PUBLIC_URL", get("PUBLIC_URL").rstrip("/")),
        agno_url=_url("AGNO_URL", get("AGNO_URL").rstrip("/")),
        agno_key=secret(PREFIX + "AGNO_KEY"),
        agents=_agents(get("AGENTS")),
        quiet_hours=_quiet(get("QUIET_HOURS")),
        retention=_retention(get("RETENTION")),
        backups=_backups(get("BACKUP_EVERY"), get("BACKUP_FOLDER"), get("BACKUP_KEEP")),
        quotas=_quotas(get("QUOTAS")),
        allowed_hosts=_names(get("ALLOWED_HOSTS")),
        allowed_networks=_networks("ALLOW_NETWORKS", get("ALLOW_NETWORKS")),
        trusted_proxies=_networks("TRUSTED_PROXIES", get("TRUSTED_PROXIES")),
        agno_agents=_names(get("AGNO_AGENTS")),
        max_upload=_number("MAX_UPLOAD", get("MAX_UPLOAD", "100")) * MB,
        keep_files=0 if get("KEEP_FILES") == "0" else _number("KEEP_FILES", get("KEEP_FILES", "25")) * MB,
        transcriber=_transcriber(get("TRANSCRIBER"), secret(PREFIX + "TRANSCRIBER_KEY"), get("TRANSCRIBER_MODEL")),
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


def _transcriber(value: str, key: SecretStr | None, model: str) -> TranscriberConfig | None:
    try:
        return parse_transcriber(value, key, model)
    except ValueError as error:
        raise InvalidInput(f"{PREFIX}TRANSCRIBER: {error}.", hint="docs/files.md shows one.") from None


def _agents(value: str) -> Mapping[str, AgentConfig]:
    try:
        return parse_agents(value)
    except ValueError as error:
        raise InvalidInput(f"{PREFIX}AGENTS: {error}.", hint="docs/agents.md shows one.") from None


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


def _backups(every: str, folder: str, keep: str) -> BackupPlan | None:
    if not every:
        unused = next((name for name, value in (("BACKUP_FOLDER", folder), ("BACKUP_KEEP", keep)) if value), None)
        if unused is not None:
            raise InvalidInput(f"{PREFIX}{unused} has no effect without {PREFIX}BACKUP_EVERY.", hint=f"Set {PREFIX}BACKUP_EVERY to 1d, for example.")
        return None
    try:
        seconds = parse_period(every)
    except ValueError as error:
        raise InvalidInput(f"{PREFIX}BACKUP_EVERY: {error}.") from None
    place = folder_of(PREFIX + "BACKUP_FOLDER", folder) if folder else None
    return BackupPlan(seconds, place, _number("BACKUP_KEEP", keep) if keep else KEEP)


def _quotas(value: str) -> Mapping[Quota, int | None]:
    try:
        return parse_quotas(value)
    except ValueError as error:
        raise InvalidInput(f"{PREFIX}QUOTAS: {error}.") from None


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
