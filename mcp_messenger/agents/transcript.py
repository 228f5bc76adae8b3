"""Messages as an agent is asked them: nothing that a person writes, or is called, makes a line of somebody else's, or a remark of ours."""

import json
import unicodedata
from collections.abc import Mapping, Sequence

from db.messages import MessageRow
from providers.models import ChatKind
from providers.text import clean_line

QUOTE = "> "
"""Before a line that goes on with a person's text, or begins as ours do."""
_CONTINUED = f"\n{QUOTE}"
CONTEXT_MAX = 500
"""Characters of each part of a remark."""
_OURS = frozenset('[>"')
"""How lines of ours begin: a remark, a line that goes on, a name."""


def transcript(messages: Sequence[MessageRow], kind: ChatKind) -> str:
    """Return the messages as text. In a private chat it is what the person wrote; elsewhere each begins with its sender as `"Name" (id): `.

    A name is in quotes, as JSON writes it, on one line. A further line of a text begins with QUOTE; in a private chat only where it begins
    as lines of ours do.
    """
    lines: list[str] = []
    for message in messages:
        if kind is ChatKind.PRIVATE:
            lines.append("\n".join(map(_guarded, message.body.splitlines())) or _nothing_said(message))
        else:
            lines.append(f"{_sender(message)}: {_CONTINUED.join(message.body.splitlines()) or _nothing_said(message)}")
        lines += _context(message)
    return "\n".join(lines)


def _context(message: MessageRow) -> list[str]:
    """Return remarks on the words that a message answers, and on whose words it passes on."""
    forwarded, quoted = message.content.get("forwarded"), message.content.get("quoted")
    remarks = [] if forwarded is None else [remark("forwarded", *_given(forwarded, "name", "mark"))]
    return remarks if quoted is None else [*remarks, remark("in answer to", *_given(quoted, "of", "name", "text"))]


def _given(part: Mapping[str, str], *names: str) -> list[str]:
    return [part[name][:CONTEXT_MAX] for name in names if part.get(name)]


def remark(words: str, *about: str) -> str:
    """Return a line of ours about something that others have named."""
    return f"[{': '.join([words, *(_named(one) for one in about)])}]"


def _nothing_said(message: MessageRow) -> str:
    return f"[{message.kind}]"


def _guarded(line: str) -> str:
    """Signs that are not seen, or seen as another one, do not hide how a line begins."""
    seen = "".join(sign for sign in unicodedata.normalize("NFKC", line) if unicodedata.category(sign)[0] not in "CZ")
    return QUOTE + line if seen[:1] in _OURS else line


def _sender(message: MessageRow) -> str:
    name = _named(message.sender_name or "?")
    return name if message.sender_id is None else f"{name} ({clean_line(message.sender_id)})"


def _named(text: str) -> str:
    return json.dumps(clean_line(text), ensure_ascii=False)
