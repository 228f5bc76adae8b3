"""Reads what Meta sends, which may leave out anything."""

from typing import Any, cast

Json = dict[str, Any]


def part(told: Json, *path: str) -> Json:
    """The object there; an empty one where there is none."""
    found: Any = told
    for name in path:
        found = cast("Json", found).get(name) if isinstance(found, dict) else None
    return cast("Json", found) if isinstance(found, dict) else {}


def parts(told: Json, *path: str) -> list[Json]:
    """The objects in the list there."""
    *before, last = path
    found: Any = part(told, *before).get(last)
    return [cast("Json", one) for one in cast("list[Any]", found) if isinstance(one, dict)] if isinstance(found, list) else []
