"""Deliveries of the Cloud API into events."""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from providers.events import (
    ChatChanged,
    ChatMigrated,
    Event,
    MessageDeleted,
    MessageEdited,
    MessageReceived,
    NoticeReceived,
    ReactionChanged,
    ReceiptChanged,
    ReceiptStatus,
)
from providers.kit.bounded import BoundedSet, bounded_raw
from providers.kit.json import Json, part, parts
from providers.kit.left_out import LeftOut
from providers.kit.phones import digits_of
from providers.kit.unread import if_readable
from providers.meta.errors import later_error, words_of
from providers.meta.nonce import nonce_in
from providers.meta.webhook import readable
from providers.meta.whatsapp_official.content import content_of
from providers.meta.whatsapp_official.ids import aliases_of, is_group, person_of
from providers.meta.words import without_secrets, words_for
from providers.models import Chat, ChatKind, Contact, Message, MessageKind

_RECEIPTS = {
    "sent": ReceiptStatus.SENT,
    "delivered": ReceiptStatus.DELIVERED,
    "read": ReceiptStatus.READ,
    "played": ReceiptStatus.READ,
    "failed": ReceiptStatus.FAILED,
}

# The fields by which Meta judges an account, a number, a template or a Flow. A field that is new says nothing of what is good in it.
_JUDGED = frozenset({"account_alerts", "account_review_update", "account_update", "business_status_update", "flows", "security",
                     "message_template_quality_update", "message_template_status_update", "phone_number_name_update", "phone_number_quality_update",
                     "template_category_update", "template_correct_category_detection", "payment_configuration_update"})  # fmt: skip
# What its notices call good: approved, allowed again, of good quality, a higher limit, a business that was added or verified; or what is no verdict.
_GOOD = frozenset({"APPROVED", "REINSTATED", "REINSTATE", "UNARCHIVED", "UNFLAGGED", "GREEN", "UPGRADE", "THROUGHPUT_UPGRADE", "ONBOARDING",
                   "PARTNER_ADDED", "PARTNER_APP_INSTALLED", "ACCOUNT_RECONNECTED", "MM_LITE_TERMS_SIGNED", "AD_ACCOUNT_LINKED",
                   "INFORMATIONAL", "ACTIVE", "PENDING", "UNKNOWN", "VOLUME_BASED_PRICING_TIER_UPDATE", "AUTH_INTL_PRICE_ELIGIBILITY_UPDATE",
                   "BUSINESS_PRIMARY_LOCATION_COUNTRY_UPDATE", "PARTNER_CLIENT_CERTIFICATION_STATUS_UPDATE"})  # fmt: skip
_BAD = frozenset(
    {"REJECTED", "DISABLED", "DISABLE", "DELETED", "PAUSED", "FLAGGED", "DOWNGRADE", "RESTRICTED", "BANNED", "BLOCKED", "CRITICAL", "RED"}
)
"""Verdicts that are bad in whatever field they come."""
_ENVELOPE = frozenset({"messaging_product", "metadata", "contacts"})
_NOTHING: tuple[object, ...] = (None, "", [], {})
_LISTS = frozenset({"messages", "message_echoes", "statuses", "groups", "calls", "user_preferences", "errors", "history"})
# The fields of a notice about a group that say which one, or that have words already.
_OF_EVERY_GROUP = frozenset({"timestamp", "group_id", "type", "request_id", "subject", "errors"})

# Only in its words Meta always names the former id: "User Ann changed from US.1 to US.2".
_CHANGED = re.compile(r"changed from (\S+) to (\S+)")


