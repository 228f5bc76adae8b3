"""The REST API of a running server, as its administrator or the owner of a token."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, Self, cast

import httpx

from mcp_messenger.commands.server_address import address_of_server
from mcp_messenger.config import PREFIX, Config
from mcp_messenger.errors import ApplicationError, InvalidInput, NotAuthenticated, NotAvailable, quoted
from providers.text import clean_line

WITHIN = 30.0
EXAMINED_WITHIN = 120.0
"""Longer than a server takes for a call: it says itself when that is over."""
PAGE = 100


class Refused(ApplicationError):
    """A refusal of the server, in its words; `problem` is its code."""

    def __init__(self, problem: dict[str, Any]) -> None:
        super().__init__(clean_line(str(problem.get("detail"))), hint=clean_line(str(problem.get("hint") or "")) or None)
        self.problem: str = str(problem["code"])


class Server:
    """Its address has no slash at the end."""

    def __init__(self, client: httpx.AsyncClient, url: str) -> None:
        self._client = client
        self.url = url

    @classmethod
    @asynccontextmanager
    async def at(cls, url: str | None, config: Config) -> AsyncGenerator[Self]:
        """With the token of the settings; `url` where it is not theirs. Raises InvalidInput for a URL of another kind."""
        token = config.token or config.admin_token
        bearer = {"Authorization": f"Bearer {token.get_secret_value()}"} if token is not None else {}
        url = (url or address_of_server(config)).rstrip("/")
        if not url.lower().startswith(("http://", "https://")):
            raise InvalidInput(f"--url: {quoted(url)} does not begin with http:// or https://.", hint="Give it as http://127.0.0.1:3000.")
        async with httpx.AsyncClient(headers={"Accept": "application/json", **bearer}, trust_env=False, timeout=WITHIN) as client:
            yield cls(client, url)

    async def examination(self) -> list[dict[str, Any]]:
        """Return what the server finds where it looks at itself. Raises as `get` does, and NotAvailable for a server that is too old to do it."""
        answer = await self._send("GET", "/api/v1/doctor", {}, within=EXAMINED_WITHIN)
        if answer.status_code == HTTPStatus.NOT_FOUND:
            raise NotAvailable("The server is of a version that cannot examine itself.", hint="Upgrade it.")
        return self._answer(answer)["findings"]

    async def get(self, path: str, **params: str | int) -> Any:
        """The answer of a call under /api/v1. Raises NotAvailable where no server of ours answers, or what the server refused."""
        return self._answer(await self._send("GET", f"/api/v1{path}", params))

    async def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """The answer of a call under /api/v1 that changes something. Raises as `get` does."""
        return self._answer(await self._send("POST", f"/api/v1{path}", {}, body or {}))

    async def put(self, path: str, body: dict[str, Any]) -> Any:
        """Set something by a call under /api/v1. Raises what `get` raises."""
        return self._answer(await self._send("PUT", f"/api/v1{path}", {}, body))

    async def delete(self, path: str, **params: str | int) -> Any:
        """Delete by a call under /api/v1. Raises what `get` raises."""
        return self._answer(await self._send("DELETE", f"/api/v1{path}", params))

    async def health(self) -> dict[str, Any]:
        """Also of a server that is not well. Raises NotAvailable."""
        found = await self._send("GET", "/health", {})
        try:
            answer = found.json()
            return {name: answer[name] for name in ("status", "uptime", "version", "checks")}
        except (ValueError, KeyError, TypeError):
            raise self._stranger() from None

    async def instances(self) -> list[dict[str, Any]]:
        """All that the caller may see."""
        return await self.every("/instances", "instances")

    async def every(self, path: str, field: str) -> list[dict[str, Any]]:
        """Return the rows of all pages of a list. Raises what `get` raises."""
        found: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        while True:
            page = await self.get(path, limit=PAGE, **cursor)
            found += page[field]
            if page["next_cursor"] is None:
                return found
            cursor = {"cursor": page["next_cursor"]}

    async def instance_id(self, beginning: str) -> str:
        """Return the whole id of the one instance that is called so, or whose id begins so. Raises InvalidInput for none, and for several."""
        listed = await self.instances()
        named = [one["id"] for one in listed if beginning and one.get("name") == beginning]
        found = named or [one["id"] for one in listed if one["id"].startswith(beginning.lower())]
        if not found:
            raise InvalidInput(f"No instance begins with {quoted(beginning)}.", hint="'mcp-messenger ps' lists them.")
        if len(found) > 1:
            raise InvalidInput(f"{len(found)} instances begin with {quoted(beginning)}.", hint=f"Give more of one of: {', '.join(found[:5])}.")
        return found[0]

    async def lines(self, path: str, **params: str | int) -> AsyncIterator[str]:
        """The data of server-sent events, as they come. Raises what the server refuses, also later on."""
        kind = "message"
        try:
            async with self._client.stream("GET", f"{self.url}/api/v1{path}", params=params, timeout=httpx.Timeout(WITHIN, read=None)) as answer:
                if not answer.is_success:
                    await answer.aread()
                    self._answer(answer)
                async for line in answer.aiter_lines():
                    name, _, value = line.partition(": ")
                    if name == "event":
                        kind = value
                    elif name == "data" and kind == "problem":
                        raise ApplicationError(value)
                    elif name == "data":
                        yield value
        except httpx.TransportError as error:
            raise self._absent(error) from error

    async def _send(
        self, method: str, path: str, params: dict[str, str | int], body: dict[str, Any] | None = None, *, within: float = WITHIN
    ) -> httpx.Response:
        try:
            return await self._client.request(method, self.url + path, params=params, json=body, timeout=within)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise InvalidInput(f"--url: {clean_line(str(error)).rstrip('.')}.", hint="Give it as http://127.0.0.1:3000.") from error
        except httpx.TransportError as error:
            raise self._absent(error) from error

    def _answer(self, answer: httpx.Response) -> Any:
        try:
            body = answer.json()
        except ValueError:
            raise self._stranger() from None
        if answer.is_success:
            return body
        problem = cast("dict[str, Any]", body) if isinstance(body, dict) else {}
        if "code" not in problem:
            raise self._stranger()
        if problem["code"] == NotAuthenticated.code:
            raise NotAuthenticated("The server wants a token that it knows.", hint=f"Set {PREFIX}ADMIN_TOKEN to the server's.")
        raise Refused(problem)

    def _absent(self, error: httpx.TransportError) -> NotAvailable:
        if isinstance(error, httpx.TimeoutException):
            return NotAvailable(f"The server at {self.url} does not answer in time.", hint="Its log says what it does.")
        return NotAvailable(
            f"No server answers at {self.url}: {clean_line(str(error)).rstrip('.')}.",
            hint="Start it with 'mcp-messenger serve', or give its address with --url.",
        )

    def _stranger(self) -> NotAvailable:
        return NotAvailable(f"What answers at {self.url} is not mcp-messenger.", hint="Give the server's address with --url.")
