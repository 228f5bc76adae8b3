"""The content of a message, in words that a model can use and in typed fields."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from providers.kit.unread import NOT_OF_ITS_FORM, words_despite
from providers.kit.vcards import read_card
from providers.models import Contact, Location, Media, MessageKind, Poll, TextFormat
from providers.telegram.attachments import media_of
from providers.telegram.entities import marked
from providers.telegram.money import stars, sum_of
from providers.telegram.people import name_of, names_of, title_of
from providers.telegram.rich import markdown_of, media_of_blocks
from providers.telegram.system import is_service, sentence

Json = dict[str, Any]

_AROUND_CONTENT = frozenset(
    {"message_id", "message_thread_id", "direct_messages_topic", "from", "sender_chat", "sender_boost_count", "sender_business_bot", "sender_tag",
     "date", "guest_query_id", "business_connection_id", "chat", "forward_origin", "is_topic_message", "is_automatic_forward", "reply_to_message",
     "external_reply", "quote", "reply_to_story", "reply_to_checklist_task_id", "reply_to_poll_option_id", "via_bot", "guest_bot_caller_user",
     "guest_bot_caller_chat", "edit_date", "has_protected_content", "is_from_offline", "is_paid_post", "media_group_id", "author_signature",
     "paid_star_count", "receiver_user", "ephemeral_message_id", "text", "entities", "link_preview_options", "suggested_post_info", "effect_id",
     "caption", "caption_entities", "show_caption_above_media", "has_media_spoiler", "reply_markup"}
)  # fmt: skip
"""Fields of a Message that say where, when, by whom and how it came."""


_ANSWERS = frozenset({"web_app_data", "users_shared", "chat_shared"})
"""Service messages by which a person answers a button of ours: they say something to the bot, and nothing about the chat."""
_KINDS = {
    "text": MessageKind.TEXT,
    "location": MessageKind.LOCATION,
    "venue": MessageKind.LOCATION,
    "poll": MessageKind.POLL,
    "contact": MessageKind.CONTACT,
}
_IN_FIELDS = frozenset({"location", "venue", "animation", "audio", "document", "live_photo", "photo", "sticker", "video", "video_note", "voice"})
"""Content that has fields of ours, and no words."""


@dataclass(frozen=True)
class Content:
    """The content of a message; all is at its default where the message holds none that a bot may see."""

    kind: MessageKind = MessageKind.UNKNOWN
    text: str = ""
    format: TextFormat = TextFormat.PLAIN
    media: tuple[Media, ...] = ()
    location: Location | None = None
    poll: Poll | None = None
    contact: Contact | None = None


def content_of(message: Json, who: str = "") -> Content:
    """Return the content of a message that `who` wrote or caused. A field that is new, or of another form, is named."""
    try:
        return _read(message, who)
    except NOT_OF_ITS_FORM:
        kinds = _content_fields(message, _AROUND_CONTENT)
        own = message.get("text") or message.get("caption")
        kind = MessageKind.SYSTEM if is_service(message) and not _ANSWERS & message.keys() else MessageKind.TEXT if own else MessageKind.UNKNOWN
        return Content(kind=kind, text=words_despite(own, ", ".join(kinds)))


def _read(message: Json, who: str) -> Content:
    if (report := sentence(message, who)) is not None:
        return Content(kind=MessageKind.TEXT if _ANSWERS & message.keys() else MessageKind.SYSTEM, text=report)
    if rich := message.get("rich_message"):
        return Content(kind=MessageKind.TEXT, text=markdown_of(rich["blocks"]), format=TextFormat.MARKDOWN, media=media_of_blocks(rich["blocks"]))
    own, format = marked(message.get("text") or message.get("caption", ""), message.get("entities") or message.get("caption_entities", []))
    words = next((say(message[field]) for field, say in _WORDS.items() if field in message), "")
    media = media_of(message)
    # A caption belongs to a file: beside none that is known there is one of a new type.
    new = "" if media or words or "text" in message else _unknown(message)
    return Content(
        kind=MessageKind.MEDIA if media else _kind(message, has_words=bool(words)),
        text="\n".join(filter(None, (words or new, own))),
        format=format,
        media=media,
        location=_location(message),
        poll=_poll(message),
        contact=_contact(message),
    )


def in_short(message: Json) -> str:
    """Return the words of a message that another one is about; empty where it holds none."""
    content = content_of(message, name_of(message.get("from", {})))
    if content.text or not content.media:
        place = content.location
        return content.text or (f"A place: {place.name or f'{place.latitude}, {place.longitude}'}." if place else "")
    return f"A file of the kind {content.media[0].kind}."


def _kind(message: Json, *, has_words: bool) -> MessageKind:
    other = MessageKind.TEXT if has_words else MessageKind.UNKNOWN
    return next((kind for field, kind in _KINDS.items() if field in message), other)


def _unknown(message: Json) -> str:
    new = _content_fields(message, _AROUND_CONTENT | _IN_FIELDS)
    return f"A message of the type {', '.join(new)}." if new else ""


def _content_fields(message: Json, others: frozenset[str]) -> list[str]:
    return [name for name in message if name not in others and not name.startswith("forward_")]


def _game(game: Json) -> str:
    return "\n".join(filter(None, (f"The game {game['title']}.", game["description"], game.get("text"))))


def _invoice(invoice: Json) -> str:
    return f"An invoice of {sum_of(invoice['currency'], invoice['total_amount'])} for {invoice['title']}: {invoice['description']}"


def _checklist(checklist: Json) -> str:
    return "\n".join([checklist["title"], *(f"[{'x' if 'completion_date' in task else ' '}] {task['text']}" for task in checklist["tasks"])])


def _paid_media(paid: Json) -> str:
    hidden = sum(one["type"] == "preview" for one in paid["paid_media"])
    return f"Paid media for {stars(paid['star_count'])}." + (f" {hidden} of {len(paid['paid_media'])} are not paid for." if hidden else "")


def _prize(giveaway: Json) -> str:
    prizes = [
        giveaway.get("prize_description"),
        stars(giveaway["prize_star_count"]) if "prize_star_count" in giveaway else None,
        f"Telegram Premium for {giveaway['premium_subscription_month_count']} months" if "premium_subscription_month_count" in giveaway else None,
    ]
    found = ", ".join(prize for prize in prizes if prize)
    return f" The prize: {found}." if found else ""


def _giveaway(giveaway: Json) -> str:
    chats = ", ".join(title_of(chat) for chat in giveaway["chats"])
    return f"A giveaway among the members of {chats}, with {giveaway['winner_count']} winners.{_prize(giveaway)}"


def _winners(giveaway: Json) -> str:
    ended = f"A giveaway of {title_of(giveaway['chat'])} ended with {giveaway['winner_count']} winners"
    return f"{ended}: {names_of(giveaway['winners'])}.{_prize(giveaway)}"


def _passport(passport: Json) -> str:
    return f"Telegram Passport data, encrypted: {', '.join(element['type'] for element in passport['data'])}."


def _poll_words(poll: Json) -> str:
    description = poll.get("description", "")
    if len(poll["options"]) > 1:
        return "\n".join(filter(None, (poll["question"], description)))
    return "\n".join(filter(None, (poll["question"], description, *(f"- {option['text']}" for option in poll["options"]))))


def _live(place: Json) -> str:
    return f"A live location, for {place['live_period']} s." if "live_period" in place else ""


_WORDS: dict[str, Callable[[Json], str]] = {
    "contact": lambda contact: read_card(str(contact.get("vcard") or "")).words(name_of(contact), contact["phone_number"]),
    "sticker": lambda sticker: sticker.get("emoji", ""),
    "dice": lambda dice: f"{dice['emoji']} {dice['value']}",
    "poll": _poll_words,
    "location": _live,
    "game": _game,
    "invoice": _invoice,
    "checklist": _checklist,
    "story": lambda story: f"A story of {title_of(story['chat']) or 'somebody'}.",
    "paid_media": _paid_media,
    "giveaway": _giveaway,
    "giveaway_winners": _winners,
    "passport_data": _passport,
}


def _location(message: Json) -> Location | None:
    venue = message.get("venue", {})
    if (place := message.get("location") or venue.get("location")) is None:
        return None
    name = ", ".join(venue[part] for part in ("title", "address") if venue.get(part))
    return Location(latitude=place["latitude"], longitude=place["longitude"], name=name or None)


def _poll(message: Json) -> Poll | None:
    poll = message.get("poll")
    if poll is None or len(poll["options"]) < 2:
        return None
    options = tuple(option["text"] for option in poll["options"])
    return Poll(question=poll["question"], options=options, multiple=poll.get("allows_multiple_answers", False))


def _contact(message: Json) -> Contact | None:
    if (card := message.get("contact")) is None:
        return None
    return Contact(id=str(card.get("user_id", "")), name=name_of(card), phone=card["phone_number"])
