"""The catalogues of the pages' words: `python -m tests.catalogue` adds texts that are new to each, drops those that are gone, and compiles them.

It needs msgfmt, of GNU gettext. tests/mcp_messenger/api/test_words.py checks that they are whole and compiled.
"""

import ast
import gettext
import subprocess
from collections.abc import Iterator
from pathlib import Path

from mcp_messenger.api import pages
from providers import SETUPS, sandbox
from providers.setup import setup_of
from providers.words import DOMAIN, LANGUAGES, LOCALE, MARKED, SAID

PAGES = [Path(package.__path__[0]) for package in (pages, sandbox)]
PLURALS = {"ru": "nplurals=3; plural=(n%10==1 && n%100!=11 ? 0 : n%10>=2 && n%10<=4 && (n%100<12 || n%100>14) ? 1 : 2);"}
"""Of each language, which form of a noun goes with a number. No text counts anything but time now."""
HEADER = '"Content-Type: text/plain; charset=UTF-8\\n"\n"Language: {language}\\n"\n"Plural-Forms: {plurals}\\n"\n'


def texts() -> list[str]:
    """Return every text that a page shows, in the order of the files."""
    files = [path for folder in PAGES for path in sorted(folder.iterdir())]
    found = [text for path in files if path.suffix == ".py" for text in _in_source(ast.parse(path.read_text(encoding="utf-8")))]
    found += [text for path in files if path.suffix in {".html", ".js"} for text in _in_file(path.read_text(encoding="utf-8"))]
    found += [text for name in sorted(SETUPS) for text in setup_of(name).texts()]
    return list(dict.fromkeys(found))


def _in_source(tree: ast.Module) -> Iterator[str]:
    """Yield the texts given to `say` and `_`, and those of settings that pages ask for themselves."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id if isinstance(node.func, ast.Name) else ""
        given = node.args[:1] if name in {"say", "_"} else node.args[1:3] if name == "Ask" else []
        yield from (one.value for one in given if isinstance(one, ast.Constant) and isinstance(one.value, str))


def _in_file(source: str) -> list[str]:
    """Return the texts that a file of HTML or a script marks."""
    return [*MARKED.findall(source), *SAID.findall(source)]


def catalogue(language: str) -> Path:
    """Return where the texts of a language are written."""
    return LOCALE / language / "LC_MESSAGES" / f"{DOMAIN}.po"


def read(path: Path) -> dict[str, str]:
    """Return the texts of a catalogue with their translations, but for the head. Of each, text and translation stand in one line."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    found: dict[str, str] = {}
    text = ""
    for line in lines:
        if line.startswith("msgid "):
            text = ast.literal_eval(line.removeprefix("msgid "))
        elif line.startswith("msgstr ") and text:
            found[text] = ast.literal_eval(line.removeprefix("msgstr "))
    return found


def compiled(language: str) -> dict[str, str]:
    """Return what programs read of a language."""
    with (catalogue(language).with_suffix(".mo")).open("rb") as file:
        translations = gettext.GNUTranslations(file)
    return {text: translations.gettext(text) for text in texts()}


def _written(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def write(language: str) -> None:
    """Bring a catalogue up to date and compile it."""
    path = catalogue(language)
    known = read(path)
    entries = [f"msgid {_written(text)}\nmsgstr {_written(known.get(text, ''))}\n" for text in texts()]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'msgid ""\nmsgstr ""\n{HEADER.format(language=language, plurals=PLURALS[language])}\n' + "\n".join(entries), encoding="utf-8")
    subprocess.run(["msgfmt", "--check-format", "--check-domain", "-o", path.with_suffix(".mo"), path], check=True)


if __name__ == "__main__":
    for one in LANGUAGES[1:]:
        write(one)
