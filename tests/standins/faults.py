"""What a test makes go wrong with a coming call of a platform's stand-in."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass
class Fault:
    call: str
    """The platform's name of it, or how its path ends."""


@dataclass
class Answer(Fault):
    """Answers this instead of doing what was asked."""

    status: int
    body: dict[str, Any] | str
    headers: dict[str, str] = field(default_factory=dict[str, str])
    is_done: bool = False
    """Does what was asked first, and answers this all the same."""


@dataclass
class Script:
    """Answers to a method from now on: each body once, and the last of them again and again. The call is still judged."""

    status: int
    bodies: list[Any]

    def next(self) -> Any:
        return self.bodies.pop(0) if len(self.bodies) > 1 else self.bodies[0]


@dataclass
class Drop(Fault):
    """Closes the connection, before or after doing what was asked."""

    when: Literal["before", "after"]


@dataclass
class Hold(Fault):
    """Keeps a call, or with `when` "after" its answer, waiting until it is let go."""

    when: Literal["before", "after"] = "before"

    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    let_go: asyncio.Event = field(default_factory=asyncio.Event)
