"""The Web API client: slack-sdk over one small connection pool, which never sends anything twice and keeps bodies out of the log."""
# pyright: reportUnknownMemberType=false
# The SDK leaves its dictionaries untyped.

import json
import logging
import ssl
from typing import Any, cast
from urllib.parse import urlsplit

import aiohttp
from pydantic import SecretStr
from slack_sdk.web.async_client import AsyncWebClient

from providers.proxies import aiohttp_way_out
from providers.slack.errors import slack_errors

Json = dict[str, Any]

# Bounds the sockets of one instance: one or two are Socket Mode.
_POOL_SIZE = 8
_SECONDS = aiohttp.ClientTimeout(total=30, sock_connect=10)
# A gigabyte takes a while; a stall of a minute is the end.
_FILE_SECONDS = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=60)

_PAGE = 200
_PAGES = 50

# The SDK writes every request and answer to a logger of level 0 or 10, whatever the levels above it.
_sdk_logger = logging.getLogger(f"{__name__}.sdk")
_sdk_logger.setLevel(logging.INFO)


class SlackClient(AsyncWebClient):
    """A client whose calls take any method by name and answer its JSON."""

    def __init__(self, token: SecretStr, base_url: str, tls: ssl.SSLContext, session: aiohttp.ClientSession) -> None:
        # Without retry handlers: the SDK's own send a message again when the connection broke after it went out.
        super().__init__(
            token=token.get_secret_value(), base_url=base_url, ssl=tls, session=session, logger=_sdk_logger, retry_handlers=[], headers={}
        )
        # The session knows the proxy; the SDK would take one from the environment without looking at NO_PROXY.
        self.proxy = None
        self.http = session
        self._tls = tls
        self.scopes: frozenset[str] = frozenset()
        """Those of the token as Slack named them last; empty where it named none."""
        self._workspaces: tuple[str | None, ...] | None = None
        self._hosts = {urlsplit(base_url).netloc}

    async def call(self, method: str, **params: object) -> Json:
        """The answer's JSON. None is left out; what is not text goes as JSON, as Slack takes it in a form."""
        form = {name: _as_text(value) for name, value in params.items() if value is not None}
        answer = await self.api_call(method, data=form)
        return cast("Json", answer.data)

    async def who_am_i(self) -> tuple[Json, str]:
        """The answer of auth.test, and the token's scopes as Slack lists them."""
        answer = await self.auth_test()
        headers = cast("Any", answer.headers)
        data = cast("Json", answer.data)
        self.scopes = frozenset(filter(None, str(headers.get("x-oauth-scopes", "")).replace(" ", "").split(",")))
        if organization_of(data) is None:
            self._workspaces = (None,)
        return data, str(headers.get("x-oauth-scopes", ""))

    async def workspaces(self) -> tuple[str | None, ...]:
        """Return the `team_id` of each workspace that an app of a whole organization is in; None alone where a call needs none."""
        if self._workspaces is None:
            await self.who_am_i()
        if self._workspaces is None:
            teams: list[Json] = (await self.call("auth.teams.list", limit=_PAGE))["teams"]
            self._workspaces = tuple(str(team["id"]) for team in teams) or (None,)
        return self._workspaces

    async def _request(self, *, http_verb: str, api_url: str, req_args: Json) -> Json:
        try:
            answer = await super()._request(http_verb=http_verb, api_url=api_url, req_args=req_args)
        except UnicodeDecodeError:
            raise aiohttp.ClientPayloadError("The answer is not text.") from None
        if not isinstance(answer["data"], dict):
            # The base class looks for an error in it, whatever it is.
            answer["data"] = {}
        return answer

    def for_person(self, token: SecretStr) -> "SlackClient":
        """Return a client that calls with a person's token over the same connections."""
        return SlackClient(token, self.base_url, self._tls, self.http)

    async def socket(self, app_token: SecretStr, heartbeat: float) -> aiohttp.ClientWebSocketResponse:
        opened = await self.apps_connections_open(app_token=app_token.get_secret_value())
        address = str(cast("Json", opened.data)["url"])
        return await self.http.ws_connect(address, heartbeat=heartbeat, max_msg_size=0)

    async def respond(self, url: str, answer: Json) -> int:
        """Return the status of a post to the address that a command brought. It is secret enough: no token goes with it."""
        async with self.http.post(url, json=answer, allow_redirects=False) as response:
            return response.status

    async def upload(self, url: str, content: bytes) -> int:
        """The status Slack answers. The address is secret enough: no token goes with it."""
        async with self.http.post(url, data=content, timeout=_FILE_SECONDS, allow_redirects=False) as answer:
            return answer.status

    async def fetch(self, url: str) -> tuple[int, str, bytes]:
        """Status, media type and content of a file. The token goes along: only for an address that `is_own`."""
        headers = {"Authorization": f"Bearer {self.token}"}
        async with self.http.get(url, headers=headers, timeout=_FILE_SECONDS, allow_redirects=False) as answer:
            return answer.status, answer.content_type, await answer.read()

    def is_own(self, url: str) -> bool:
        """Whether an address is Slack's: messages also link files that lie elsewhere."""
        parts = urlsplit(url)
        if parts.netloc in self._hosts:
            return True
        host = parts.hostname or ""
        return parts.scheme == "https" and (host == "slack.com" or host.endswith(".slack.com"))


def organization_of(answer: Json) -> str | None:
    """Return the organization that auth.test names for an app installed in all of its workspaces; None for an app of one workspace."""
    team = str(answer.get("team_id") or "")
    if not answer.get("is_enterprise_install") and not team.startswith("E"):
        return None
    return str(answer.get("enterprise_id") or team)


async def pages(client: SlackClient, method: str, field: str, **params: object) -> list[Any]:
    """Return all items of a list that comes in pages, or of the first 50 pages. Raises MessengerError."""
    items: list[Any] = []
    cursor: str | None = None
    for _ in range(_PAGES):
        with slack_errors():
            answer = await client.call(method, limit=_PAGE, cursor=cursor, **params)
        items += answer[field]
        cursor = answer.get("response_metadata", {}).get("next_cursor") or None
        if cursor is None:
            break
    return items


async def in_each_workspace(client: SlackClient, method: str, field: str, **params: object) -> list[Json]:
    """Return what `pages` gives of each workspace of the installation, each item once. Raises MessengerError."""
    with slack_errors():
        workspaces = await client.workspaces()
    found: dict[str, Json] = {}
    for team in workspaces:
        found |= {item["id"]: item for item in await pages(client, method, field, team_id=team, **params)}
    return list(found.values())


def connect(token: SecretStr, base_url: str, tls: ssl.SSLContext) -> SlackClient:
    """A client that opens its connections when they are needed. Needs a running event loop."""
    # With trust_env aiohttp would take passwords from a .netrc along with the proxy.
    connector, proxy, login = aiohttp_way_out(base_url, tls, _POOL_SIZE)
    session = aiohttp.ClientSession(connector=connector, timeout=_SECONDS, proxy=proxy, proxy_auth=login, cookie_jar=aiohttp.DummyCookieJar())
    return SlackClient(token, base_url, tls, session)


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
