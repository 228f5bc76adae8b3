"""Choices as buttons under a message, and presses of buttons."""

from collections.abc import Sequence
from html import escape
from typing import Any

from telegram import InlineKeyboardButton, InlineKeyboardMarkup

from providers.errors import InvalidRequest
from providers.models import Choice, Draft, TextFormat
from providers.telegram.memory import Memory

Json = dict[str, Any]


def check_choices(draft: Draft) -> None:
    """Raise InvalidRequest for choices that have no place in the message."""
    if not draft.choices:
        return
    if "reply_markup" in draft.extra:
        raise InvalidRequest("Choices are the keyboard of the message, and extra has another one.", hint="Use choices, or reply_markup.")
    if "parse_mode" in draft.extra and any(choice.description for choice in draft.choices):
        raise InvalidRequest("Descriptions cannot be added to a text with a parse_mode.", hint="Use format markdown or html, or leave them out.")


def with_descriptions(draft: Draft) -> Draft:
    """Return the draft with the descriptions of its choices under its text: a button has only a title."""
    lines = [f"• {choice.title}: {choice.description}" for choice in draft.choices if choice.description]
    if not lines:
        return draft
    if draft.format is TextFormat.HTML:
        lines = [escape(line, quote=False) for line in lines]
    return draft.model_copy(update={"text": "\n\n".join(filter(None, (draft.text, "\n".join(lines))))})


def keyboard_of(choices: Sequence[Choice], memory: Memory) -> InlineKeyboardMarkup:
    """Return a keyboard with one choice in each row."""
    return InlineKeyboardMarkup([[InlineKeyboardButton(choice.title, callback_data=memory.data_for(choice.id))] for choice in choices])


def title_of_press(query: Json) -> str:
    """Return the words on the pressed button; its data where Telegram does not show the message any more."""
    if game := query.get("game_short_name"):
        return f"Opened the game {game}."
    rows = query.get("message", {}).get("reply_markup", {}).get("inline_keyboard", [])
    data = query.get("data", "")
    return next((button["text"] for row in rows for button in row if button.get("callback_data") == data), data)
