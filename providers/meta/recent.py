"""What happened lately, with a bound."""

from collections import OrderedDict
from typing import Generic, TypeVar

V = TypeVar("V")

_REMEMBERED = 10_000


class Recent(Generic[V]):
    """A mapping that forgets what was put in longest ago."""

    def __init__(self, most: int = _REMEMBERED) -> None:
        self._most = most
        self._known: OrderedDict[str, V] = OrderedDict()

    def put(self, key: str, value: V) -> None:
        self._known[key] = value
        self._known.move_to_end(key)
        if len(self._known) > self._most:
            self._known.popitem(last=False)

    def get(self, key: str) -> V | None:
        return self._known.get(key)

    def pop(self, key: str) -> V | None:
        return self._known.pop(key, None)

    def __contains__(self, key: str) -> bool:
        return key in self._known
