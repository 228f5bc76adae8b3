"""Drafts into calls of the Send API."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from providers.errors import InvalidRequest, NotFound
from providers.kit.bounded import BoundedMap
from providers.kit.extra import check_extra
from providers.kit.json import Json
from providers.kit.parts import part_nonce, parts_of, send_parts
from providers.meta.client import GraphClient, id_in
from providers.meta.messaging.attachments import attachment_type, sent_media
from providers.meta.messaging.sent import SentLog
from providers.models import ControlAction, Draft, SentMessage, Upload

# Our own words in `extra`; everything else in there is Meta's, of the call itself.
TAG = "tag"
ATTACHMENT = "attachment"

_HUMAN_AGENT = "HUMAN_AGENT"
_TYPES = frozenset({"RESPONSE", "UPDATE", "MESSAGE_TAG"})
_SAID_BY_DRAFT = frozenset({"recipient", "message", "reply_to", "sender_action", "platform"})
_EVERYWHERE = frozenset({"messaging_type", TAG, "notification_type", "persona_id"})
_KNOWN_EXTRA = _EVERYWHERE | {ATTACHMENT}
_CHOICES_MAX = 13
_TITLE_MAX = 20


def check(draft: Draft, title: str) -> None:
    """Raise InvalidRequest for what both messengers refuse."""
    check_extra(draft, title, reserved=_SAID_BY_DRAFT, known=_KNOWN_EXTRA)
    if draft.extra.get("messaging_type", "RESPONSE") not in _TYPES:
        raise InvalidRequest("messaging_type is RESPONSE, UPDATE or MESSAGE_TAG.", hint="Leave it out: an answer needs none.")
    if draft.extra.get(TAG, _HUMAN_AGENT) != _HUMAN_AGENT:
        raise InvalidRequest(
            f"Meta takes no tag but {_HUMAN_AGENT} since 2026-04-27.", hint=f"{_HUMAN_AGENT} is for what a person wrote, within seven days."
        )
    if len(draft.choices) > _CHOICES_MAX:
        raise InvalidRequest(f"At most {_CHOICES_MAX} choices are shown.", hint="Ask in two steps.")
    for one in draft.choices:
        if len(one.title) > _TITLE_MAX or one.description:
            raise InvalidRequest(f"The choice '{one.id}' has at most {_TITLE_MAX} characters and no description.", hint="Put the rest into the text.")


@dataclass(frozen=True)
class Sender:
    """Sends for one account. The fields go into every message, silent message and upload; None where files are not taken."""

    graph: GraphClient
    account: str
    sent: SentLog
    uploads: BoundedMap[str, str]
    fields: Json
    silent_fields: Json
    upload_fields: dict[str, str] | None

    async def send(self, draft: Draft, texts: Sequence[str], mark: Callable[[str], str] | None) -> SentMessage:
        """Send the texts, each as a message; a file is one before its caption, since Meta's have none.

        `mark` makes of a nonce what goes out with a message; None where Meta shows no mark again.
        """
        _require_id(draft.chat_id)
        parts = parts_of(draft, texts, everywhere=_EVERYWHERE)
        messages = await self._messages(draft, parts)
        parts = [parts[0]] * (len(messages) - len(parts)) + parts
        at = datetime.now(UTC)

        async def send(part: Draft, number: int) -> SentMessage:
            message = messages[number]
            if mark is not None:
                message = {**message, "metadata": mark(part_nonce(draft.client_id, number, len(messages)))}
            message_id = await self._send(part, message)
            choices = frozenset(one.id for one in draft.choices) if "quick_replies" in message else frozenset[str]()
            self.sent.add(draft.chat_id, message_id, at, choices)
            media = () if draft.upload is None or number else (sent_media(message_id, draft.upload),)
            return SentMessage(id=message_id, at=at, chat_id=draft.chat_id, media=media)

        return await send_parts(parts, send)

    async def act(self, chat_id: str, action: str, **more: Json) -> None:
        """A sender action: typing, seen, a reaction."""
        _require_id(chat_id)
        await self.graph.post(f"{self.account}/messages", {"recipient": {"id": chat_id}, "sender_action": action, **more})

    async def control(self, chat_id: str, action: ControlAction, **fields: str) -> None:
        """Change which app answers: the call is named after the action."""
        _require_id(chat_id)
        await self.graph.post(f"{self.account}/{action}_thread_control", {"recipient": {"id": chat_id}, **fields})

    async def _messages(self, draft: Draft, parts: Sequence[Draft]) -> list[Json]:
        messages: list[Json] = []
        if draft.upload is not None:
            messages.append(
                {"attachment": {"type": attachment_type(draft.upload.kind), "payload": {"attachment_id": await self._upload(draft.upload)}}}
            )
        elif ATTACHMENT in draft.extra:
            messages.append({"attachment": draft.extra[ATTACHMENT]})
        if draft.text or not messages:
            messages += [{"text": part.text} for part in parts]
        if draft.choices:
            messages[-1]["quick_replies"] = [{"content_type": "text", "title": one.title, "payload": one.id} for one in draft.choices]
        return messages

    async def _send(self, draft: Draft, message: Json) -> str:
        extra = {name: value for name, value in draft.extra.items() if name != ATTACHMENT}
        body: Json = {"recipient": {"id": draft.chat_id}, **self.fields, "message": message, **extra}
        if draft.silent:
            body |= self.silent_fields
        if TAG in extra:
            body["messaging_type"] = "MESSAGE_TAG"
        if draft.reply_to is not None:
            body["reply_to"] = {"mid": draft.reply_to}
        return id_in(await self.graph.post(f"{self.account}/messages", body, sends=True), "message_id")

    async def _upload(self, upload: Upload) -> str:
        """The same file is uploaded once."""
        if self.upload_fields is None:
            raise InvalidRequest("Files cannot be uploaded here.")
        key = hashlib.sha256(upload.content).hexdigest() + upload.kind
        if known := self.uploads.get(key):
            return known
        message = {"attachment": {"type": attachment_type(upload.kind), "payload": {"is_reusable": True}}}
        fields = {**self.upload_fields, "message": json.dumps(message)}
        answer = await self.graph.upload(f"{self.account}/message_attachments", fields, upload, field="filedata")
        number = id_in(answer, "attachment_id", sent=False)
        self.uploads[key] = number
        return number


def _require_id(chat_id: str) -> None:
    if not chat_id.isdecimal():
        raise NotFound(
            f"'{chat_id[:64]}' is no id of a person: Meta makes one when somebody writes first, and it is a number.",
            hint="Use an id from list_chats.",
        )
