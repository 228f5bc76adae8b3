"""JSON parameters for PostgreSQL."""

import json
import re
from typing import Any

# The escape of the NUL character, and not a backslash that somebody wrote before "u0000".
_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


def jsonb(value: Any) -> Any:
    """Wrap a value as jsonb, without what PostgreSQL refuses in it: NUL characters and lone surrogates.

    Late, since psycopg costs a tenth of a second of start-up.
    """
    from psycopg.types.json import Jsonb

    return Jsonb(value, dumps=_dumps)


def _dumps(value: Any) -> bytes:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if "\\u0000" in text:
        text = _NUL.sub(r"\1", text)
    return text.encode(errors="replace")
