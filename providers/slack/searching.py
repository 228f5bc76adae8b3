"""Matches of Slack's own search as messages."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

from providers.models import Chat, ChatKind, Contact, Found
from providers.slack.inbound import Translator
from providers.slack.shapes import inner

Json = dict[str, Any]


async def found_of(match: Json, translator: Translator) -> Found:
    """Return a match with its chat as the match names it: the bot need not be in it. Its link alone tells the thread."""
    place = inner(match, "channel")
    named = parse_qs(urlsplit(str(match.get("permalink") or "")).query)
    thread = {"thread_ts": named["thread_ts"][0]} if "thread_ts" in named else {}
    author = {} if match.get("user") else {"bot_id": match.get("bot_id") or "B0"}
    received = await translator.received({**match, **author, **thread}, place["id"])
    kind = ChatKind.PRIVATE if place.get("is_im") else ChatKind.GROUP if place.get("is_mpim") or place.get("is_private") else ChatKind.CHANNEL
    title = "" if place.get("is_im") else str(place.get("name") or "")
    name = received.message.sender_name or Contact(id="", name=str(match.get("username") or "")).name
    message = received.message.model_copy(update={"sender_name": name})
    return Found(message=message, chat=Chat(id=place["id"], kind=kind, title=title or received.chat.title))
