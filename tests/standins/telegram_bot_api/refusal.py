"""How the Bot API says no."""

from typing import Any


class Refusal(Exception):
    def __init__(self, status: int, description: str, **parameters: Any) -> None:
        super().__init__(description)
        self.status = status
        self.body: dict[str, Any] = {"ok": False, "error_code": status, "description": description}
        if parameters:
            self.body["parameters"] = parameters


def bad_request(description: str, **parameters: Any) -> Refusal:
    return Refusal(400, f"Bad Request: {description}", **parameters)


def forbidden(description: str) -> Refusal:
    return Refusal(403, f"Forbidden: {description}")


def conflict(description: str) -> Refusal:
    return Refusal(409, f"Conflict: {description}")
