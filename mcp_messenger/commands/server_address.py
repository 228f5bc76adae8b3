"""Where the server of a data folder listens: noted in the folder while it runs, so that commands find it on whatever port it is."""

import json
import os
from collections.abc import Generator
from contextlib import contextmanager, suppress

from mcp_messenger.config import DEFAULT_PORT, Config

FILE = "server.json"


@contextmanager
def noted(config: Config) -> Generator[None]:
    """Note the address of this process's server; without a folder that can be written, commands have to be given it."""
    path = config.data_dir / FILE
    with suppress(OSError):
        path.write_text(json.dumps({"url": config.address(config.port), "pid": os.getpid()}), encoding="utf-8")
    try:
        yield
    finally:
        # Another server of the folder may have noted itself since.
        with suppress(OSError):
            if _read(config)[1] == os.getpid():
                path.unlink()


def address_of_server(config: Config) -> str:
    """Return where commands find the server: as the settings say, or as it noted itself where they say nothing."""
    if config.port != DEFAULT_PORT:
        return config.own_url
    url, pid = _read(config)
    return url if url is not None and pid is not None and _runs(pid) else config.own_url


def _read(config: Config) -> tuple[str | None, int | None]:
    try:
        noted = json.loads((config.data_dir / FILE).read_text(encoding="utf-8"))
        return str(noted["url"]), int(noted["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return None, None


def _runs(pid: int) -> bool:
    import psutil

    return psutil.pid_exists(pid)
