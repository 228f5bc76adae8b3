"""Cases that fail today, by file and kind of fault. Whoever mends a kind removes its line: a case that passes unexpectedly fails."""

KNOWN: dict[str, dict[str, tuple[str, ...]]] = {}