class WebhookTranslator:
    """Translates what is about one number. `answered` holds the ids that Meta answered to our sends.

    `account` is the id of the business account, where it is known; notices about another one are left out.
    """

    def __init__(self, phone_number_id: str, instance_id: str, answered: BoundedSet[str], account: str | None) -> None:
        self._number = phone_number_id
        self._instance = instance_id
        self._answered = answered
        self._account = account
        self._joined: BoundedSet[tuple[str, str]] = BoundedSet()
        self._left_out = LeftOut("Meta")
        self.display: str | None = None
        """The number itself in digits, once Meta has named it."""

    def events_of(self, change: Json, account: str, at: datetime) -> list[Event]:
        """Return what one change says; nothing where it is about another number of the business.

        `account` is the business account that it is about, `at` the time of the delivery. Raises KeyError and the like for another form.
        """
        value, field = change["value"], str(change.get("field", ""))
        if part(value, "metadata").get("phone_number_id", self._number) != self._number:
            self._left_out.note(field, "it is about another number of the business")
            return []
        if "metadata" not in value and not value.keys() & _LISTS:
            return self._about_the_account(value, field, account, at)
        events = self._listed(value, at)
        if field == "history":
            events = _of_the_past(events)
        if field == "standby":
            events = [_in_standby(event) for event in events]
        if not events and (news := {name: one for name, one in value.items() if name not in _ENVELOPE and one not in _NOTHING}):
            # A field that is new, or lists that are: nobody's message, but not to be lost either.
            text = f"{field.replace('_', ' ').capitalize()}: {words_for(news)}"
            events += [NoticeReceived(code=field or "unknown_field", text=text, at=at, is_error=False)]
        if not events:
            self._left_out.note(field, "it holds nothing")
        return events

    def tested(self, change: Json) -> list[Event]:
        """Return the messages in a test of Meta's dashboard, whose numbers are made up."""
        return self._listed(change["value"], datetime.now(UTC))

    def _listed(self, value: Json, at: datetime) -> list[Event]:
        contacts = parts(value, "contacts")
        events = readable(parts(value, "messages"), lambda message: self._said(message, _contact_of(message, contacts)))
        events += readable(parts(value, "message_echoes"), self._echoed)
        events += readable(parts(value, "statuses"), self._status)
        events += readable(parts(value, "groups"), _group)
        events += readable(parts(value, "calls"), lambda call: self._called(call, contacts))
        events += readable(parts(value, "user_preferences"), lambda wish: self._preferred(wish, contacts))
        for chunk in parts(value, "history"):
            for thread in parts(chunk, "threads"):
                events += readable(parts(thread, "messages"), lambda message, of=thread: self._remembered(message, of))
            events += [notice_of(error, at) for error in parts(chunk, "errors")]
        events += [notice_of(error, at) for error in parts(value, "errors")]
        return events

    def _remembered(self, message: Json, thread: Json) -> list[Event]:
        """Return a message of the chats that the business had in its app before (coexistence)."""
        phone, scoped = thread.get("id") or part(thread, "context").get("wa_id"), part(thread, "context").get("user_id")
        person = person_of(phone, scoped)
        chat = Chat(id=person, aliases=aliases_of(person, scoped), kind=ChatKind.PRIVATE, username=part(thread, "context").get("username"))
        is_ours = str(message.get("from")) not in {phone, scoped}
        if message["type"] in _CHANGES:
            self._left_out.note(f"history: {message['type']}", "the history has the message as it became")
            return []
        read = _message(message, chat, Contact(id=self._number if is_ours else person)).model_copy(update={"outgoing": is_ours})
        return [MessageReceived(message=read, chat=chat, backfill=True)]

    def _about_the_account(self, value: Json, field: str, account: str, at: datetime) -> list[Event]:
        """Return a notice of what Meta did with the account, a template or a number, unless it is another account or number."""
        shown = digits_of(str(value.get("display_phone_number", "")))
        if (self._account and account != self._account) or (shown and self.display and shown != self.display):
            self._left_out.note(field, "it is about another account or number")
            return []
        text = f"{field.replace('_', ' ').capitalize()}: {words_for(value)}"
        ban = part(value, "ban_info").get("waba_ban_state")
        severity = part(value, "alert_info").get("alert_severity") or value.get("alert_severity")
        verdict = str(
            ban or value.get("event") or value.get("decision") or value.get("new_quality_score") or severity or value.get("status") or ""
        ).upper()
        is_error = verdict in _BAD or (field in _JUDGED and verdict not in _GOOD)
        return [NoticeReceived(code=str(value.get("event") or field), text=text, at=at, is_error=is_error)]

    def _said(self, message: Json, contact: Json) -> list[Event]:
        if self.display is not None and message.get("from") == self.display and "to" in message:
            # In the history of its app the business itself is a sender.
            return self._echoed(message)
        phone = message.get("from") or contact.get("wa_id")
        scoped = message.get("from_user_id") or contact.get("user_id") or _former_scoped(message)
        sender = _person(contact, phone, scoped)
        chat = _chat(message, sender, scoped)
        if change := _CHANGES.get(message["type"]):
            return change(message, chat, sender)
        return [MessageReceived(message=_message(message, chat, sender), chat=chat, sender=sender), *_moved(message, sender)]

    def _echoed(self, echo: Json) -> list[Event]:
        """Written, changed or taken back by the business itself in its app."""
        to, scoped = echo.get("to"), echo.get("to_user_id")
        if group := echo.get("group_id") or (to if is_group(str(to)) else None):
            chat = Chat(id=group, kind=ChatKind.GROUP)
        else:
            person = person_of(to, scoped)
            chat = Chat(id=person, aliases=aliases_of(person, scoped), kind=ChatKind.PRIVATE)
        if change := _CHANGES.get(echo["type"]):
            return change(echo, chat, Contact(id=self._number))
        message = _message(echo, chat, Contact(id=self._number)).model_copy(update={"outgoing": True})
        return [MessageReceived(message=message, chat=chat)]

    def _status(self, status: Json) -> list[Event]:
        phone, scoped = status.get("recipient_id"), status.get("recipient_user_id")
        if status.get("type") == "call":
            return self._called_status(status)
        if status.get("type") == "payment":
            return _paid(status)
        kind = _RECEIPTS.get(status["status"])
        if kind is None:
            text = f"Meta reports the status “{status['status']}” of a message, which is not known here: {words_for(status)}"
            return [NoticeReceived(code="unknown_status", text=text, at=_time(status), is_error=False)]
        chat_id = person_of(phone, scoped)
        at = _time(status)
        errors = [later_error(error) for error in parts(status, "errors")]
        receipt = ReceiptChanged(
            chat_id=chat_id,
            message_id=status["id"],
            status=kind,
            at=at,
            detail="; ".join(error.detail for error in errors) or None,
            code=errors[0].code if errors else None,
            hint=next((error.hint for error in errors if error.hint), None),
        )
        nonce = nonce_in(status.get("biz_opaque_callback_data"), self._instance)
        if nonce is None or status["id"] in self._answered:
            return [*self._joining(phone, scoped), receipt]
        # The answer to our call was lost; this shows that it was taken, and under which id.
        sent = Message(id=status["id"], chat_id=chat_id, at=at, outgoing=True, sender_id=self._number, kind=MessageKind.UNKNOWN)
        return [MessageReceived(message=sent, chat=Chat(id=chat_id), client_id=nonce), receipt]

    def _joining(self, phone: str | None, scoped: str | None) -> list[Event]:
        """Return, once, that a number and a scoped id are one person: their answer may show the id alone."""
        if not phone or not scoped or is_group(phone) or (phone, scoped) in self._joined:
            return []
        self._joined.add((phone, scoped))
        return [ChatChanged(chat=Chat(id=phone, aliases=(scoped,), kind=ChatKind.PRIVATE, phone=f"+{phone}"))]

    def _called(self, call: Json, contacts: list[Json]) -> list[Event]:
        """Return a notice of a call in the other side's chat. Meta brings one when it begins, and one when it ends."""
        is_ours = call.get("direction") == "BUSINESS_INITIATED"
        phone, scoped = (call.get("to"), call.get("to_user_id")) if is_ours else (call.get("from"), call.get("from_user_id"))
        return _noticed(contacts, phone, scoped, f"{call['id']}:{call.get('event')}", _call_words(call, is_ours=is_ours), call)

    def _called_status(self, status: Json) -> list[Event]:
        state = str(status["status"])
        id = f"{status['id']}:{state}"
        return _noticed([], status.get("recipient_id"), status.get("recipient_user_id"), id, f"Our call: {state.lower()}.", status)

    def _preferred(self, wish: Json, contacts: list[Json]) -> list[Event]:
        """Return a notice that a person stopped a kind of messages, or takes it again; answers may still be sent."""
        phone, scoped = wish.get("wa_id"), wish.get("user_id")
        category, value = str(wish["category"]).replace("_", " "), wish["value"]
        id = f"preference:{phone or scoped}:{wish['timestamp']}:{wish['category']}:{value}"
        detail = str(wish.get("detail") or "").rstrip(".")
        return _noticed(contacts, phone, scoped, id, f"{detail}. ({category}: {value})" if detail else f"{category.capitalize()}: {value}.", wish)


