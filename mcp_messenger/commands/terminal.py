"""What is printed for a person."""

import io
from collections.abc import Sequence

import segno

from providers.text import clean_line


def say(text: str = "") -> None:
    print(text, flush=True)  # noqa: T201 - the answer to a command


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
