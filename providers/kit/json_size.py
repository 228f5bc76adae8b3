"""How many values a JSON text holds and how deeply they are nested, found out before it is parsed: a parser would hold the process up."""

VALUES_MAX = 100_000
NESTED_MAX = 100
OF_OURS = 5_000_000
"""Values in what our own bridge or relay says: all groups of an account with their members."""
_OPENING = b"[{"
_NOT_STRUCTURE = bytes(set(range(256)) - set(b"[]{},"))


class JsonSize:
    """Counts in a JSON text as its bytes come. Texts in quotes are not looked into; what is no JSON has a size too."""

    def __init__(self, values: int = VALUES_MAX) -> None:
        self._most = values
        self._rest = b""
        self._in_text = False
        self._values = 0
        self._brackets = bytearray()
        self._is_text = True

    def add(self, chunk: bytes) -> str | None:
        """Take the next bytes; return why there are too many values by now, or None."""
        data = self._rest + chunk
        tail = len(data) - len(data.rstrip(b"\\"))
        self._rest = b"\\" if tail % 2 else b""
        data = (data[:-1] if self._rest else data).replace(b"\\\\", b"").replace(b'\\"', b"")
        # In another encoding than UTF-8, quotes would be found in the wrong places.
        self._is_text = self._is_text and b"\0" not in data
        pieces = data.split(b'"')
        structure = b"".join(pieces[self._in_text :: 2]).translate(None, _NOT_STRUCTURE)
        self._in_text ^= len(pieces) % 2 == 0
        brackets = structure.replace(b",", b"")
        self._values += len(structure) - len(brackets) + brackets.count(b"[") + brackets.count(b"{")
        if not self._is_text:
            return "is not in UTF-8"
        if self._values > self._most or len(self._brackets) > 2 * self._most:
            return f"holds more than {self._most:,} values"
        self._brackets += brackets
        return None

    def nested(self) -> str | None:
        """Return why the whole is nested too deeply, or None."""
        if sum(self._brackets.count(bracket) for bracket in _OPENING) <= NESTED_MAX:
            return None
        depth = 0
        for bracket in self._brackets:
            depth += 1 if bracket in _OPENING else -1
            if depth > NESTED_MAX:
                return f"is nested more than {NESTED_MAX} levels deep"
        return None


def oversize(text: bytes | str, values: int = VALUES_MAX) -> str | None:
    """Return why a whole JSON text should not be parsed, or None."""
    size = JsonSize(values)
    return size.add(text if isinstance(text, bytes) else text.encode(errors="surrogatepass")) or size.nested()