def _paid(status: Json) -> list[Event]:
    """Return a notice of what became of the payment for a bill of ours. The message with the bill has receipts besides."""
    state, about = str(status["status"]), words_for(status.get("payment"))
    person = status.get("recipient_id") or status.get("from")
    id = f"{status['id']}:payment:{state}:{status['timestamp']}"
    return _noticed([], person, status.get("recipient_user_id"), id, f"Payment {state}: {about}." if about else f"Payment {state}.", status)


def notice_of(error: Json, at: datetime) -> NoticeReceived:
    """Return an error that Meta reports for the number as a whole."""
    return NoticeReceived(code=str(error.get("code", "error")), text=f"{words_of(error)} (code {error.get('code')})", at=at)


def _of_the_past(events: Sequence[Event]) -> list[Event]:
    """Return what an app's history brings: nothing of it is new. A file comes after the message that stands for it, under the same id."""
    past: list[Event] = []
    for event in events:
        if not isinstance(event, MessageReceived):
            past.append(event)
            continue
        past.append(event.model_copy(update={"backfill": True}))
        if (message := event.message).media:
            past.append(MessageEdited(chat_id=message.chat_id, message_id=message.id, text=message.text, media=message.media, at=message.at))
    return past


def _in_standby(event: Event) -> Event:
    if not isinstance(event, MessageReceived):
        return event
    return event.model_copy(update={"message": event.message.model_copy(update={"standby": True})})


