"""A WhatsApp account with its phone, which the test holds."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tests.standins.whatsapp_web.posts import Group, Json, Pair, Post
from tests.standins.whatsapp_web.refusal import Refusal

if TYPE_CHECKING:
    from tests.standins.whatsapp_web.server import Page, WhatsAppStandIn


class Account:
    def __init__(self, whatsapp: WhatsAppStandIn, number: str, name: str, *, by_lid: bool) -> None:
        self.number = number
        self.name = name
        self.pn = f"{number}@c.us"
        self.lid = f"99{number}@lid"
        self.address = self.lid if by_lid else self.pn
        self.devices: set[str] = set()
        self.online = True
        """Whether what is sent to it is delivered at once."""
        self.wants_passkey = False
        self.refuses_with: int | None = None
        """The number of WhatsApp's refusal of everything this account sends."""
        self.takes: int | None = None
        """How many more messages of it WhatsApp takes; None: all."""
        self.refused: list[Post] = []
        """What was refused: its WhatsApp Web keeps it, with its chat."""
        self.is_slow = False
        """What it sends is not answered until `release`."""
        self.migrated = False
        """Its WhatsApp Web keeps people by lid, and refuses a number that it has not asked about."""
        self.also_written: set[str] = set()
        """Ids by number that people write and WhatsApp understands, such as with Brazil's ninth digit; the registered one is `pn`."""
        self.unreadable: set[str] = set()
        """Chats of which its WhatsApp Web gets no earlier messages."""
        self.hides_number = False
        """Others are given its lid alone."""
        self.invite_only = False
        """Others cannot add it to groups."""
        self.on_phone: dict[str, int] = {}
        """Chats of which the phone alone has the messages from before a time, until it is asked for them."""
        self.marks: dict[str, Json] = {}
        """By chat: archived, pinned, muted, unread, as the account's WhatsApp Web last said."""
        self.starred: set[str] = set()
        self.blocked: set[Account] = set()
        self.saved: set[Account] = set()
        """The address book of its phone."""
        self.about = ""
        self.picture = 0
        """Length of the profile picture that was set."""
        self.stories: dict[str, str] = {}
        """By the keys of their messages."""
        self.rejected: list[tuple[str, str]] = []
        """Who called, and the id of the call."""
        self.typing: dict[str, bool] = {}
        """By chat, as the account's WhatsApp Web last said."""
        self._whatsapp = whatsapp

    def contact_for(self, viewer: Account) -> Json:
        """Return what the viewer's WhatsApp Web has of this person."""
        view: Json = {"lid": self.lid, "name": self.name, "saved": self in viewer.saved}
        if self.hides_number:
            return {**view, "id": self.lid, "pn": None}
        return {**view, "id": self.address, "pn": self.pn}

    @property
    def pages(self) -> list[Page]:
        return [page for page in self._whatsapp.pages if page.account is self]

    def seen_by(self, viewer: Account) -> str:
        """Return the id under which the viewer's WhatsApp Web has this person."""
        return self.lid if viewer.migrated else self.address

    def migrate(self) -> None:
        """WhatsApp moves its private chats from numbers to lids: chats and messages get other ids."""
        pairs = [place.other(self) for place in self.chats() if not isinstance(place, Group)]
        moved = [{"from": other.address, "to": other.lid, "contact": other.contact_for(self)} for other in pairs]
        self.migrated = True
        self.push("migrate", {"chats": moved})

    def push(self, name: str, data: Json | None = None) -> None:
        for page in self.pages:
            page.push(name, data)

    def scan(self, qr: str) -> None:
        """What the camera read. WhatsApp takes five parts, of which the first says which page it is."""
        parts = qr.split(",")
        if len(parts) != 5 or not all(parts):
            raise Refusal(400, "This is not a QR code of WhatsApp Web.")
        page = next((page for page in self._whatsapp.pages if page.ref == parts[0]), None)
        if page is None:
            raise Refusal(404, "The QR code has expired.")
        self._link(page)

    def enter_code(self, code: str) -> None:
        page = next((page for page in self._whatsapp.pages if page.pairing == (self.number, code)), None)
        if page is None:
            raise Refusal(404, "The code is wrong, or for another number.")
        self._link(page)

    def _link(self, page: Page) -> None:
        if self.wants_passkey:
            page.push("passkey")
            return
        self._whatsapp.link(page, self)

    def mute(self) -> None:
        """Its WhatsApp Web goes on, and tells nobody of messages any more: what users of such programs complain about most."""
        self.push("mute", {"muted": True})

    def hang(self) -> None:
        """Its WhatsApp Web never comes back from what it does."""
        self.push("hang")

    def unlink(self) -> None:
        """The person removes all linked devices."""
        self.devices.clear()
        self.push("unlink")

    def say_state(self, state: str) -> None:
        """The socket of its WhatsApp Web: CONFLICT, TOS_BLOCK, TIMEOUT..."""
        self.push("state", {"state": state})

    def writes(self, to: Account | Group, text: str, *, reply_to: Post | None = None, **fields: Any) -> Post:
        return self.sends(to, "chat", {"body": text, **fields}, reply_to=reply_to)

    def sends(self, to: Account | Group, type: str, fields: Json, *, reply_to: Post | None = None, t: int | None = None) -> Post:
        if reply_to is not None:
            quoted = {"quotedStanzaID": reply_to.key, "quotedParticipant": _wid(reply_to.author.lid if isinstance(to, Group) else reply_to.author.pn)}
            fields = {**fields, **quoted, "quotedMsg": {"type": reply_to.type, "body": reply_to.text}}
        place = to if isinstance(to, Group) else self._whatsapp.pair(self, to)
        post = Post(self, place, type, fields)
        if t is not None:
            post.t = t
        self._whatsapp.spread(post)
        return post

    def sends_file(self, to: Account | Group, type: str, content: bytes, mime: str, *, caption: str = "", name: str | None = None) -> Post:
        path = self._whatsapp.keep_file(content)
        fields = {"caption": caption, "mimetype": mime, "filename": name, "size": len(content), "directPath": path, "body": "dGh1bWI="}
        return self.sends(to, type, fields)

    def sends_location(self, to: Account | Group, latitude: float, longitude: float, name: str = "") -> Post:
        return self.sends(to, "location", {"lat": latitude, "lng": longitude, "loc": name})

    def sends_poll(self, to: Account | Group, question: str, options: Sequence[str]) -> Post:
        listed = [{"name": option, "localId": number} for number, option in enumerate(options)]
        return self.sends(to, "poll_creation", {"pollName": question, "pollOptions": listed, "pollSelectableOptionsCount": 1})

    def votes(self, poll: Post, options: Sequence[str]) -> None:
        """Choose these options, and no others any more."""
        self._whatsapp.vote(self, poll, options)

    def calls(self, other: Account, *, video: bool = False) -> None:
        """Ring the other's devices."""
        other.push("call", {"id": f"CALL{len(self._whatsapp.posts)}", "from": self.seen_by(other), "video": video})

    def asks_to_join(self, group: Group) -> None:
        """Wait for an administrator to let it into the group."""
        group.asking[self] = int(time.time())
        self.sends(group, "gp2", {"body": "", "subtype": "membership_approval_request"})

    def adds(self, group: Group, person: Account) -> None:
        """Take a person into a group."""
        group.members.append(person)
        self._whatsapp.tell_chat(group)
        self.sends(group, "gp2", {"body": "", "subtype": "add", "recipients": [_wid(person.lid)]})

    def removes(self, group: Group, person: Account) -> None:
        """Put a person out of a group."""
        self.sends(group, "gp2", {"body": "", "subtype": "remove", "recipients": [_wid(person.lid)]})
        group.members.remove(person)

    def renames(self, group: Group, title: str) -> None:
        group.title = title
        self._whatsapp.tell_chat(group)
        self.sends(group, "gp2", {"body": title, "subtype": "subject"})

    def decrypts(self, post: Post, text: str) -> None:
        """Have the devices of the others read at last what came to them as `ciphertext`."""
        post.type, post.fields = "chat", {"body": text}
        for member in post.place.members:
            member.push("decrypt", {"key": post.key, "body": text})

    def edits(self, post: Post, text: str) -> None:
        self._whatsapp.edit(post, text)

    def deletes(self, post: Post) -> None:
        self._whatsapp.revoke(post)

    def reacts(self, post: Post, emoji: str | None) -> None:
        self._whatsapp.react(self, post, emoji or "")

    def reads(self, other: Account) -> None:
        for post in self._whatsapp.posts_between(self, other):
            if post.author is other:
                self._whatsapp.acknowledge(post, 3)

    def plays(self, post: Post) -> None:
        self._whatsapp.acknowledge(post, 4)

    def chats(self) -> list[Group | Pair]:
        return self._whatsapp.places_of(self)


def _wid(text: str) -> Json:
    user, _, server = text.partition("@")
    return {"user": user, "server": server, "_serialized": text}
