"""JSON as it comes from outside: any shape, any depth."""

import json
from collections.abc import Iterable
from typing import Any, cast

from providers.kit.json_size import VALUES_MAX, oversize

Json = dict[str, Any]

DEPTH_MAX = 100
"""No platform nests its objects that deeply, and what is nested deeper than 255 could not be written down again."""


def value_in(body: bytes | str, values: int = VALUES_MAX) -> object:
    """Return the JSON value in a body. Raises ValueError where there is none, or it holds more `values` or is nested deeper than anybody writes."""
    fault = oversize(body, values)
    if fault is not None:
        raise ValueError(f"The JSON {fault}.")
    try:
        return json.loads(body)
    except RecursionError:
        raise ValueError("The JSON is nested too deeply.") from None


def object_in(body: bytes | str) -> Json | None:
    """Return the JSON object in a body, without_nulls; None where value_in finds something else, or nothing."""
    try:
        found = value_in(body)
    except ValueError:
        return None
    return without_nulls(cast("Json", found)) if isinstance(found, dict) else None


def without_nulls(payload: Json) -> Json:
    """Return an object without the fields that are null, at any depth: to a platform they are the same as fields that are left out."""
    return {name: _without_nulls(value) for name, value in payload.items() if value is not None}


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return without_nulls(cast("Json", value))
    return [_without_nulls(one) for one in cast("list[Any]", value)] if isinstance(value, list) else value


def is_too_deep(value: object) -> bool:
    """Return whether objects and lists are nested deeper than `DEPTH_MAX`."""
    level: list[object] = [value]
    for _ in range(DEPTH_MAX):
        level = [inner for one in level for inner in _inside(one)]
        if not level:
            return False
    return True


def _inside(value: object) -> list[object]:
    """Return the objects and lists that an object or a list holds."""
    held: Iterable[object] = ()
    if isinstance(value, dict):
        held = cast("Json", value).values()
    elif isinstance(value, list):
        held = cast("list[object]", value)
    return [one for one in held if isinstance(one, (dict, list))]


def part(data: Json, *path: str) -> Json:
    """Return the object at a path of names; an empty one where there is none."""
    found: Any = data
    for name in path:
        found = cast("Json", found).get(name) if isinstance(found, dict) else None
    return cast("Json", found) if isinstance(found, dict) else {}


def id_at(data: Json, *path: str) -> str | None:
    """Return the text at a path of names; None where there is none."""
    *before, last = path
    found = part(data, *before).get(last)
    return found if isinstance(found, str) else None


def parts(data: Json, *path: str) -> list[Json]:
    """Return the objects in the list at a path of names; none where there is no list."""
    *before, last = path
    found: Any = part(data, *before).get(last)
    return [cast("Json", one) for one in cast("list[Any]", found) if isinstance(one, dict)] if isinstance(found, list) else []
