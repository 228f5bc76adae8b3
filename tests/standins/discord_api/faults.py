"""What a test makes go wrong with a coming call. `call` is the operation's name in Discord's description of its API."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass
class Fault:
    call: str


@dataclass
class Answer(Fault):
    """Answers this instead of doing what was asked."""

    status: int
    body: dict[str, Any] | str
    headers: dict[str, str] = field(default_factory=dict[str, str])


@dataclass
class Drop(Fault):
    """Closes the connection, before or after doing what was asked."""

    when: Literal["before", "after"]


@dataclass
class Hold(Fault):
    """Keeps a call waiting, before it is done, until it is let go."""

    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    let_go: asyncio.Event = field(default_factory=asyncio.Event)


class Faults:
    def __init__(self) -> None:
        self.coming: list[Fault] = []

    def fail_next(self, call: str, status: int = 500, body: dict[str, Any] | str = "", headers: dict[str, str] | None = None) -> None:
        self.coming.append(Answer(call, status, body, headers or {}))

    def flood_next(self, call: str, retry_after: float, scope: Literal["user", "global", "shared"] = "user") -> None:
        body = {"message": "You are being rate limited.", "retry_after": retry_after, "global": scope == "global"}
        self.fail_next(call, 429, body, {"Via": "1.1 google", "Retry-After": str(int(retry_after)), "X-RateLimit-Scope": scope})

    def shut_out_next(self, call: str, retry_after: int) -> None:
        """As Cloudflare does it, which is in front of Discord."""
        self.fail_next(call, 429, "<html>error code: 1015</html>", {"Retry-After": str(retry_after)})

    def drop_next(self, call: str, when: Literal["before", "after"]) -> None:
        self.coming.append(Drop(call, when))

    def hold_next(self, call: str) -> Hold:
        hold = Hold(call)
        self.coming.append(hold)
        return hold

    def take(self, call: str) -> Fault | None:
        fault = next((fault for fault in self.coming if fault.call == call), None)
        if fault is not None:
            self.coming.remove(fault)
        return fault
