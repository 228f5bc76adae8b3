"""Calls that wait for a person, and those that were decided: listed, shown, waited for."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, cast
from uuid import UUID

import anyio
from pydantic import Field

from db import approvals as store
from db.approvals import ApprovalRow
from mcp_messenger.errors import NoSuchApproval, ShuttingDown
from mcp_messenger.operations import cursor as cursors
from mcp_messenger.operations.application import App
from mcp_messenger.operations.operation import Cursor, FromOthers, Input, Limit, Output
from mcp_messenger.policy.asking import Call, unsealed
from mcp_messenger.policy.judging import current
from mcp_messenger.policy.shown import Words
from mcp_messenger.security.caller import Caller, instance_of, parse_instance_id
from providers.text import clean, clean_line

LOOK_EVERY = 1.0
LONGEST_WAIT = 300.0
EDITABLE = ("message", "caption")
UNSAID = frozenset({"to", "format", "wait", "idempotency_key"})
"""Arguments of which a question says nothing: the chat is in it already."""
SHOWN_MAX = 2000
"""Characters of a text that an agent is shown of its own call, and anybody of an argument."""
WORDS_MAX = 1000
"""Characters of the text of a call, and of its other arguments, in a question in a chat or at a client."""
WAITING, SETTLED = frozenset({"pending", "approved"}), frozenset({"done", "failed", "denied", "answered", "cancelled", "expired"})

NEXT_STEPS: Mapping[str, str] = {
    "pending": "The owner has not decided yet. Go on with something else, or wait again.",
    "approved": "It is being carried out.",
    "done": "It was carried out as `result` says; do not do it again.",
    "failed": "The owner approved it, and it could not be carried out, for the reason in `result`.",
    "denied": "The owner said no. Do not do it in another way; tell the person you work for.",
    "answered": "`answer` is what the owner says.",
    "cancelled": "It was taken back, and nothing was done.",
    "expired": "Nobody decided in time, and nothing was done. Ask the person before you make the call again.",
}


class ApprovalView(Output):
    """A call that waits for the owner, or did. `arguments` are those of `operation`; `content` is its text; `result` the outcome.

    `code` is what the owner answers with in the owner's chat; no agent is shown it. `reason_by` agent: the reason is in the agent's words, which
    nobody has checked. `next_step` says what to do now.
    """

    approval_id: str
    code: str | None = None
    kind: str
    status: str
    operation: str
    instance_id: str | None = None
    chat_id: str | None = None
    chat_title: str | None = None
    content: str = ""
    arguments: dict[str, Any] = {}
    rule: str
    reason: str
    reason_by: str = "policy"
    asked_by: str
    created_at: datetime
    expires_at: datetime
    decided_by: str | None = None
    decided_at: datetime | None = None
    result: dict[str, Any] | None = None
    answer: str | None = None
    next_step: str = ""


class ApprovalAnswer(FromOthers):
    approval: ApprovalView

    def words(self) -> Iterable[Words]:
        return _words([self.approval])


class ApprovalList(FromOthers):
    approvals: list[ApprovalView]
    next_cursor: str | None = None

    def words(self) -> Iterable[Words]:
        return _words(self.approvals)


def _words(views: Iterable[ApprovalView]) -> Iterable[Words]:
    return [Words(view.chat_id, view.instance_id, incoming=bool(view.chat_title)) for view in views if view.chat_id is not None]


SECRETS = frozenset({"credentials", "headers", "secret", "token", "password"})


def _shown(value: object) -> Any:
    """Return arguments as they are shown: without secrets, and long texts cut."""
    if isinstance(value, dict):
        return {name: "(hidden)" if name in SECRETS else _shown(one) for name, one in cast("dict[str, object]", value).items()}
    if isinstance(value, list):
        return [_shown(one) for one in cast("list[object]", value)]
    return _cut(value, SHOWN_MAX) if isinstance(value, str) else value


def _cut(text: str, most: int) -> str:
    """Return a text, or its beginning with how much more there is: nobody is to approve what they do not know of."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text) - most:,} more characters)"


def _others(call: Call) -> dict[str, Any]:
    """Return the arguments of a call but its instance and its text."""
    return _shown({name: value for name, value in call.arguments.items() if name not in {"instance_id", *EDITABLE}})


def view(app: App, row: ApprovalRow) -> ApprovalView:
    """Return an approval as callers see it; the chat's name, which others wrote, only as a person sees it."""
    call = unsealed(app.vault(), row)
    judging = current.get()
    by_agent = judging is not None and judging.by_agent
    outcome = row.outcome or {}
    return ApprovalView(
        approval_id=str(row.id),
        code=None if by_agent else row.code,
        kind=row.kind,
        status=row.status,
        operation=row.operation,
        instance_id=None if row.instance_id is None else str(row.instance_id),
        chat_id=row.chat_id,
        chat_title=None if by_agent else call.title or None,
        content=_cut(call.text, SHOWN_MAX) if by_agent else call.text,
        arguments=_others(call),
        rule=row.rule,
        reason=clean_line(row.reason),
        reason_by="agent" if row.kind == "draft" else "policy",
        asked_by=row.asker,
        created_at=row.created_at,
        expires_at=row.expires_at,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        result={name: value for name, value in outcome.items() if name != "words"} or None,
        answer=outcome.get("words"),
        next_step=NEXT_STEPS[row.status],
    )


