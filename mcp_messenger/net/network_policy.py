"""Which addresses a URL given by a user may lead to."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# Written out, because what the standard library calls global differs between its versions.
_CLOSED_V4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this host
            "10.0.0.0/8",
            "100.64.0.0/10",  # carrier-grade NAT, and the metadata service of one cloud
            "127.0.0.0/8",
            "168.63.129.16/32",  # the wire server of another cloud
            "169.254.0.0/16",  # link-local, and most metadata services
            "172.16.0.0/12",
            "192.0.0.0/24",  # protocol assignments, and metadata again
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # 6to4 relays
            "192.168.0.0/16",
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/3",  # multicast, reserved, broadcast
        ),
    )
)
_OPEN_V6 = IPv6Network("2000::/3")
_CLOSED_V6 = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocol assignments; Teredo carries an IPv4 address
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4 carries an IPv4 address
            "3fff::/20",  # documentation
        ),
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")


@dataclass(frozen=True)
class NetworkPolicy:
    """Public addresses on the ports named, and the networks an operator opened, those on every port."""

    allowed_networks: tuple[Network, ...] = ()
    ports: frozenset[int] = frozenset({80, 443})

    def refusal(self, address: str, port: int) -> str | None:
        """Why there may be no connection to this address, or None. Raises ValueError when it is not an IP address."""
        destination = _destination(ip_address(address))
        if any(destination in network for network in self.allowed_networks):
            return None
        if not _is_public(destination):
            return "leads to a private or reserved address"
        if port not in self.ports:
            return f"is on port {port}; only {', '.join(map(str, sorted(self.ports)))} may be used"
        return None


def _destination(address: Address) -> Address:
    """Where packets really go: IPv4 addresses also come dressed as IPv6, by the socket API and by NAT64."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _CLOSED_V4)
    return address in _OPEN_V6 and not any(address in network for network in _CLOSED_V6)
