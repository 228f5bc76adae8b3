"""A web server that is a part of a program."""

from collections.abc import Generator
from contextlib import contextmanager

import uvicorn


class PartServer(uvicorn.Server):
    """Leaves signals to the program."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield
