"""What strangers wrote, made safe to store and show."""

import re
from typing import Annotated

from pydantic import AfterValidator

# Controls, direction overrides, fillers, invisible tags and variation selectors, and lone surrogates: none carries text, all can forge or
# hide it. A joiner stays where spelling or an emoji needs it, and so does the selector of an emoji's colours.
_SCRIPTS = "\u0600-\u06ff\u0750-\u077f\u08a0-\u08ff\u0900-\u0dff\u0f00-\u0fff\u1000-\u109f\u1780-\u17b3\u17b6-\u17ff\ufb50-\ufdff\ufe70-\ufefc"
_EMOJI = "\u00a9\u00ae\u203c-\u3299\U0001f000-\U0001faff"
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0d\ufeff\uffa0\ufff9-\ufffb\ud800-\udfff\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_SELECTORS = re.compile(f"[\ufe0e\ufe0f](?<![#*0-9{_EMOJI}][\ufe0e\ufe0f])")
_JOINERS = re.compile(f"\u200c(?:(?<![{_SCRIPTS}]\u200c)|(?![{_SCRIPTS}]))|\u200d(?:(?<![{_SCRIPTS}{_EMOJI}\ufe0f]\u200d)|(?![{_SCRIPTS}{_EMOJI}]))")
_SPACE = re.compile(r"\s+")

LINE_MAX = 256


def clean(text: str) -> str:
    """The text without control, direction and invisible characters; new lines and tabs stay."""
    seen = _UNSEEN.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    return seen if seen.isascii() else _JOINERS.sub("", _SELECTORS.sub("", seen))


def clean_line(text: str) -> str:
    """One line of at most 256 characters: for names, titles and file names."""
    return " ".join(clean(_SPACE.sub(" ", text)).split())[:LINE_MAX].rstrip()


Body = Annotated[str, AfterValidator(clean)]
Line = Annotated[str, AfterValidator(clean_line)]
