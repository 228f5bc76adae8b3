"""What is printed for a person."""

import io
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from threading import Event, Thread

import segno

from providers.text import clean_line


def say(text: str = "") -> None:
    print(text, flush=True)  # noqa: T201 - the answer to a command


@contextmanager
def working(words: str, more: Callable[[], str] = str) -> Generator[None]:
    """Show on a terminal what takes long, with the seconds so far and what `more` says; nothing where nobody looks, or it is soon done."""
    if not sys.stderr.isatty():
        yield
        return
    done, since = Event(), time.monotonic()

    def show() -> None:
        while not done.wait(1.0):
            sys.stderr.write(f"\r\x1b[K{words}: {time.monotonic() - since:.0f} s {more()}".rstrip())
            sys.stderr.flush()

    shown = Thread(target=show, daemon=True)
    shown.start()
    try:
        yield
    finally:
        done.set()
        shown.join()
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()


def qr_code(content: str) -> str:
    """To be scanned from the screen."""
    out = io.StringIO()
    segno.make(content, error="l").terminal(out, compact=True, border=2)
    return out.getvalue()


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """In columns. Names were written by others, so what would move the cursor is taken out."""
    cells = [list(head), *([clean_line(str("" if cell is None else cell)) or "-" for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells)
