"""What the audit log says of one call: that it may go on, that it waits for a person, that it was refused, and how it failed."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from pydantic import BaseModel

from db.audit import Entry
from db.errors import StoreUnavailable
from db.instances import InstanceRow
from mcp_messenger.errors import NotAllowed
from mcp_messenger.policy.asking import Approved, arguments_of
from mcp_messenger.policy.audit import Audit, content_digest, new_id
from mcp_messenger.policy.content import text_of
from mcp_messenger.security.caller import Caller
from providers.errors import MessengerError
from providers.models import Draft

log = logging.getLogger(__name__)

DECISIONS = frozenset({"approve", "deny", "cancel_approval"})
"""Operations whose rows are written with what they decide."""
TARGETS = ("contact_id", "message_id", "person_id", "approval_id", "key_id", "user_id", "delivery_id", "participant", "name", "provider")
SECRETS = frozenset({"credentials", "api_webhook_schema", "headers", "secret", "config"})
"""Arguments that may hold secrets: a digest of short ones could be guessed."""


@dataclass
class Recording:
    """Writes the rows of one call. `is_audited`: it changes something, so that it has some even where nothing is refused."""

    audit: Audit
    caller: Caller
    operation: str
    args: BaseModel | None
    asker: str
    by_agent: bool
    approved: Approved | None
    is_audited: bool
    is_let: bool = False
    """There is a row that says that the call may be carried out."""
    is_refused: bool = False
    """There is one that says that it may not."""

    async def let(self) -> None:
        """Write that the call may be carried out."""
        if self.is_audited and self.operation not in DECISIONS:
            await self._note("allowed")
            self.is_let = True

    async def let_out(self, entry: Entry | None) -> None:
        """Write what is let out, where no message is queued with it; None: nothing is to be written."""
        if entry is not None:
            await self.audit.add(entry)
            self.is_let = True

    async def refuse(
        self, outcome: str, rule: str, row: InstanceRow | None, operation: str, chat_id: str | None, *, approval_id: UUID | None = None
    ) -> None:
        """Write that a rule does not let a call go on by itself."""
        self.is_refused = True
        await self.audit.add(self._entry(outcome, operation=operation, row=row, chat_id=chat_id, rule=rule, approval_id=approval_id))

    async def failed(self, error: MessengerError) -> None:
        """Write that the call was refused, or that it failed after it was let go on."""
        if not self.is_audited or self.is_refused or not (self.is_let or isinstance(error, NotAllowed)):
            return
        try:
            await self._note("failed" if self.is_let else "denied", code=error.code)
        except StoreUnavailable as unavailable:
            log.warning("the audit log has no row for a call that ended with %s: %s", error.code, unavailable.detail)

    def of_send(self, row: InstanceRow, draft: Draft, rest: str, operation: str | None, *, rule: str | None = None) -> Entry:
        """Return the row of the audit log for a message that may go out."""
        id = new_id()
        return self._entry(
            "allowed",
            id=id,
            operation=operation,
            row=row,
            chat_id=draft.chat_id,
            rule=rule,
            target=draft.reply_to and f"message {draft.reply_to}",
            content=content_digest(id, text_of(draft), rest),
        )

    async def _note(self, outcome: str, *, code: str | None = None) -> None:
        id, given = new_id(), {} if self.args is None else arguments_of(self.args)
        content = content_digest(id, {name: value for name, value in given.items() if name not in SECRETS})
        await self.audit.add(self._entry(outcome, id=id, code=code, content=content))

    def _entry(
        self,
        outcome: str,
        *,
        id: UUID | None = None,
        operation: str | None = None,
        row: InstanceRow | None = None,
        chat_id: str | None = None,
        target: str | None = None,
        rule: str | None = None,
        approval_id: UUID | None = None,
        code: str | None = None,
        content: bytes | None = None,
    ) -> Entry:
        named: str | None = getattr(self.args, "instance_id", None)
        by_rule = outcome in {"denied", "asked"} or self.by_agent
        return self.audit.entry(
            self.caller,
            operation or self.operation,
            outcome,
            id=id,
            name=self.approved.asker if self.approved is not None else self.asker,
            user_id=None if row is None else row.user_id,
            instance_id=row.id if row is not None else None if named is None else _known(named),
            chat_id=chat_id or _first_of(self.args, ("chat_id", "group_id", "to"), self.operation),
            target=target or _first_of(self.args, TARGETS, self.operation),
            rule="approval" if self.approved is not None else rule,
            decided_by=self.approved.by if self.approved is not None else "policy" if by_rule else "caller",
            approval_id=approval_id or (None if self.approved is None else self.approved.approval_id),
            code=code,
            content=content,
        )


def _first_of(args: BaseModel | None, names: Iterable[str], operation: str) -> str | None:
    """Return the first of these arguments that a call has, as words; None: none of them. Of an erasure nobody may find out whose it was."""
    if operation.startswith("erase_"):
        return None
    for name in names:
        value = getattr(args, name, None)
        if isinstance(value, str) and value:
            return value if name in {"chat_id", "group_id", "to", "contact_id"} else f"{name.removesuffix('_id')} {value}"
    return None


def _known(instance_id: str) -> UUID | None:
    try:
        return UUID(instance_id)
    except ValueError:
        return None
