"""What WhatsApp Web's page holds, as nouns."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from providers.events import Event, MessageDeleted, MessageEdited, PollVoted, ReactionChanged, ReceiptChanged, ReceiptStatus
from providers.kit.bounded import bounded_raw
from providers.models import Account, ChatKind, Contact, Forwarded, Location, Media, MediaKind, Message, MessageKind, Poll
from providers.whatsappweb.content import NOTES, album_of, chosen_of, pinned_id, words_of
from providers.whatsappweb.ids import kind_of, phone_of, quoted_id, serialized

Json = dict[str, Any]

MEDIA_KINDS = {
    "image": MediaKind.IMAGE,
    "video": MediaKind.VIDEO,
    "audio": MediaKind.AUDIO,
    "ptt": MediaKind.VOICE,
    "document": MediaKind.DOCUMENT,
    "sticker": MediaKind.STICKER,
}
_KINDS = {
    "chat": MessageKind.TEXT,
    "location": MessageKind.LOCATION,
    "poll_creation": MessageKind.POLL,
    "vcard": MessageKind.CONTACT,
    "multi_vcard": MessageKind.CONTACT,
    "buttons_response": MessageKind.TEXT,
    "list_response": MessageKind.TEXT,
    "template_button_reply": MessageKind.TEXT,
    "groups_v4_invite": MessageKind.TEXT,
}

# Notes of the page to itself, and what was deleted or cannot be read yet.
_NOT_MESSAGES = frozenset(
    {"revoked", "ciphertext", "e2e_notification", "notification", "notification_template", "protocol", "debug", "gp2", "reaction"}
)
_STORIES = "status@broadcast"

_RECEIPTS = {
    -1: (ReceiptStatus.FAILED, "WhatsApp did not take it."),
    1: (ReceiptStatus.SENT, None),
    2: (ReceiptStatus.DELIVERED, None),
    3: (ReceiptStatus.READ, None),
    4: (ReceiptStatus.READ, "played"),
}

# Keys of the file's encryption, and thumbnails.
_NOT_KEPT = frozenset({"mediaKey", "mediaKeyTimestamp", "messageSecret", "waveform", "quotedMsg", "preview", "thumbnail"})


@dataclass(frozen=True)
class Me:
    """Our account has two ids: its number, and the one that hides it."""

    id: str
    lid: str | None
    name: str

    @property
    def ids(self) -> frozenset[str]:
        return frozenset({self.id, self.lid or self.id})

    @property
    def account(self) -> Account:
        return Account(id=self.id, name=self.name, phone=phone_of(self.id))


def id_of(raw: Json) -> str:
    return raw["id"]["_serialized"]


def chat_id_of(raw: Json) -> str:
    chat_id = serialized(raw["id"]["remote"])
    if chat_id is None:
        raise ValueError("a message without a chat")
    return chat_id


def is_message(raw: Json) -> bool:
    return raw.get("type") not in _NOT_MESSAGES and chat_id_of(raw) != _STORIES


def is_own(raw: Json) -> bool:
    return bool(raw["id"]["fromMe"])


def time_of(raw: Json) -> datetime:
    return datetime.fromtimestamp(raw["t"], UTC)


def message_of(raw: Json, me: Me) -> Message:
    """Raises KeyError, TypeError or ValueError for what is not of WhatsApp's form."""
    chat_id = chat_id_of(raw)
    media = media_of(raw)
    return Message(
        id=id_of(raw),
        chat_id=chat_id,
        at=time_of(raw),
        outgoing=is_own(raw),
        sender_id=_sender_id(raw, chat_id, me),
        sender_name=(me.name if is_own(raw) else raw.get("notifyName")) or "",
        kind=MessageKind.MEDIA if media else _kind(raw),
        text=_text(raw),
        reply_to=quoted_id(raw, chat_id, me.ids) or pinned_id(raw),
        media=media,
        location=_location(raw),
        poll=_poll(raw),
        contact=_card(raw),
        chosen=chosen_of(raw),
        album=album_of(raw),
        forwarded=Forwarded() if raw.get("isForwarded") else None,
        mentions_me=any(serialized(mentioned) in me.ids for mentioned in raw.get("mentionedJidList") or ()),
        raw=_kept(raw),
    )


def _kind(raw: Json) -> MessageKind:
    return MessageKind.SYSTEM if raw["type"] in NOTES else _KINDS.get(raw["type"], MessageKind.UNKNOWN)


def sender_of(message: Message, phone: str | None) -> Contact | None:
    if message.outgoing or message.sender_id is None:
        return None
    return Contact(id=message.sender_id, name=message.sender_name, phone=phone)


def _sender_id(raw: Json, chat_id: str, me: Me) -> str | None:
    if is_own(raw):
        return me.id
    author = serialized(raw.get("author")) or serialized(raw["id"].get("participant"))
    return author if kind_of(chat_id) is ChatKind.GROUP else chat_id


