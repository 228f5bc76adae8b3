"""What can be shown of an answer that is not whole yet."""

import re

from providers.kit.splitting import split
from providers.limits import TextUnit

MARK = " …"
"""Stands behind an answer that is not whole: while it grows, and for good where it was left."""
BROKEN_OFF = "[This answer could not be completed.]"
STOPPED = "[Stopped.]"
LONGEST_WORD = 40
# A sentence, or a line; a number of a list, or an abbreviation, is none.
_SENTENCE = re.compile(r"\S.{10,}?(?:[.!?…]['\")\]*_]*\s|[。！？]|\n)", re.DOTALL)
_LAST_WORD = re.compile(r"\s+(\S*)\Z")


def has_sentence(text: str) -> bool:
    return _SENTENCE.match(text.lstrip()) is not None


def so_far(text: str, limit: int, unit: TextUnit) -> str:
    """The whole words of a text that goes on, as far as they go into one message with the mark."""
    text = text.lstrip()
    last = _LAST_WORD.search(text)
    if last is not None and len(last[1]) <= LONGEST_WORD:
        text = text[: last.start()]
    pieces = split(text, limit - unit.length(MARK), unit)
    return pieces[0].rstrip() if pieces else ""


def first_and_rest(answer: str, limit: int, unit: TextUnit) -> tuple[str, str]:
    """What goes into the first message, and what goes on in a further one."""
    first = split(answer, limit, unit)[0]
    return first, answer[len(first) :].strip()


def rest_of(answer: str, shown: str | None) -> str:
    """What is to be sent where the first message cannot be changed any more; all of it where that says something else, or nobody knows what."""
    if shown and answer.startswith(shown):
        return answer[len(shown) :].strip()
    return answer
