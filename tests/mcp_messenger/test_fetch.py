import ssl
from collections.abc import Sequence
from ipaddress import IPv4Network

import anyio
import httpx
import pytest
import trustme

from mcp_messenger.errors import FetchFailed, FetchRefused, PayloadTooLarge
from mcp_messenger.net.fetch import GuardedTransport, Resolve, checked_url, fetch
from mcp_messenger.net.network_policy import NetworkPolicy
from tests.standins.website import Page, Website, website

pytestmark = pytest.mark.anyio

LOOPBACK = NetworkPolicy((IPv4Network("127.0.0.0/8"),))
PUBLIC = NetworkPolicy()
TLS = ssl.create_default_context()


def resolver(*answers: Sequence[str]) -> tuple[Resolve, list[str]]:
    """Gives one answer after the other, and remembers what it was asked."""
    asked: list[str] = []

    async def resolve(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return answers[min(len(asked), len(answers)) - 1]

    return resolve, asked


async def get(url: str, *, max_bytes: int = 1000, seconds: float = 10, allow: NetworkPolicy = LOOPBACK, resolve: Resolve | None = None) -> bytes:
    return (await fetch(url, max_bytes=max_bytes, seconds=seconds, allow=allow, tls=TLS, resolve=resolve)).content


async def test_what_is_there_comes_whole_with_its_type_and_name() -> None:
    pages = {
        "/a/photo.png?x=1": Page(b"content", headers={"Content-Type": "image/PNG; q=1"}),
        "/get": Page(b"", headers={"Content-Disposition": "attachment; filename*=UTF-8''%D1%84.pdf"}),
        "/": Page(b"x"),
    }
    async with website(pages) as site:
        photo = await fetch(site.url("/a/photo.png?x=1"), max_bytes=7, seconds=10, allow=LOOPBACK, tls=TLS)
        assert (photo.content, photo.mime, photo.name) == (b"content", "image/png", "photo.png")
        named = await fetch(site.url("/get"), max_bytes=7, seconds=10, allow=LOOPBACK, tls=TLS)
        assert (named.content, named.mime, named.name) == (b"", None, "ф.pdf")
        nameless = await fetch(site.url("/"), max_bytes=7, seconds=10, allow=LOOPBACK, tls=TLS)
        assert (nameless.mime, nameless.name) == (None, None)
        assert "b'content'" not in repr(photo)


WAYS_TO_WRITE_PRIVATE_PLACES = """
    localhost 127.0.0.1 127.1 2130706433 0x7f000001 0 0.0.0.0 10.0.0.1 169.254.169.254 192.0.0.192 192.168.0.1
    [::1] [::] [::ffff:127.0.0.1] [::ffff:a00:1] [64:ff9b::7f00:1] [2002:7f00:1::] [fe80::1] [fd00:ec2::254]
"""


@pytest.mark.parametrize("host", WAYS_TO_WRITE_PRIVATE_PLACES.split())
async def test_private_places_are_refused_however_they_are_written(host: str) -> None:
    with pytest.raises(FetchRefused, match="private or reserved") as caught:
        await get(f"http://{host}/", allow=PUBLIC)
    assert "MCP_MESSENGER_ALLOW_NETWORKS" in str(caught.value.hint)


OTHER_URLS = """
    ftp://example.org/x file:///etc/passwd gopher://example.org/ unix:///run/docker.sock http+unix://%2Frun%2Fdocker.sock/
    //example.org/ example.org http:// http://[::1 http://127.0.0.1:99999/ http://127.0.0.1:0/ http://0177.0.0.1/
    http://user:secret@example.org/ http://user@example.org/ http://:secret@example.org
"""


@pytest.mark.parametrize("url", [*OTHER_URLS.split(), "", "http://exa\x00mple.org/", "http://example.org/\r\nHost: x"])
async def test_other_urls_are_refused_without_repeating_them(url: str) -> None:
    with pytest.raises(FetchRefused) as caught:
        await get(url, allow=LOOPBACK)
    assert "secret" not in str(caught.value)


async def test_a_host_is_refused_when_one_of_its_addresses_is_private() -> None:
    resolve, _ = resolver(["127.0.0.1", "10.0.0.1"])
    async with website({"/": Page(b"x")}) as site:
        with pytest.raises(FetchRefused):
            await get(site.url("/", host="mixed.example"), resolve=resolve)
        assert site.requests == []


async def test_public_hosts_are_reached_on_web_ports_alone() -> None:
    resolve, _ = resolver(["93.184.216.34"])
    with pytest.raises(FetchRefused, match="port 6379"):
        await get("http://redis.example:6379/", allow=PUBLIC, resolve=resolve)


async def test_the_connection_goes_to_the_address_that_was_checked() -> None:
    """The name has no address but what the resolver gives, and gives another one when asked again."""
    resolve, asked = resolver(["127.0.0.1"], ["10.0.0.1"])
    async with website({"/": Page(b"x")}) as site:
        assert await get(site.url("/", host="rebinding.example"), resolve=resolve) == b"x"
        assert asked == ["rebinding.example"]
        assert f"host: rebinding.example:{site.port}" in site.requests[0].lower()


async def test_the_next_address_is_tried_when_one_does_not_answer() -> None:
    resolve, _ = resolver(["127.0.0.2", "127.0.0.1"])
    async with website({"/": Page(b"x")}) as site:
        assert await get(site.url("/", host="two.example"), resolve=resolve) == b"x"


async def test_unknown_hosts_fail() -> None:
    async def unknown(host: str, port: int) -> Sequence[str]:
        raise OSError("no such host")

    for resolve in (unknown, resolver([])[0]):
        with pytest.raises(FetchFailed, match=r"'nowhere\.example' could not be fetched: the host name has no address"):
            await get("http://nowhere.example/", resolve=resolve)


async def test_redirects_are_followed_and_the_last_page_names_the_file() -> None:
    pages = {"/a": Page(status=302, headers={"Location": "b?c"}), "/b?c": Page(status=308, headers={"Location": "/d.txt"}), "/d.txt": Page(b"x")}
    async with website(pages) as site:
        fetched = await fetch(site.url("/a"), max_bytes=1, seconds=10, allow=LOOPBACK, tls=TLS)
        assert (fetched.content, fetched.name) == (b"x", "d.txt")


@pytest.mark.parametrize("target", ["http://169.254.169.254/latest/", "http://10.0.0.1/", "//[::1]/", "file:///etc/passwd", "http://u:p@127.0.0.1/"])
async def test_redirects_do_not_lead_around_the_guard(target: str) -> None:
    async with website({"/": Page(status=302, headers={"Location": target})}) as site:
        with pytest.raises(FetchRefused):
            await get(site.url("/"))


async def test_a_redirect_to_nothing_sensible_fails() -> None:
    async with website({"/": Page(status=302, headers={"Location": "http://[::1"})}) as site:
        with pytest.raises(FetchFailed):
            await get(site.url("/"))


async def test_a_redirect_to_another_port_of_a_private_host_is_refused() -> None:
    only_this = NetworkPolicy((IPv4Network("127.0.0.1/32"),))
    async with website({"/secret": Page(b"x")}, host="127.0.0.2") as inside:
        async with website({"/": Page(status=302, headers={"Location": inside.url("/secret")})}) as site:
            with pytest.raises(FetchRefused):
                await get(site.url("/"), allow=only_this)
        assert inside.requests == []


async def test_endless_redirects_end() -> None:
    async with website({"/": Page(status=302, headers={"Location": "/"})}) as site:
        with pytest.raises(FetchFailed, match="more than 5 times"):
            await get(site.url("/"))
        assert len(site.requests) == 6


async def test_an_announced_size_is_believed_before_anything_is_read() -> None:
    async with website({"/": Page(b"x" * 10, headers={"Content-Length": "1000000000"})}) as site:
        with pytest.raises(PayloadTooLarge, match="1,000 bytes"):
            await get(site.url("/"))


async def test_reading_stops_at_the_limit() -> None:
    async with website({"/": Page(b"x" * 65536, endless=True)}) as site:
        with pytest.raises(PayloadTooLarge):
            await get(site.url("/"), max_bytes=1_000_000)
        with anyio.fail_after(10):
            await site.hung_up.wait()
        assert site.sent < 50_000_000


async def test_exactly_the_limit_is_taken() -> None:
    async with website({"/": Page(b"x" * 1000), "/more": Page(b"x" * 1001)}) as site:
        assert len(await get(site.url("/"))) == 1000
        with pytest.raises(PayloadTooLarge):
            await get(site.url("/more"))


async def test_compressed_answers_are_neither_asked_for_nor_unpacked() -> None:
    async with website({"/": Page(b"\x1f\x8b", headers={"Content-Encoding": "gzip"})}) as site:
        with pytest.raises(FetchFailed, match="compressed"):
            await get(site.url("/"))
        assert "accept-encoding: identity" in site.requests[0].lower()


@pytest.mark.parametrize("page", [Page(silent=True), Page(b"x", headers={"Content-Length": "100"}, endless=False)])
async def test_a_page_that_does_not_come_whole_fails(page: Page) -> None:
    async with website({"/": page}) as site:
        with pytest.raises(FetchFailed):
            await get(site.url("/"), seconds=0.3)


async def test_the_time_limit_is_for_the_whole() -> None:
    """Each piece comes in good time; all together they never end."""
    async with website({"/": Page(b"1\r\nx\r\n", endless=True, headers={"Transfer-Encoding": "chunked"})}) as site:
        with anyio.fail_after(3), pytest.raises(FetchFailed, match=r"did not send it whole within 0\.3 s"):
            await get(site.url("/"), seconds=0.3, max_bytes=10**12)


@pytest.mark.parametrize("status", [400, 404, 500, 304])
async def test_refusals_of_the_other_server_are_failures(status: int) -> None:
    async with website({"/": Page(status=status)}) as site:
        with pytest.raises(FetchFailed, match=str(status)):
            await get(site.url("/"))


async def test_a_server_that_is_not_there_fails() -> None:
    async with website({}) as site:
        gone = site.url("/")
    with pytest.raises(FetchFailed, match=r"'127\.0\.0\.1' could not be fetched"):
        await get(gone)


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with website({"/": Page(b"x")}) as site:
        assert await get(site.url("/")) == b"x"


class Authority:
    """A certificate authority that the test's client trusts."""

    def __init__(self) -> None:
        self._ca = trustme.CA()
        self.names: list[str | None] = []
        self.client = ssl.create_default_context()
        self._ca.configure_trust(self.client)

    def server(self, *names: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(*names).configure_cert(context)
        context.sni_callback = lambda _socket, name, _context: self.names.append(name)
        return context

    async def get(self, site: Website, path: str, host: str) -> bytes:
        resolve, _ = resolver(["127.0.0.1"])
        fetched = await fetch(site.url(path, host=host), max_bytes=100, seconds=10, allow=LOOPBACK, tls=self.client, resolve=resolve)
        return fetched.content


async def test_tls_is_with_the_host_and_not_with_the_address() -> None:
    authority = Authority()
    async with website({"/": Page(b"x")}, tls=authority.server("files.example")) as site:
        assert await authority.get(site, "/", "files.example") == b"x"
        assert authority.names == ["files.example"]
        with pytest.raises(FetchFailed, match="certificate"):
            await authority.get(site, "/", "other.example")
        with pytest.raises(FetchFailed, match="certificate"):
            await get(site.url("/"))


async def test_a_redirect_may_not_leave_https() -> None:
    authority = Authority()
    async with website({"/": Page(b"x")}) as plain:
        page = Page(status=302, headers={"Location": plain.url("/")})
        async with website({"/": page}, tls=authority.server("files.example")) as site:
            with pytest.raises(FetchRefused, match="from https to http"):
                await authority.get(site, "/", "files.example")
        assert plain.requests == []


async def test_the_transport_guards_any_client() -> None:
    async with (
        website({"/": Page(b"x")}) as site,
        httpx.AsyncClient(transport=GuardedTransport(LOOPBACK, tls=TLS), trust_env=False) as client,
        httpx.AsyncClient(transport=GuardedTransport(PUBLIC, tls=TLS), trust_env=False) as stricter,
    ):
        assert (await client.get(site.url("/"))).content == b"x"
        with pytest.raises(FetchRefused):
            await stricter.post(site.url("/"))
        assert len(site.requests) == 1


def test_a_checked_url_is_taken_apart() -> None:
    assert checked_url("HTTPS://Example.ORG:8443/x?y#z").host == "example.org"
