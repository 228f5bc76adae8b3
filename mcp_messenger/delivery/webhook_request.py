"""Posts one webhook request and judges its answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from mcp_messenger.delivery.connections import SECONDS
from mcp_messenger.delivery.webhook_target import Endpoint
from mcp_messenger.errors import FetchRefused
from mcp_messenger.version import __version__
from providers.text import clean_line

if TYPE_CHECKING:
    import aiohttp

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


async def post(session: "aiohttp.ClientSession", endpoint: Endpoint, webhook_id: str, body: str) -> Outcome:
    """Post these very bytes, signed. Redirects are not followed."""
    import aiohttp

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
        return await _exchange(session, endpoint, headers, body.encode())
    except TimeoutError:
        return Outcome(None, f"no answer within {SECONDS:g} s")
    except FetchRefused as error:
        return Outcome(None, error.detail, is_final=True)
    except (aiohttp.ClientConnectorError, aiohttp.ServerDisconnectedError) as error:
        return Outcome(None, clean_line(str(error)) or type(error).__name__)
    except aiohttp.ClientError as error:
        # Its words may quote the URL, or a header.
        return Outcome(None, type(error).__name__)


async def _exchange(session: "aiohttp.ClientSession", endpoint: Endpoint, headers: Mapping[str, str], body: bytes) -> Outcome:
    skipped = ("Accept", "Accept-Encoding")
    async with session.post(endpoint.target, headers=headers, data=body, allow_redirects=False, skip_auto_headers=skipped) as response:
        size = 0
        async for chunk in response.content.iter_any():
            size += len(chunk)
            if size > ANSWER_MAX:
                break
        return outcome_of(response.status, response.headers)


def outcome_of(status: int, headers: Mapping[str, str]) -> Outcome:
    """The names of `headers` are found in any case."""
    if 200 <= status < 300:
        return Outcome(status)
    error = f"answered {status}" + (", and redirects are not followed" if 300 <= status < 400 else "")
    wait = _seconds(headers.get("Retry-After", "")) if status in ASKS_TO_WAIT else None
    return Outcome(status, error, is_final=status in FINAL, retry_after=wait)


def _seconds(value: str) -> float | None:
    """Return the seconds of a Retry-After header, which is a number of seconds or a date."""
    text = value.strip()
    if text.isascii() and text.isdecimal():
        return min(LONGEST_WAIT, float(text[:9]))
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    return min(LONGEST_WAIT, max(0.0, (at.astimezone(UTC) - datetime.now(UTC)).total_seconds()))
