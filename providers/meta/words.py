"""Words for objects of Meta that no field of ours holds: each value with its name."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, cast

from providers.kit.json import Json
from providers.models import Quoted

_NOISE = frozenset({"sha256", "messaging_product"})
_WITHHELD = "withheld"
_TIMES_SINCE = 10**9


def words_for(value: Any, *, between: str = ", ") -> str:
    """Return `name: value` for each value in an object, however deep; secrets are left out."""
    return between.join(f"{name}: {shown}" if name else shown for name, shown in _pairs("", value))


def _pairs(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for inner, one in cast("Json", value).items():
            if not _is_secret(inner) and inner not in _NOISE:
                yield from _pairs(inner, one)
    elif isinstance(value, list):
        items = cast("list[Any]", value)
        if any(isinstance(one, dict | list) for one in items):
            for one in items:
                yield from _pairs(name, one)
        elif items:
            yield name, ", ".join(_shown(name, one) for one in items)
    elif value not in (None, ""):
        yield name, _shown(name, value)


def _shown(name: str, value: Any) -> str:
    if "expir" in name and str(value).isdecimal() and _TIMES_SINCE <= int(value) < 10 * _TIMES_SINCE:
        return datetime.fromtimestamp(int(value), UTC).isoformat()
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def without_secrets(value: Any) -> Any:
    """Return the value with what would let its reader act for a person or the account replaced."""
    if isinstance(value, dict):
        found = cast("Json", value)
        return {name: _WITHHELD if _is_secret(name) else without_secrets(inner) for name, inner in found.items()}
    if isinstance(value, list):
        return [without_secrets(inner) for inner in cast("list[Any]", value)]
    return value


def _is_secret(name: str) -> bool:
    return name == "authorization_code" or name.endswith("token")


def without_nulls(value: Any) -> Any:
    """Return the value without the fields that are null: to Meta they mean the same as fields that are missing."""
    if isinstance(value, dict):
        return {name: without_nulls(inner) for name, inner in cast("Json", value).items() if inner is not None}
    if isinstance(value, list):
        return [without_nulls(inner) for inner in cast("list[Any]", value)]
    return value


def quoted_of(*found: tuple[str, str]) -> Quoted | None:
    """Return the words beside a message from its kinds and their texts; None where all texts are empty."""
    said = [(of, text) for of, text in found if text]
    return Quoted(of=" and ".join(of for of, _ in said), text="\n".join(text for _, text in said)) if said else None
