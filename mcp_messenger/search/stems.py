"""Stems of words. A message does not say its language, so a word has the stems of the languages that are written in its letters."""

import importlib
import re
import threading
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

_LATIN = ("english", "german", "french", "spanish", "italian", "portuguese")
_OF_SCRIPTS: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = (
    (re.compile("[a-z]{4,32}"), _LATIN),
    (re.compile("[а-яїієґ]{4,32}"), ("russian",)),
    (re.compile("[α-ω]{4,32}"), ("greek",)),
    (re.compile("[\u0621-\u064a]{3,32}"), ("arabic",)),
    (re.compile("[\u0900-\u097f]{3,32}"), ("hindi",)),
    (re.compile("[\u0b80-\u0bff]{4,32}"), ("tamil",)),
)


_TURN = threading.Lock()
"""A stemmer works on one word at a time."""


@cache
def _stemmer(language: str) -> Callable[[str], str]:
    library: Any = importlib.import_module("snowballstemmer")
    return library.stemmer(language).stemWord


@lru_cache(20_000)
def stems(word: str) -> frozenset[str]:
    """Return the stems of a folded word, itself where it is one; none where the word is too short to have any."""
    for script, languages in _OF_SCRIPTS:
        if script.fullmatch(word):
            with _TURN:
                return frozenset(_stemmer(language)(word) for language in languages)
    return frozenset()
