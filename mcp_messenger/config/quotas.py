"""How much a user may have of what all users share."""

import re
from collections.abc import Mapping
from enum import StrEnum

UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
ANY = "any"


class Quota(StrEnum):
    INSTANCES = "instances"
    MEMORY = "memory"
    """Bytes that the containers of a user's running instances may take."""
    MEDIA = "media"
    """Bytes of downloaded files on a server's disk."""
    SUBSCRIPTIONS = "subscriptions"
    """To resources, over MCP, of one server."""
    WAITS = "waits"
    """Calls and streams of one server that wait at the same time."""


OF_BYTES = frozenset({Quota.MEMORY, Quota.MEDIA})
DEFAULTS: Mapping[Quota, int | None] = {
    Quota.INSTANCES: 100,
    Quota.MEMORY: 64 * 2**30,
    Quota.MEDIA: 20 * 2**30,
    Quota.SUBSCRIPTIONS: 1000,
    Quota.WAITS: 100,
}


def parse_most(kind: Quota, text: str) -> int | None:
    """Return a limit that was written as 50, 512m, 16g or any. Raises ValueError."""
    text = text.strip().lower()
    if text == ANY:
        return None
    found = re.fullmatch(r"([0-9]{1,12})([kmgt]?)b?" if kind in OF_BYTES else r"([0-9]{1,12})()", text)
    if found is None:
        raise ValueError(f"{kind}={text!r} is no limit: write one such as {'16g' if kind in OF_BYTES else '50'}, or any")
    return int(found[1]) * UNITS[found[2]]


def parse_quotas(text: str) -> dict[Quota, int | None]:
    """Read `instances=50, memory=16g`; kinds that are not named keep their default. Raises ValueError."""
    limits = dict(DEFAULTS)
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, most = (piece.strip() for piece in part.partition("="))
        if not equals or name not in set(Quota):
            raise ValueError(f"{part!r} is no quota: write one such as instances=50, for {', '.join(Quota)}")
        limits[Quota(name)] = parse_most(Quota(name), most)
    return limits


def shown_most(kind: Quota, most: int | None) -> str:
    """Return a limit as it is written."""
    if most is None:
        return ANY
    unit = next((unit for unit, size in reversed(UNITS.items()) if most and most % size == 0), "") if kind in OF_BYTES else ""
    return f"{most // UNITS[unit]}{unit}"
