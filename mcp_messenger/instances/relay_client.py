"""Calls one relay over HTTP and raises errors of the provider port."""

import json
import ssl
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast

from pydantic import SecretStr

from mcp_messenger.errors import Conflict
from mcp_messenger.relay.port import deserialize_error
from providers.errors import MessengerError, Unreachable
from providers.kit.json_size import OF_OURS, oversize

if TYPE_CHECKING:
    import httpx

ANSWER_WITHIN = 90.0
CONNECT_WITHIN = 5.0
MAX_ANSWER = 160 * 1024 * 1024
"""Bytes: a file in base64, and room for more."""


class Lost(Unreachable):
    """The relay gave no answer that can be read."""


class Refused(Conflict):
    """The relay does not do this for this manager."""


class RelayClient:
    """Connects when it is first used, and again after `close`."""

    def __init__(self, endpoint: Callable[[], Awaitable[str]], key: SecretStr, tls: ssl.SSLContext) -> None:
        """`endpoint` returns the relay's present address; `key` is the relay's own."""
        self._endpoint = endpoint
        self._key = key
        self._tls = tls
        self._http: httpx.AsyncClient | None = None

    async def close(self) -> None:
        http, self._http = self._http, None
        if http is not None:
            await http.aclose()

    async def ask(
        self, method: str, path: str, *, params: dict[str, Any] | None = None, body: bytes | None = None, seconds: float = ANSWER_WITHIN
    ) -> Any:
        """Return the content of the answer. Raises the error that the relay answers with, and Lost if it gives no answer that can be read."""
        import httpx

        try:
            address = await self._endpoint()
            status, content = await self._exchange(method, f"{address}{path}", params, body, seconds)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise Lost("The instance's relay cannot be reached.", maybe_sent=False, hint="It may be starting; try again in a moment.") from error
        except (httpx.HTTPError, OSError) as error:
            raise Lost("The instance's relay broke the connection off.", maybe_sent=True, hint="It may have been done; look first.") from error
        return _answer(status, content)

    async def _exchange(self, method: str, url: str, params: dict[str, Any] | None, body: bytes | None, seconds: float) -> tuple[int, bytes]:
        import httpx

        headers = {"Authorization": f"Bearer {self._key.get_secret_value()}"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        timeout = httpx.Timeout(seconds, connect=CONNECT_WITHIN)
        content = bytearray()
        async with self._connected().stream(method, url, params=params, content=body, headers=headers, timeout=timeout) as response:
            async for chunk in response.aiter_bytes():
                content += chunk
                if len(content) > MAX_ANSWER:
                    raise httpx.DecodingError("The answer is too long.")
        return response.status_code, bytes(content)

    def _connected(self) -> "httpx.AsyncClient":
        import httpx

        if self._http is None:
            # Never through a proxy of the environment: it would see the key.
            self._http = httpx.AsyncClient(verify=self._tls, trust_env=False, follow_redirects=False)
        return self._http


def _answer(status: int, content: bytes) -> Any:
    try:
        found: Any = json.loads(content) if oversize(content, OF_OURS) is None else None
    except (ValueError, RecursionError):
        found = None
    answer = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
    if status == 200 and answer:
        return answer["result"] if answer.keys() == {"result"} else answer
    error = answer.get("error")
    if isinstance(error, dict) and "code" in error:
        raise _refusal(cast("dict[str, Any]", error))
    if status == 401:
        raise _no_entry()
    detail = f"The server at the relay's address is no relay (HTTP {status})."
    raise Lost(detail, maybe_sent=True, hint="Look at its address, its log and its version.")


def _refusal(error: dict[str, Any]) -> MessengerError:
    match error["code"]:
        case "unauthenticated":
            return _no_entry()
        case "conflict":
            return Refused(str(error.get("detail")), hint=error.get("hint"))
        case _:
            try:
                return deserialize_error(error)
            except (KeyError, ValueError):
                return Lost("The relay answered with an error that cannot be read.", maybe_sent=True, hint="Look at its version.")


def _no_entry() -> Lost:
    return Lost("The instance's relay does not take its manager's key.", maybe_sent=False, hint="Call restart_instance.")
