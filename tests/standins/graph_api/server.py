"""The stand-in over HTTP: /<version>/<path> as graph.facebook.com has them, /files/<id> as Meta's file hosts."""

import asyncio
import re
from itertools import count
from typing import Any, Self

import aiohttp
from aiohttp import web

from tests.standins.base import StandIn, hang_up
from tests.standins.faults import Answer, Drop, Hold
from tests.standins.graph_api.account import Account, Call, Json, StoredFile
from tests.standins.graph_api.messaging import MessagingAccount
from tests.standins.graph_api.refusal import Refusal, bad_parameter, wrong_token
from tests.standins.graph_api.whatsapp import WhatsAppNumber

_VERSION = re.compile(r"v(1[89]|2[0-6])\.0")
_AGAIN_SECONDS = 0.02


class GraphStandIn(StandIn):
    """Meta's Graph API. Leaving it also fails when a message was not of Meta's form."""

    def __init__(self) -> None:
        super().__init__()
        self.accounts: list[Account] = []
        self.strangers = 0
        """Calls without a token that is known."""
        self._ids = count(100_001)
        self._courier: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self._courier = asyncio.create_task(self._carry())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._courier is not None:
            self._courier.cancel()
            await asyncio.wait([self._courier])
        self.violations += [fault for account in self.accounts if isinstance(account, WhatsAppNumber) for fault in account.violations]
        await super().__aexit__(kind)

    def routes(self) -> web.Application:
        app = web.Application(client_max_size=200_000_000)
        app.router.add_route("*", "/{version:v[^/]*}/{path:.+}", self._answer)
        app.router.add_get("/files/{id}", self._download)
        return app

    def add_number(self, id: str | None = None) -> WhatsAppNumber:
        number = WhatsAppNumber(id or str(next(self._ids)), self._token(), lambda: self.url, self.changed)
        self.accounts.append(number)
        return number

    def add_page(self, id: str | None = None) -> MessagingAccount:
        id = id or str(next(self._ids))
        page = MessagingAccount("page", id, self._token(), lambda: self.url, self.changed, path_id=id)
        self.accounts.append(page)
        return page

    def add_instagram(self, id: str | None = None, *, page: bool = False) -> MessagingAccount:
        """By Instagram Login, or through a linked Page."""
        id = id or str(next(self._ids))
        path = str(next(self._ids)) if page else id
        account = MessagingAccount("instagram", id, self._token(), lambda: self.url, self.changed, path_id=path)
        self.accounts.append(account)
        return account

    def _token(self) -> str:
        return f"FAKE-TOKEN-{next(self._ids)}"

    def _account(self, request: web.Request) -> Account:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        found = next((account for account in self.accounts if account.token == token and account.token_works), None)
        if scheme != "Bearer" or found is None:
            self.strangers += 1
            raise wrong_token()
        return found

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        try:
            if not _VERSION.fullmatch(request.match_info["version"]):
                raise Refusal(400, 2500, f"Unknown path components: /{request.match_info['path']}")
            return await self._run(self._account(request), await _read(request), request)
        except Refusal as refusal:
            return web.json_response(refusal.body, status=refusal.status)

    async def _run(self, account: Account, call: Call, request: web.Request) -> web.Response:
        fault = account.take_fault(call.path)
        account.calls.append(call)
        self.changed()
        match fault:
            case Answer(body=str(words)):
                return web.Response(status=fault.status, text=words, headers=fault.headers)
            case Answer():
                return web.json_response(fault.body, status=fault.status, headers=fault.headers)
            case Drop(when="before"):
                return hang_up(request)
            case Hold():
                fault.arrived.set()
                await fault.let_go.wait()
            case _:
                pass
        if (script := account.scripts.get(f"{call.method} {call.path.rpartition('/')[2]}")) is not None:
            account.judge(call)
            return web.json_response(script.next(), status=script.status)
        try:
            result = account.answer(call)
        except (KeyError, TypeError, AttributeError) as error:
            raise bad_parameter(f"Invalid parameter: {error!r}") from error
        self.changed()
        return hang_up(request) if isinstance(fault, Drop) else web.json_response(result)

    async def _download(self, request: web.Request) -> web.Response:
        files = {file.id: (account, file) for account in self.accounts for file in account.files.values()}
        account, file = files.get(request.match_info["id"], (None, None))
        if account is None or file is None or file.expired:
            return web.Response(status=404)
        if isinstance(account, WhatsAppNumber) and request.headers.get("authorization") != f"Bearer {account.token}":
            return web.Response(status=401)
        return web.Response(body=file.content, content_type=file.mime)

    async def _carry(self) -> None:
        """Each account's deliveries in their order, each again until it is answered with 200."""
        async with aiohttp.ClientSession() as session:
            while True:
                await self.until(lambda: any(account.callback and account.pending for account in self.accounts))
                for account in list(self.accounts):
                    await _post(account, session)
                self.changed()


async def _post(account: Account, session: aiohttp.ClientSession) -> None:
    if account.callback is None or not account.pending:
        return
    delivery = account.pending[0]
    body, headers = account.signed(delivery)
    try:
        async with session.post(account.callback, data=body, headers=headers) as answer:
            taken = answer.status == web.HTTPOk.status_code
    except aiohttp.ClientError:
        taken = False
    if taken:
        account.pending.remove(delivery)
    else:
        await asyncio.sleep(_AGAIN_SECONDS)


async def _read(request: web.Request) -> Call:
    body: Json = {}
    files: dict[str, StoredFile] = {}
    if request.content_type == "application/json" and request.can_read_body:
        body = await request.json()
    elif request.method == "POST":
        for name, value in (await request.post()).items():
            if isinstance(value, web.FileField):
                files[name] = StoredFile("", value.filename, value.content_type, value.file.read())
            else:
                body[name] = _text(value)
    return Call(request.method, request.match_info["path"], dict(request.query), body, files)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else bytes(value).decode()