def _person(contact: Json, phone: str | None, scoped: str | None) -> Contact:
    profile = part(contact, "profile")
    username = profile.get("username") or contact.get("username")
    return Contact(id=person_of(phone, scoped), name=profile.get("name", ""), username=username, phone=phone and f"+{phone}")


def _noticed(contacts: list[Json], phone: str | None, scoped: str | None, id: str, text: str, payload: Json) -> list[Event]:
    """Return a notice in a person's chat."""
    sender = _person(_contact_of({"from": phone, "from_user_id": scoped}, contacts), phone, scoped)
    chat = _chat({}, sender, scoped)
    message = Message(
        id=id,
        chat_id=chat.id,
        at=_time(payload),
        sender_id=sender.id,
        sender_name=sender.name,
        kind=MessageKind.SYSTEM,
        text=text,
        raw=bounded_raw(without_secrets(payload)),
    )
    return [MessageReceived(message=message, chat=chat, sender=sender if sender.name else None)]


def _call_words(call: Json, *, is_ours: bool) -> str:
    who = "Our call" if is_ours else "A call"
    if call.get("event") == "connect":
        return f"{who} began."
    reasons = "".join(f" {words_of(error)}" for error in parts(call, "errors"))
    if seconds := call.get("duration"):
        return f"{who} ended after {seconds} s.{reasons}"
    if call.get("event") == "terminate":
        status = str(call.get("status", "no status")).lower()
        return f"Our call was not taken ({status}).{reasons}" if is_ours else f"Missed call ({status}).{reasons}"
    return f"{who}: {call.get('event')}.{reasons}"


def _moved(message: Json, sender: Contact) -> list[Event]:
    """Return that the person has another number or scoped id from now on.

    A chat with a number keeps it when the scoped id changes; the store files under it what shows the new id alone.
    """
    system = part(message, "system")
    kind, scoped, phone = system.get("type"), system.get("user_id"), system.get("wa_id") or system.get("new_wa_id")
    if kind == "user_changed_user_id":
        former, chat = _former_scoped(message), Chat(id=sender.id, aliases=aliases_of(sender.id, scoped), kind=ChatKind.PRIVATE)
        if sender.id != former:
            return [ChatChanged(chat=chat)]
        new = scoped
    else:
        new = phone
    if not new or new == sender.id:
        return []
    # The former scoped id goes along: it is this person's, whoever has the former number.
    aliases = aliases_of(new, scoped, message.get("from_user_id")) if new == phone else ()
    chat = Chat(id=new, aliases=aliases, kind=ChatKind.PRIVATE, title=sender.name, phone=f"+{new}" if new == phone else None)
    return [ChatMigrated(old_id=sender.id, chat=chat, at=_time(message))]


