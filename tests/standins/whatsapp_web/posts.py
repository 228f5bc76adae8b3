"""Messages and groups, and how each account sees them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.standins.whatsapp_web.accounts import Account

Json = dict[str, Any]

_NUMBERS = count(1)


def new_key() -> str:
    return f"3A{next(_NUMBERS):018X}"


@dataclass(eq=False)
class Group:
    id: str
    title: str
    members: list[Account]
    admins: set[Account]
    description: str | None = None
    announce: bool = False
    invite: str = "INVITE-1"
    t: int = 0
    picture: int = 0
    properties: dict[str, int] = field(default_factory=dict[str, int])
    asking: dict[Account, int] = field(default_factory=dict["Account", int])


@dataclass(eq=False)
class Pair:
    """A private chat."""

    members: list[Account]

    def other(self, account: Account) -> Account:
        return next(one for one in self.members if one is not account)


@dataclass(eq=False)
class Post:
    author: Account
    place: Group | Pair
    type: str
    fields: Json
    key: str = field(default_factory=new_key)
    t: int = field(default_factory=lambda: int(time.time()))
    ack: int = 1
    reactions: dict[Account, str] = field(default_factory=dict)
    deleted: bool = False
    pinned: bool = False
    read_by: set[Account] = field(default_factory=set)

    @property
    def text(self) -> str:
        return self.fields.get("caption") or self.fields.get("body") or ""

    def id_for(self, viewer: Account) -> str:
        """As WhatsApp Web of that account writes the message's id."""
        mine = "true" if self.author is viewer else "false"
        end = f"_{self.author.lid}" if isinstance(self.place, Group) else ""
        return f"{mine}_{remote(self.place, viewer)}_{self.key}{end}"

    def view(self, viewer: Account) -> Json:
        here, mine = remote(self.place, viewer), self.author is viewer
        in_group = isinstance(self.place, Group)
        own = viewer.lid if in_group or viewer.migrated else viewer.pn
        return {
            "key": self.key,
            "remote": here,
            "from_me": mine,
            "from": own if mine else here,
            "to": here if mine else own,
            "participant": self.author.lid if in_group else None,
            "name": self.author.name,
            "ack": self.ack,
            "t": self.t,
            "type": "revoked" if self.deleted else self.type,
            "fields": {"body": ""} if self.deleted else self.fields,
        }


def remote(place: Group | Pair, viewer: Account) -> str:
    return place.id if isinstance(place, Group) else place.other(viewer).seen_by(viewer)
