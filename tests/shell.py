"""The simple commands of a shell block, for tests that check what they call without running it."""

import re
import shlex
from collections.abc import Iterator

SEPARATORS = frozenset({";", ";;", "&", "&&", "|", "||", "(", ")", "\n"})
KEYWORDS = frozenset({"if", "then", "else", "fi", "until", "while", "do", "done", "!", "[", "test"})
COMMENT = re.compile(r"(?:^|\s)# .*$", re.MULTILINE)
ASSIGNMENT = re.compile(r"^[A-Za-z_]\w*=")


def commands(text: str) -> Iterator[list[str]]:
    """Each command with its arguments, without assignments, redirections and keywords; those inside of `$(…)` come, too.

    It reads what the documents have, not all of the shell's language. Raises ValueError for quotes that do not close.
    """
    lexer = shlex.shlex(COMMENT.sub("", text).replace("\\\n", " "), posix=True, punctuation_chars=";|&()<>\n")
    lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t", True, ""
    words: list[str] = []
    for token in [*lexer, "\n"]:
        if not set(token) <= set("".join(SEPARATORS)):
            yield from _inside(token)
            words.append(token)
            continue
        if command := _bare(words):
            yield command
        words = []


def _bare(words: list[str]) -> list[str]:
    while words and (words[0] in KEYWORDS - {"["} or ASSIGNMENT.match(words[0])):
        words = words[1:]
    kept: list[str] = []
    skip = False
    for word in words:
        if skip or set(word) <= set("<>"):
            skip = not skip
        else:
            kept.append(word)
    return kept


def _inside(token: str) -> Iterator[list[str]]:
    for start in (match.end() for match in re.finditer(r"\$\(", token)):
        depth = 1
        for end in range(start, len(token)):
            depth += {"(": 1, ")": -1}.get(token[end], 0)
            if depth == 0:
                yield from commands(token[start:end])
                break
