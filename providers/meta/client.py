"""The Graph API over httpx: versioned paths, the token as Bearer, Meta's refusals as our errors."""

import ssl
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import httpx
from pydantic import SecretStr

from providers.errors import InvalidRequest, NotFound
from providers.kit.json import Json, part
from providers.meta.errors import error_of, json_of, unreachable
from providers.models import Upload
from providers.proxies import proxy_for

# What failed before a byte of the request was written.
_NOT_WRITTEN = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)

# Bounds the sockets of one account.
_POOL = httpx.Limits(max_connections=8)
_CONNECT_SECONDS = 10
_UPLOAD_SECONDS = 120

# Where Meta keeps files. Nothing else is fetched, and nobody else is shown the token.
_FILE_HOSTS = (".fbsbx.com", ".fbcdn.net", ".cdninstagram.com", ".facebook.com", ".whatsapp.net")
_HOPS = 4
_PAGES_MAX = 100
_GONE = frozenset({HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
_ASK_AGAIN = "Ask for it to be sent again."


def segment(id: str) -> str:
    """An id as a part of a path."""
    return quote(id, safe="")


def id_in(answer: Any, *path: str | int, sent: bool = True) -> str:
    """The id that an answer to a success holds there. Without it, a message may have been `sent` all the same."""
    try:
        for step in path:
            answer = answer[step]
    except (KeyError, IndexError, TypeError):
        raise unreachable("Meta answered without an id.", maybe_sent=sent) from None
    return str(answer)


class GraphClient:
    """Opens its connections when they are needed."""

    def __init__(self, token: SecretStr, base_url: str, version: str, tls: ssl.SSLContext, answer_seconds: float) -> None:
        self._root = f"{base_url}/{version}"
        self._origin = urlsplit(base_url)[:2]
        self._token = token
        # With trust_env httpx would take passwords from a .netrc along with the proxy.
        timeout = httpx.Timeout(answer_seconds, connect=_CONNECT_SECONDS, pool=_CONNECT_SECONDS)
        self._http = httpx.AsyncClient(verify=tls, limits=_POOL, timeout=timeout, proxy=proxy_for(base_url), trust_env=False)

    async def get(self, path: str, **params: str | int) -> Json:
        return await self._call("GET", path, sends=False, params=params)

    async def pages(self, path: str, most: int = _PAGES_MAX, **params: str | int) -> list[Json]:
        """Return the pages of a list, at most so many: a server may say for ever that there is one more."""
        pages: list[Json] = []
        while len(pages) < most:
            page = await self.get(path, **params)
            pages.append(page)
            after = part(page, "paging", "cursors").get("after")
            if "next" not in part(page, "paging") or not after or after == params.get("after"):
                break
            params["after"] = str(after)
        return pages

    async def post(self, path: str, body: Json, *, sends: bool = False) -> Json:
        """`sends`: it makes a message, so without a proper answer nobody knows whether there is one."""
        return await self._call("POST", path, sends=sends, json=body)

    async def delete(self, path: str, body: Json | None = None) -> Json:
        return await self._call("DELETE", path, sends=False, json=body)

    async def upload(self, path: str, fields: dict[str, str], upload: Upload, *, field: str) -> Json:
        file = {field: (upload.name, upload.content, upload.mime)}
        return await self._call("POST", path, sends=False, data=fields, files=file, timeout=_UPLOAD_SECONDS)

    async def download(self, url: str, *, limit: int) -> tuple[bytes, str]:
        """A file and its type. Raises NotFound where it is gone, InvalidRequest where it is too large or not kept by Meta."""
        for _ in range(_HOPS):
            self._require_metas(url)
            try:
                async with self._http.stream("GET", url, headers=self._headers) as answer:
                    if answer.has_redirect_location:
                        url = urljoin(url, answer.headers["location"])
                        continue
                    return await _content(answer, limit), answer.headers.get("content-type", "application/octet-stream").partition(";")[0]
            except httpx.RequestError as error:
                raise unreachable(f"Meta did not answer: {type(error).__name__}.", maybe_sent=False) from error
        raise NotFound("Meta sends from address to address for this file.", hint=_ASK_AGAIN)

    async def close(self) -> None:
        await self._http.aclose()

    async def _call(self, method: str, path: str, *, sends: bool, **request: Any) -> Json:
        try:
            answer = await self._http.request(method, f"{self._root}/{path}", headers=self._headers, **request)
        except _NOT_WRITTEN as error:
            raise unreachable(f"Meta cannot be reached: {type(error).__name__}.", maybe_sent=False) from error
        except httpx.RequestError as error:
            raise unreachable(f"Meta did not answer: {type(error).__name__}.", maybe_sent=sends) from error
        body = json_of(answer)
        if not answer.is_success or body is None or "error" in body:
            raise error_of(answer, sends=sends)
        return body

    @property
    def _headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self._token.get_secret_value()}"}

    def _require_metas(self, url: str) -> None:
        parts = urlsplit(url)
        if parts[:2] != self._origin and not (parts.scheme == "https" and (parts.hostname or "").endswith(_FILE_HOSTS)):
            raise NotFound("This file is not kept by Meta.", hint=_ASK_AGAIN)


async def _content(answer: httpx.Response, limit: int) -> bytes:
    if answer.status_code in _GONE:
        raise NotFound("Meta does not have this file any more.", hint=_ASK_AGAIN)
    if not answer.is_success:
        await answer.aread()
        raise error_of(answer, sends=False)
    content = bytearray()
    async for chunk in answer.aiter_bytes():
        content += chunk
        if len(content) > limit:
            raise InvalidRequest(f"The file has more than {limit} bytes.", hint="Ask for a smaller file or a link.")
    return bytes(content)
