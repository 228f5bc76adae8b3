"""The frame of every page: its head, its style, its one script, and the policy that lets nothing else run.

The script is a file beside this one and no other: the policy names its digest, so what a stranger wrote could not run even if it were taken for
markup.
"""

import base64
import hashlib
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from starlette.responses import HTMLResponse, Response

from mcp_messenger.api.pages.html import Html, joined, tag
from providers.words import Words

HERE = Path(__file__).parent
WITHOUT_SCRIPT = 10
"""Seconds after which a browser without scripts asks for a page again that changes by itself."""
TAG_LENGTH = 24
LIVE = "live.js"
"""What keeps a page up to date."""


@cache
def _file(name: str) -> tuple[Html, str]:
    """Return a file of the pages and its digest as a policy names it."""
    text = (HERE / name).read_text(encoding="utf-8")
    return Html(text), "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


def headers(script: str = LIVE) -> dict[str, str]:
    """Return the headers of a page on which a script may run.

    Without a referrer of its own site a browser would not say where a form comes from, and the guard would refuse it.
    """
    rules = [
        "default-src 'none'",
        f"style-src {_file('page.css')[1]}",
        f"script-src {_file(script)[1]}",
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    ]
    return {"content-security-policy": "; ".join(rules), "referrer-policy": "same-origin", "cache-control": "no-store", "vary": "accept-language"}


def tag_of(*parts: object) -> str:
    """Return the mark of a page's content, by which a browser says which one it shows."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:TAG_LENGTH]


def document(words: Words, title: str, *body: Html, mark: str | None = None, script: str | None = None, wide: bool = False) -> Html:
    """Return a whole page. With `mark`, which is of its content, it changes by itself; else `script` is the file of what runs on it."""
    live = mark is not None
    runs = LIVE if live else script
    source = _file(runs)[0] if runs else None
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("noscript", tag("meta", http_equiv="refresh", content=WITHOUT_SCRIPT)) if live else None,
        tag("link", rel="icon", href="data:,"),
        tag("title", title),
        tag("style", _file("page.css")[0]),
    )
    main = tag("main", tag("h1", title), *body, class_="wide" if wide else None)
    said = words.of_script(source) if source and not live else None
    whole = tag("body", main, tag("script", source) if source else None)
    return Html("<!doctype html>" + tag("html", head, whole, lang=words.language, data_tag=mark, data_words=said))


def respond(page: Html, *, status: int = 200, mark: str | None = None, script: str = LIVE) -> Response:
    """Return a page as the answer to a request."""
    return HTMLResponse(page, status, headers={**headers(script), **({} if mark is None else {"etag": f'"{mark}"'})})


def message(words: Words, title: str, *texts: str, status: int = 200) -> Response:
    """Return a page that only says something."""
    return respond(document(words, title, tag("div", *(tag("p", text) for text in texts), class_="panel", role="status")), status=status)


def waits(prefer: str | None, most: float) -> float:
    """Return for how many seconds a browser asks to be held until the page has changed (RFC 7240), at most `most`."""
    found = re.search(r"(?:^|[,;\s])wait=(\d{1,4})\b", prefer or "")
    return min(float(found[1]), most) if found else 0.0


def linked(text: str) -> Html:
    """Return a text of ours with the addresses in it as links."""
    parts = re.split(r"(https://[^\s,;)]+[^\s,;.)])", text)
    return joined(*(tag("a", one, href=one, target="_blank", rel="noopener noreferrer") if one.startswith("https://") else one for one in parts))


def listed(words: Words, texts: Iterable[str]) -> Html:
    """Return steps of ours as a numbered list, in the reader's language."""
    return tag("ol", *(tag("li", linked(words.say(text))) for text in texts))
