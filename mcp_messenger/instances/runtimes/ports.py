"""Which port a container gets. What is taken by others is remembered for a while, so that it is not tried again and again."""

import socket
import time
from collections.abc import Callable, Set

from mcp_messenger.errors import Conflict

REMEMBER = 60.0
"""Seconds that a port which somebody else has is left alone."""


class NoPortFree(Conflict):
    """Every port of the range is taken."""


class Ports:
    def __init__(self, ports: range, *, is_here: bool, clock: Callable[[], float] = time.monotonic) -> None:
        """`is_here`: the engine publishes on this very machine, so that a port can be tried."""
        self.range = ports
        self._is_here = is_here
        self._clock = clock
        self._taken: dict[int, float] = {}

    def choose(self, published: Set[int]) -> int:
        """One that no container publishes, and nobody else uses. Raises NoPortFree. It counts as taken until it shows up as published."""
        for port in self.range:
            if port not in published and not self._is_taken(port):
                self.refuse(port)
                return port
        raise NoPortFree(
            f"No port from {self.range[0]} to {self.range[-1]} is free.",
            hint="Delete instances, give a wider range in MCP_MESSENGER_PORTS, or POST /api/v1/resources/ports/clear-cache.",
        )

    def _is_taken(self, port: int) -> bool:
        if self._taken.get(port, 0.0) > self._clock():
            return True
        if self._is_here and not can_listen(port):
            self.refuse(port)
            return True
        return False

    def refuse(self, port: int) -> None:
        self._taken[port] = self._clock() + REMEMBER

    def clear(self) -> None:
        self._taken.clear()


def can_listen(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
