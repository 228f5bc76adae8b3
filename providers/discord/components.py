"""Components of Discord messages: texts, sections, pictures, files, buttons and menus, in containers of any depth."""

from collections.abc import Callable, Generator
from typing import Any

from providers.discord.fields import many, one

Json = dict[str, Any]

ACTION_ROW, BUTTON, STRING_MENU, USER_MENU, ROLE_MENU, MENTIONABLE_MENU, CHANNEL_MENU = 1, 2, 3, 5, 6, 7, 8
_TEXT, _THUMBNAIL, _GALLERY, _FILE, _SEPARATOR = 10, 11, 12, 13, 14
_UPLOAD = 19
# Forms of dialogs, which have options of their own.
_RADIO, _CHECKBOXES = 21, 22
_WITH_OPTIONS = frozenset({STRING_MENU, _RADIO, _CHECKBOXES})
MENUS = frozenset({STRING_MENU, USER_MENU, ROLE_MENU, MENTIONABLE_MENU, CHANNEL_MENU})
_SILENT = frozenset({ACTION_ROW, 9, _SEPARATOR, 17})
"""Kinds that only hold or part others."""

_DEPTH = 20


def all_parts(components: list[Json], depth: int = 0) -> Generator[Json]:
    """Yield every component, each before those that it holds. Those nested deeper than Discord nests are left out."""
    if depth > _DEPTH:
        return
    for part in components:
        yield part
        inner = [*many(part, "components"), part.get("component"), part.get("accessory")]
        yield from all_parts([one for one in inner if one], depth + 1)


def component_lines(components: list[Json], read: Callable[[str | None], str]) -> list[str]:
    """Return a line for each component that shows something. `read` puts names in place of ids."""
    return [line for part in all_parts(components) if (line := _line(part, read))]


def label_of(part: Json) -> str:
    """Return what a button says: its label, or its emoji."""
    return part.get("label") or one(part, "emoji").get("name") or ""


def _line(part: Json, read: Callable[[str | None], str]) -> str:
    kind = part["type"]
    if kind in _SILENT:
        return ""
    if kind == _TEXT:
        return read(part.get("content"))
    if kind == BUTTON:
        return _bracketed("Button", " ".join(filter(None, (label_of(part), part.get("url")))))
    if kind in _WITH_OPTIONS:
        options = ", ".join(option["label"] for option in many(part, "options"))
        return _bracketed("Menu", ": ".join(filter(None, (read(part.get("placeholder")), options))))
    if kind in MENUS:
        return _bracketed("Menu", read(part.get("placeholder")))
    if kind == _THUMBNAIL:
        return _picture(part, read)
    if kind == _GALLERY:
        return "\n".join(_picture(item, read) for item in many(part, "items"))
    if kind == _UPLOAD:
        return "[File upload]"
    if kind == _FILE:
        return _bracketed("File", part.get("name") or one(part, "file").get("url") or "")
    said = [read(part.get(name)) for name in ("label", "content", "description", "placeholder", "value") if isinstance(part.get(name), str)]
    return " ".join(filter(None, said)) or f"[A component of the type {kind}]"


def _picture(part: Json, read: Callable[[str | None], str]) -> str:
    return _bracketed("Picture", read(part.get("description")) or one(part, "media").get("url") or "")


def _bracketed(kind: str, said: str) -> str:
    return f"[{kind}: {said}]" if said else f"[{kind}]"
