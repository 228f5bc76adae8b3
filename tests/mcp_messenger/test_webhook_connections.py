"""The connections on which events are posted: where they may not go, and what they keep of an answer."""

import gzip
import ssl
from ipaddress import IPv4Network
from uuid import UUID

import aiohttp
import anyio
import pytest

from mcp_messenger.delivery.connections import connections
from mcp_messenger.delivery.webhook_config import WebhookConfig
from mcp_messenger.delivery.webhook_request import ANSWER_MAX, Outcome, post
from mcp_messenger.delivery.webhook_target import Endpoint
from mcp_messenger.errors import FetchRefused
from mcp_messenger.net.network_policy import NetworkPolicy
from tests.receiver import Answer, Receiver, receiver

pytestmark = pytest.mark.anyio

LOOPBACK = NetworkPolicy((IPv4Network("127.0.0.0/8"),))
PUBLIC = NetworkPolicy()
TLS = ssl.create_default_context()
SECRET = "whsec_" + "A" * 32
HOSTS = "localhost 127.0.0.1 0.0.0.0 10.0.0.1 169.254.169.254 192.168.0.1 [::1] [::] [::ffff:127.0.0.1] [64:ff9b::7f00:1] [fd00:ec2::254]"


def endpoint(url: str) -> Endpoint:
    config = WebhookConfig.model_validate({"enabled": True, "url": url})
    return Endpoint(UUID(int=1), 0, "sandbox", config, (SECRET,), {}, str(config.url))


@pytest.mark.parametrize("host", HOSTS.split())
async def test_private_places_are_refused_before_a_packet_leaves(host: str) -> None:
    async with connections(PUBLIC, tls=TLS, at_once=4) as session:
        with pytest.raises(FetchRefused, match="private or reserved") as caught:
            await session.post(f"http://{host}/")
        assert "MCP_MESSENGER_ALLOW_NETWORKS" in str(caught.value.hint)
        outcome = await post(session, endpoint(f"http://{host}/"), "evt_1", "{}")
        assert (outcome.status, outcome.is_final) == (None, True)


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f000001"])
async def test_addresses_in_other_spellings_lead_nowhere(host: str) -> None:
    async with receiver() as other, connections(PUBLIC, tls=TLS, at_once=4) as session:
        with pytest.raises((FetchRefused, aiohttp.InvalidURL)):
            await session.post(f"http://{host}:{other.port}/")
        assert other.posted == []


async def twice(other: Receiver) -> list[Outcome]:
    async with connections(LOOPBACK, tls=TLS, at_once=4) as session:
        return [await post(session, endpoint(other.url), f"evt_{number}", "{}") for number in range(2)]


async def test_a_cookie_is_not_carried_to_the_next_post() -> None:
    async with receiver() as other:
        other.usual = Answer(200, {"Set-Cookie": "session=of-another; Path=/"})
        assert await twice(other) == [Outcome(200), Outcome(200)]
        assert ["cookie" in posted.headers for posted in other.posted] == [False, False]


async def test_an_answer_is_neither_unpacked_nor_read_to_its_end() -> None:
    async with receiver() as other:
        other.usual = Answer(200, {"Content-Encoding": "gzip"}, gzip.compress(bytes(200_000_000), 1)[: ANSWER_MAX * 2])
        with anyio.fail_after(20):
            assert await twice(other) == [Outcome(200), Outcome(200)]


async def test_the_words_of_a_failure_do_not_repeat_the_url() -> None:
    async with receiver() as other, connections(LOOPBACK, tls=TLS, at_once=4) as session:
        for broken in (Answer(raw=b"\x00\xff nonsense\r\n\r\n"), Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"), Answer(reset=True)):
            other.answers.append(broken)
            outcome = await post(session, endpoint(f"{other.url}?token=not-to-be-told"), "evt_1", "{}")
            assert outcome.error
            assert "not-to-be-told" not in outcome.error
        assert len(other.posted) == 3
        url, other_port = other.url, other.port
    async with connections(LOOPBACK, tls=TLS, at_once=4) as session:
        outcome = await post(session, endpoint(f"{url}?token=not-to-be-told"), "evt_1", "{}")
    assert outcome.error is not None
    assert str(other_port) in outcome.error
    assert "not-to-be-told" not in outcome.error
