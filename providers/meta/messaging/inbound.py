"""Deliveries of the Messenger Platform into events."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from providers.events import Event, MessageDeleted, MessageEdited, MessageReceived, NoticeReceived, ReactionChanged, ReceiptChanged, ReceiptStatus
from providers.kit.bounded import bounded_raw
from providers.kit.json import Json, part, parts
from providers.kit.left_out import LeftOut
from providers.kit.parts import is_part
from providers.kit.unread import NOT_OF_ITS_FORM, if_readable, words_despite
from providers.meta.messaging.attachments import HIDDEN, MENTIONED, UNSUPPORTED, media_of, story_of, words_beside
from providers.meta.messaging.sent import SentLog
from providers.meta.nonce import nonce_in
from providers.meta.webhook import readable
from providers.meta.words import quoted_of, without_secrets, words_for
from providers.models import Chat, ChatKind, Contact, Location, Message, MessageKind

# A time in seconds has so few digits; Meta mostly counts milliseconds.
_SECONDS_BELOW = 10**11

_ENVELOPE = frozenset({"sender", "recipient", "timestamp", "hop_context"})
_OF_ENTRY = frozenset({"id", "time", "uid", "messaging", "standby", "changes", "hop_context"})
"""The parts of an entry that are read elsewhere, or say nothing."""
_ENFORCED = frozenset({"policy_enforcement", "policy-enforcement"})
# The fields of what people write under posts of the account, or about it.
_ON_POSTS = frozenset({"comments", "live_comments", "mentions", "mention", "feed"})
_NOTICES = {
    "referral": "Opened the chat by a link or an ad, and has not written yet",
    "optin": "Agreed to get messages",
    "take_thread_control": "Another app took over the conversation",
    "pass_thread_control": "The conversation was passed to an app",
    "request_thread_control": "Another app asks for the conversation",
    "app_roles": "The roles of the apps changed",
    "account_linking": "The person's account with this business",
    "policy_enforcement": "Policy enforcement",
}

# Where Meta names a reaction without its emoji.
_EMOJIS = {"love": "❤️", "like": "👍", "dislike": "👎", "smile": "😆", "laugh": "😆", "wow": "😮", "sad": "😢", "angry": "😠"}


class WebhookTranslator:
    """Translates what is about one account, known under any of `ids`."""

    def __init__(self, ids: set[str], instance_id: str, sent: SentLog) -> None:
        self.ids = ids
        self._instance = instance_id
        self._sent = sent
        self._left_out = LeftOut("Meta")
        self._translations: dict[str, Callable[[Json], list[Event]]] = {
            "message": self._message,
            "postback": self._postback,
            "order": self._order,
            "reaction": self._reaction,
            "message_edit": self._edit,
            "delivery": self._delivery,
            "read": self._read,
        }

    def events_of(self, entry: Json) -> list[Event]:
        """Return what an entry says; nothing where it is about another account of the same app."""
        if str(entry["id"]) not in self.ids:
            self._left_out.note("delivery", "it is about another account of the app")
            return []
        return self._listed(entry)

    def tested(self, entry: Json) -> list[Event]:
        """Return the messages in a test of the dashboard, whose accounts are made up."""
        return self._listed(entry)

    def _listed(self, entry: Json) -> list[Event]:
        changes = parts(entry, "changes")
        # The dashboard's test button, and some fields, bring messages in this form.
        items = [*parts(entry, "messaging"), *(change["value"] for change in changes if "sender" in part(change, "value"))]
        events = readable(items, self._said)
        events += [_in_standby(event) for event in readable(parts(entry, "standby"), self._said)]
        at = _time_of({}, entry.get("time"))
        others = [change for change in changes if "sender" not in part(change, "value")]
        events += readable(others, lambda change: self._changed(change, at))
        new = {name: value for name, value in entry.items() if name not in _OF_ENTRY}
        events += [_notice(name, value, at) for name, value in new.items() if words_for(value)]
        if not events and not items:
            self._left_out.note("delivery", "it holds nothing")
        return events

    def _changed(self, change: Json, at: datetime) -> list[Event]:
        """Return a comment or a mention as a notice in the chat of its post; of other fields, what they say as a notice of the account."""
        field, value = str(change["field"]), part(change, "value")
        author = part(value, "from")
        if not value:
            self._left_out.note(field, "it holds nothing")
            return []
        if field not in _ON_POSTS:
            return [_notice(field, value, at)]
        if str(author.get("id")) in self.ids:
            self._left_out.note(field, "the account itself did it")
            return []
        if value.get("item") in {"like", "reaction"}:
            self._left_out.note(f"{field}: {value['item']}", "likes of a post are no message")
            return []
        post = str(value.get("post_id") or part(value, "media").get("id") or value.get("media_id") or field)
        number = str(value.get("comment_id") or value.get("id") or f"{field}:{post}:{at.timestamp():.0f}")
        name = str(author.get("name") or author.get("username") or "")
        what = " ".join(filter(None, (str(value.get("verb", "")), str(value.get("item") or field.rstrip("s")))))
        text = value.get("text") or value.get("message") or words_for({name: one for name, one in value.items() if name != "from"})
        message = Message(
            id=f"{number}:{value.get('verb', field)}" + (f":{at.timestamp():.0f}" if value.get("verb") == "edited" else ""),
            chat_id=f"post:{post}",
            at=if_readable(lambda: _time(value["created_time"]), at),
            sender_id=str(author["id"]) if author else None,
            sender_name=name,
            kind=MessageKind.SYSTEM,
            text=f"{what.capitalize()}: {text}",
            raw=bounded_raw(change),
        )
        return [MessageReceived(message=message, chat=Chat(id=message.chat_id, kind=ChatKind.CHANNEL, title="Comments on a post"))]

    def _said(self, item: Json) -> list[Event]:
        if "sender" not in item:
            return [self._noticed(item)]
        name = next((name for name in self._translations if name in item), None)
        events = self._other(item) if name is None else self._translations[name](item)
        if not events:
            self._left_out.note(str(name), "it says nothing that is new to anybody")
        return events

    def _noticed(self, item: Json) -> NoticeReceived:
        """Return what is about the account itself, such as a warning for breaking a policy. Raises ValueError for what somebody must have sent."""
        what = _kind_of(item)
        if what in self._translations:
            raise ValueError("no sender")
        words = words_for(item.get(what))
        is_good = part(item, what).get("action") == "unblock"
        text = f"{what.replace('_', ' ').capitalize()}: {words}"
        return NoticeReceived(code=what, text=text, at=_time_of(item), is_error=what in _ENFORCED and not is_good)

    def _chat(self, item: Json) -> Chat:
        """With the other side, whoever of the two wrote."""
        sender, recipient = str(item["sender"]["id"]), str(item["recipient"]["id"])
        return Chat(id=recipient if sender in self.ids else sender, kind=ChatKind.PRIVATE)

    def _received(self, item: Json, **content: Any) -> MessageReceived:
        chat, sender = self._chat(item), Contact(id=str(item["sender"]["id"]))
        message = Message(
            chat_id=chat.id,
            at=_time_of(item),
            outgoing=sender.id in self.ids,
            sender_id=sender.id,
            raw=bounded_raw(without_secrets(item)),
            **content,
        )
        return MessageReceived(message=message, chat=chat, sender=sender)

    def _message(self, item: Json) -> list[Event]:
        said = item["message"]
        if said.get("is_deleted"):
            return [MessageDeleted(chat_id=self._chat(item).id, message_id=said["mid"], at=_time_of(item))]
        received = self._received(item, id=said["mid"], **self._content(item, said))
        if received.message.outgoing:
            self._sent.add(received.chat.id, said["mid"], received.message.at)
            nonce = nonce_in(said.get("metadata"), self._instance)
            if is_part(nonce):
                return []
            received = received.model_copy(update={"client_id": nonce, "sender": None})
        return [received]

    def _content(self, item: Json, said: Json) -> Json:
        """Return fields of Message; of a message that is not of Meta's form, what can be said of it."""
        try:
            return self._read_content(item, said)
        except NOT_OF_ITS_FORM:
            kinds = ", ".join(str(one.get("type")) for one in parts(said, "attachments"))
            return {"text": words_despite(said.get("text"), kinds), "kind": MessageKind.TEXT if said.get("text") else MessageKind.UNKNOWN}

    def _read_content(self, item: Json, said: Json) -> Json:
        attachments = parts(said, "attachments")
        media = media_of(said["mid"], attachments) or story_of(said["mid"], said)
        place = _place(attachments)
        chosen = part(said, "quick_reply").get("payload")
        reply_to = part(said, "reply_to").get("mid")
        if chosen is not None and reply_to is None:
            reply_to = self._sent.asked(str(item["sender"]["id"]), chosen)
        kind, beside = words_beside(attachments)
        text = said.get("text") or _own_words(said, attachments) or beside or ("A pressed button." if chosen is not None else "")
        product = words_for(part(said, "referral", "product"))
        return {
            "text": text or ("" if media or place else "A message without content."),
            "kind": _kind(said, text, media=bool(media), place=place is not None),
            "quoted": quoted_of((kind, beside if text != beside else ""), ("product", product), _referred(part(said, "referral"))),
            "media": media,
            "location": place,
            "chosen": chosen,
            "reply_to": reply_to,
        }

    def _postback(self, item: Json) -> list[Event]:
        """A button of a template, a menu or an ice breaker."""
        press = item["postback"]
        quoted = quoted_of(_referred(part(press, "referral")))
        number = press.get("mid") or f"postback:{item['sender']['id']}:{item['timestamp']}"
        return [self._received(item, id=number, text=press.get("title") or "A pressed button.", chosen=press.get("payload"), quoted=quoted)]

    def _order(self, item: Json) -> list[Event]:
        """Return a cart that a person sent to the Page (`send_cart`): a message without an id."""
        order = item["order"]
        words = [f"Order: {', '.join(map(_ordered, parts(order, 'products')))}.", str(order.get("note") or "")]
        number = f"order:{item['sender']['id']}:{item['timestamp']}"
        return [self._received(item, id=number, kind=MessageKind.UNKNOWN, text="\n".join(filter(None, words)))]

    def _reaction(self, item: Json) -> list[Event]:
        reaction = item["reaction"]
        emoji = reaction.get("emoji") or _EMOJIS.get(reaction.get("reaction", ""), "⭐")
        return [
            ReactionChanged(
                chat_id=self._chat(item).id,
                message_id=reaction["mid"],
                sender_id=str(item["sender"]["id"]),
                emojis=(emoji,) if reaction.get("action") == "react" else (),
                at=_time_of(item),
            )
        ]

    def _edit(self, item: Json) -> list[Event]:
        """Return the edit; one without words takes none away, for what it changed is not said."""
        edit = item["message_edit"]
        if not edit.get("text"):
            return self._other(item)
        return [MessageEdited(chat_id=self._chat(item).id, message_id=edit["mid"], text=edit["text"], at=_time_of(item))]

    def _delivery(self, item: Json) -> list[Event]:
        told = item["delivery"]
        at = _time_of(item, told.get("watermark"))
        return self._receipts(item, told.get("mids") or [], ReceiptStatus.DELIVERED, at)

    def _read(self, item: Json) -> list[Event]:
        """Instagram names the message, Messenger only the time up to which everything is read."""
        told = item["read"]
        at = _time_of(item, told.get("watermark"))
        mids = [told["mid"]] if told.get("mid") else self._sent.read_until(self._chat(item).id, at)
        return self._receipts(item, mids, ReceiptStatus.READ, at)

    def _receipts(self, item: Json, mids: list[str], status: ReceiptStatus, at: datetime) -> list[Event]:
        chat_id = self._chat(item).id
        return [ReceiptChanged(chat_id=chat_id, message_id=mid, status=status, at=at) for mid in mids]

    def _other(self, item: Json) -> list[Event]:
        """Return a notice: referrals, opt-ins, hand-overs between apps, linked accounts, and what is new."""
        what = _kind_of(item)
        number = f"{what}:{item['sender']['id']}:{item['timestamp']}"
        words = _NOTICES.get(what) or f"An event of the type {what}"
        told = words_for(item.get(what))
        return [self._received(item, id=number, kind=MessageKind.SYSTEM, text=f"{words}: {told}." if told else f"{words}.")]


