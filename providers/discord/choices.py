"""Choices: buttons, or a menu where there are many or they need a description. A press comes back as an interaction."""

from collections.abc import Sequence
from typing import Any

from providers.errors import InvalidRequest
from providers.models import Choice

Json = dict[str, Any]

ACTION_ROW, BUTTON, MENU = 1, 2, 3
_SECONDARY = 2
_BUTTONS, _OPTIONS = 5, 25
_LABEL, _ID = 80, 100
_MENU_ID = "choices"


def check_choices(choices: Sequence[Choice]) -> None:
    if len(choices) > _OPTIONS or any(len(choice.id) > _ID or len(choice.title) > _LABEL for choice in choices):
        raise InvalidRequest(
            f"Discord takes {_OPTIONS} choices with ids of {_ID} and titles of {_LABEL} characters.", hint="Offer fewer or shorter ones."
        )


def components_of(choices: Sequence[Choice]) -> list[Json]:
    if len(choices) <= _BUTTONS and not any(choice.description for choice in choices):
        return [_row([{"type": BUTTON, "style": _SECONDARY, "label": choice.title, "custom_id": choice.id} for choice in choices])]
    options = [
        {"label": choice.title, "value": choice.id} | ({"description": choice.description[:_ID]} if choice.description else {}) for choice in choices
    ]
    return [_row([{"type": MENU, "custom_id": _MENU_ID, "options": options}])]


def chosen(interaction: Json) -> tuple[str, str] | None:
    """Id and title of what was picked; None for an interaction of another kind."""
    data = interaction.get("data", {})
    if data.get("component_type") == MENU and data.get("values"):
        picked = data["values"][0]
        return picked, next((option["label"] for menu in _parts(interaction) for option in menu.get("options", []) if option["value"] == picked), "")
    if data.get("component_type") == BUTTON:
        picked = data["custom_id"]
        return picked, next((button.get("label") or "" for button in _parts(interaction) if button.get("custom_id") == picked), "")
    return None


def _row(parts: list[Json]) -> Json:
    return {"type": ACTION_ROW, "components": parts}


def _parts(interaction: Json) -> list[Json]:
    return [part for row in interaction["message"].get("components", []) for part in row.get("components", [])]
