"""What is stored of a message for searches: a tsvector, each of whose words begins with the era that the message is in."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import Any

from db.search import ERA_MARK
from mcp_messenger.search.letters import Kind, clean
from mcp_messenger.search.stems import stems
from mcp_messenger.search.units import Unit, digits, numbers, units

FORM = 1
"""Of the words. Whoever changes what is stored counts it up: everything is then stored again."""
LONGEST_TEXT = 100_000
OVERHEAD = 12
LAST_POSITION = 16_383
MOST_POSITIONS = 255
MOST_BYTES = 500_000
"""Of the words; PostgreSQL takes about a million, with positions."""
SHORTEST_END = 4
"""Digits of the end of a phone number by which it is found."""


def lexeme(word: str) -> str:
    """Return a word as a lexeme of PostgreSQL's, with a place for its era."""
    quoted = word.replace("\\", "\\\\").replace("'", "''")
    return f"'{ERA_MARK}:{quoted}'"


def vector(texts: Iterable[str], marks: Iterable[str]) -> str:
    """Return what is stored of a message with these texts, and with these marks of chat, sender and the like."""
    places: defaultdict[str, set[int]] = defaultdict(set)
    begins, size = 0, 0
    for text in texts:
        last = begins
        for word, position in _placed(text[:LONGEST_TEXT]):
            if word not in places:
                size += len(word.encode()) + OVERHEAD
            if size > MOST_BYTES:
                break
            if position:
                last = begins + position
                places[word].add(min(last, LAST_POSITION))
            else:
                places[word] |= set()
        begins = last + 2
    for mark in marks:
        places[mark] |= set()
    return " ".join(lexeme(word) + _positions(at) for word, at in places.items())


def _positions(at: set[int]) -> str:
    return ":" + ",".join(map(str, sorted(at)[:MOST_POSITIONS])) if at else ""


def _placed(text: str) -> Iterator[tuple[str, int]]:
    """Yield the words of a text with their positions; 0: it has none."""
    for unit in units(text):
        for word in _stored(unit):
            yield word, unit.position
    for number in numbers(clean(text)):
        for word in _of_number(number):
            yield word, 0


def _stored(unit: Unit) -> Iterator[str]:
    yield from unit.forms
    if unit.signed is not None:
        yield unit.signed
    if unit.joined is not None:
        yield unit.joined
    if unit.kind is Kind.WORD:
        yield from (f"~{stem}" for stem in stems(unit.forms[0]) if stem != unit.forms[0])


def _of_number(number: str) -> Iterator[str]:
    plain = digits(number)
    yield f"={plain.lstrip('0')}"
    if number.startswith("+"):
        yield f"+{plain}"
    yield from (f"&{plain[-length:]}" for length in range(SHORTEST_END, len(plain) + 1))


def mark(kind: str, value: str) -> str:
    """Return the mark of a chat, a sender and so on: it takes part in a search as a word does."""
    return f"@{kind}:{blake2b(value.encode(), digest_size=8).hexdigest()}"


def marks(*, chat_id: str, outgoing: bool, sender_id: str | None, sender_name: str, kind: str, media: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the marks of a message."""
    yield mark("chat", chat_id)
    yield mark("way", "out" if outgoing else "in")
    yield mark("kind", kind)
    if sender_id is not None:
        yield mark("from", sender_id)
    for unit in units(sender_name):
        yield from (mark("name", form) for form in unit.forms)
    kinds = {str(one.get("kind", "")) for one in media}
    if kinds:
        yield mark("media", "any")
    yield from (mark("media", kind) for kind in kinds)