def _kind_of(item: Json) -> str:
    """Return the name of what an item tells. Raises ValueError for one that tells nothing."""
    for name in item:
        if name not in _ENVELOPE:
            return name
    raise ValueError("an item that tells nothing")


def _in_standby(event: Event) -> Event:
    """Another app holds the conversation: this is a copy for us."""
    if not isinstance(event, MessageReceived):
        return event
    return event.model_copy(update={"message": event.message.model_copy(update={"standby": True})})


def _ordered(product: Json) -> str:
    price = f" at {product['unit_price']} {product.get('currency', '')}".rstrip() if "unit_price" in product else ""
    return f"{product.get('quantity', 1)} × {product.get('name') or product.get('retailer_id') or product.get('id')}{price}"


def _referred(referral: Json) -> tuple[str, str]:
    """Return the ad, link or post that a person came from, and what Meta says of it."""
    ad = part(referral, "ads_context_data")
    rest = {name: value for name, value in referral.items() if name in {"ref", "source", "type", "ad_id", "referer_uri", "source_url"}}
    is_ad = "ad_id" in referral or referral.get("source") == "ADS"
    return "ad" if is_ad else "link", "\n".join(filter(None, (str(ad.get("ad_title", "")), words_for(rest))))


def _kind(said: Json, text: str, *, media: bool, place: bool) -> MessageKind:
    if media:
        return MessageKind.MEDIA
    if place:
        return MessageKind.LOCATION
    is_hidden = said.get("is_unsupported") or any(one.get("type") in HIDDEN for one in parts(said, "attachments"))
    return MessageKind.TEXT if said.get("text") or (text and not is_hidden) else MessageKind.UNKNOWN


