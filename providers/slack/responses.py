"""Addresses at which a command or a form can be answered: each for half an hour and five answers."""

import time
from dataclasses import dataclass

from providers.kit.bounded import BoundedMap

_SECONDS = 1800.0
_USES = 5


@dataclass
class _Response:
    url: str
    until: float
    """In monotonic seconds."""
    left: int = _USES


class Responses:
    """The addresses by the id of the act that they answer, and the newest of each channel. They live as long as the process."""

    def __init__(self) -> None:
        self._of_act: BoundedMap[str, _Response] = BoundedMap(1000)
        self._of_channel: BoundedMap[str, _Response] = BoundedMap(1000)

    def keep(self, channel: str, act: str, url: str) -> None:
        response = _Response(url, time.monotonic() + _SECONDS)
        self._of_act[act] = response
        self._of_channel[channel] = response

    def to_act(self, act: str) -> str | None:
        """Return the address that answers an act, and count it as used; None where there is none, or it is used up."""
        return _used(self._of_act.get(act))

    def in_channel(self, channel: str) -> str | None:
        """The same for whatever act was the last in a channel: the bot may not be in it."""
        return _used(self._of_channel.get(channel))


def _used(response: _Response | None) -> str | None:
    if response is None or response.left == 0 or time.monotonic() >= response.until:
        return None
    response.left -= 1
    return response.url
