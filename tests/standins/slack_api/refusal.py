"""How Slack says no: status 200 and a word, except for too many calls."""

from typing import Any


class Refusal(Exception):
    def __init__(self, error: str, status: int = 200, headers: dict[str, str] | None = None, **more: Any) -> None:
        super().__init__(error)
        self.status = status
        self.headers = headers or {}
        self.body: dict[str, Any] = {"ok": False, "error": error, **more}
