"""One POST of a webhook, and what its receiver made of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import anyio

from mcp_messenger.delivery.endpoint import Endpoint
from mcp_messenger.errors import FetchRefused
from mcp_messenger.version import __version__
from providers.text import clean_line

if TYPE_CHECKING:
    import httpcore

SECONDS = 15.0
"""For connecting, sending and the whole answer."""
ANSWER_MAX = 64 * 1024
"""Bytes of an answer that are read, so that its connection can be used again."""
FINAL = frozenset({400, 401, 403, 404, 410, 422})
"""Answers that another attempt would not change."""
ASKS_TO_WAIT = frozenset({429, 503})
LONGEST_WAIT = 86_400.0


@dataclass(frozen=True)
class Outcome:
    """`status` None: there was no answer. `error` None: delivered."""

    status: int | None
    error: str | None = None
    is_final: bool = False
    retry_after: float | None = None


async def post(pool: "httpcore.AsyncConnectionPool", endpoint: Endpoint, webhook_id: str, body: str) -> Outcome:
    """Post these very bytes, signed. Redirects are not followed."""
    import httpcore

    at = datetime.now(UTC)
    headers = {
        **endpoint.headers,
        "Content-Type": "application/json",
        "User-Agent": f"mcp-messenger/{__version__}",
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": endpoint.signature(webhook_id, at, body),
    }
    try:
        with anyio.fail_after(SECONDS):
            return await _exchange(pool, endpoint.url, headers, body.encode())
    except TimeoutError:
        return Outcome(None, f"no answer within {SECONDS:g} s")
    except FetchRefused as error:
        return Outcome(None, error.detail, is_final=True)
    except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.RemoteProtocolError) as error:
        return Outcome(None, clean_line(str(error)) or type(error).__name__)
    except (httpcore.ProtocolError, httpcore.UnsupportedProtocol) as error:
        # Its words may quote a header.
        return Outcome(None, type(error).__name__)


async def _exchange(pool: "httpcore.AsyncConnectionPool", url: str, headers: Mapping[str, str], body: bytes) -> Outcome:
    from mcp_messenger.fetch import checked_url

    target = checked_url(url)
    timeout = {"connect": SECONDS, "read": SECONDS, "write": SECONDS, "pool": SECONDS}
    async with pool.stream("POST", str(target), headers=list(headers.items()), content=body, extensions={"timeout": timeout}) as response:
        size = 0
        async for chunk in response.aiter_stream():
            size += len(chunk)
            if size > ANSWER_MAX:
                break
        return outcome_of(response.status, dict(response.headers))


def outcome_of(status: int, headers: Mapping[bytes, bytes]) -> Outcome:
    if 200 <= status < 300:
        return Outcome(status)
    error = f"answered {status}" + (", and redirects are not followed" if 300 <= status < 400 else "")
    by_name = {name.lower(): value for name, value in headers.items()}
    wait = _seconds(by_name.get(b"retry-after", b"")) if status in ASKS_TO_WAIT else None
    return Outcome(status, error, is_final=status in FINAL, retry_after=wait)


def _seconds(value: bytes) -> float | None:
    """Of a Retry-After header: a number of seconds, or a date."""
    text = value.decode("latin-1").strip()
    if text.isascii() and text.isdecimal():
        return min(LONGEST_WAIT, float(text[:9]))
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    return min(LONGEST_WAIT, max(0.0, (at.astimezone(UTC) - datetime.now(UTC)).total_seconds()))
