"""The addresses under linked words of a message, as Markdown."""

import re
from typing import Any

from providers.models import TextFormat

Json = dict[str, Any]

_SPECIAL = re.compile(r"[\\*`\[\]]|(?<!\w)_|_(?!\w)|~~|^(?:#{1,6}(?=\s)|[-+](?=\s)|>)", re.MULTILINE)
_LITERAL = frozenset({"url", "email", "mention", "hashtag", "cashtag", "bot_command", "phone_number", "code", "pre"})
"""Parts of a text in which a backslash would change an address, a name or code."""
_IN_ADDRESS = {"(": "%28", ")": "%29", " ": "%20", "\n": "%0A", "<": "%3C", ">": "%3E"}


def escaped(text: str) -> str:
    """Return a text in which nothing is Markdown."""
    return _SPECIAL.sub(r"\\\g<0>", text)


def link(label: str, address: str) -> str:
    """Return a Markdown link; `label` is Markdown already."""
    return f"[{label.replace(chr(10), ' ')}]({''.join(_IN_ADDRESS.get(character, character) for character in address)})"


def marked(text: str, entities: list[Json]) -> tuple[str, TextFormat]:
    """Return a text as it is, or as Markdown where words in it are links: only then it holds something that is not to be seen."""
    if not any(entity["type"] == "text_link" for entity in entities):
        return text, TextFormat.PLAIN
    units = text.encode("utf-16-le", "surrogatepass")
    done: list[str] = []
    at = 0
    for entity in sorted(entities, key=_links_first):
        start, end = entity["offset"], entity["offset"] + entity["length"]
        if start < at or entity["type"] not in {*_LITERAL, "text_link"}:
            continue
        words = _part(units, start, end)
        done += [escaped(_part(units, at, start)), link(escaped(words), entity["url"]) if entity["type"] == "text_link" else _literal(entity, words)]
        at = end
    return "".join([*done, escaped(_part(units, at, len(units) // 2))]), TextFormat.MARKDOWN


def _links_first(entity: Json) -> tuple[int, bool]:
    return entity["offset"], entity["type"] != "text_link"


def _literal(entity: Json, words: str) -> str:
    match entity["type"]:
        case "code" if "`" not in words:
            return f"`{words}`"
        case "pre" if "```" not in words:
            return f"```{entity.get('language', '')}\n{words}\n```"
        case "code" | "pre":
            return escaped(words)
        case _:
            return words


def _part(units: bytes, start: int, end: int) -> str:
    """Return a part of a text by its UTF-16 units, in which Telegram counts."""
    return units[2 * start : 2 * end].decode("utf-16-le", "surrogatepass")
