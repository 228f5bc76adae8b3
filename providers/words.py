"""The pages' words in the reader's language, from gettext catalogues; English is the language of the texts themselves.

They are here because a messenger too may have a page, as the sandbox does. A file of HTML marks its texts `{{so}}`, a script says them with
`say("so")`; Python does as well.
"""

import gettext
import html
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

DOMAIN = "pages"
LOCALE = Path(__file__).parent / "locale"
LANGUAGES = ("en", "ru")
MARKED = re.compile(r"\{\{([^{}\n]+)\}\}")
SAID = re.compile(r'\bsay\("([^"\\\n]+)"')


@dataclass(frozen=True)
class Words:
    """`language` as HTML names it; `say` gives a text in it."""

    language: str
    say: Callable[[str], str]

    def of_script(self, source: str) -> str:
        """Return what a script says, as JSON of the texts with their translations."""
        return json.dumps({text: self.say(text) for text in SAID.findall(source)}, ensure_ascii=False)

    def filled(self, source: str) -> str:
        """Return a file of HTML with the texts that it marks in this language."""
        return MARKED.sub(lambda marked: html.escape(self.say(marked[1])), source)


@lru_cache
def words_in(language: str) -> Words:
    """Return the words of one of LANGUAGES."""
    found = gettext.translation(DOMAIN, LOCALE, [language], fallback=True)
    return Words(language, found.gettext)


def words_for(accept_language: str | None) -> Words:
    """Return the words of the first language that a browser asks for and there is; English where there is none."""
    ranked = sorted(
        ((_quality(parts[1:]), -place, parts[0].strip().lower()) for place, parts in enumerate(_parts(accept_language or ""))), reverse=True
    )
    for quality, _, name in ranked:
        language = name.partition("-")[0]
        if quality > 0 and language in LANGUAGES:
            return words_in(language)
    return words_in("en")


def _parts(header: str) -> list[list[str]]:
    return [one.split(";") for one in header[:500].split(",")]


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.strip().partition("=")
        if name == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
