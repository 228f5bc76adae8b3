"""mcp-messenger doctor: the server examines itself; where none does, this process looks in its place. It changes nothing, and starts nothing."""

import json
from typing import Any

from mcp_messenger.checks.address import check_port
from mcp_messenger.checks.examination import examine
from mcp_messenger.checks.finding import Finding, Verdict, failed, ok, problem, warning
from mcp_messenger.checks.instances import Patient
from mcp_messenger.commands.server import Server
from mcp_messenger.commands.terminal import say, working
from mcp_messenger.config import Config
from mcp_messenger.errors import NotAvailable
from providers.errors import MessengerError
from providers.text import clean_line

SERVER, EXAMINED = "server", "examined by"
BY_SERVER = "The server itself, with its own settings."
FROM_HERE = "This command, with the settings of this shell."


async def doctor(config: Config, url: str | None, as_json: bool) -> int:
    """The exit code: 1 when there is a problem."""
    with working("Looking at every part"):
        findings = await examined(config, url)
    if as_json:
        by = next(one.detail for one in findings if one.check == EXAMINED)
        shown = [one.shown() for one in findings]
        answer = {"ok": not _problems(findings), "examined_by": "server" if by == BY_SERVER else "command", "findings": shown}
        say(json.dumps(answer, ensure_ascii=False, indent=2))
    else:
        _print(findings)
    return 1 if _problems(findings) else 0


async def examined(config: Config, url: str | None) -> list[Finding]:
    """Return what is found of the server, who looked, and what they found."""
    async with Server.at(url, config) as server:
        try:
            health = await server.health()
        except NotAvailable as error:
            found = problem(SERVER, error.detail, error.hint or "") if url else warning(SERVER, error.detail, error.hint or "")
            return [found, ok(EXAMINED, FROM_HERE), *_port(config, url, None), *await examine(config)]
        findings = [_health(server.url, health), *_warnings(health), *_port(config, url, health)]
        try:
            theirs = [_finding(one) for one in await server.examination()]
        except MessengerError as error:
            return [*findings, *await _in_its_place(config, server, error)]
    return [*findings, ok(EXAMINED, BY_SERVER), *theirs]


async def _in_its_place(config: Config, server: Server, error: MessengerError) -> list[Finding]:
    """Return what is found from here, beside a server that cannot examine itself or does not let this caller ask for it."""
    looked = warning(EXAMINED, FROM_HERE, f"The server did not do it: {error.detail} {error.hint or ''}".rstrip())
    try:
        patients = [await _patient(server, one) for one in await server.instances()]
    except MessengerError as refused:
        return [failed(SERVER, refused), looked, *await examine(config)]
    return [looked, *await examine(config, patients)]


def _port(config: Config, url: str | None, health: dict[str, Any] | None) -> list[Finding]:
    # The port of the settings says nothing of a server that is elsewhere.
    return check_port(config, health) if url is None else []


def _finding(one: dict[str, Any]) -> Finding:
    """Return a finding as the server tells it, which may be another's."""
    hint = one.get("hint")
    return Finding(clean_line(str(one["check"])), Verdict(one["verdict"]), clean_line(str(one["detail"])), hint and clean_line(str(hint)))


def _health(url: str, health: dict[str, Any]) -> Finding:
    if health["status"] == "healthy":
        return ok(SERVER, f"Version {clean_line(str(health['version']))} answers at {url}, up for {float(health['uptime']):.0f} s.")
    checks: dict[str, Any] = health["checks"]
    failing: dict[str, str] = checks.get("failing") or {}
    reasons = [words for words in (checks.get("database"), checks.get("secrets"), *failing.values()) if words not in (None, "ok")]
    reason = clean_line(" ".join(dict.fromkeys(map(str, reasons))))
    return problem(SERVER, f"The server at {url} is {clean_line(str(health['status']))}: {reason}", "Its log says why.")


def _warnings(health: dict[str, Any]) -> list[Finding]:
    """Return what the server itself sees going wrong."""
    found: dict[str, str] = health["checks"].get("warnings") or {}
    if health["status"] == "healthy" and (secrets := health["checks"].get("secrets")):
        found = found | {"secrets": secrets}
    return [warning(clean_line(part), clean_line(words), "See docs/operating.md, Monitoring.") for part, words in found.items()]


async def _patient(server: Server, one: dict[str, Any]) -> Patient:
    webhooks = (await server.get(f"/instances/{one['id']}/webhooks"))["webhooks"]
    return Patient(
        one["id"], one["provider"], one["runtime"], one["status"], one["status_reason"], [(int(hook["webhook_id"]), hook) for hook in webhooks]
    )


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
