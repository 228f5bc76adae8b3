"""Errors as RFC 9457 problem details, for everything over HTTP. Plain ASGI: the guards answer before any framework is asked."""

import json
import math
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

from mcp_messenger.errors import ShuttingDown
from providers.errors import MessengerError, RateLimited

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

STATUS: Mapping[str, int] = MappingProxyType(
    {
        # providers.errors
        "messenger_error": 502,
        "rejected": 422,
        "unsupported": 422,
        "not_found": 404,
        "forbidden": 403,
        "invalid_request": 422,
        "window_closed": 409,
        "logged_out": 409,
        "rate_limited": 429,
        "unreachable": 502,
        # mcp_messenger.errors
        "application_error": 500,
        "internal_error": 500,
        "unauthenticated": 401,
        "read_only": 403,
        "missing_scope": 403,
        "policy_denied": 403,
        "quota_exceeded": 403,
        "approval_required": 403,
        "wrong_host": 421,
        "wrong_origin": 403,
        "instance_not_found": 404,
        "chat_not_found": 404,
        "person_not_found": 404,
        "message_not_found": 404,
        "delivery_not_found": 404,
        "webhook_not_found": 404,
        "key_not_found": 404,
        "approval_not_found": 404,
        "conflict": 409,
        "idempotency_conflict": 422,
        "not_ready": 409,
        "not_available": 501,
        "docker_unavailable": 503,
        "docker_refused": 502,
        "docker_not_found": 502,
        "invalid_input": 422,
        "cursor_ahead": 409,
        "route_not_found": 404,
        "method_not_allowed": 405,
        "payload_too_large": 413,
        "fetch_refused": 422,
        "fetch_failed": 502,
        "agent_failed": 502,
        "vault_error": 500,
        "cursor_expired": 410,
        "backup_failed": 500,
        "body_too_slow": 408,
        "took_too_long": 504,
        "shutting_down": 503,
        # db.errors
        "store_unavailable": 503,
    }
)
"""The HTTP status of each error code."""


@dataclass(frozen=True)
class ProblemResponse:
    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes


def problem(error: MessengerError, *, status: int | None = None) -> dict[str, Any]:
    """`{type, title, status, code, detail, hint?, retry_after?}`; `retry_after` in seconds. `status` where HTTP itself says it better."""
    status = status or STATUS[error.code]
    details: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": error.code,
        "detail": error.detail,
    }
    if error.hint is not None:
        details["hint"] = error.hint
    if isinstance(error, RateLimited | ShuttingDown):
        details["retry_after"] = error.retry_after
    return details


def problem_response(error: MessengerError, *, status: int | None = None) -> ProblemResponse:
    """The whole answer to a request that failed."""
    details = problem(error, status=status)
    body = json.dumps(details).encode()
    headers = {"content-type": "application/problem+json", "content-length": str(len(body)), "cache-control": "no-store"}
    if details["status"] == HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = "Bearer"
    if "retry_after" in details:
        headers["retry-after"] = str(math.ceil(details["retry_after"]))
    return ProblemResponse(details["status"], headers, body)


async def send_problem(send: Send, error: MessengerError, *, status: int | None = None) -> None:
    """Answer an ASGI request with the error."""
    response = problem_response(error, status=status)
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers.items()]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})
