"""Ann and the agent on the local WhatsApp, as the contract asks for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from providers.base import Provider
from providers.capabilities import Capability
from providers.events import MessageDeleted, MessageEdited, ReactionChanged, ReceiptChanged
from providers.models import Contact, Location, Poll, Upload
from providers.states import InstanceState
from providers.whatsappweb.provider import WhatsAppWebProvider
from providers.whatsappweb.settings import WhatsAppWebSettings
from tests.providers.harness import Harness, Seen
from tests.standins.whatsapp_web import Account, Post
from tests.waiting import until

if TYPE_CHECKING:
    from tests.providers.whatsappweb.conftest import Station


async def log_in(provider: WhatsAppWebProvider, account: Account) -> None:
    """Scans, where a code is shown."""
    await until(lambda: provider.state.state in {InstanceState.QR_READY, InstanceState.READY})
    qr = provider.state.qr
    if qr is not None:
        account.scan(qr.content)


class WhatsAppHarness(Harness):
    reaches_out = False
    is_saved = True
    reports = frozenset({MessageEdited, MessageDeleted, ReactionChanged, ReceiptChanged})
    lacking = frozenset({Capability.STORIES})
    companion = "+15550102"

    def __init__(self, station: Station, agent: Account, ann: Account) -> None:
        self.settings = WhatsAppWebSettings()
        self.chat_id = self.person_id = ann.pn
        station.whatsapp.account(self.companion.removeprefix("+"), "Bob")
        agent.saved.add(ann)
        self._station = station
        self._agent = agent
        self._ann = ann

    def create(self) -> Provider:
        return self._station.make()

    async def log_in(self, provider: Provider) -> None:
        assert isinstance(provider, WhatsAppWebProvider)
        await log_in(provider, self._agent)

    def _post(self, message_id: str) -> Post:
        return next(post for post in self._station.whatsapp.posts if post.id_for(self._agent) == message_id)

    async def write(self, text: str, *, reply_to: str | None = None, upload: Upload | None = None) -> str:
        if upload is not None:
            post = self._ann.sends_file(self._agent, "image", upload.content, upload.mime, caption=text)
        else:
            post = self._ann.writes(self._agent, text, reply_to=self._post(reply_to) if reply_to else None)
        await self._station.whatsapp.settled()
        return post.id_for(self._agent)

    async def write_misshapen(self, text: str) -> str:
        post = self._ann.sends(self._agent, "chat", {"body": text, "mentionedJidList": 5})
        await self._station.whatsapp.settled()
        return post.id_for(self._agent)

    async def edit(self, message_id: str, text: str) -> None:
        self._ann.edits(self._post(message_id), text)

    async def delete(self, message_id: str) -> None:
        self._ann.deletes(self._post(message_id))

    async def react(self, message_id: str, emoji: str | None) -> None:
        self._ann.reacts(self._post(message_id), emoji)

    async def seen(self, message_id: str) -> Seen:
        post = self._post(message_id)
        fields = post.fields
        path = fields.get("directPath")
        quoted = fields.get("quotedStanzaID")
        return Seen(
            text=post.text if post.type in {"chat", "image"} else "",
            reply_to=next((one.id_for(self._agent) for one in self._station.whatsapp.posts if one.key == quoted), None),
            reaction=post.reactions.get(self._agent),
            deleted=post.deleted,
            read=self._agent in post.read_by,
            file=self._station.whatsapp.files[path] if path else None,
            location=Location(latitude=fields["lat"], longitude=fields["lng"]) if post.type == "location" else None,
            poll=_poll(post),
            contact=_card(post),
            pinned=post.pinned,
            forwarded=bool(fields.get("isForwarded")),
        )

    async def bring_nothing(self) -> None:
        self._ann.sends(self._agent, "e2e_notification", {})

    async def refuse_second_send(self) -> None:
        self._agent.takes = 1

    async def is_archived(self) -> bool:
        return bool(self._agent.marks[self.chat_id]["archived"])

    async def ask_to_join(self, group_id: str) -> None:
        self._ann.asks_to_join(next(group for group in self._station.whatsapp.groups if group.id == group_id))

    @property
    def asker_id(self) -> str:
        """WhatsApp names who asks by the hidden id alone."""
        return self._ann.lid

    async def is_typing(self) -> bool:
        await self._station.whatsapp.until(lambda: self.chat_id in self._agent.typing)
        return self._agent.typing[self.chat_id]


def _poll(post: Post) -> Poll | None:
    if post.type != "poll_creation":
        return None
    options = tuple(option["name"] for option in post.fields["pollOptions"])
    return Poll(question=post.fields["pollName"], options=options, multiple=post.fields["pollSelectableOptionsCount"] == 0)


def _card(post: Post) -> Contact | None:
    if post.type != "vcard":
        return None
    phone = next(line.rpartition(":")[2] for line in post.fields["body"].splitlines() if line.startswith("TEL"))
    return Contact(id="", name=post.fields["vcardFormattedName"], phone=phone)