def _own_words(said: Json, attachments: list[Json]) -> str:
    """Return words for what a message does instead of saying something; nothing where it is a file, a place or something shared."""
    if any(one.get("type") == "story_mention" for one in attachments):
        return MENTIONED
    if said.get("is_unsupported"):
        return UNSUPPORTED
    return ""


def _place(attachments: list[Json]) -> Location | None:
    for one in attachments:
        if one.get("type") == "location" and (spot := part(one, "payload", "coordinates")):
            return Location(latitude=spot["lat"], longitude=spot["long"], name=one.get("title"))
    return None


def _notice(field: str, value: Any, at: datetime) -> NoticeReceived:
    """Return what a field that is no message says, as a notice of the account."""
    return NoticeReceived(code=field, text=f"{field.replace('_', ' ').capitalize()}: {words_for(value)}", at=at, is_error=False)


def _time_of(item: Json, told: object = None) -> datetime:
    """Return the time that an item tells, or now where it tells none that can be read: its words count all the same."""
    stamp: Any = told or item.get("timestamp")
    return if_readable(lambda: _time(stamp), datetime.now(UTC))


def _time(stamp: int | str) -> datetime:
    number = int(stamp)
    return datetime.fromtimestamp(number if number < _SECONDS_BELOW else number / 1000, UTC)
