"""Our own edits, whose echo would bring a text that was marked up for Discord in place of the one that was given to us."""

from typing import Any

from providers.kit.bounded import BoundedSet

_REMEMBERED = 100


class OwnEdits:
    def __init__(self) -> None:
        self._made: BoundedSet[tuple[str, str]] = BoundedSet(_REMEMBERED)

    def note(self, message: str, content: str) -> None:
        """Before Discord is asked: its echo may come before its answer."""
        self._made.add((message, content))

    def is_echo(self, update: dict[str, Any]) -> bool:
        return (update["id"], update["content"]) in self._made
