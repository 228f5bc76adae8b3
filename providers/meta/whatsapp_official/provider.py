"""A number of the WhatsApp Cloud API behind the port."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from providers.base import ProviderContext, Settings
from providers.capabilities import Capability
from providers.errors import InvalidRequest, MessengerError, NotFound
from providers.events import Event
from providers.groups import Group, GroupChange, JoinRequest, ParticipantResult
from providers.kit.bounded import BoundedSet
from providers.kit.json import Json, parts
from providers.kit.parts import parts_of, send_parts
from providers.kit.phones import digits_of
from providers.limits import Limits, Rate
from providers.meta.client import id_in, segment
from providers.meta.connection import Timing
from providers.meta.nonce import marked
from providers.meta.provider import MetaProvider
from providers.meta.webhook import readable
from providers.meta.whatsapp_official.groups import Groups, block, list_blocked
from providers.meta.whatsapp_official.ids import is_group, recipient_of
from providers.meta.whatsapp_official.inbound import WebhookTranslator
from providers.meta.whatsapp_official.outbound import PREVIEW, check_content, message_of
from providers.meta.whatsapp_official.settings import WhatsAppOfficialSettings
from providers.meta.whatsapp_official.templates import TEMPLATE_FIELDS, template_of
from providers.models import Account, ControlAction, Download, Draft, Media, SentMessage
from providers.templates import Template

_MB = 1024 * 1024
_TEMPLATES_PAGE = 100
_NO_GROUPS = "(code 131215)"
_OF_GROUPS = (Capability.GROUPS, Capability.GROUP_ADMIN, Capability.GROUP_MESSAGES, Capability.JOIN_REQUESTS)
_BUSINESS_AGENT = "ai_agent"
"""As Meta names its own agent among those who may answer."""


class WhatsAppOfficialProvider(MetaProvider):
    """Chats cannot be listed or read back: what was not recorded when it arrived is not to be had."""

    name = "whatsapp-official"
    title = "WhatsApp Cloud API"
    webhook_object = "whatsapp_business_account"
    remedy = "The token needs whatsapp_business_messaging, whatsapp_business_management and this phone number"
    capabilities = frozenset(
        {
            Capability.REPLY,
            Capability.MEDIA,
            Capability.DOWNLOAD,
            Capability.LOCATION,
            Capability.CONTACT,
            Capability.CHOICES,
            Capability.TEMPLATES,
            Capability.REACT,
            Capability.TYPING,
            Capability.MARK_READ,
            Capability.RECEIPTS,
            Capability.WEBHOOK,
            Capability.THREAD_CONTROL,
            Capability.BLOCK,
            Capability.BLOCK_LIST,
            Capability.GROUPS,
            Capability.GROUP_ADMIN,
            Capability.GROUP_MESSAGES,
            Capability.JOIN_REQUESTS,
        }
    )
    limits = Limits(
        max_text=4096,
        max_caption=1024,
        max_upload=100 * _MB,
        max_photo=5 * _MB,
        max_download=100 * _MB,
        reply_window_hours=24,
        overall_rate=Rate(count=80, seconds=1),
        chat_rate=Rate(count=10, seconds=60),
    )
    settings_type = WhatsAppOfficialSettings

    def __init__(self, settings: Settings, context: ProviderContext, *, timing: Timing | None = None) -> None:
        self._settings = WhatsAppOfficialSettings.model_validate(settings)
        super().__init__(self._settings, context, token=self._settings.access_token, app_secret=self._settings.app_secret, timing=timing)
        self._answered: BoundedSet[str] = BoundedSet()
        self._translator = WebhookTranslator(self._settings.phone_number_id, context.instance_id, self._answered, self._settings.business_account_id)

        self._no_groups: str | None = None
        """Meta's words, once it has refused groups to the number."""
        self._groups = Groups(self._settings.phone_number_id, self._timing.answer_seconds)

    @classmethod
    def address(cls, to: str) -> str:
        return digits_of(to) or to

    async def _identify(self) -> Account:
        number = await self._graph.get(self._settings.phone_number_id, fields="id,display_phone_number,verified_name")
        phone = self._translator.display = digits_of(str(number.get("display_phone_number", "")))
        return Account(id=self._settings.phone_number_id, name=number.get("verified_name", ""), phone=phone and f"+{phone}")

    def check(self, draft: Draft) -> None:
        super().check(draft)
        check_content(draft)

    async def send(self, draft: Draft) -> SentMessage:
        """Send a draft. A receipt for the mark of a single message settles a send whose answer was lost."""
        parts = parts_of(draft, self._texts(draft), everywhere=(PREVIEW,))
        mark = {"biz_opaque_callback_data": marked(self.context.instance_id, draft.client_id)} if len(parts) == 1 else {}

        async def send(part: Draft, number: int) -> SentMessage:
            return await self._send_one(part, mark)

        return await send_parts(parts, send)

    async def _send_one(self, draft: Draft, mark: Json) -> SentMessage:
        with self._watched():
            body = await message_of(self._graph, self._settings.phone_number_id, draft) | mark
            answer = await self._graph.post(self._messages, body, sends=True)
            message_id = id_in(answer, "messages", 0, "id")
        self._answered.add(message_id)
        upload = draft.upload
        media: tuple[Media, ...] = ()
        if upload is not None and draft.template is None:
            media = (Media(kind=upload.kind, ref=body[body["type"]]["id"], mime=upload.mime, size=len(upload.content), name=upload.name),)
        return SentMessage(id=message_id, at=datetime.now(UTC), chat_id=_chat_in(answer, draft.chat_id), media=media)

    async def lacking(self) -> Mapping[Capability, str]:
        known = dict(await super().lacking())
        if self._settings.business_account_id is None:
            known[Capability.TEMPLATES] = "Templates are listed from the business account: set business_account_id. They are sent without it, too."
        if self._no_groups is not None:
            known |= dict.fromkeys(_OF_GROUPS, f"Meta gives groups to some numbers alone, and answered: {self._no_groups}")
        return known

    async def list_templates(self) -> Sequence[Template]:
        account = self._settings.business_account_id
        if account is None:
            raise InvalidRequest("The templates belong to a business account, and none is set.", hint="Set business_account_id.")
        with self._watched():
            pages = await self._graph.pages(f"{account}/message_templates", fields=TEMPLATE_FIELDS, limit=_TEMPLATES_PAGE)
        return [template_of(one) for page in pages for one in parts(page, "data")]

    async def react(self, chat_id: str, message_id: str, emoji: str | None) -> None:
        reaction = {"message_id": message_id, "emoji": emoji or ""}
        body: Json = {"messaging_product": "whatsapp", **recipient_of(chat_id), "type": "reaction", "reaction": reaction}
        with self._watched():
            await self._graph.post(self._messages, body, sends=True)

    async def set_typing(self, chat_id: str, typing: bool, message_id: str | None = None) -> None:
        """Show typing for 25 s, or until the message arrives; it cannot be taken back. It marks the message as read."""
        if not typing:
            return
        if message_id is None:
            raise NotFound(
                "WhatsApp shows typing only as an answer to a message, and nobody has written in this chat.", hint="Just send the message."
            )
        await self._mark(message_id, typing_indicator={"type": "text"})

    async def mark_read(self, chat_id: str, message_id: str) -> None:
        await self._mark(message_id)

    async def set_control(self, chat_id: str, action: ControlAction, app_id: str | None = None, note: str | None = None) -> None:
        """Source: Meta's Thread Control (Cloud API). Besides us there are the Meta Business Agent and one app that people are passed to."""
        if action is ControlAction.REQUEST:
            raise InvalidRequest("WhatsApp lets no app ask for a conversation.", hint="Use take, which the app may that agents pass people to.")
        if app_id not in {None, _BUSINESS_AGENT} or (app_id is not None and action is not ControlAction.PASS):
            raise InvalidRequest(
                f"WhatsApp passes a conversation to {_BUSINESS_AGENT} or, without app_id, to the app that people are passed to.",
                hint=f"Leave app_id out, or use {_BUSINESS_AGENT} with pass.",
            )
        body: Json = {"messaging_product": "whatsapp", "action": str(action), **recipient_of(chat_id)} | ({"metadata": note} if note else {})
        body.pop("recipient_type")
        if app_id is not None:
            body["control_pass"] = {"target_role": app_id}
        with self._watched():
            await self._graph.post(f"{self._settings.phone_number_id}/thread_control", body)

    async def block(self, contact_id: str, blocked: bool) -> None:
        """Meta lets a business block who has written within the last 24 hours."""
        with self._watched():
            await block(self._graph, self._settings.phone_number_id, contact_id, blocked=blocked)

    async def list_blocked(self) -> Sequence[str]:
        with self._watched():
            return await list_blocked(self._graph, self._settings.phone_number_id)

    async def list_groups(self) -> Sequence[Group]:
        with self._watched():
            return await self._groups.listed(self._graph)

    async def create_group(self, title: str, participants: Sequence[str]) -> GroupChange:
        """The group is empty, and has a link by which people join: nobody can be added."""
        try:
            with self._watched():
                return await self._groups.create(self._graph, title, participants)
        except MessengerError as refusal:
            if _NO_GROUPS in refusal.detail:
                self._no_groups = refusal.detail
            raise

    async def add_participants(self, group_id: str, participants: Sequence[str]) -> GroupChange:
        with self._watched():
            return await self._groups.add(self._graph, group_id, participants)

    async def remove_participants(self, group_id: str, participants: Sequence[str]) -> GroupChange:
        with self._watched():
            return await self._groups.remove(self._graph, group_id, participants)

    async def set_admin(self, group_id: str, participants: Sequence[str], admin: bool) -> GroupChange:
        raise InvalidRequest("A business group of WhatsApp has one administrator: the business.", hint="Nobody else can be made one.")

    async def update_group(self, group_id: str, title: str | None, description: str | None) -> Group:
        with self._watched():
            return await self._groups.update(self._graph, group_id, title, description)

    async def invite_link(self, group_id: str) -> str:
        with self._watched():
            return await self._groups.link(self._graph, group_id, new=False)

    async def reset_invite_link(self, group_id: str) -> str:
        with self._watched():
            return await self._groups.link(self._graph, group_id, new=True)

    async def leave_group(self, group_id: str) -> None:
        """Without the business there is no group: it is deleted for everybody."""
        with self._watched():
            await self._graph.delete(segment(group_id))

    async def list_join_requests(self, group_id: str) -> Sequence[JoinRequest]:
        with self._watched():
            return [request for _, request in await self._groups.asking(self._graph, group_id)]

    async def answer_join_requests(self, group_id: str, people: Sequence[str], admit: bool) -> Sequence[ParticipantResult]:
        with self._watched():
            return await self._groups.answer(self._graph, group_id, people, admit=admit)

    async def _mark(self, message_id: str, **more: Json) -> None:
        with self._watched():
            await self._graph.post(self._messages, {"messaging_product": "whatsapp", "status": "read", "message_id": message_id, **more})

    async def download(self, media: Media) -> Download:
        limit = self.limits.max_download or 0
        with self._watched():
            file = await self._graph.get(segment(media.ref), phone_number_id=self._settings.phone_number_id)
            content, mime = await self._graph.download(file["url"], limit=limit)
        return Download(content=content, mime=media.mime or mime, name=media.name or media.ref)

    def _events_of(self, entry: Json) -> list[Event]:
        at = datetime.fromtimestamp(entry["time"], UTC) if isinstance(entry.get("time"), int) else datetime.now(UTC)
        for change in parts(entry, "changes"):
            for group in parts(change, "value", "groups"):
                self._groups.told(group)
        return readable(entry["changes"], lambda change: self._translator.events_of(change, str(entry.get("id")), at))

    def _tested(self, entry: Json) -> list[Event]:
        return readable(entry["changes"], self._translator.tested)

    @property
    def _messages(self) -> str:
        return f"{self._settings.phone_number_id}/messages"


def _chat_in(answer: Json, chat_id: str) -> str:
    """Return the chat that a message lies in: Meta may know the person under another number than the one given (Brazil, Mexico, Argentina)."""
    people = parts(answer, "contacts")
    found = digits_of(str(people[0].get("wa_id", ""))) if people and not is_group(chat_id) else None
    return found or chat_id
