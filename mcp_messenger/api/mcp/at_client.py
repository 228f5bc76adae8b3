"""The person at an MCP client: how the client calls itself, and calls that wait for the owner, put before that person where the client can ask.

In the newer era of the protocol a call is answered with the question, and comes again with the answer; in the older one the client is asked
while the call waits. Either way the approval is a row that may be decided elsewhere as well, and the first answer counts.
"""

import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, Literal
from uuid import UUID

import anyio
from mcp.server.elicitation import AcceptedElicitation, CancelledElicitation, DeclinedElicitation, render_elicitation_schema
from mcp.server.mcpserver import Context
from mcp.shared.exceptions import MCPError
from mcp.types import CallToolResult, ElicitRequest, ElicitRequestFormParams, ElicitResult, InputRequiredResult, TextContent
from mcp_types.version import is_version_at_least
from pydantic import BaseModel, Field, ValidationError

from db import approvals as store
from db import policy as policies
from db.approvals import ApprovalRow
from mcp_messenger.errors import ApprovalRequired, Conflict, InvalidInput, NotAllowed, PolicyDenied
from mcp_messenger.operations.application import App
from mcp_messenger.operations.approvals import NEXT_STEPS, WAITING, until_settled, words_of
from mcp_messenger.operations.deciding import approve_as, deny_as
from mcp_messenger.operations.operation import Operation
from mcp_messenger.policy.judging import asker_of
from mcp_messenger.policy.model import stored
from mcp_messenger.security.caller import CLIENT_MAX, Caller
from providers.text import clean_line

QUESTION = "approval:"
"""How the name of a question begins; the approval's id follows, so the answer needs no state of this server."""
WITHIN = 300.0
"""Seconds that a client of the older era is asked; then the call is answered with what waits."""
QUESTIONS_IN_ANSWERS = "2026-07-28"
"""The revision of the protocol from which on a question is an answer of the call."""


class Decision(BaseModel):
    """What the person at the client decides."""

    decision: Literal["yes", "no", "always"] = Field(title="Allow it?", description="always: trust this chat from now on")
    message: str | None = Field(default=None, max_length=10_000, title="Send this text instead")


def named(authenticate: Callable[[Any], Awaitable[Caller]]) -> Callable[[Any], Awaitable[Caller]]:
    """Return what gives the caller of a request together with the name of the client."""

    async def of(context: Any) -> Caller:
        return with_client(await authenticate(context), context)

    return of


def with_client(caller: Caller, context: Any) -> Caller:
    """Return the caller with the name and the version that its MCP client gives itself."""
    session = getattr(getattr(context, "request_context", context), "session", None)
    params = getattr(session, "client_params", None)
    if params is None:
        return caller
    return replace(caller, client=clean_line(f"{params.client_info.name} {params.client_info.version}")[:CLIENT_MAX])


async def answered(app: App, caller: Caller, operation: Operation, context: Context[None, Any] | None) -> dict[str, Any] | None:
    """Return the answer of the call that the person at the client has decided about; None: the call brings no decision.

    Raises what became of it, where it was not carried out.
    """
    responses = (context.input_responses if context is not None else None) or {}
    name = next((name for name in responses if name.startswith(QUESTION)), None)
    if name is None:
        return None
    row = await _known(app, caller, operation, name.removeprefix(QUESTION))
    answer = responses[name]
    if not await _may_decide(app, caller, row):
        raise NotAllowed("The owner decides elsewhere: not at a client.", hint="wait_for_approval tells what becomes of the call.")
    if isinstance(answer, ElicitResult):
        await _decide(app, caller, row, answer.action, answer.content)
    return await _outcome(app, row)


async def asked(app: App, caller: Caller, context: Context[None, Any] | None, required: ApprovalRequired) -> dict[str, Any] | InputRequiredResult:
    """Put a call that waits before the person at the client. Return what came of it, or the question for a client that answers by a new call.

    Raises `required` where nobody can be asked there or nobody answers, and what became of it where it was not carried out.
    """
    row = await store.get(app.database, UUID(required.approval_id))
    if context is None or row is None or not _can_ask(context) or not await _may_decide(app, caller, row):
        raise required
    question = "\n\n".join(part for part in words_of(app, row) if part)
    version = context.protocol_version
    if version is not None and is_version_at_least(version, QUESTIONS_IN_ANSWERS):
        params = ElicitRequestFormParams(message=question, requested_schema=render_elicitation_schema(Decision))
        return InputRequiredResult(input_requests={f"{QUESTION}{row.id}": ElicitRequest(params=params)})
    await _ask_now(app, caller, context, row, question)
    now = await store.get(app.database, row.id)
    if now is None or now.status == "pending":
        raise required
    return await _outcome(app, now)


