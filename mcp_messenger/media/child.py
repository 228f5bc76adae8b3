"""The program that decodes one file: its kind is argv[1], its content stdin. It prints a line of JSON, and a picture behind it.

It limits itself before it reads anything. Pillow, pypdf, python-docx and openpyxl are imported here and nowhere else.
"""

import io
import json
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

MEMORY = 1024 * 1024 * 1024
CPU_SECONDS = 20
PIXELS = 60_000_000
SIDE = 1568
"""The longest side of a picture that models look at without scaling it themselves."""
PAGES, ROWS, CHARACTERS = 100, 5000, 200_000
UNPACKED = 200_000_000
"""Bytes of all parts of a document together."""
QUALITY = 85
MISSING = "This server cannot read such documents: install mcp-messenger[documents]. download_media saves the file."
Found = tuple[dict[str, Any], bytes]


def limit() -> None:
    """Take no more memory and time than a file may; where the system has no such limits, the parent's time limit is left."""
    with suppress(ImportError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def picture(content: bytes) -> Found:
    from PIL import Image, ImageOps

    Image.MAX_IMAGE_PIXELS = PIXELS
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    try:
        with Image.open(io.BytesIO(content)) as opened:
            size = opened.size
            opened.draft("RGB", (SIDE, SIDE))
            whole = ImageOps.exif_transpose(opened)
            whole.thumbnail((SIDE, SIDE))
            transparent = whole.mode in {"RGBA", "LA", "PA"} or "transparency" in whole.info
            made = whole.convert("RGBA" if transparent else "RGB")
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return {"note": f"It has more than {PIXELS} pixels."}, b""
    except (OSError, ValueError, SyntaxError):
        return {"note": "It is no picture that can be read."}, b""
    out = io.BytesIO()
    made.save(out, "PNG" if transparent else "JPEG", optimize=True, quality=QUALITY)
    return {"mime": "image/png" if transparent else "image/jpeg", "width": size[0], "height": size[1]}, out.getvalue()


def pdf(content: bytes) -> Iterator[str]:
    from pypdf import PdfReader

    for number, page in enumerate(PdfReader(io.BytesIO(content)).pages):
        if number == PAGES:
            yield f"[Pages after {PAGES} are left out.]"
            return
        yield f"[page {number + 1}]\n{page.extract_text()}"


def docx(content: bytes) -> Iterator[str]:
    from docx import Document
    from docx.table import Table

    _require_small(content)
    for part in Document(io.BytesIO(content)).iter_inner_content():
        if isinstance(part, Table):
            yield from ("\t".join(cell.text for cell in row.cells) for row in part.rows)
        else:
            yield part.text


def xlsx(content: bytes) -> Iterator[str]:
    from openpyxl import load_workbook

    _require_small(content)
    book = load_workbook(io.BytesIO(content), read_only=True, data_only=True)
    left = ROWS
    for sheet in book.worksheets:
        yield f"[sheet {sheet.title}]"
        for row in sheet.iter_rows(values_only=True):
            if not left:
                yield f"[Rows after {ROWS} are left out.]"
                return
            left -= 1
            yield "\t".join("" if value is None else str(value) for value in row).rstrip()


def _require_small(content: bytes) -> None:
    """Raise ValueError for an archive whose parts together are too large."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if sum(part.file_size for part in archive.infolist()) > UNPACKED:
            raise ValueError(f"it unpacks to more than {UNPACKED} bytes")


def document(read: Callable[[bytes], Iterator[str]], content: bytes) -> Found:
    """Return the text of a document, as far as there is room for it."""
    lines: list[str] = []
    room = CHARACTERS
    try:
        for line in read(content):
            lines.append(line[:room])
            room -= len(line) + 1
            if room <= 0:
                return {"text": "\n".join(lines), "note": f"Only the first {CHARACTERS} characters are here."}, b""
    except ImportError:
        return {"note": MISSING}, b""
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - a parser raises what it likes about a stranger's file
        return {"text": "\n".join(lines) or None, "note": f"It could not be read to its end: {type(error).__name__}."}, b""
    return {"text": "\n".join(lines)}, b""


def main(kind: str) -> None:
    limit()
    content = sys.stdin.buffer.read()
    readers: dict[str, Callable[[bytes], Iterator[str]]] = {"pdf": pdf, "docx": docx, "xlsx": xlsx}
    said, body = picture(content) if kind == "picture" else document(readers[kind], content)
    sys.stdout.buffer.write(json.dumps(said).encode() + b"\n" + body)


if __name__ == "__main__":
    main(sys.argv[1])
