"""Notices that Discord writes into a channel (joins, boosts, pins), as plain sentences."""

import re
from collections.abc import Callable
from typing import Any

from providers.discord.directory import Directory, person_of
from providers.discord.fields import many, one
from providers.discord.mentions import Reader

Json = dict[str, Any]

# Message types that somebody wrote: ordinary, reply, and the answers of commands.
WRITTEN = frozenset({0, 19, 20, 23})

_PINNED, _STARTER, _RULES, _SUBSCRIPTION, _PURCHASE, _POLL_RESULT = 6, 21, 24, 25, 44, 46
POINTING = frozenset({_PINNED, _STARTER, _POLL_RESULT})
"""Notices about a message that they name."""

# (https://docs.discord.com/developers/resources/message#message-object-message-types)
_SENTENCES = {
    1: "{who} added {others} to the group.",
    2: "{who} removed {others} from the group.",
    3: "{who} started a call.",
    4: "{who} changed the name of the channel to “{text}”.",
    5: "{who} changed the picture of the channel.",
    _PINNED: "{who} pinned a message.",
    7: "{who} joined the server.",
    8: "{who} boosted the server{times}.",
    9: "{who} boosted the server{times}; it reached level 1.",
    10: "{who} boosted the server{times}; it reached level 2.",
    11: "{who} boosted the server{times}; it reached level 3.",
    12: "{who} lets the channel follow “{text}”.",
    13: "{who} is streaming.",
    14: "The server may no longer be found in Discord's server discovery.",
    15: "The server may be found in Discord's server discovery again.",
    16: "The server does not meet the rules of server discovery: first warning.",
    17: "The server does not meet the rules of server discovery: last warning.",
    18: "{who} started the thread “{text}”.",
    22: "Discord reminds to invite people to the server.",
    26: "Discord offers a paid version of an app.",
    27: "{who} started the stage “{text}”.",
    28: "{who} ended the stage “{text}”.",
    29: "{who} speaks on the stage.",
    30: "{who} wants to speak on the stage.",
    31: "{who} changed the topic of the stage to “{text}”.",
    32: "{who} subscribed the server to an app.",
    36: "{who} turned on the server's security measures until {text}.",
    37: "{who} turned off the server's security measures.",
    38: "{who} reported a raid on the server.",
    39: "{who} reported that a raid was none.",
    55: "The stream is shown in a higher quality.",
    63: "{who} added the emoji {text}.",
}

_NO_TEXT = re.compile(r"( to| until)? ?“?{text}”?")
"""The part of a sentence that is left out where Discord sent no text."""


def sentence(message: Json, who: str, directory: Directory) -> str | None:
    """Return what happened where the message is a notice of Discord; None for one that somebody wrote."""
    kind, read = message["type"], Reader(message, directory).read
    if kind in WRITTEN:
        return None
    if kind == _STARTER:
        return _starter(message, directory)
    if kind == _RULES:
        return _held_back(message, who, read)
    if kind == _SUBSCRIPTION:
        return _subscription(message, who or "Somebody")
    if kind == _PURCHASE:
        bought = one(one(message, "purchase_notification"), "guild_product_purchase").get("product_name")
        return f"{who or 'Somebody'} bought {f'“{bought}”' if bought else 'something'}."
    if kind == _POLL_RESULT:
        return _poll_result(message)
    text = read(message.get("content"))
    if kind not in _SENTENCES:
        return f"A message of the type {kind}." + (f" {text}" if text else "")
    others = ", ".join(person_of(user).name for user in many(message, "mentions")) or "somebody"
    times = f" {text} times" if text.isdecimal() and text != "1" else ""
    said = _SENTENCES[kind] if text else _NO_TEXT.sub("", _SENTENCES[kind])
    return said.format(who=who or "Somebody", others=others, times=times, text=text)


def _starter(message: Json, directory: Directory) -> str:
    first = message.get("referenced_message")
    if not first:
        return "The thread begins with an older message."
    text = Reader(first, directory).read(first.get("content"))
    return f"The thread begins with a message of {person_of(first['author']).name}" + (f": {text}" if text else ".")


def _held_back(message: Json, who: str, read: Callable[[str | None], str]) -> str:
    """Return which words of whom the server's rules held back, as its moderators are shown them."""
    embeds: list[Json] = many(message, "embeds")
    fields = {field["name"]: field["value"] for embed in embeds for field in many(embed, "fields")}
    words = read(next((embed["description"] for embed in embeds if embed.get("description")), ""))
    rule = f" “{fields['rule_name']}”" if fields.get("rule_name") else ""
    return f"The server's rule{rule} held back a message of {who or 'somebody'}" + (f": {words}" if words else ".")


def _subscription(message: Json, who: str) -> str:
    bought: Json = one(message, "role_subscription_data")
    tier = f" “{bought['tier_name']}”" if bought.get("tier_name") else ""
    months = bought.get("total_months_subscribed")
    return f"{who} {'renewed' if bought.get('is_renewal') else 'began'} the subscription{tier}" + (f" (months: {months})." if months else ".")


def _poll_result(message: Json) -> str:
    """Return how a poll ended (https://docs.discord.com/developers/resources/message#embed-fields-by-embed-type-poll-result-embed-fields)."""
    fields = {field["name"]: field["value"] for embed in many(message, "embeds") for field in many(embed, "fields")}
    question = f"The poll “{fields['poll_question_text']}” has ended" if fields.get("poll_question_text") else "A poll has ended"
    total = fields.get("total_votes", "0")
    winner = fields.get("victor_answer_text") or fields.get("victor_answer_emoji_name")
    if winner is None:
        return f"{question} without a winner; votes: {total}."
    return f"{question}: “{winner}” won with {fields.get('victor_answer_votes', '0')} of {total} votes."
