"""Has the server examine itself, with its own settings: the shell of whoever asks may have others."""

from pydantic import BaseModel

from mcp_messenger.operations.application import App
from mcp_messenger.operations.operation import Input, Output
from mcp_messenger.security.caller import Caller


class FindingView(BaseModel):
    """`check` is the part that was looked at, `verdict` ok, warning or problem, `hint` what to do."""

    check: str
    verdict: str
    detail: str
    hint: str | None = None


class Examination(Output):
    ok: bool
    findings: list[FindingView]


async def examine_server(app: App, caller: Caller, args: Input) -> Examination:
    """Return what the checks find. Raises NotAllowed for all but the administrator: they name folders and addresses."""
    caller.require_admin()
    # Most servers are never asked.
    from mcp_messenger.checks.examination import examine
    from mcp_messenger.checks.finding import Verdict

    found = await examine(app.config)
    views = [FindingView(check=one.check, verdict=one.verdict, detail=one.detail, hint=one.hint) for one in found]
    return Examination(ok=all(one.verdict is not Verdict.PROBLEM for one in found), findings=views)
