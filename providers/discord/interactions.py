"""Interactions (buttons, menus, commands, dialogs): what was picked, and the answer that Discord wants within 3 s."""

from enum import IntEnum
from typing import Any, NamedTuple

from providers.discord.components import BUTTON, MENUS, all_parts, label_of
from providers.discord.content import words_of
from providers.discord.directory import Directory, person_of
from providers.discord.fields import many, one, texts
from providers.models import Quoted

Json = dict[str, Any]

_MESSAGE, _ACKNOWLEDGED, _SUGGESTIONS = 4, 6, 8
_ONLY_FOR_THE_PERSON = 1 << 6
_RECEIVED = "Received."

_OF_PERSON, _OF_MESSAGE = 2, 3
# Options of a command that hold options, and those whose value is an id (https://docs.discord.com/developers/interactions/application-commands).
_GROUPS = frozenset({1, 2})
_BY_ID = frozenset({6, 7, 8, 9, 11})


class Kind(IntEnum):
    """The kinds of interactions. Raises ValueError for one that is new."""

    PING = 1
    COMMAND = 2
    COMPONENT = 3
    TYPING = 4
    """Of a command that is being typed: Discord asks for suggestions."""
    DIALOG = 5


class Picked(NamedTuple):
    """What a person told the bot by an interaction. `under` is the message that the button, menu or dialog belongs to."""

    text: str
    chosen: str | None = None
    under: Json | None = None
    quoted: Quoted | None = None


def answer_to(interaction: Json) -> Json | None:
    """Return the answer that keeps Discord from showing the person a failure; None for a kind that wants none. Raises ValueError for a new one.

    A command has to be answered by a message: one that only the person sees. What we have to say comes as a separate message.
    """
    match Kind(interaction["type"]):
        case Kind.COMPONENT:
            return {"type": _ACKNOWLEDGED}
        case Kind.DIALOG if interaction.get("message"):
            return {"type": _ACKNOWLEDGED}
        case Kind.COMMAND | Kind.DIALOG:
            return {"type": _MESSAGE, "data": {"content": _RECEIVED, "flags": _ONLY_FOR_THE_PERSON, "allowed_mentions": {"parse": []}}}
        case Kind.TYPING:
            return {"type": _SUGGESTIONS, "data": {"choices": []}}
        case Kind.PING:
            return None


def picked(interaction: Json, directory: Directory) -> Picked | None:
    """Return what was picked or typed; None where a person is still typing. Raises ValueError for a new kind."""
    match Kind(interaction["type"]):
        case Kind.COMMAND:
            return _command(interaction["data"], directory)
        case Kind.COMPONENT:
            return _component(interaction)
        case Kind.DIALOG:
            return _dialog(interaction)
        case Kind.PING | Kind.TYPING:
            return None


def _component(interaction: Json) -> Picked:
    data, under = interaction["data"], interaction["message"]
    part: Json = next((part for part in all_parts(many(under, "components")) if part.get("custom_id") == data["custom_id"]), Json())
    if data["component_type"] == BUTTON:
        return Picked(label_of(part) or data["custom_id"], data["custom_id"], under)
    values: list[str] = texts(data, "values")
    labels = {option["value"]: option["label"] for option in many(part, "options")}
    names = labels if labels and data["component_type"] in MENUS else {**labels, **_names(data)}
    text = ", ".join(names.get(value, value) for value in values)
    return Picked(text or "Nothing was picked.", ", ".join(values) or data["custom_id"], under)


def _command(data: Json, directory: Directory) -> Picked:
    names = _names(data)
    target = str(data.get("target_id"))
    if data.get("type") == _OF_PERSON:
        return Picked(f"{data['name']}: {names.get(target, target)}")
    if data.get("type") == _OF_MESSAGE:
        about: Json = one(one(one(data, "resolved"), "messages"), target)
        words = words_of(about, directory) if about else ""
        name = person_of(about["author"]).name if about.get("author") else ""
        return Picked(data["name"], quoted=Quoted(text=words, name=name))
    return Picked(" ".join([f"/{data['name']}", *_options(many(data, "options"), names)]))


def _options(options: list[Json], names: dict[str, str]) -> list[str]:
    said: list[str] = []
    for option in options:
        if option["type"] in _GROUPS:
            said += [option["name"], *_options(many(option, "options"), names)]
        else:
            value = str(option["value"])
            said.append(f"{option['name']}: {names.get(value, value) if option['type'] in _BY_ID else value}")
    return said


def _dialog(interaction: Json) -> Picked:
    data = interaction["data"]
    names = _names(data)
    lines = [line for part in all_parts(many(data, "components")) if (line := _field(part, names))]
    return Picked("\n".join(lines) or "The dialog was sent empty.", data["custom_id"], interaction.get("message"))


def _field(part: Json, names: dict[str, str]) -> str:
    """Return a field of a dialog with its value; Discord does not repeat the field's label."""
    values: list[Any] = [part["value"]] if part.get("value") is not None else texts(part, "values")
    if "custom_id" not in part or not values:
        return ""
    return f"{part['custom_id']}: {', '.join(names.get(str(value), str(value)) for value in values)}"


def _names(data: Json) -> dict[str, str]:
    """Return, by id, the names of the people, roles, channels and files that Discord sent along."""
    resolved: Json = one(data, "resolved")
    members: Json = one(resolved, "members")
    people = {id: person_of({**user, "nick": one(members, id).get("nick")}).name for id, user in one(resolved, "users").items()}
    roles = {id: role["name"] for id, role in one(resolved, "roles").items()}
    channels = {id: f"#{channel['name']}" for id, channel in one(resolved, "channels").items()}
    files = {id: file["filename"] for id, file in one(resolved, "attachments").items()}
    return {**roles, **channels, **files, **people}
