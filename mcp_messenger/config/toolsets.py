"""Groups of tools that are shown or hidden together."""

from collections.abc import Collection
from enum import StrEnum

from mcp_messenger.errors import InvalidInput


class Toolset(StrEnum):
    """Groups of tools that are shown or hidden together."""

    INSTANCES = "instances"
    READING = "reading"
    SENDING = "sending"
    EXTRAS = "extras"
    GROUPS = "groups"
    DIAGNOSTICS = "diagnostics"
    APPROVALS = "approvals"


DEFAULT_TOOLSETS = frozenset({Toolset.INSTANCES, Toolset.READING, Toolset.SENDING})


def chosen(names: Collection[str]) -> frozenset[Toolset]:
    """Return the toolsets that the setting names. Raises InvalidInput for one that does not exist."""
    found: set[Toolset] = set()
    for name in names:
        if name == "default":
            found |= DEFAULT_TOOLSETS
        elif name == "all":
            found |= set(Toolset)
        elif name in set(Toolset):
            found.add(Toolset(name))
        else:
            raise InvalidInput(f"There is no toolset {name!r}.", hint=f"Toolsets: default, all, {', '.join(Toolset)}.")
    return frozenset(found)
