from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_messenger.net.network_policy import NetworkPolicy

PUBLIC = NetworkPolicy()

CLOSED = """
    0.0.0.0 10.0.0.1 100.64.0.1 100.100.100.200 127.0.0.1 127.255.255.254 168.63.129.16 169.254.169.254 172.16.0.1 172.31.255.255
    192.0.0.1 192.0.0.9 192.0.0.192 192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1 198.51.100.1 203.0.113.1
    224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255
    :: ::1 ::7f00:1 fe80::1 fec0::1 fc00::1 fd00:ec2::254 ff02::1 100::1 5f00::1 2001:db8::1 2001::1 2001:20::1 3fff::1 64:ff9b:1::1 4000::1
"""
OPEN = ["1.1.1.1", "93.184.216.34", "172.32.0.1", "192.0.1.1", "223.255.255.255", "2606:4700::1111", "2a00:1450::1"]


def dressed(address: IPv4Address) -> dict[str, str]:
    """An IPv4 address in each of the IPv6 forms that lead to it."""
    number = int(address)
    return {
        "mapped": str(IPv6Address(0xFFFF << 32 | number)),
        "nat64": str(IPv6Address(0x64FF9B << 96 | number)),
        "6to4": str(IPv6Address(0x2002 << 112 | number << 80)),
        "teredo": str(IPv6Address(0x20010000 << 96 | number ^ 0xFFFFFFFF)),
        "compatible": str(IPv6Address(number)),
    }


@pytest.mark.parametrize("address", CLOSED.split())
def test_closed(address: str) -> None:
    assert PUBLIC.refusal(address, 443) == "leads to a private or reserved address"


@pytest.mark.parametrize("address", OPEN)
def test_open(address: str) -> None:
    assert PUBLIC.refusal(address, 443) is None


@pytest.mark.parametrize("address", [address for address in CLOSED.split() if "." in address])
def test_closed_in_every_dress(address: str) -> None:
    for dress in dressed(IPv4Address(address)).values():
        assert PUBLIC.refusal(dress, 443), dress


def test_public_hosts_are_reached_through_nat64() -> None:
    forms = dressed(IPv4Address("93.184.216.34"))
    assert PUBLIC.refusal(forms["nat64"], 443) is None
    assert PUBLIC.refusal(forms["mapped"], 443) is None
    assert PUBLIC.refusal(forms["6to4"], 443)
    assert PUBLIC.refusal(forms["teredo"], 443)


@given(st.ip_addresses())
def test_nothing_the_standard_library_calls_private_is_open(address: IPv4Address | IPv6Address) -> None:
    if PUBLIC.refusal(str(address), 443) is None:
        assert address.is_global
        assert not address.is_multicast


@pytest.mark.parametrize("port", [0, 22, 25, 6379, 8080])
def test_ports_of_public_hosts(port: int) -> None:
    assert "port" in str(PUBLIC.refusal("1.1.1.1", port))
    assert NetworkPolicy(ports=frozenset({port})).refusal("1.1.1.1", port) is None


@given(st.ip_addresses(network="10.1.0.0/16"), st.integers(1, 65535))
def test_an_opened_network_is_open_on_every_port_in_every_dress(address: IPv4Address, port: int) -> None:
    policy = NetworkPolicy((IPv4Network("10.1.0.0/16"),))
    assert policy.refusal(str(address), port) is None
    assert policy.refusal(dressed(address)["mapped"], port) is None


@pytest.mark.parametrize("outside", ["10.2.0.1", "127.0.0.1", "::1", "fd00::1", "::ffff:10.2.0.1"])
def test_an_opened_network_opens_nothing_else(outside: str) -> None:
    opened: list[IPv4Network | IPv6Network] = [ip_network("10.1.0.0/16"), ip_network("fd00:1::/32")]
    assert NetworkPolicy(tuple(opened)).refusal(outside, 443)


def test_link_local_with_a_zone_is_closed() -> None:
    assert PUBLIC.refusal("fe80::1%eth0", 443)