async def _ask_now(app: App, caller: Caller, context: Context[None, Any], row: ApprovalRow, question: str) -> None:
    """Ask the client while the call waits, until it answers or somebody decides elsewhere."""
    found: AcceptedElicitation[Decision] | DeclinedElicitation | CancelledElicitation = CancelledElicitation()
    with anyio.move_on_after(WITHIN):
        async with anyio.create_task_group() as tasks:

            async def elsewhere() -> None:
                await until_settled(app, row)
                tasks.cancel_scope.cancel()

            tasks.start_soon(elsewhere)
            # A client may say that it can ask, and answer with an error.
            with suppress(MCPError, ValueError):
                found = await context.elicit(question, Decision)
            tasks.cancel_scope.cancel()
    if isinstance(found, AcceptedElicitation):
        await _decide(app, caller, row, "accept", found.data.model_dump())
    elif isinstance(found, DeclinedElicitation):
        await _decide(app, caller, row, "decline", None)


def _can_ask(context: Context[None, Any]) -> bool:
    capabilities = context.client_capabilities
    elicitation = capabilities.elicitation if capabilities is not None else None
    return elicitation is not None and (elicitation.form is not None or elicitation.url is None)


async def _may_decide(app: App, caller: Caller, row: ApprovalRow) -> bool:
    """Return whether whoever sits at the client may decide: with an agent's key that may be the agent itself."""
    if caller.is_agent or row.kind == "question":
        return False
    return row.instance_id is None or stored(await policies.document(app.database, row.instance_id)).client_decides


async def _known(app: App, caller: Caller, operation: Operation, approval_id: str) -> ApprovalRow:
    """Return the approval that a call of this caller waits for. Raises InvalidInput for another's, or another call's."""
    try:
        row = await store.get(app.database, UUID(approval_id))
    except ValueError:
        row = None
    if row is None or row.asker != asker_of(caller) or row.operation != operation.name:
        raise InvalidInput("The answer is to a question that was not asked about this call.", hint="Make the call again without an answer.")
    return row


async def _decide(app: App, caller: Caller, row: ApprovalRow, action: str, content: dict[str, Any] | None) -> None:
    by = f"{caller} at the client {caller.client or '?'}"
    try:
        if action == "accept":
            decision = Decision.model_validate(content)
            if decision.decision == "no":
                await deny_as(app, row, by)
            else:
                text = (decision.message or "").strip() or None
                await approve_as(app, row, by, message=text, always=decision.decision == "always")
        elif action == "decline":
            await deny_as(app, row, by)
    except ValidationError:
        raise InvalidInput("The answer does not fit the question.", hint="Make the call again; the person is asked again.") from None
    except Conflict:
        # Decided elsewhere in the meantime: that counts.
        return


async def _outcome(app: App, row: ApprovalRow) -> dict[str, Any]:
    """Return what an approved call has answered. Raises what became of any other."""
    if row.status in WAITING:
        with anyio.move_on_after(WITHIN):
            row = await until_settled(app, row) if row.status == "approved" else row
    now = await store.get(app.database, row.id) or row
    outcome = now.outcome or {}
    match now.status:
        case "done":
            return outcome
        case "denied":
            said = f" They say: {outcome['words']}" if outcome.get("words") else ""
            raise PolicyDenied(f"The owner was asked, and said no.{said}", hint=NEXT_STEPS["denied"])
        case "failed":
            raise Conflict(f"The owner approved it, and it failed: {outcome.get('detail', '')}", hint=outcome.get("hint") or NEXT_STEPS["failed"])
        case "pending" | "approved":
            raise ApprovalRequired(str(now.id), "The owner has not decided.", is_new=False)
        case status:
            raise Conflict(f"It was not done: {status}.", hint=NEXT_STEPS.get(status))


def result_of(outcome: dict[str, Any], *, has_schema: bool) -> CallToolResult:
    """Return the answer of a call that was carried out after a person decided."""
    text = json.dumps(outcome, ensure_ascii=False, separators=(",", ":"))
    return CallToolResult(content=[TextContent(type="text", text=text)], structured_content=outcome if has_schema else None)
