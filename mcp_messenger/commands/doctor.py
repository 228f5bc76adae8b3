"""mcp-messenger doctor: looks at every part, and says what to do. It changes nothing, and starts nothing."""

import json
from typing import Any

from db.diagnosis import Diagnosis
from mcp_messenger.commands.checks.address import check_keys, check_port, check_public_url
from mcp_messenger.commands.checks.engine import check_engine
from mcp_messenger.commands.checks.folder import check_folder, check_key
from mcp_messenger.commands.checks.instances import Patient, check_states, check_webhooks
from mcp_messenger.commands.checks.store import check_store
from mcp_messenger.commands.finding import Finding, Verdict, failed, ok, problem, warning
from mcp_messenger.commands.server import Server
from mcp_messenger.commands.terminal import say
from mcp_messenger.config import Config
from mcp_messenger.errors import NotAvailable
from providers.errors import MessengerError
from providers.text import clean_line

SERVER = "server"


async def doctor(config: Config, url: str | None, as_json: bool) -> int:
    """The exit code: 1 when there is a problem."""
    findings = await examined(config, url)
    if as_json:
        say(json.dumps({"ok": not _problems(findings), "findings": [one.shown() for one in findings]}, ensure_ascii=False, indent=2))
    else:
        _print(findings)
    return 1 if _problems(findings) else 0


async def examined(config: Config, url: str | None) -> list[Finding]:
    findings, health, reported = await _server(config, url)
    store, diagnosis = await check_store(config)
    patients = reported if reported is not None else _patients(diagnosis)
    # The port of the settings says nothing of a server that is elsewhere.
    port = check_port(config, health) if url is None else []
    return [
        *findings,
        *port,
        *store,
        *check_folder(config),
        *check_key(config, diagnosis.sealed if diagnosis else []),
        *check_keys(config),
        *await check_public_url(config),
        *await check_engine(config, [patient.runtime for patient in patients]),
        *check_states(patients),
        *await check_webhooks(config, patients),
    ]


async def _server(config: Config, url: str | None) -> tuple[list[Finding], dict[str, Any] | None, list[Patient] | None]:
    """What was found of the server, what it says of itself, and its instances."""
    async with Server.at(url, config) as server:
        try:
            health = await server.health()
        except NotAvailable as error:
            return [problem(SERVER, error.detail, error.hint or "") if url else warning(SERVER, error.detail, error.hint or "")], None, None
        findings = [_health(server.url, health), *_warnings(health)]
        try:
            listed = await server.instances()
        except MessengerError as error:
            return [*findings, failed(SERVER, error)], health, None
    return findings, health, [_patient(one) for one in listed]


def _health(url: str, health: dict[str, Any]) -> Finding:
    if health["status"] == "healthy":
        return ok(SERVER, f"Version {clean_line(str(health['version']))} answers at {url}, up for {float(health['uptime']):.0f} s.")
    reason = clean_line(str(health["checks"].get("database")))
    return problem(SERVER, f"The server at {url} is {clean_line(str(health['status']))}: {reason}", "Its log says why.")


def _warnings(health: dict[str, Any]) -> list[Finding]:
    """Return what the server itself sees going wrong."""
    found: dict[str, str] = health["checks"].get("warnings") or {}
    return [warning(clean_line(part), clean_line(words), "See docs/operating.md, Monitoring.") for part, words in found.items()]


def _patient(one: dict[str, Any]) -> Patient:
    return Patient(one["id"], one["provider"], one["runtime"], one["status"], one["status_reason"], one["api_webhook_schema"])


def _patients(diagnosis: Diagnosis | None) -> list[Patient]:
    if diagnosis is None:
        return []
    return [Patient(str(one.id), one.provider, one.runtime, one.status, one.status_reason, one.webhook) for one in diagnosis.instances]


def _problems(findings: list[Finding]) -> int:
    return sum(one.verdict is Verdict.PROBLEM for one in findings)


def _print(findings: list[Finding]) -> None:
    width = max(len(one.check) for one in findings)
    for one in findings:
        say(f"{one.verdict:<8} {one.check:<{width}}  {one.detail}")
        if one.hint:
            say(f"{'':<8} {'':<{width}}  -> {one.hint}")
    warnings = sum(one.verdict is Verdict.WARNING for one in findings)
    say(f"\n{_counted(_problems(findings), 'problem')}, {_counted(warnings, 'warning')}.")


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
