"""What WhatsApp Web's page holds, as nouns."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from providers.events import Event, MessageDeleted, MessageEdited, PollVoted, ReactionChanged, ReceiptChanged, ReceiptStatus
from providers.kit.bounded import bounded_raw
from providers.kit.unread import NOT_OF_ITS_FORM, if_readable, words_despite
from providers.kit.vcards import read_card
from providers.models import Account, ChatKind, Contact, Forwarded, Location, Media, MediaKind, Message, MessageKind, Poll
from providers.whatsappweb.content import (
    NOTES,
    album_of,
    buttons_of,
    chosen_of,
    is_new_number,
    pinned_id,
    quoted_of,
    unknown_of,
    words_of,
)
from providers.whatsappweb.ids import key_of, kind_of, phone_of, quoted_id, serialized

Json = dict[str, Any]

MEDIA_KINDS = {
    "image": MediaKind.IMAGE,
    "video": MediaKind.VIDEO,
    "ptv": MediaKind.VIDEO,
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
    "event_creation": MessageKind.TEXT,
    "scheduled_event_creation": MessageKind.TEXT,
    "product": MessageKind.TEXT,
    "order": MessageKind.TEXT,
    "list": MessageKind.TEXT,
}

# Notes of the page to itself, and what was deleted or cannot be read yet.
_NOT_MESSAGES = frozenset(
    {"revoked", "ciphertext", "e2e_notification", "notification", "notification_template", "protocol", "debug", "gp2", "reaction"}
)
_STORIES = "status@broadcast"

UNDECRYPTED = "ciphertext"
"""The type of a message whose key has not come to this device."""
_UNDECRYPTED_WORDS = "A message cannot be decrypted on this device yet. It is on the phone, and comes here once its key does."

_RECEIPTS = {
    -1: (ReceiptStatus.FAILED, "WhatsApp did not take it."),
    1: (ReceiptStatus.SENT, None),
    2: (ReceiptStatus.DELIVERED, None),
    3: (ReceiptStatus.READ, None),
    4: (ReceiptStatus.READ, "played"),
}

_FAILED_HINT = "Look at the chat on the phone: where the message is not there, send it again."

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
    return (raw.get("type") not in _NOT_MESSAGES or is_new_number(raw)) and chat_id_of(raw) != _STORIES


def is_own(raw: Json) -> bool:
    return bool(raw["id"]["fromMe"])


def time_of(raw: Json) -> datetime:
    return datetime.fromtimestamp(raw["t"], UTC)


def message_of(raw: Json, me: Me) -> Message:
    """Return a message; of one that is not of WhatsApp's form, what can be said of it. Raises NOT_OF_ITS_FORM where that is not who and when."""
    try:
        return _message_of(raw, me)
    except NOT_OF_ITS_FORM:
        chat_id = chat_id_of(raw)
        return Message(
            id=id_of(raw),
            chat_id=chat_id,
            at=time_of(raw),
            outgoing=is_own(raw),
            sender_id=_sender_id(raw, chat_id, me),
            kind=MessageKind.UNKNOWN,
            text=f"{words_despite(raw.get('body') if raw['type'] == 'chat' else raw.get('caption'), str(raw['type']))} It is on the phone.",
            raw=if_readable(lambda: _kept(raw), {}),
        )


def _message_of(raw: Json, me: Me) -> Message:
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
        quoted=quoted_of(raw),
        mentions_me=any(serialized(mentioned) in me.ids for mentioned in raw.get("mentionedJidList") or ()),
        raw=_kept(raw),
    )


def read(raw: Json, me: Me) -> Message | None:
    """Return what is in a chat's history: a note in the place of a message that cannot be read; None for what is no message."""
    try:
        if raw["type"] == UNDECRYPTED:
            return undecrypted_of(raw, me)
        return message_of(raw, me) if is_message(raw) else None
    except NOT_OF_ITS_FORM:
        return None


def _kind(raw: Json) -> MessageKind:
    return MessageKind.SYSTEM if raw["type"] in NOTES or is_new_number(raw) else _KINDS.get(raw["type"], MessageKind.UNKNOWN)


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
    if raw["type"] == "location":
        return ""
    if raw["type"] == "vcard":
        card = read_card(raw.get("body") or "")
        name = raw.get("vcardFormattedName") or ""
        is_told = (name or card.phone) and not card.company and len(card.values) <= 1
        return "" if is_told else card.words(name) or "A contact without a name and a number."
    if raw["type"] == "poll_creation":
        return "" if _poll(raw) else raw.get("pollName") or "A poll."
    if (words := words_of(raw)) is not None:
        return words
    body = raw.get("body") or ""
    buttons = buttons_of(raw)
    if buttons:
        return "\n".join(filter(None, [raw.get("title"), body, raw.get("footer"), *buttons]))
    return body if body and _kind(raw) is not MessageKind.UNKNOWN else unknown_of(raw)


def media_of(raw: Json) -> tuple[Media, ...]:
    kind = MEDIA_KINDS.get(raw["type"])
    if kind is None:
        return ()
    duration, size = raw.get("duration"), raw.get("size")
    return (
        Media(
            kind=kind,
            ref=id_of(raw),
            mime=raw.get("mimetype"),
            size=if_readable(lambda: int(size), None) if size is not None else None,
            name=raw.get("filename"),
            duration=if_readable(lambda: float(duration), None) if duration else None,
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
    return Contact(id="", name=raw.get("vcardFormattedName") or "", phone=read_card(raw.get("body") or "").phone)


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
    if None in vote["options"]:
        raise ValueError("a vote in a poll whose words are not here")
    options = tuple(str(option) for option in vote["options"])
    return [PollVoted(chat_id=chat_id, message_id=poll["_serialized"], sender_id=voter, options=options, at=at)]


def undecrypted_of(raw: Json, me: Me) -> Message:
    """Return a notice in the place of a message whose key has not come; the message itself has another id."""
    chat_id = chat_id_of(raw)
    sender_id = _sender_id(raw, chat_id, me)
    note = f"undecrypted_{key_of(id_of(raw))}"
    return Message(
        id=note, chat_id=chat_id, at=time_of(raw), outgoing=is_own(raw), sender_id=sender_id, kind=MessageKind.SYSTEM, text=_UNDECRYPTED_WORDS
    )


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
    hint = _FAILED_HINT if status is ReceiptStatus.FAILED else None
    return [ReceiptChanged(chat_id=chat_id_of(raw), message_id=id_of(raw), status=status, at=datetime.now(UTC), detail=detail, hint=hint)]
