"""HTML made of elements: every text is escaped unless it is HTML of ours already."""

from collections.abc import Iterable
from html import escape

EMPTY = frozenset({"br", "input", "link", "meta"})


class Html(str):
    """Markup that is safe to put into a page as it is."""

    __slots__ = ()


def tag(element: str, /, *children: "str | Html | Iterable[Html] | None", **attributes: str | bool | int | None) -> Html:
    """Return an element. A text among `children` is escaped, None left out.

    Of `attributes` an underscore at the end is dropped and others become hyphens; True is an attribute without a value, False and None are none.
    """
    given = "".join(
        f" {attribute.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{escape(str(value))}"')
        for attribute, value in attributes.items()
        if value is not None and value is not False
    )
    return Html(f"<{element}{given}>" if element in EMPTY else f"<{element}{given}>{joined(*children)}</{element}>")


def joined(*children: "str | Html | Iterable[Html] | None") -> Html:
    """Return elements and texts one after the other."""
    return Html("".join(_text(child) for child in children if child is not None))


def _text(child: "str | Html | Iterable[Html]") -> str:
    if isinstance(child, Html):
        return child
    return escape(child) if isinstance(child, str) else "".join(child)
