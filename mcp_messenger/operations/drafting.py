"""Drafts and questions that an agent puts before its owner."""

from pydantic import Field

from db import chats
from db import policy as policies
from mcp_messenger.operations.addresses import recipient
from mcp_messenger.operations.application import App
from mcp_messenger.operations.approvals import ApprovalAnswer, view
from mcp_messenger.operations.operation import OfInstance, PlatformId
from mcp_messenger.operations.queueing import TO
from mcp_messenger.policy import asking
from mcp_messenger.policy.asking import Asked, Call
from mcp_messenger.policy.content import rest_of
from mcp_messenger.policy.judging import current
from mcp_messenger.policy.model import stored
from mcp_messenger.security.caller import Caller, instance_of
from providers.models import Draft, TextFormat


def _asker(caller: Caller) -> str:
    judging = current.get()
    return str(caller) if judging is None or not judging.by_agent else judging.asker


class DraftMessage(OfInstance):
    to: PlatformId = Field(validation_alias=TO, description="as in send_message")
    message: str = Field(min_length=1, max_length=100_000)
    format: TextFormat = TextFormat.PLAIN
    reason: str = Field(default="The agent drafted this message.", max_length=500, description="for the owner")


async def draft_message(app: App, caller: Caller, args: DraftMessage) -> ApprovalAnswer:
    """Put a message before the owner, who may change it, and approves or denies it. Raises what `recipient` raises."""
    row = await instance_of(app.database, caller, args.instance_id)
    to = await recipient(app, row, args.to, current.get())
    titles = await chats.titles(app.database, [(row.id, to.chat_id)]) if to.about is None else {}
    title = to.about.title if to.about is not None else titles.get((row.id, to.chat_id), "")
    draft = Draft(client_id="0", chat_id=to.chat_id, thread_id=to.thread_id, text=args.message, format=args.format)
    arguments = {"instance_id": args.instance_id, "to": args.to, "message": args.message, "format": str(args.format)}
    policy = stored(await policies.document(app.database, row.id))
    kept, _ = await asking.ask(
        app.database,
        app.vault(),
        Asked(
            kind="draft",
            operation="send_message",
            call=Call(arguments, rest_of(row.id, draft), title, args.message),
            rule="draft",
            reason=args.reason,
            asker=_asker(caller),
            caller=caller,
            user_id=row.user_id,
            instance_id=row.id,
            chat_id=to.chat_id,
            minutes=policy.approval_minutes,
        ),
    )
    return ApprovalAnswer(approval=view(app, kept))


class AskOwner(OfInstance):
    question: str = Field(min_length=1, max_length=4000)


async def ask_owner(app: App, caller: Caller, args: AskOwner) -> ApprovalAnswer:
    """Ask the owner a question; wait_for_approval gives the answer."""
    row = await instance_of(app.database, caller, args.instance_id)
    policy = stored(await policies.document(app.database, row.id))
    kept, _ = await asking.ask(
        app.database,
        app.vault(),
        Asked(
            kind="question",
            operation="ask_owner",
            call=Call({"question": args.question}, "", "", args.question),
            rule="question",
            reason="The agent asks you something.",
            asker=_asker(caller),
            caller=caller,
            user_id=row.user_id,
            instance_id=row.id,
            minutes=policy.approval_minutes,
        ),
    )
    return ApprovalAnswer(approval=view(app, kept))
