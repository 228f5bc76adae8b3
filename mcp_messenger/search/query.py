"""Reads a query as people write it: words, "a phrase", one OR another, and -without."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from mcp_messenger.search.letters import Kind, clean
from mcp_messenger.search.stems import stems
from mcp_messenger.search.units import PHONE, Unit, digits, units
from mcp_messenger.search.words import SHORTEST_END, lexeme

MOST_TERMS = 24
MOST_UNITS = 64
"""Of one term."""
_TERMS = re.compile(r'(-?)"([^"]*)"?|(\S+)')
_QUOTES = str.maketrans("“”„‟«»＂", '"""""""')
_SCHEME = re.compile(r"^(?:[a-z][a-z0-9+.-]*://)?(?:www\.)?(?=.)", re.IGNORECASE)
_COUNTRY = range(1, 4)
"""Digits of a country's prefix."""
LONGEST_ENDING = 3
"""Letters behind an apostrophe that are an ending, as in Carol's."""


@dataclass(frozen=True)
class Query:
    """`wanted` holds one expression of PostgreSQL's for each term that has to be there, `unwanted` those of which none may be."""

    wanted: tuple[str, ...]
    unwanted: tuple[str, ...]

    def expression(self, marks: Sequence[str] = ()) -> str:
        """Return the query, with places for the era, for messages that have all of these expressions of marks besides."""
        return " & ".join([*marks, *self.wanted, *(f"!({term})" for term in self.unwanted)])


def parse(query: str) -> Query:
    """Return what a query asks for; nothing is wanted where it holds no word."""
    wanted: list[str] = []
    unwanted: list[str] = []
    joins_next = False
    for term in _terms(clean(query).translate(_QUOTES))[:MOST_TERMS]:
        if term in {"OR", "|"}:
            joins_next = bool(wanted)
            continue
        if len(term) > 1 and term[0] == "-" and (expression := _expression(term[1:], forgiving=False)):
            unwanted.append(expression)
        elif (expression := _expression(term)) and joins_next:
            wanted[-1] = f"({wanted[-1]} | {expression})"
            joins_next = False
        elif expression:
            wanted.append(expression)
    return Query(tuple(wanted), tuple(unwanted))


def _terms(query: str) -> list[str]:
    """Return words, phrases with their quotation marks, and phone numbers in one piece."""
    return _with_numbers([f'{found[1]}"{found[2]}"' if found[3] is None else found[3] for found in _TERMS.finditer(query)])


def _with_numbers(terms: list[str]) -> list[str]:
    """Put together the terms that make one phone number, whose parts are written apart."""
    together: list[str] = []
    at = 0
    while at < len(terms):
        length = next((size for size in range(min(8, len(terms) - at), 1, -1) if PHONE.fullmatch(" ".join(terms[at : at + size]))), 1)
        together.append(" ".join(terms[at : at + length]))
        at += length
    return together


def _expression(term: str, *, forgiving: bool = True) -> str:
    """Return the expression for a term; empty where there is no word in it. `forgiving`: also words that begin so."""
    is_exact = term.startswith('"')
    found = units(term.strip('"') if is_exact else _SCHEME.sub("", term))[:MOST_UNITS]
    if not found:
        return ""
    if is_exact:
        return _phrase(_placed(found, [_any(map(lexeme, unit.forms if unit.signed is None else (unit.signed,))) for unit in found]))
    found = _without_ending(found)
    number = _number(term) if PHONE.fullmatch(term) or term.isdecimal() else []
    if " " in term:
        return _any([f"({' & '.join(_any(map(lexeme, unit.forms)) for unit in found)})", *number])
    last = len(found) - 1
    parts = [_word(unit, forgiving=forgiving and at == last, is_only=last == 0) for at, unit in enumerate(found)]
    return _any([_phrase(_placed(found, parts)), *_together(found, parts, forgiving=forgiving), *number])


def _placed(found: Sequence[Unit], parts: Sequence[str]) -> list[tuple[int, str]]:
    """Return the parts with their positions, without letters that are the second ones of pairs as well."""
    pairs = zip(found, [None, *found], strict=False)
    is_second = [unit.kind is Kind.DENSE and len(unit.forms[0]) == 1 and before is not None and before.kind is Kind.DENSE for unit, before in pairs]
    return [(unit.position, part) for unit, part, drops in zip(found, parts, is_second, strict=True) if not drops]


def _without_ending(found: list[Unit]) -> list[Unit]:
    """Leave out an ending behind an apostrophe: the name is looked for, whatever its case is."""
    if len(found) < 2 or not found[-1].apostrophe:
        return found
    is_ending = len(found[-1].forms[0]) <= LONGEST_ENDING <= len(found[-2].forms[0])
    return found[:-1] if is_ending else found


def _word(unit: Unit, *, forgiving: bool, is_only: bool) -> str:
    if unit.signed is not None:
        # A host with its @ is looked for as well as a name.
        return _any(map(lexeme, (unit.signed, *unit.forms))) if unit.signed[0] == "@" and not is_only else lexeme(unit.signed)
    word = unit.forms[0]
    is_begin = forgiving and (len(word) > 1 and not word.isdecimal() if unit.kind is Kind.WORD else unit.kind is Kind.DENSE and len(word) == 1)
    options = [lexeme(form) + (":*" if is_begin else "") for form in unit.forms]
    if unit.kind is Kind.WORD and is_only:
        options += [lexeme(other) for stem in sorted(stems(word)) for other in (stem, f"~{stem}")]
    return _any(options)


def _together(found: Sequence[Unit], parts: Sequence[str], *, forgiving: bool) -> list[str]:
    """Return the expression in which units are the one that they make together: email for e-mail, 3480 for 3,480."""
    at = next((at for at in range(len(found) - 1, 0, -1) if found[at].joined is not None), None)
    if at is None:
        return []
    joined = found[at].joined or ""
    is_begin = forgiving and at == len(found) - 1 and not joined.isdecimal()
    placed = _placed(found, parts)
    before = [one for one in placed if one[0] < found[at - found[at].joins].position]
    behind = [one for one in placed if one[0] > found[at].position]
    return [_phrase([*before, (found[at].position, lexeme(joined) + (":*" if is_begin else "")), *behind])]


def _number(term: str) -> list[str]:
    """Return what a phone number is stored as, however it is written: with the country's prefix or without."""
    plain = digits(term)
    own = plain.lstrip("0")
    if len(plain) < SHORTEST_END:
        return []
    ends = [lexeme(f"&{end}") for end in (plain, own)]
    if term.startswith("+") or plain.startswith("00"):
        ends += [lexeme(f"={own[cut:]}") for cut in (0, *_COUNTRY) if len(own) - cut > SHORTEST_END]
        ends.append(lexeme(f"+{own}") + ":*")
    return ends


def _any(options: Iterable[str]) -> str:
    found = list(dict.fromkeys(options))
    return found[0] if len(found) == 1 else f"({' | '.join(found)})"


def _phrase(parts: Sequence[tuple[int, str]]) -> str:
    if len(parts) == 1:
        return parts[0][1]
    steps = [f" <{at - before}> {part}" for (before, _), (at, part) in pairwise(parts)]
    return f"({parts[0][1]}{''.join(steps)})"
