"""Reads fields of Discord's objects that may be missing or null."""

from typing import Any

Json = dict[str, Any]


def many(holder: Json, name: str) -> list[Json]:
    """Return a field that holds objects; none where it is missing or null."""
    return holder.get(name) or []


def one(holder: Json, name: str) -> Json:
    """Return a field that holds an object; an empty one where it is missing or null."""
    return holder.get(name) or {}


def texts(holder: Json, name: str) -> list[str]:
    """Return a field that holds texts, such as ids; none where it is missing or null."""
    return holder.get(name) or []
