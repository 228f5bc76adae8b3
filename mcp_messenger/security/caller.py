"""Who asks. Every operation gets its caller and shows only what is that caller's: knowing an id is not a right."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from uuid import UUID

from mcp_messenger.errors import MissingScope, NoSuchInstance, NotAllowed

if TYPE_CHECKING:
    from db.database import Database
    from db.instances import InstanceRow


SHORT_ID = re.compile("[0-9A-Fa-f]{8}")
"""As much of an instance's id as lists of instances show to models."""
CLIENT_MAX = 100
"""Characters of a client's name."""


class Scope(StrEnum):
    """What a key may do. Each operation needs one."""

    READ = "read"
    SEND = "send"
    MANAGE = "manage"
    """Settings, logins, groups, webhooks."""
    DELETE = "delete"
    KEYS = "keys"
    """Keys, secrets, approvals and the policy: whoever has it stands in for the owner."""


@dataclass(frozen=True)
class Caller:
    """`user_id` None is the administrator; with `instance_id` it is an instance's own key, which sees that instance alone."""

    user_id: str | None = None
    instance_id: UUID | None = None
    scopes: frozenset[Scope] | None = None
    """None: every one, as for a user's token and an instance's own key."""
    instances: frozenset[UUID] | None = None
    """The user's instances that the key is for; None: all."""
    key_id: UUID | None = field(default=None, compare=False)
    is_local: bool = field(default=False, compare=False)
    """Comes from where no token is needed: without one it would be the administrator."""
    is_at_instance: bool = field(default=False, compare=False)
    """Calls at the instance's own address."""
    digest: bytes | None = field(default=None, compare=False, repr=False)
    """Of the key or token that was shown, for who has several."""
    session: str | None = field(default=None, compare=False)
    """A name of the MCP session for the audit log; nobody can join the session by it."""
    client: str | None = field(default=None, compare=False)
    """What the client calls itself."""
    narrowed: Mapping[str, Any] | None = field(default=None, compare=False, repr=False)
    """What the key narrows of the policies of its instances; None: nothing."""

    @property
    def is_admin(self) -> bool:
        return self.user_id is None

    @property
    def is_agent(self) -> bool:
        """Return whether the key is one to give to an agent, whatever way it calls."""
        return self.instance_id is not None or (self.scopes is not None and Scope.KEYS not in self.scopes)

    @property
    def is_judged(self) -> bool:
        """Return whether the policy binds REST calls with this key.

        Not those of an instance's own key at its own address, where whoever shows no key at all is the administrator: there it is the
        owner's program that calls.
        """
        return self.is_agent and not (self.is_local and self.is_at_instance and self.scopes is None)

    def __str__(self) -> str:
        if self.scopes is not None:
            return f"user:{self.user_id} key:{self.key_id}"
        if self.instance_id is not None:
            return f"instance:{self.instance_id}"
        return "admin" if self.user_id is None else f"user:{self.user_id}"

    def sees(self, row: "InstanceRow") -> bool:
        if self.instance_id is not None:
            return row.id == self.instance_id
        if self.instances is not None and row.id not in self.instances:
            return False
        return self.user_id is None or row.user_id == self.user_id

    def require_owner(self) -> None:
        """For what an instance's key may not do to its own instance."""
        if self.instance_id is not None:
            raise NotAllowed("An instance's key cannot do this.", hint="Use the token of the instance's user or of the administrator.")

    def require_all_instances(self) -> None:
        """For what concerns all instances of a user at once."""
        if self.instances is not None:
            raise NotAllowed("This key is for some instances only.", hint="Use a key for all instances of the user.")

    def may(self, scope: Scope) -> bool:
        return self.scopes is None or scope in self.scopes

    def require_scope(self, scope: Scope) -> None:
        """Raise MissingScope where the key lacks it."""
        if not self.may(scope):
            raise MissingScope(scope, self.scopes or ())

    def require_every_scope(self) -> None:
        """For what gives a key that may do everything: nobody gets more than they have."""
        for scope in Scope:
            self.require_scope(scope)

    def require_admin(self) -> None:
        if not self.is_admin:
            raise NotAllowed("Only the administrator can do this.", hint="Use the admin token.")


ADMIN = Caller()


def parse_instance_id(text: str) -> UUID:
    """Raises NoSuchInstance for what is no id at all, as for an id that is nobody's."""
    try:
        return UUID(text)
    except ValueError:
        raise NoSuchInstance(text) from None


async def instance_of(database: "Database", caller: Caller, instance_id: str) -> "InstanceRow":
    """The instance, if it is the caller's; the same error whether it is missing or another's."""
    from db import instances

    row = await instances.get(database, parse_instance_id(instance_id))
    if row is None or not caller.sees(row):
        raise NoSuchInstance(instance_id)
    return row


async def readable_of(database: "Database", caller: Caller, instance_id: str) -> "InstanceRow":
    """Return the instance, or what is left of it where it was removed while its messages stayed. Raises NoSuchInstance."""
    from db import instances

    id = parse_instance_id(instance_id)
    row = await instances.get(database, id) or await instances.kept(database, id.hex)
    if row is None or not caller.sees(row):
        raise NoSuchInstance(instance_id)
    return row


async def whole_id(database: "Database", caller: Caller, instance_id: str) -> str:
    """Return the id of the caller's instance whose beginning models are shown; any other id as it is. Raises NoSuchInstance."""
    from db import instances

    if not SHORT_ID.fullmatch(instance_id):
        return instance_id
    row = await instances.by_beginning(database, instance_id.lower(), user_id=caller.user_id, id=caller.instance_id)
    row = row or await instances.kept(database, instance_id.lower())
    if row is None or not caller.sees(row):
        raise NoSuchInstance(instance_id)
    return str(row.id)
