"""JSON as it comes from outside: any shape, any depth."""

import json
from typing import Any, cast

Json = dict[str, Any]


def object_in(body: bytes | str) -> Json | None:
    """Return the JSON object in a body; None where it is something else, or nested too deeply for Python to read."""
    try:
        found: object = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return cast("Json", found) if isinstance(found, dict) else None
