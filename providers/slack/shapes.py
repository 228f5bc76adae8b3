"""Parts of Slack's JSON that may be missing or of another shape."""

from typing import Any, cast

Json = dict[str, Any]


def items(of: Json, name: str) -> list[Json]:
    """Return the objects of a list in a field; none where there is no such list."""
    found: object = of.get(name)
    return [cast("Json", item) for item in cast("list[object]", found) if isinstance(item, dict)] if isinstance(found, list) else []


def inner(of: Json, name: str) -> Json:
    """Return the object in a field; an empty one where there is none."""
    found: object = of.get(name)
    return cast("Json", found) if isinstance(found, dict) else {}