def _former_scoped(message: Json) -> str | None:
    """Of a person whose scoped id has changed."""
    system = part(message, "system")
    if system.get("type") != "user_changed_user_id":
        return None
    words = _CHANGED.search(system.get("body", ""))
    return system.get("previous_user_id") or message.get("from_user_id") or (words[1] if words else None)


def _contact_of(message: Json, contacts: list[Json]) -> Json:
    """The profile that belongs to a message: a delivery may hold several."""
    ids = {message.get("from"), message.get("from_user_id")} - {None}
    found = [one for one in contacts if ids & {one.get("wa_id"), one.get("user_id")}] or ([] if ids else contacts)
    return found[0] if found else {}


def _chat(message: Json, sender: Contact, scoped: str | None) -> Chat:
    if group := message.get("group_id"):
        return Chat(id=group, kind=ChatKind.GROUP)
    aliases = aliases_of(sender.id, scoped)
    return Chat(id=sender.id, aliases=aliases, kind=ChatKind.PRIVATE, title=sender.name, username=sender.username, phone=sender.phone)


def _message(message: Json, chat: Chat, sender: Contact) -> Message:
    return Message(
        id=message["id"],
        chat_id=chat.id,
        at=if_readable(lambda: _time(message), datetime.now(UTC)),
        sender_id=sender.id,
        sender_name=sender.name,
        reply_to=part(message, "context").get("id"),
        raw=bounded_raw(message),
        **content_of(message),
    )


def _reacted(message: Json, chat: Chat, sender: Contact) -> list[Event]:
    reaction = message["reaction"]
    emojis = (reaction["emoji"],) if reaction.get("emoji") else ()
    return [ReactionChanged(chat_id=chat.id, message_id=reaction["message_id"], sender_id=sender.id, emojis=emojis, at=_time(message))]


def _edited(message: Json, chat: Chat, sender: Contact) -> list[Event]:
    edit = message["edit"]
    content = content_of(edit["message"])
    return [
        MessageEdited(
            chat_id=chat.id,
            message_id=edit["original_message_id"],
            text=content.get("text", ""),
            media=content.get("media"),
            location=content.get("location"),
            at=_time(message),
        )
    ]


def _revoked(message: Json, chat: Chat, sender: Contact) -> list[Event]:
    return [MessageDeleted(chat_id=chat.id, message_id=message["revoke"]["original_message_id"], at=_time(message))]


_CHANGES: dict[str, Callable[[Json, Chat, Contact], list[Event]]] = {"reaction": _reacted, "edit": _edited, "revoke": _revoked}


def _group(group: Json) -> list[Event]:
    """Return what became of a group as a notice in it, with the people it is about; a group that was never made is a notice of the account."""
    what = str(group["type"]).replace("_", " ").capitalize()
    failures = "".join(f" {words_of(error)} (code {error.get('code')})." for error in parts(group, "errors"))
    if not group.get("group_id"):
        return [NoticeReceived(code=str(group["type"]), text=f"{what} failed.{failures}", at=_time(group))]
    people = {name: [_participant(one) for one in parts(group, name)] for name in group if name.endswith("_participants")}
    about = words_for({name: value for name, value in {**group, **people}.items() if name not in _OF_EVERY_GROUP})
    chat = Chat(id=group["group_id"], kind=ChatKind.GROUP, title=group.get("subject", ""))
    message = Message(
        id=f"{chat.id}:{group.get('request_id') or group['timestamp']}:{group['type']}",
        chat_id=chat.id,
        at=_time(group),
        kind=MessageKind.SYSTEM,
        text=f"{what}: {about}.{failures}" if about else f"{what}.{failures}",
        raw=bounded_raw(group),
    )
    return [ChatChanged(chat=chat), MessageReceived(message=message, chat=chat)]


def _participant(payload: Json) -> str:
    """Return the number or id of a participant, with the reason where something failed."""
    reasons = "; ".join(words_of(error) for error in parts(payload, "errors"))
    person = str(payload.get("wa_id") or payload.get("user_id") or payload.get("input") or "?")
    return f"{person} ({reasons})" if reasons else person


def _time(payload: Json) -> datetime:
    return datetime.fromtimestamp(int(payload["timestamp"]), UTC)
