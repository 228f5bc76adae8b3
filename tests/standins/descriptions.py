"""Where official descriptions of the platforms' APIs lie, which are not part of this project."""

import os
from pathlib import Path

_CHECKOUT = Path(__file__).resolve().parents[2]


def description(platform: str, name: str) -> Path:
    """Return the place of a description; there may be nothing. MCP_MESSENGER_SPECS names the folder of all."""
    folder = os.environ.get("MCP_MESSENGER_SPECS")
    return (Path(folder) if folder else _CHECKOUT.parent / "shared" / "specs") / platform / name
