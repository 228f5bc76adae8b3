"""How the Graph API says no."""

from typing import Any


class Refusal(Exception):
    def __init__(self, status: int, code: int, message: str, *, subcode: int | None = None, details: str | None = None, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        error: dict[str, Any] = {"message": message, "type": "OAuthException", "code": code, "fbtrace_id": "A1b2C3", **more}
        if subcode is not None:
            error["error_subcode"] = subcode
        if details is not None:
            error["error_data"] = {"messaging_product": "whatsapp", "details": details}
        self.body = {"error": error}


def bad_parameter(words: str, **more: Any) -> Refusal:
    return Refusal(400, 100, f"(#100) {words}", **more)


def no_such_object(id: str) -> Refusal:
    words = f"Unsupported request. Object with ID '{id}' does not exist, cannot be loaded due to missing permissions, or does not support this."
    return Refusal(400, 100, words, subcode=33)


def wrong_token() -> Refusal:
    return Refusal(401, 190, "Invalid OAuth access token - Cannot parse access token")
