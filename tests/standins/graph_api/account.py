"""What the three accounts have in common: people, files, deliveries, and what a test makes go wrong."""

import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Literal

from tests.standins.faults import Answer, Drop, Fault, Hold, Script
from tests.standins.graph_api.refusal import Refusal

Json = dict[str, Any]

DAY = 24 * 3600


@dataclass
class Person:
    id: str
    name: str
    last_wrote: float | None
    """When their window was opened last; None: never."""


@dataclass
class StoredFile:
    id: str
    name: str
    mime: str
    content: bytes
    expired: bool = False


@dataclass
class Call:
    """One call as it arrived, whatever became of it."""

    method: str
    path: str
    query: dict[str, str]
    body: Json
    files: dict[str, StoredFile] = field(default_factory=dict[str, StoredFile])


class Account:
    kind: str

    def __init__(self, id: str, token: str, url: Callable[[], str], changed: Callable[[], None]) -> None:
        self.id = id
        self.token = token
        self.app_secret = "fake-app-secret-of-a-stand-in"
        self.verify_token = "fake-verify-token"
        self.token_works = True
        self.callback: str | None = None
        """Where deliveries are posted, as in the app's dashboard."""
        self.pending: list[Json] = []
        """Deliveries that were not answered with 200 yet."""
        self.people: dict[str, Person] = {}
        self.files: dict[str, StoredFile] = {}
        self.messages: dict[str, Json] = {}
        self.calls: list[Call] = []
        self.sent: list[Json] = []
        """The bodies that became a message."""
        self.reactions: dict[str, str] = {}
        self.typing: set[str] = set()
        self.faults: list[Fault] = []
        self.scripts: dict[str, Script] = {}
        """By method and the last part of the path, such as "POST messages"."""
        self._url = url
        self._changed = changed
        self._numbers = count(1001)

    def answer(self, call: Call) -> Json:
        """Raises Refusal."""
        raise NotImplementedError

    def judge(self, call: Call) -> None:
        """Raises Refusal for a call of a form that no program should ever make."""

    # What a test prepares

    def store(self, content: bytes, name: str, mime: str) -> StoredFile:
        file = StoredFile(str(next(self._numbers)), name, mime, content)
        self.files[file.id] = file
        return file

    def address(self, file: StoredFile) -> str:
        return f"{self._url()}/files/{file.id}"

    def close_window(self, person: str, *, hours: float = 25) -> None:
        self.people[person].last_wrote = time.time() - hours * 3600

    # What goes wrong

    def fail_next(self, path: str, refusal: Refusal, headers: dict[str, str] | None = None) -> None:
        self.faults.append(Answer(path, refusal.status, refusal.body, headers or {}))

    def garble_next(self, path: str, status: int, body: str) -> None:
        """Answers something that is not JSON, as a proxy in between does."""
        self.faults.append(Answer(path, status, body))

    def drop_next(self, path: str, when: Literal["before", "after"]) -> None:
        self.faults.append(Drop(path, when))

    def hold_next(self, path: str) -> Hold:
        hold = Hold(path)
        self.faults.append(hold)
        return hold

    def take_fault(self, path: str) -> Fault | None:
        fault = next((fault for fault in self.faults if path.endswith(fault.call)), None)
        if fault is not None:
            self.faults.remove(fault)
        return fault

    # Deliveries

    def queue(self, delivery: Json) -> None:
        self.pending.append(delivery)
        self._changed()

    def signed(self, delivery: Json | bytes, secret: str | None = None) -> tuple[bytes, dict[str, str]]:
        """The body and the headers, in lower case, of a delivery."""
        body = delivery if isinstance(delivery, bytes) else json.dumps(delivery, separators=(",", ":")).encode()
        digest = hmac.new((secret or self.app_secret).encode(), body, hashlib.sha256).hexdigest()
        return body, {"content-type": "application/json", "x-hub-signature-256": f"sha256={digest}"}

    def calls_to(self, path: str) -> list[Call]:
        return [call for call in self.calls if call.path.endswith(path)]


def require_fields(given: Json, allowed: frozenset[str]) -> None:
    if unknown := given.keys() - allowed:
        raise Refusal(400, 100, f'(#100) Unexpected key "{min(unknown)}" on param')
