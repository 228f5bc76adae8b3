"""Choices: buttons, or a menu where there are many or they need a description. A press comes back as an interaction."""

from collections.abc import Sequence
from typing import Any

from providers.discord.components import ACTION_ROW, BUTTON, STRING_MENU
from providers.errors import InvalidRequest
from providers.models import Choice

Json = dict[str, Any]

_SECONDARY = 2
_BUTTONS, _OPTIONS = 5, 25
_LABEL, _ID = 80, 100
_MENU_ID = "choices"


def check_choices(choices: Sequence[Choice]) -> None:
    """Raise InvalidRequest for more or longer choices than Discord takes."""
    if len(choices) > _OPTIONS or any(len(choice.id) > _ID or len(choice.title) > _LABEL for choice in choices):
        raise InvalidRequest(
            f"Discord takes {_OPTIONS} choices with ids of {_ID} and titles of {_LABEL} characters.", hint="Offer fewer or shorter ones."
        )


def components_of(choices: Sequence[Choice]) -> list[Json]:
    """Return the buttons, or the menu, of the choices."""
    if len(choices) <= _BUTTONS and not any(choice.description for choice in choices):
        return [_row([{"type": BUTTON, "style": _SECONDARY, "label": choice.title, "custom_id": choice.id} for choice in choices])]
    options = [
        {"label": choice.title, "value": choice.id} | ({"description": choice.description[:_ID]} if choice.description else {}) for choice in choices
    ]
    return [_row([{"type": STRING_MENU, "custom_id": _MENU_ID, "options": options}])]


def _row(parts: list[Json]) -> Json:
    return {"type": ACTION_ROW, "components": parts}
