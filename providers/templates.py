"""Templates: texts that a platform has approved beforehand, and their use in a draft."""

from typing import Literal

from pydantic import Field

from providers.noun import Noun
from providers.text import Body, Line


class Template(Noun):
    """A text that the platform has approved beforehand, and the only one it takes where its window for free texts is closed."""

    name: Line
    language: Line
    status: Line = ""
    category: Line = ""
    text: Body = ""
    """With its placeholders, as the platform shows them."""
    header: Line = ""
    """The kind of its header where that is a file: image, video, document."""
    buttons: tuple[Line, ...] = ()
    """Its buttons in their order, each with its kind and title, and the address where it has one."""


class TemplateButton(Noun):
    """The variable part of a button of a template: the end of its address, the answer that a tap brings back, or a code to copy."""

    index: int = Field(ge=0, le=9)
    kind: Literal["url", "quick_reply", "copy_code"] = "url"
    value: str = Field(min_length=1, max_length=2000)


class TemplateUse(Noun):
    """A template to send, with what its placeholders stand for: in their order, or by their names. A file of the draft is its header's."""

    name: str
    language: str
    parameters: tuple[Body, ...] = ()
    named: dict[str, Body] = Field(default_factory=dict)
    header: Body | None = None
    """For the placeholder in a header that is a text."""
    buttons: tuple[TemplateButton, ...] = ()
