"""JSON parameters for PostgreSQL."""

import json
from typing import Any


def jsonb(value: Any) -> Any:
    """Wrap a value as jsonb. Late, since psycopg costs a tenth of a second of start-up."""
    from psycopg.types.json import Jsonb

    return Jsonb(value, dumps=_dumps)


def _dumps(value: Any) -> str:
    # PostgreSQL's jsonb refuses the NUL character.
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("\\u0000", "")
