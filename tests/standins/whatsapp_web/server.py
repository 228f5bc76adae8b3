"""The server: HTTPS for the page and its files, a web socket for what the page asks and is told."""

import asyncio
import json
import mimetypes
import secrets
import string
from collections.abc import Coroutine, Sequence
from itertools import count
from pathlib import Path

from aiohttp import WSMsgType, web

from tests.standins.base import StandIn
from tests.standins.whatsapp_web import calls, certificate, weight
from tests.standins.whatsapp_web.accounts import Account
from tests.standins.whatsapp_web.posts import Group, Json, Pair, Post
from tests.standins.whatsapp_web.refusal import Refusal, no_such_user, not_yours

_STATIC = Path(__file__).parent / "page"
_START = '<script src="/static/start.js"></script>'
_HEAVY = '<link rel="stylesheet" href="/bulk.css"><script src="/bulk.js"></script><script src="/static/heavy.js"></script>'
_MEDIA_MAX = 16 * 2**20
_DOCUMENT_MAX = 100 * 2**20


class Page:
    """One open page of WhatsApp Web."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self.account: Account | None = None
        self.device: str | None = None
        self.ref: str | None = None
        self.pairing: tuple[str, str] | None = None
        """Number and code, where the person links by them."""
        self.untaken: set[int] = set()
        """Pushes that the page has not worked off yet."""
        self._socket = socket
        self._numbers = count(1)
        self._sending = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def push(self, name: str, data: Json | None = None) -> None:
        number = next(self._numbers)
        self.untaken.add(number)
        # As it is now: what is told of may change before it is written.
        self._later(self._write(json.dumps({"push": name, "number": number, "data": data or {}})))

    async def answer(self, message: Json) -> None:
        await self._write(json.dumps(message))

    async def _write(self, text: str) -> None:
        async with self._sending:
            if not self._socket.closed:
                await self._socket.send_str(text)

    def hang_up(self) -> None:
        self._later(self._close())

    async def _close(self) -> None:
        await self._socket.close()

    def _later(self, coroutine: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class WhatsAppStandIn(StandIn):
    """WhatsApp Web's page and wire. Leaving it also fails when the page was asked for a module it does not have."""

    def __init__(self, host: str = "127.0.0.1", *, is_heavy: bool = False) -> None:
        """`is_heavy`: the page has as much script and data as WhatsApp's own, to measure with."""
        super().__init__(host=host, tls=certificate.server_context())
        self.is_heavy = is_heavy
        self.accounts: list[Account] = []
        self.groups: list[Group] = []
        self.posts: list[Post] = []
        self.pages: list[Page] = []
        self.files: dict[str, bytes] = {}
        self.calls: list[tuple[str, Json]] = []
        self.asked: set[str] = set()
        """Modules that pages were asked for."""
        self.lost: set[str] = set()
        """Calls that are done and whose answers do not reach the page."""
        self.held: list[tuple[Page, Json]] = []
        """Sends of accounts that are slow."""
        self.without: set[str] = set()
        """Modules that the page of this version does not have."""
        self.pages_served = 0
        """How often the page itself was fetched."""
        self.syncs_early = False
        """The page has synced before anybody listens for it."""
        self.holds_sync = False
        """A page that was linked does not get ready before `finish_sync`."""
        self.tears: list[str] = []
        """Paths whose next request breaks off, as all do where a network of the machine comes or goes."""
        self.is_down = False
        """No page gets a connection."""
        self._missed: dict[str, list[Json]] = {}
        self._pairs: dict[frozenset[Account], Pair] = {}
        self._refs = count(1)

    def routes(self) -> web.Application:
        app = web.Application(client_max_size=2 * _DOCUMENT_MAX)
        app.add_routes(
            [
                web.get("/", self._index),
                web.get("/static/{name}", self._static),
                web.get("/bulk.js", self._bulk),
                web.get("/bulk.css", self._bulk),
                web.get("/wire", self._wire),
                web.post("/media", self._upload),
                web.get("/media/{number}", self._download),
            ]
        )
        return app

    async def go_down(self) -> None:
        """Close every page, and answer nobody any more."""
        for page in self.pages:
            page.hang_up()
        await super().go_down()

    @property
    def chromium_args(self) -> list[str]:
        return certificate.chromium_args(self.host, self.port)

    def account(self, number: str, name: str, *, by_lid: bool = False) -> Account:
        """Return the account of a number, which has one at most. `by_lid`: others see its lid in place of its number."""
        known = next((account for account in self.accounts if account.number == number), None)
        if known is not None:
            assert (known.name, known.address == known.lid) == (name, by_lid), f"{number} is {known.name}'s."
            return known
        account = Account(self, number, name, by_lid=by_lid)
        self.accounts.append(account)
        return account

    def group(self, title: str, members: list[Account], admins: list[Account] | None = None) -> Group:
        group = Group(f"1203630{len(self.groups):011d}@g.us", title, list(members), set(admins if admins is not None else members[:1]))
        self.groups.append(group)
        self.tell_chat(group)
        return group

    async def settled(self) -> None:
        """Until every open page has worked off what it was told."""
        await self.until(lambda: not any(page.untaken for page in self.pages))

    # The other side of the wire.

    def _tear(self, request: web.Request) -> None:
        if request.path in self.tears and request.transport is not None:
            self.tears.remove(request.path)
            request.transport.abort()

    async def _index(self, request: web.Request) -> web.StreamResponse:
        self._tear(request)
        self.pages_served += 1
        page = (_STATIC / "index.html").read_text()
        if self.is_heavy:
            page = page.replace(_START, _HEAVY + _START)
        return web.Response(text=page, content_type="text/html", headers={"Cache-Control": "no-store"})

    async def _bulk(self, request: web.Request) -> web.StreamResponse:
        if request.path.endswith(".js"):
            return web.Response(body=weight.script(), content_type="text/javascript")
        return web.Response(body=weight.styles(), content_type="text/css")

    async def _static(self, request: web.Request) -> web.StreamResponse:
        self._tear(request)
        name = request.match_info["name"]
        return web.FileResponse(_STATIC / name, headers={"Content-Type": mimetypes.guess_type(name)[0] or "text/plain"})

    async def _upload(self, request: web.Request) -> web.Response:
        content = await request.read()
        limit = _DOCUMENT_MAX if request.query["type"] == "document" else _MEDIA_MAX
        if len(content) > limit:
            return web.Response(status=413)
        return web.json_response({"path": self.keep_file(content)})

    async def _download(self, request: web.Request) -> web.Response:
        content = self.files.get(request.path)
        return web.Response(status=404) if content is None else web.Response(body=content)

    async def _wire(self, request: web.Request) -> web.WebSocketResponse:
        self._tear(request)
        socket = web.WebSocketResponse(max_msg_size=0)
        if self.is_down:
            return web.Response(status=503)  # type: ignore[return-value]
        await socket.prepare(request)
        page = Page(socket)
        self.pages.append(page)
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    await self._hear(page, message.json())
        finally:
            self.pages.remove(page)
            self.changed()
        return socket

    async def _hear(self, page: Page, said: Json) -> None:
        if "taken" in said:
            page.untaken.discard(said["taken"])
            self.changed()
        elif said["op"] == "send" and page.account is not None and page.account.is_slow:
            self.held.append((page, said))
            self.changed()
        else:
            await self._answer(page, said)

    async def _answer(self, page: Page, call: Json) -> None:
        self.calls.append((call["op"], call["args"]))
        try:
            result = calls.CALLS[call["op"]](self, page, **call["args"])
            if call["op"] in self.lost:
                raise Refusal(408, "timed out")
            await page.answer({"id": call["id"], "result": result})
        except Refusal as refusal:
            await page.answer({"id": call["id"], "refusal": refusal.words, "status": refusal.status})
        self.changed()

    # Linking.

    def new_ref(self, page: Page) -> str:
        page.ref = f"2@ref{next(self._refs)}"
        return page.ref

    def renew_ref(self, page: Page) -> None:
        """As after 60 s and then every 20 s."""
        page.push("ref", {"ref": self.new_ref(page)})

    def idle(self, page: Page) -> None:
        """Nobody scanned for a while: the page waits for a click."""
        page.ref = None
        page.push("state", {"state": "UNPAIRED_IDLE"})

    def new_code(self, page: Page, phone: str) -> str:
        code = "".join(secrets.choice(string.ascii_uppercase) for _ in range(8))
        page.pairing = (phone, code)
        return code

    async def release(self) -> None:
        """Sends of slow accounts are taken after all."""
        held, self.held = self.held, []
        for page, said in held:
            await self._answer(page, said)

    def link(self, page: Page, account: Account) -> None:
        device = f"device-{secrets.token_hex(4)}"
        account.devices.add(device)
        page.account, page.device, page.ref, page.pairing = account, device, None, None
        page.push("paired", {"device": device, "early": self.syncs_early, "slow": self.holds_sync})
        self.changed()

    def change_modules(self, *without: str) -> None:
        """Open pages lack these modules from now on, and no others."""
        self.without = set(without)
        for page in self.pages:
            page.push("without", {"names": list(without)})

    def progress(self, percent: int) -> None:
        """Every page has loaded so much of what was written while it was away."""
        for page in self.pages:
            page.push("progress", {"percent": percent})

    def finish_sync(self) -> None:
        """Pages that were held become ready."""
        for page in self.pages:
            page.push("finish_sync")

    def owner_of(self, device: str | None) -> Account | None:
        return next((account for account in self.accounts if device in account.devices), None)

    def missed_by(self, device: str) -> list[Json]:
        return self._missed.pop(device, [])

    # Messages.

    def pair(self, one: Account, other: Account) -> Pair:
        return self._pairs.setdefault(frozenset({one, other}), Pair([one, other]))

    def find_account(self, address: str) -> Account:
        found = next((account for account in self.accounts if address in {account.pn, account.lid}), None)
        if found is None:
            raise no_such_user()
        return found

    def find_place(self, account: Account, chat: str) -> Group | Pair:
        if chat.endswith("@g.us"):
            group = next((group for group in self.groups if group.id == chat), None)
            if group is None or account not in group.members:
                raise not_yours()
            return group
        if account.migrated and chat.endswith("@c.us"):
            raise Refusal(400, "bad-request: a chat by number on an account that has lids")
        return self.pair(account, self.find_account(chat))

    def find_post(self, account: Account, key: str) -> Post:
        post = next((post for post in self.posts if post.key == key and account in post.place.members), None)
        if post is None:
            raise Refusal(404, "item-not-found")
        return post

    def posts_in(self, place: Group | Pair) -> list[Post]:
        return [post for post in self.posts if post.place is place]

    def posts_between(self, one: Account, other: Account) -> list[Post]:
        return self.posts_in(self.pair(one, other))

    def places_of(self, account: Account) -> list[Group | Pair]:
        return [place for place in [*self._pairs.values(), *self.groups] if account in place.members]

    def keep_file(self, content: bytes) -> str:
        path = f"/media/{len(self.files) + 1}"
        self.files[path] = content
        return path

    def spread(self, post: Post, *, origin: Page | None = None) -> None:
        """To every device of everybody in the chat, but the one it was written on."""
        if any(one is not post.author and one.online for one in post.place.members) and origin is None:
            post.ack = 2
        self.posts.append(post)
        for member in post.place.members:
            if post.author in member.blocked:
                continue
            contact = None if member is post.author else post.author.contact_for(member)
            news: Json = {"chat": calls.chat_view(self, member, post.place), "contact": contact, "message": post.view(member)}
            there = {page.device for page in member.pages}
            for device in member.devices - there:
                self._missed.setdefault(device, []).append(news)
            for page in member.pages:
                if page is not origin:
                    page.push("message", news)
        self.changed()

    def tell_chat(self, group: Group) -> None:
        for member in group.members:
            member.push("chat", calls.chat_view(self, member, group))
        self.changed()

    def acknowledge(self, post: Post, ack: int) -> None:
        if ack > post.ack:
            post.ack = ack
            post.author.push("ack", {"key": post.key, "ack": ack})
        self.changed()

    def edit(self, post: Post, text: str, *, origin: Page | None = None) -> None:
        post.fields["body"] = text
        self._tell_all(post, "edit", {"key": post.key, "body": text, "at": post.t * 1000 + 1000}, origin)

    def revoke(self, post: Post, *, origin: Page | None = None) -> None:
        post.deleted = True
        self._tell_all(post, "revoke", {"key": post.key}, origin)

    def react(self, account: Account, post: Post, emoji: str) -> None:
        if emoji:
            post.reactions[account] = emoji
        else:
            post.reactions.pop(account, None)
        for member in post.place.members:
            by_lid = isinstance(post.place, Group) or member.migrated
            by = account.lid if by_lid else account.pn if member is account else account.address
            member.push("reaction", {"message": post.view(member), "by": by, "emoji": emoji, "t": post.t + 1})
        self.changed()

    def vote(self, account: Account, post: Post, options: Sequence[str]) -> None:
        """Tell everybody in the chat of somebody's vote as it is now."""
        chosen = [option["localId"] for option in post.fields["pollOptions"] if option["name"] in options]
        for member in post.place.members:
            by_lid = isinstance(post.place, Group) or member.migrated
            by = account.lid if by_lid else account.pn if member is account else account.address
            member.push("vote", {"message": post.view(member), "by": by, "chosen": chosen, "t": post.t + 1})
        self.changed()

    def _tell_all(self, post: Post, name: str, data: Json, origin: Page | None) -> None:
        for member in post.place.members:
            for page in member.pages:
                if page is not origin:
                    page.push(name, data)
        self.changed()
