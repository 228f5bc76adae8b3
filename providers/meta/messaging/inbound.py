"""Deliveries of the Messenger Platform into events."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from providers.kit.bounded import bounded_raw
from providers.kit.json import Json, part, parts
from providers.kit.parts import is_part
from providers.meta.messaging.attachments import media_of, story_of
from providers.meta.messaging.sent import SentLog
from providers.meta.nonce import nonce_in
from providers.meta.webhook import readable
from providers.models import (
    Chat,
    ChatKind,
    Contact,
    Event,
    Location,
    Message,
    MessageDeleted,
    MessageEdited,
    MessageKind,
    MessageReceived,
    ReactionChanged,
    ReceiptChanged,
    ReceiptStatus,
)

logger = logging.getLogger(__name__)

# A time in seconds has so few digits; Meta mostly counts milliseconds.
_SECONDS_BELOW = 10**11

# Where Meta names a reaction without its emoji.
_EMOJIS = {"love": "❤️", "like": "👍", "dislike": "👎", "smile": "😆", "laugh": "😆", "wow": "😮", "sad": "😢", "angry": "😠"}


class Inbound:
    """Translates what is about one account, known under any of `ids`."""

    def __init__(self, ids: set[str], instance_id: str, sent: SentLog) -> None:
        self.ids = ids
        self._instance = instance_id
        self._sent = sent
        self._translations: dict[str, Callable[[Json], list[Event]]] = {
            "message": self._message,
            "postback": self._postback,
            "reaction": self._reaction,
            "message_edit": self._edit,
            "delivery": self._delivery,
            "read": self._read,
        }

    def events_of(self, entry: Json) -> list[Event]:
        """What an entry says; nothing where it is about another account of the same app."""
        if str(entry["id"]) not in self.ids:
            logger.info("A delivery about another account was left out.")
            return []
        items = [*entry.get("messaging", []), *entry.get("standby", [])]
        # The dashboard's test button, and some fields, come in this form.
        items += [change["value"] for change in entry.get("changes", []) if "sender" in change.get("value", {})]
        return readable(items, self._said)

    def _said(self, item: Json) -> list[Event]:
        translate = next((translate for name, translate in self._translations.items() if name in item), self._other)
        return translate(item)

    def _chat(self, item: Json) -> Chat:
        """With the other side, whoever of the two wrote."""
        sender, recipient = str(item["sender"]["id"]), str(item["recipient"]["id"])
        return Chat(id=recipient if sender in self.ids else sender, kind=ChatKind.PRIVATE)

    def _received(self, item: Json, **content: Any) -> MessageReceived:
        chat, sender = self._chat(item), Contact(id=str(item["sender"]["id"]))
        message = Message(
            chat_id=chat.id, at=_time(item["timestamp"]), outgoing=sender.id in self.ids, sender_id=sender.id, raw=bounded_raw(item), **content
        )
        return MessageReceived(message=message, chat=chat, sender=sender)

    def _message(self, item: Json) -> list[Event]:
        said = item["message"]
        if said.get("is_deleted"):
            return [MessageDeleted(chat_id=self._chat(item).id, message_id=said["mid"], at=_time(item["timestamp"]))]
        received = self._received(item, id=said["mid"], **self._content(item, said))
        if received.message.outgoing:
            self._sent.add(received.chat.id, said["mid"], received.message.at)
            nonce = nonce_in(said.get("metadata"), self._instance)
            if is_part(nonce):
                return []
            received = received.model_copy(update={"client_id": nonce, "sender": None})
        return [received]

    def _content(self, item: Json, said: Json) -> Json:
        attachments = parts(said, "attachments")
        media = media_of(said["mid"], attachments) or story_of(said["mid"], said)
        place = _place(attachments)
        chosen = part(said, "quick_reply").get("payload")
        reply_to = part(said, "reply_to").get("mid")
        if chosen is not None and reply_to is None:
            reply_to = self._sent.asked(str(item["sender"]["id"]), chosen)
        text = said.get("text") or _text_of(attachments)
        return {
            "text": text,
            "kind": _kind(said, text, media=bool(media), place=place is not None),
            "media": media,
            "location": place,
            "chosen": chosen,
            "reply_to": reply_to,
        }

    def _postback(self, item: Json) -> list[Event]:
        """A button of a template, a menu or an ice breaker."""
        press = item["postback"]
        number = press.get("mid") or f"postback:{item['sender']['id']}:{item['timestamp']}"
        return [self._received(item, id=number, text=press.get("title", ""), chosen=press.get("payload"))]

    def _reaction(self, item: Json) -> list[Event]:
        reaction = item["reaction"]
        emoji = reaction.get("emoji") or _EMOJIS.get(reaction.get("reaction", ""), "⭐")
        return [
            ReactionChanged(
                chat_id=self._chat(item).id,
                message_id=reaction["mid"],
                sender_id=str(item["sender"]["id"]),
                emojis=(emoji,) if reaction.get("action") == "react" else (),
                at=_time(item["timestamp"]),
            )
        ]

    def _edit(self, item: Json) -> list[Event]:
        edit = item["message_edit"]
        return [MessageEdited(chat_id=self._chat(item).id, message_id=edit["mid"], text=edit["text"], at=_time(item["timestamp"]))]

    def _delivery(self, item: Json) -> list[Event]:
        told = item["delivery"]
        at = _time(told.get("watermark") or item["timestamp"])
        return self._receipts(item, told.get("mids") or [], ReceiptStatus.DELIVERED, at)

    def _read(self, item: Json) -> list[Event]:
        """Instagram names the message, Messenger only the time up to which everything is read."""
        told = item["read"]
        at = _time(told.get("watermark") or item["timestamp"])
        mids = [told["mid"]] if told.get("mid") else self._sent.read_until(self._chat(item).id, at)
        return self._receipts(item, mids, ReceiptStatus.READ, at)

    def _receipts(self, item: Json, mids: list[str], status: ReceiptStatus, at: datetime) -> list[Event]:
        chat_id = self._chat(item).id
        return [ReceiptChanged(chat_id=chat_id, message_id=mid, status=status, at=at) for mid in mids]

    def _other(self, item: Json) -> list[Event]:
        """Referrals, opt-ins, hand-overs between apps."""
        what = next((name for name in item if name not in {"sender", "recipient", "timestamp"}), "event")
        number = f"{what}:{item['sender']['id']}:{item['timestamp']}"
        return [self._received(item, id=number, kind=MessageKind.SYSTEM, text=f"An event of the type {what}.")]


def _kind(said: Json, text: str, *, media: bool, place: bool) -> MessageKind:
    if media:
        return MessageKind.MEDIA
    if place:
        return MessageKind.LOCATION
    return MessageKind.TEXT if said.get("text") or text else MessageKind.UNKNOWN


def _text_of(attachments: list[Json]) -> str:
    """What can be said of attachments that are no files: links, posts, cards."""
    if any(one.get("type") == "story_mention" for one in attachments):
        return "Mentioned this account in a story."
    lines = [
        " ".join(filter(None, (payload.get("title") or one.get("title"), payload.get("url") or one.get("url"))))
        for one, payload in _links(attachments)
    ]
    return "\n".join(filter(None, lines))


def _links(attachments: list[Json]) -> list[tuple[Json, Json]]:
    return [(one, part(one, "payload")) for one in attachments if one.get("type") not in {"image", "video", "audio", "file", "location"}]


def _place(attachments: list[Json]) -> Location | None:
    for one in attachments:
        if one.get("type") == "location" and (spot := part(one, "payload", "coordinates")):
            return Location(latitude=spot["lat"], longitude=spot["long"], name=one.get("title"))
    return None


def _time(stamp: int | str) -> datetime:
    number = int(stamp)
    return datetime.fromtimestamp(number if number < _SECONDS_BELOW else number / 1000, UTC)
