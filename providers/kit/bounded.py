"""Memories with a bound: a process that runs for a year must not grow by what strangers send."""

import json
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import Any, Generic, TypeVar, overload

from providers.kit.json import is_too_deep

K = TypeVar("K")
V = TypeVar("V")
D = TypeVar("D")

_RAW_MAX = 65_536


class BoundedMap(Generic[K, V]):
    """A mapping that forgets the entry that was not written or read for longest."""

    def __init__(self, size: int = 10_000) -> None:
        self._size = size
        self._entries: OrderedDict[K, V] = OrderedDict()

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def __iter__(self) -> Iterator[K]:
        """Go through the keys, the one that is forgotten next first."""
        return iter(list(self._entries))

    def __len__(self) -> int:
        return len(self._entries)

    def __setitem__(self, key: K, value: V) -> None:
        self._entries[key] = value
        self._entries.move_to_end(key)
        if len(self._entries) > self._size:
            self._entries.popitem(last=False)

    def __getitem__(self, key: K) -> V:
        return self._entries[key]

    @overload
    def get(self, key: K) -> V | None: ...
    @overload
    def get(self, key: K, default: D) -> V | D: ...
    def get(self, key: K, default: object = None) -> object:
        """Return the value, or `default` where it is not known (any more)."""
        if key not in self._entries:
            return default
        self._entries.move_to_end(key)
        return self._entries[key]

    def pop(self, key: K) -> V | None:
        """Forget an entry. Return its value, None where there was none."""
        return self._entries.pop(key, None)

    def items(self) -> list[tuple[K, V]]:
        """Return all entries, the one that is forgotten next first."""
        return list(self._entries.items())

    def values(self) -> list[V]:
        """Return all values, the one that is forgotten next first."""
        return list(self._entries.values())


class BoundedSet(Generic[K]):
    """A set that forgets the member that was added longest ago."""

    def __init__(self, size: int = 10_000) -> None:
        self._members: BoundedMap[K, None] = BoundedMap(size)

    def __contains__(self, member: object) -> bool:
        return member in self._members

    def add(self, member: K) -> None:
        self._members[member] = None

    def update(self, members: Iterable[K]) -> None:
        for member in members:
            self.add(member)

    def discard(self, member: K) -> None:
        self._members.pop(member)


def bounded_raw(raw: dict[str, Any], *kept: str) -> dict[str, Any]:
    """Return a platform's payload as it came where it is of at most 64 KiB and not too deep, else its fields `kept` and its size."""
    if is_too_deep(raw):
        return {**{name: raw.get(name) for name in kept}, "left_out": "nested too deeply"}
    size = len(json.dumps(raw))
    return raw if size <= _RAW_MAX else {**{name: raw.get(name) for name in kept}, "left_out": f"{size} bytes"}
