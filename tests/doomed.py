"""`mcp-messenger` as it is, but that it dies at a named point, the so-manieth time that it gets there; and that leases may be short.

python -m tests.doomed '{"point": "after the claim", "times": 3, "lease": 3.0}' serve --port 3000
"""

import json
import sys
from typing import Any


def main(fate: dict[str, Any], arguments: list[str]) -> int:
    if lease := fate.get("lease"):
        from db import leases

        # Before anything is derived from it.
        leases.TTL = lease
        from mcp_messenger.delivery import webhooks

        webhooks.LEASE = lease
    if point := fate.get("point"):
        from tests.peer import die_at

        die_at(point, fate.get("times", 1))
    from mcp_messenger.cli import run

    return run(arguments)


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1]), sys.argv[2:]))
