"""Discord's refusals, with its codes and words."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Refusal(Exception):
    status: int
    code: int
    message: str
    errors: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def body(self) -> dict[str, Any]:
        return {"message": self.message, "code": self.code} | ({"errors": self.errors} if self.errors else {})


def unauthorized() -> Refusal:
    return Refusal(401, 0, "401: Unauthorized")


def unknown(what: str) -> Refusal:
    codes = {"Channel": 10003, "Guild": 10004, "Message": 10008, "User": 10013, "Emoji": 10014, "Interaction": 10062}
    return Refusal(400 if what == "Emoji" else 404, codes[what], f"Unknown {what}")


def forbidden(code: int, words: str) -> Refusal:
    return Refusal(403, code, words)


def invalid_form(field: str, code: str, words: str) -> Refusal:
    return Refusal(400, 50035, "Invalid Form Body", {field: {"_errors": [{"code": code, "message": words}]}})