async def known(app: App, caller: Caller, approval_id: str) -> ApprovalRow:
    """Return an approval that the caller may see. Raises NoSuchApproval, also for another's."""
    try:
        row = await store.get(app.database, UUID(approval_id))
    except ValueError:
        row = None
    if row is None:
        raise NoSuchApproval(approval_id)
    is_theirs = row.instance_id == caller.instance_id if caller.instance_id is not None else caller.user_id in {None, row.user_id}
    if not is_theirs or not _shown_to(caller, row):
        raise NoSuchApproval(approval_id)
    return row


def _shown_to(caller: Caller, row: ApprovalRow) -> bool:
    """Return whether a caller may see an approval of its user: an agent sees what it asked for itself, for others' words could steer it."""
    judging = current.get()
    if judging is not None and judging.by_agent and row.asker != judging.asker:
        return False
    return caller.instances is None or row.instance_id in caller.instances


class ListApprovals(Input):
    instance_id: str | None = Field(default=None, max_length=64, description="only this one")
    pending: bool = Field(default=True, description="only those that wait")
    limit: Limit = 20
    cursor: Cursor = None


async def list_approvals(app: App, caller: Caller, args: ListApprovals) -> ApprovalList:
    """Return approvals, newest first."""
    instance_id = caller.instance_id
    if args.instance_id is not None:
        instance_id = (await instance_of(app.database, caller, args.instance_id)).id
    before = cursors.decode(args.cursor)
    after = None if before is None or before[0] is None else (before[0], parse_instance_id(before[1]))
    user_id = None if caller.instance_id is not None else caller.user_id
    rows = await store.listing(app.database, user_id=user_id, instance_id=instance_id, pending=args.pending, after=after, limit=args.limit + 1)
    page = rows[: args.limit]
    return ApprovalList(
        approvals=[view(app, row) for row in page if _shown_to(caller, row)],
        next_cursor=cursors.encode(page[-1].created_at, str(page[-1].id)) if len(rows) > args.limit else None,
    )


class OfApproval(Input):
    approval_id: str = Field(max_length=64, description="from the error approval_required")


class WaitForApproval(OfApproval):
    timeout: float = Field(default=60.0, ge=0, le=LONGEST_WAIT, description="seconds")


async def wait_for_approval(app: App, caller: Caller, args: WaitForApproval) -> ApprovalAnswer:
    """Return an approval as soon as it is decided and carried out, or as it is after `timeout` seconds. Raises NoSuchApproval, ShuttingDown."""
    deadline = anyio.current_time() + args.timeout
    ends = app.feed.ends
    row = await known(app, caller, args.approval_id)
    while True:
        async with app.feed.waiter(row.instance_id) as grown:
            row = await known(app, caller, args.approval_id)
            if row.status in SETTLED or anyio.current_time() >= deadline:
                return ApprovalAnswer(approval=view(app, row))
            if ends.is_set():
                raise ShuttingDown("This server stops before the wait is over.", hint="Ask again in a few seconds.")
            # One without an instance makes no event.
            left = deadline - anyio.current_time()
            with anyio.move_on_after(left if row.instance_id is not None else min(LOOK_EVERY, left)):
                await grown.wait()


async def until_settled(app: App, row: ApprovalRow) -> ApprovalRow:
    """Return an approval as soon as it is decided and carried out, or is gone. Waits for ever."""
    while True:
        async with app.feed.waiter(row.instance_id) as grown:
            now = await store.get(app.database, row.id)
            if now is None or now.status in SETTLED:
                return now or row
            with anyio.move_on_after(LOOK_EVERY):
                await grown.wait()


def words_of(app: App, row: ApprovalRow) -> tuple[str, str]:
    """Return what a person is asked about a call: who wants what and why; and in quotes its text, and its other arguments as JSON."""
    call = unsealed(app.vault(), row)
    name = f'"{clean_line(call.title)}" ' if call.title else ""
    quoted = _quoted(clean(call.text), WORDS_MAX)
    if row.kind == "question":
        return "An agent asks you, in its own words:", quoted
    others = {name: value for name, value in _others(call).items() if name not in UNSAID}
    with_it = _quoted(clean_line(json.dumps(others, ensure_ascii=False)), WORDS_MAX) if others else ""
    reason = f'It says: "{clean_line(row.reason)}"' if row.kind == "draft" else row.reason
    whom = f" to {name}({row.chat_id})" if row.chat_id else f" in {name.strip()}" if name else ""
    head = f"An agent wants {row.operation}{whom}. {reason}"
    return head, "\n\n".join(part for part in (quoted, with_it) if part)


def _quoted(text: str, most: int) -> str:
    whole = text if len(text) <= most else f"{_cut(text, most)}: see all on its page"
    return "\n".join(f"> {line}" for line in whole.splitlines())