def _text(raw: Json) -> str:
    if raw["type"] in MEDIA_KINDS:
        return raw.get("caption") or ""
    if raw["type"] in {"vcard", "multi_vcard", "location", "poll_creation"}:
        return ""
    if (words := words_of(raw)) is not None:
        return words
    body = raw.get("body") or ""
    return body if body or _kind(raw) is not MessageKind.UNKNOWN else f"A message of the type {raw['type']}."


def media_of(raw: Json) -> tuple[Media, ...]:
    kind = MEDIA_KINDS.get(raw["type"])
    if kind is None:
        return ()
    duration = raw.get("duration")
    size = raw.get("size")
    return (
        Media(
            kind=kind,
            ref=id_of(raw),
            mime=raw.get("mimetype"),
            size=int(size) if size is not None else None,
            name=raw.get("filename"),
            duration=float(duration) if duration else None,
        ),
    )


def _location(raw: Json) -> Location | None:
    if raw["type"] != "location":
        return None
    return Location(latitude=raw["lat"], longitude=raw["lng"], name=(raw.get("loc") or "").replace("\n", ", ") or None)


def _poll(raw: Json) -> Poll | None:
    options = tuple(option["name"] for option in raw.get("pollOptions") or ())
    if raw["type"] != "poll_creation" or len(options) < 2:
        return None
    return Poll(question=raw["pollName"], options=options, multiple=not raw.get("pollSelectableOptionsCount"))


def _card(raw: Json) -> Contact | None:
    """A vCard's name and first number."""
    if raw["type"] != "vcard":
        return None
    lines = [line.partition(":") for line in (raw.get("body") or "").splitlines()]
    phone = next((value for name, _, value in lines if name.upper().partition(";")[0].rpartition(".")[2] == "TEL"), None)
    return Contact(id="", name=raw.get("vcardFormattedName") or "", phone=phone)


def _kept(raw: Json) -> Json:
    kept = {name: value for name, value in raw.items() if name not in _NOT_KEPT and not (name == "body" and raw["type"] in MEDIA_KINDS)}
    return bounded_raw(kept, "id")


def edit_of(raw: Json, body: str | None) -> list[Event]:
    """The page also calls it an edit when a file's thumbnail comes, which it keeps where the text of others is."""
    if not is_message(raw) or (raw["type"] in MEDIA_KINDS and body != raw.get("caption")):
        return []
    milliseconds = raw.get("latestEditSenderTimestampMs")
    at = datetime.fromtimestamp(milliseconds / 1000, UTC) if milliseconds else datetime.now(UTC)
    return [MessageEdited(chat_id=chat_id_of(raw), message_id=id_of(raw), text=body or "", at=at)]


def deletion_of(raw: Json) -> list[Event]:
    deleted = raw.get("protocolMessageKey") or raw["id"]
    return [MessageDeleted(chat_id=chat_id_of(raw), message_id=deleted["_serialized"], at=datetime.now(UTC))]


def reaction_of(reaction: Json) -> list[Event]:
    parent, emoji = reaction["msgId"], reaction.get("reaction")
    chat_id, sender_id = serialized(parent["remote"]), serialized(reaction["senderId"])
    if chat_id is None or sender_id is None:
        raise ValueError("a reaction without a chat or a sender")
    return [
        ReactionChanged(
            chat_id=chat_id,
            message_id=parent["_serialized"],
            sender_id=sender_id,
            emojis=(emoji,) if emoji else (),
            at=datetime.fromtimestamp(reaction["timestamp"], UTC),
        )
    ]


def vote_of(vote: Json) -> list[Event]:
    """Return a person's vote as it is now. Raises KeyError, TypeError or ValueError for one that is not of WhatsApp's form."""
    poll, voter = vote["poll"], serialized(vote["voter"])
    chat_id = serialized(poll["remote"])
    if chat_id is None or voter is None:
        raise ValueError("a vote without a chat or a voter")
    at = datetime.fromtimestamp(vote["at"] / 1000, UTC) if vote.get("at") else datetime.now(UTC)
    options = tuple(str(option) for option in vote["options"] if option is not None)
    return [PollVoted(chat_id=chat_id, message_id=poll["_serialized"], sender_id=voter, options=options, at=at)]


def call_of(call: Json) -> Message:
    """Return a call that comes in as a notice. WhatsApp Web tells its end as a message of the type call_log."""
    caller = serialized(call["from"])
    if caller is None:
        raise ValueError("a call without a caller")
    text = f"A {'video' if call['isVideo'] else 'voice'} call comes in."
    return Message(id=f"call_{call['id']}", chat_id=caller, at=datetime.now(UTC), sender_id=caller, kind=MessageKind.SYSTEM, text=text)


def receipt_of(raw: Json, ack: int | None) -> list[Event]:
    if not is_own(raw) or ack not in _RECEIPTS:
        return []
    status, detail = _RECEIPTS[ack]
    return [ReceiptChanged(chat_id=chat_id_of(raw), message_id=id_of(raw), status=status, at=datetime.now(UTC), detail=detail)]
