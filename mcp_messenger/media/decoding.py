"""Has a file decoded by a child process, which may use so much memory and time and no more.

A file is a stranger's: a picture of a few KB may unpack to gigabytes, and a parser may hang. The child reads the file from its stdin and
writes what it found to its stdout; when it dies, or is too slow, the file could not be read, and nothing else happened.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE
from typing import Any

import anyio

CHILD = Path(__file__).with_name("child.py")
WITHIN = 30.0
OUT_MAX = 8_000_000
AT_ONCE = 2
"""Children at work at a time: each may use as much memory as its limit says."""
DOCUMENTS = {
    "application/pdf": "pdf",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
}


@dataclass(frozen=True)
class Decoded:
    """A picture as a model takes it (`content` of type `mime`), or the text of a document; `note` says what was left out, or why there is none."""

    content: bytes = b""
    mime: str = ""
    text: str | None = None
    width: int | None = None
    height: int | None = None
    note: str | None = None


def kind_of(mime: str) -> str | None:
    """Return which decoder reads a file of this type; None: no one does."""
    return "picture" if mime.startswith("image/") else DOCUMENTS.get(mime)


class Decoder:
    """Decodes files, a few at a time."""

    def __init__(self) -> None:
        self._turns = anyio.CapacityLimiter(AT_ONCE)

    async def decode(self, kind: str, content: bytes) -> Decoded:
        """Return what a file of this kind holds; where it cannot be read, the note says why."""
        command = [sys.executable, "-P", str(CHILD), kind]
        try:
            async with self._turns:
                with anyio.fail_after(WITHIN):
                    done = await anyio.run_process(command, input=content, stdout=PIPE, stderr=PIPE, check=False)
        except TimeoutError:
            return Decoded(note=f"It could not be read within {WITHIN:.0f} s.")
        head, _, rest = done.stdout.partition(b"\n")
        if done.returncode != 0 or len(done.stdout) > OUT_MAX:
            return Decoded(note="It could not be read: it needs more memory or time than a file may take, or it is broken.")
        said: dict[str, Any] = json.loads(head)
        return Decoded(content=rest, **said)
