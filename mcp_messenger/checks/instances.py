"""Every instance: its state with what to do, and whether its webhook can be reached."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import anyio
import httpx

from mcp_messenger.checks.finding import Finding, Verdict, ok, problem
from mcp_messenger.config import Config
from mcp_messenger.errors import FetchRefused
from mcp_messenger.net.fetch import GuardedTransport, checked_url, words_of
from mcp_messenger.net.network_policy import NetworkPolicy
from providers.text import clean_line

WITHIN = 10.0
AT_ONCE = 20
"""Webhooks that are asked at the same time."""
COMING = "Wait, and ask again; 'mcp-messenger logs {id}' says what it does."
STATES: Mapping[str, tuple[Verdict, str | None]] = {
    "created": (Verdict.WARNING, COMING),
    "processing": (Verdict.WARNING, COMING),
    "starting": (Verdict.WARNING, COMING),
    "authenticated": (Verdict.WARNING, COMING),
    "qr_ready": (Verdict.WARNING, "Run 'mcp-messenger qr {id}', and scan the code."),
    "ready": (Verdict.OK, None),
    "degraded": (Verdict.WARNING, "'mcp-messenger logs {id}' says what is wrong; it goes on trying by itself."),
    "stopped": (Verdict.OK, None),
    "error": (Verdict.PROBLEM, "Remove the cause ('mcp-messenger logs {id}' may say more), then POST /api/v1/instances/{id}/restart."),
    "logged_out": (Verdict.PROBLEM, 'Log in again: POST /api/v1/instances/{id}/process with {{"force_recreate": true}}, then mcp-messenger qr {id}.'),
}
_UNKNOWN = (Verdict.WARNING, "Upgrade mcp-messenger: this version does not know that state.")


@dataclass(frozen=True)
class Patient:
    """An instance, as the server or the database tells of it."""

    id: str
    provider: str
    runtime: str
    status: str
    reason: str | None
    webhooks: Sequence[tuple[int, Mapping[str, Any] | None]]
    """Each with its number."""


def check_states(patients: Sequence[Patient]) -> list[Finding]:
    return [_state(patient) for patient in patients] or [ok("instances", "None yet.")]


def _state(patient: Patient) -> Finding:
    verdict, hint = STATES.get(patient.status, _UNKNOWN)
    reason = f": {clean_line(patient.reason)}" if patient.reason else ""
    return Finding(_name(patient), verdict, f"{patient.status}{reason}", hint and hint.format(id=patient.id))


async def check_webhooks(config: Config, patients: Sequence[Patient]) -> list[Finding]:
    """By HEAD, which carries no event; whatever is answered, it was reached."""
    wanted = [
        (_webhook_name(patient, number), webhook["url"])
        for patient in patients
        for number, webhook in patient.webhooks
        if webhook and webhook.get("enabled") and webhook.get("url")
    ]
    if not wanted:
        return []
    found: dict[str, Finding] = {}
    room = anyio.Semaphore(AT_ONCE)

    async def look(check: str, url: str) -> None:
        async with room:
            found[check] = await _webhook(client, check, url)

    transport = GuardedTransport(NetworkPolicy(allowed_networks=config.allowed_networks), tls=httpx.create_ssl_context())
    async with httpx.AsyncClient(transport=transport, trust_env=False, timeout=WITHIN) as client, anyio.create_task_group() as group:
        for check, url in wanted:
            group.start_soon(look, check, url)
    return [found[check] for check, _ in wanted]


async def _webhook(client: httpx.AsyncClient, check: str, url: str) -> Finding:
    try:
        target = checked_url(url)
        answer = await client.head(target)
    except FetchRefused as error:
        return problem(check, error.detail, error.hint or "Set another URL.")
    except httpx.HTTPError as error:
        # Only the host: a path may be a secret.
        words = words_of(error)
        return problem(check, f"{clean_line(httpx.URL(url).host)} cannot be reached: {words}.", "Start what listens there, or set another URL.")
    return ok(check, f"{clean_line(target.host)} is reached (it answers {answer.status_code}).")


def _webhook_name(patient: Patient, number: int) -> str:
    return f"webhook {'' if number == 1 else f'{number} '}of {_name(patient)}"


def _name(patient: Patient) -> str:
    return f"{clean_line(patient.provider)} {patient.id[:8]}"
