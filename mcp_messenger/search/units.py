"""Cuts a text into the units that are looked for. A text and a query are cut alike, which is why one finds the other."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from mcp_messenger.search.letters import KINDS, Kind, clean, fold, forms

LONGEST_WORD = 64
_VERSION = re.compile(r"v(\d+)")
_SENTENCE_ENDS = frozenset(".!?;…。！？")
_JOINTS = frozenset("'’-‐‑")
_GROUPINGS = frozenset(",.'’ ")
_OPENINGS = frozenset("([{<\"'“„«")


@dataclass(frozen=True, slots=True)
class Unit:
    """A word, a pair of letters of a dense script, or a sign.

    `forms` are the ways to write it. `signed` is the word with a sign that makes it another one, such as c++, .net, #garden or @dora.
    `joined`: what it makes with the units before it, such as email of e-mail or 3480 of 3,480; `joins` is the number of these units.
    `apostrophe`: it follows one.
    """

    position: int
    forms: tuple[str, ...]
    kind: Kind
    signed: str | None = None
    joined: str | None = None
    joins: int = 0
    apostrophe: bool = False


def units(text: str) -> list[Unit]:
    """Return the units of a text in order; there is a step in their positions between sentences."""
    runs = [(kind, "".join(run)) for kind, run in groupby(clean(text), KINDS.__getitem__)]
    found: list[Unit] = []
    position = 0
    for at, (kind, run) in enumerate(runs):
        if kind is Kind.BREAK or (kind is Kind.MARK and _ends_sentence(runs, at)):
            position += 1
        elif kind is Kind.WORD:
            position += 1
            found.append(_word(runs, at, position, found))
        elif kind in {Kind.DENSE, Kind.SIGN}:
            for word in _pairs(fold(run)) if kind is Kind.DENSE else run:
                position += 1
                found.append(Unit(position, (word,), kind))
    return found


def _ends_sentence(runs: list[tuple[Kind, str]], at: int) -> bool:
    return not _SENTENCE_ENDS.isdisjoint(runs[at][1]) and (at + 1 == len(runs) or runs[at + 1][0] in {Kind.SPACE, Kind.BREAK})


def _pairs(run: str) -> Iterator[str]:
    """Yield each letter with the next one; the last one alone."""
    for at in range(len(run)):
        yield run[at : at + 2]


def _word(runs: list[tuple[Kind, str]], at: int, position: int, found: list[Unit]) -> Unit:
    word = runs[at][1][:LONGEST_WORD]
    ways = forms(word)
    version = _VERSION.fullmatch(ways[0])
    joint = runs[at - 1][1] if at > 1 and runs[at - 1][0] in {Kind.MARK, Kind.SPACE} and runs[at - 2][0] is Kind.WORD else None
    joined, joins = _joined(ways[0], joint, found[-1], found) if joint is not None else (None, 0)
    return Unit(
        position,
        (*ways, version[1]) if version else ways,
        Kind.WORD,
        signed=_signed(runs, at, ways[0]),
        joined=joined,
        joins=joins,
        apostrophe=joint in {"'", "’"},
    )


def _signed(runs: list[tuple[Kind, str]], at: int, word: str) -> str | None:
    """Return the word with what makes it another one; numbers have no such signs."""
    if word.isdecimal():
        return None
    behind = runs[at + 1][1] if at + 1 < len(runs) and runs[at + 1][0] is Kind.MARK else ""
    cut = re.match(r"\+\+|[+#]", behind)
    if cut is not None and (cut[0] == "++" or at + 2 == len(runs) or len(behind) > 1 or runs[at + 2][0] is not Kind.WORD):
        return word + cut[0]
    before = runs[at - 1][1] if at > 0 and runs[at - 1][0] is Kind.MARK else ""
    is_first = at == 1 or (at > 1 and runs[at - 2][0] is not Kind.WORD) or (before[:-1] != "" and before[-2] in _OPENINGS)
    return before[-1] + word if before[-1:] in {".", "#", "@"} and is_first and before[-2:-1] != before[-1] else None


def _joined(word: str, joint: str, last: Unit, found: list[Unit]) -> tuple[str | None, int]:
    """Return what the word makes together with those before it, and how many these are."""
    if joint in _JOINTS and word.isalpha() and last.forms[0].isalpha():
        return (last.joined or last.forms[0]) + word, last.joins + 1 if last.joined else 1
    if joint in _GROUPINGS and len(word) == 3 and word.isdecimal() and last.forms[0].isdecimal():
        if last.joined:
            return last.joined + word, last.joins + 1
        if len(last.forms[0]) <= 3 and not last.forms[0].startswith("0"):
            return last.forms[0] + word, 1
    return None, 0


PHONE = re.compile(r"(?<![\w.,])\+?\(?\d(?:[ .\-/()]{0,2}\d){6,14}(?![\w])")
_DATE = re.compile(r"\d{4}([-./])\d\d?\1\d\d?|\d\d?([-./])\d\d?\2\d{4}")
_NOT_DIGITS = re.compile(r"\D")


def digits(number: str) -> str:
    """Return the digits alone."""
    return _NOT_DIGITS.sub("", number)


def numbers(text: str) -> list[str]:
    """Return what may be phone numbers in a clean text, as written; dates are none."""
    return [found[0] for found in PHONE.finditer(text) if not _DATE.match(found[0])]
