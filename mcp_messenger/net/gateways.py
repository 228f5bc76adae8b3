"""Through which address the outside comes into a container: requests to its published ports have it as their sender."""

import functools
import os
from ipaddress import IPv4Address
from pathlib import Path

from mcp_messenger.config import PREFIX

UP_GATEWAY = 0x3
IMAGE = PREFIX + "IN_IMAGE"
"""Set by our image: in a container of another kind, where somebody works on the code, ports are that person's own matter."""


@functools.cache
def gateways(routes: Path) -> frozenset[str]:
    """Return those of the default routes in the kernel's table; none where it cannot be read."""
    try:
        lines = routes.read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return frozenset()
    fields = [line.split() for line in lines]
    default = [field for field in fields if field[1] == "00000000" and int(field[3], 16) & UP_GATEWAY == UP_GATEWAY]
    return frozenset(str(IPv4Address(bytes.fromhex(field[2])[::-1])) for field in default)


def is_in_image() -> bool:
    """Return whether this process runs in a container of our image, where 127.0.0.1 is nobody else's."""
    return os.environ.get(IMAGE) == "1"
