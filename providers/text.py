"""What strangers wrote, made safe to store and show."""

import re
from typing import Annotated

from pydantic import AfterValidator

# Controls, direction overrides, invisible tag characters and lone surrogates: none carries text, all can forge it.
# U+200C and U+200D stay: Persian spelling and joined emoji need them.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
_SPACE = re.compile(r"\s+")

LINE_MAX = 256


def clean(text: str) -> str:
    """The text without control, direction and invisible characters; new lines and tabs stay."""
    return _UNSEEN.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def clean_line(text: str) -> str:
    """One line of at most 256 characters: for names, titles and file names."""
    return " ".join(clean(_SPACE.sub(" ", text)).split())[:LINE_MAX].rstrip()


Body = Annotated[str, AfterValidator(clean)]
Line = Annotated[str, AfterValidator(clean_line)]
