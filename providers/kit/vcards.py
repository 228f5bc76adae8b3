"""Reads contact cards of the form vCard (RFC 6350), which Telegram and WhatsApp Web bring as text."""

import re
from dataclasses import dataclass

SHOWN = ("TEL", "EMAIL", "URL", "ADR")
"""Properties that are told, in this order. Pictures and the rest stay with the original."""
LONGEST = 100_000
"""Characters of a card that are looked at: it may hold a picture."""
_FOLDED = re.compile(r"\r?\n[ \t]")
_ESCAPED = re.compile(r"\\([\\,;nN])")
_BETWEEN = re.compile(r"(?<!\\)[;,]")


@dataclass(frozen=True)
class VCard:
    """What a card says; empty where it does not."""

    company: str = ""
    values: tuple[tuple[str, str], ...] = ()
    """Numbers and addresses with the names of their properties."""

    @property
    def phone(self) -> str | None:
        """Return the first number."""
        return next((value for name, value in self.values if name == "TEL"), None)

    def words(self, name: str, phone: str | None = None) -> str:
        """Return the card in a line: name, company, and every number and address. `phone` is told first, and once."""
        digits = re.sub(r"\D", "", phone or "")
        others = [value for property, value in self.values if not (property == "TEL" and digits and re.sub(r"\D", "", value) == digits)]
        head = name + (f" ({self.company})" if self.company else "")
        return f"{head} {', '.join(filter(None, [phone, *others]))}".strip()


def read_card(text: str) -> VCard:
    """Return what is told of a card; lines that are of no known form are left out."""
    company, found = "", list[tuple[str, str]]()
    for line in _FOLDED.sub("", text[:LONGEST]).splitlines():
        head, _, value = line.partition(":")
        name = head.partition(";")[0].rpartition(".")[2].upper()
        parts = [_ESCAPED.sub(lambda match: " " if match[1] in "nN" else match[1], part).strip() for part in _BETWEEN.split(value)]
        if name == "ORG":
            company = company or parts[0]
        elif name in SHOWN and any(parts):
            found.append((name, " ".join(filter(None, parts)) if name == "ADR" else value.removeprefix("tel:").strip()))
    return VCard(company, tuple(sorted(found, key=lambda one: SHOWN.index(one[0]))))
