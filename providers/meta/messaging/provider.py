"""What Facebook Messenger and Instagram do alike."""

from collections.abc import Callable, Sequence
from typing import ClassVar

from pydantic import SecretStr

from providers.base import ProviderContext
from providers.capabilities import Capability
from providers.errors import InvalidRequest
from providers.events import Event, MessageReceived, ReceiptChanged, ReceiptStatus
from providers.kit.bounded import BoundedMap
from providers.kit.json import Json
from providers.meta.connection import Timing
from providers.meta.messaging import attachments, outbound
from providers.meta.messaging.conversations import Conversations
from providers.meta.messaging.inbound import WebhookTranslator
from providers.meta.messaging.outbound import Sender
from providers.meta.messaging.profiles import Names
from providers.meta.messaging.sent import SentLog
from providers.meta.provider import MetaProvider
from providers.meta.settings import MetaSettings
from providers.models import Chat, ControlAction, Download, Draft, Media, Message, SentMessage

_UPLOADS_REMEMBERED = 200


class MessagingProvider(MetaProvider):
    """`account` is whose path messages are sent over, `ids` all ids that the account itself goes by."""

    platform: ClassVar[str]
    """As the Conversations API calls it."""
    profile_fields: ClassVar[str]
    sent_fields: ClassVar[Json]
    """What every message of the platform has besides."""
    silent_fields: ClassVar[Json]
    """What a message has that makes no sound."""
    inbox_app: ClassVar[str]
    """The app that is the inbox in which people answer by hand."""
    capabilities = frozenset(
        {
            Capability.REPLY,
            Capability.MEDIA,
            Capability.DOWNLOAD,
            Capability.CHOICES,
            Capability.REACT,
            Capability.TYPING,
            Capability.MARK_READ,
            Capability.RECEIPTS,
            Capability.CHATS,
            Capability.HISTORY,
            Capability.WEBHOOK,
            Capability.THREAD_CONTROL,
        }
    )

    def __init__(
        self,
        settings: MetaSettings,
        context: ProviderContext,
        *,
        token: SecretStr,
        app_secret: SecretStr,
        account: str,
        ids: set[str],
        upload_fields: dict[str, str] | None,
        timing: Timing | None,
    ) -> None:
        super().__init__(settings, context, token=token, app_secret=app_secret, timing=timing)
        self._account_id = account
        self._upload_fields = upload_fields
        self._sent = SentLog()
        self._uploads: BoundedMap[str, str] = BoundedMap(_UPLOADS_REMEMBERED)
        self._names = Names(self.profile_fields)
        self._translator = WebhookTranslator(ids, context.instance_id, self._sent)

    @property
    def _sender(self) -> Sender:
        return Sender(self._graph, self._account_id, self._sent, self._uploads, self.sent_fields, self.silent_fields, self._upload_fields)

    @property
    def _conversations(self) -> Conversations:
        return Conversations(self._graph, self._account_id, self.platform, self._translator.ids)

    def check(self, draft: Draft) -> None:
        super().check(draft)
        outbound.check(draft, self.title)

    async def _send(self, draft: Draft, mark: Callable[[str], str] | None) -> SentMessage:
        with self._watched():
            return await self._sender.send(draft, self._texts(draft), mark)

    async def _act(self, chat_id: str, action: str, **more: Json) -> None:
        with self._watched():
            await self._sender.act(chat_id, action, **more)

    async def set_typing(self, chat_id: str, typing: bool, message_id: str | None = None) -> None:
        """Shown for 20 s, or until the message arrives."""
        await self._act(chat_id, "typing_on" if typing else "typing_off")

    async def mark_read(self, chat_id: str, message_id: str) -> None:
        await self._act(chat_id, "mark_seen")

    async def set_control(self, chat_id: str, action: ControlAction, app_id: str | None = None, note: str | None = None) -> None:
        """Source: Meta's Conversation Routing. Passed to no app in particular, a conversation goes to the account's inbox."""
        if action is ControlAction.PASS:
            fields = {"target_app_id": app_id or self.inbox_app}
        elif app_id is not None:
            raise InvalidRequest("Only passing a conversation names an app.", hint="Leave app_id out.")
        else:
            fields = {}
        with self._watched():
            await self._sender.control(chat_id, action, **fields, **({"metadata": note} if note else {}))

    async def list_chats(self) -> Sequence[Chat]:
        with self._watched():
            return await self._conversations.list_chats()

    async def history(self, chat_id: str, *, before: str | None, limit: int) -> Sequence[Message]:
        with self._watched():
            return await self._conversations.history(chat_id, before=before, limit=limit)

    async def download(self, media: Media) -> Download:
        with self._watched():
            return await attachments.download(self._graph, media, self.limits.max_download or 0)

    def _events_of(self, entry: Json) -> list[Event]:
        return self._translator.events_of(entry)

    def _tested(self, entry: Json) -> list[Event]:
        return self._translator.tested(entry)

    async def _before(self, events: Sequence[Event]) -> Sequence[Event]:
        if self._deliver is None:
            return events
        people = {event.chat.id for event in events if isinstance(event, MessageReceived) and event.chat.id.isdecimal()}
        await self._names.look_up(people, self._graph, self._deliver, self._background)
        return [self._named(event) if isinstance(event, MessageReceived) else event for event in events]

    def _named(self, event: MessageReceived) -> MessageReceived:
        person = self._names.of(event.chat.id)
        if person is None or event.chat.title:
            return event
        chat = event.chat.model_copy(update={"title": person.name, "username": person.username})
        if event.message.outgoing:
            return event.model_copy(update={"chat": chat})
        return event.model_copy(update={"chat": chat, "sender": person, "message": event.message.model_copy(update={"sender_name": person.name})})

    async def _after(self, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, ReceiptChanged) and event.status is ReceiptStatus.READ:
                self._sent.told(event.chat_id, event.message_id)
