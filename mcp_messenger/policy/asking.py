"""Stores calls that wait for a person, whole and encrypted, and reads them again."""

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast
from uuid import UUID, uuid4

from pydantic import BaseModel, SecretBytes, SecretStr

from db import approvals
from db.approvals import ApprovalRow, NewApproval
from db.database import Database
from mcp_messenger.errors import Conflict, InvalidInput
from mcp_messenger.security.caller import Caller
from mcp_messenger.security.reencryption import APPROVAL
from mcp_messenger.security.vault import Vault

WAITING_MAX = 50
CALL_MAX = 20_000_000
"""Characters of a call that waits: a whole file may be one of its arguments."""
LETTERS = "abcdefghjkmnpqrstuvwxyz"
CODE_LENGTH = 5
Kind = Literal["call", "draft", "question"]


@dataclass(frozen=True)
class Call:
    """A call as it is kept. `rest` is the digest of what its arguments lead to and a person cannot change: the recipient, a file's content.

    `title` and `words` are for the person who decides.
    """

    arguments: dict[str, Any]
    rest: str = ""
    title: str = ""
    text: str = ""


@dataclass(frozen=True)
class Asked:
    """All about a call that is to wait. `user_id` is who decides."""

    operation: str
    call: Call
    rule: str
    reason: str
    asker: str
    caller: Caller
    user_id: str
    instance_id: UUID | None = None
    chat_id: str | None = None
    idempotency_key: str | None = None
    minutes: int = 24 * 60
    kind: Kind = "call"


@dataclass(frozen=True)
class Approved:
    """A call that a person approved: it may go to this chat and nowhere else, with this content. `asker` is the agent that made it."""

    approval_id: UUID
    chat_id: str | None
    rest: str
    by: str
    asker: str


async def ask(database: Database, vault: Vault, asked: Asked) -> tuple[ApprovalRow, bool]:
    """Store a call that waits for a person; return it, or the same one that waits already, and whether it is new.

    Raises Conflict where too many wait, InvalidInput for a call that is too long to be kept.
    """
    text = json.dumps(asked.call.__dict__, sort_keys=True)
    if len(text) > CALL_MAX:
        raise InvalidInput("This needs the owner's word, and is too long to be kept until then.", hint="Give the file by its path or address.")
    if await approvals.waiting(database, asked.asker) >= WAITING_MAX:
        raise Conflict(
            f"{WAITING_MAX} calls wait for the owner already.", hint="Wait until some are decided, or take some back with cancel_approval."
        )
    id = uuid4()
    return await approvals.ask(
        database,
        NewApproval(
            id=id,
            code="".join(secrets.choice(LETTERS) for _ in range(CODE_LENGTH)),
            kind=asked.kind,
            user_id=asked.user_id,
            instance_id=asked.instance_id,
            operation=asked.operation,
            sealed=sealed(vault, id, asked.call),
            binding=_digest(asked.kind, asked.instance_id, asked.chat_id, asked.call.rest, asked.call.text, asked.call.arguments),
            chat_id=asked.chat_id,
            rule=asked.rule,
            reason=asked.reason,
            asker=asked.asker,
            caller_user_id=asked.caller.user_id,
            caller_instance_id=asked.caller.instance_id,
            idempotency_key=asked.idempotency_key,
            minutes=asked.minutes,
        ),
    )


def sealed(vault: Vault, id: UUID, call: Call) -> bytes:
    """Return a call as it is stored."""
    return vault.seal(json.dumps(call.__dict__), row=str(id), field=APPROVAL)


def unsealed(vault: Vault, row: ApprovalRow) -> Call:
    """Return the call that waits. Raises VaultError."""
    return Call(**json.loads(vault.unseal(row.sealed, row=str(row.id), field=APPROVAL)))


def arguments_of(args: BaseModel) -> dict[str, Any]:
    """Return the arguments that were given, as JSON, with their secrets."""
    return {name: _plain(getattr(args, name)) for name in args.model_fields_set}


def _plain(value: object) -> Any:
    match value:
        case SecretStr() | SecretBytes():
            return _plain(value.get_secret_value())
        case bytes():
            return value.decode()
        case BaseModel():
            return arguments_of(value)
        case Mapping():
            return {str(key): _plain(one) for key, one in cast("Mapping[object, object]", value).items()}
        case list() | tuple() | set() | frozenset():
            return [_plain(one) for one in cast("list[object]", value)]
        case bool() | int() | float() | None:
            return value
        case _:
            return str(value)


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, default=str, sort_keys=True).encode()).hexdigest()
