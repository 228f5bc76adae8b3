"""A long Markdown text in several messages is still the same text, as each platform shows it."""

import json
import re
from collections import defaultdict
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from providers.discord import outbound as discord
from providers.discord.provider import DiscordProvider
from providers.limits import TextUnit
from providers.models import Draft
from providers.slack import outbound as slack
from providers.slack.provider import SlackProvider
from providers.telegram import outbound as telegram
from providers.telegram.provider import TelegramProvider

Shown = dict[str, list[str]]
"""What a message shows, by how it stands there: text, code, prose, bold, italic, quoted, language, and links as `label|address`."""

CASES: list[dict[str, Any]] = json.loads((Path(__file__).parents[2] / "cases" / "markdown-split.json").read_text(encoding="utf-8"))["cases"]
_STYLES = {"code": "code", "pre": "code", "b": "bold", "i": "italic", "blockquote": "quoted"}


class Html(HTMLParser):
    """Reads a message as Telegram does; refuses markup that is not closed in its order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.shown: Shown = defaultdict(list)
        self._open: list[str] = []
        self._address = ""
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open.append(tag)
        found = dict(attrs)
        self._address = found.get("href") or self._address
        if language := found.get("class"):
            self.shown["language"].append(language.removeprefix("language-"))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.shown["text"].append(data)
        styles = {_STYLES[tag] for tag in self._open if tag in _STYLES}
        for style in styles | (set[str]() if "code" in styles else {"prose"}):
            self.shown[style].append(data)
        if "a" in self._open:
            self.shown["links"].append(f"{data}|{self._address}")


def of_telegram(draft: Draft) -> list[Shown]:
    texts = telegram.texts_in(draft, TelegramProvider.limits)
    return [Html(telegram.rendered(text, draft.format)[0]).shown for text in texts]


def of_discord(draft: Draft) -> list[Shown]:
    return [_ticked(discord.rendered(part.text, part.format)) for part in discord.drafts_of(draft, DiscordProvider.limits)]


def of_slack(draft: Draft) -> list[Shown]:
    return [_ticked(slack.rendered(part)) for part in slack.drafts_of(draft, SlackProvider.limits)]


def _ticked(text: str) -> Shown:
    """Read a message of a platform whose code stands in backticks."""
    shown: Shown = defaultdict(list)
    shown["text"].append(text)
    end = 0
    for block in re.finditer(r"```(?:(?P<language>\w*)\n)?(?P<block>.*?)```|`(?P<code>[^`\n]+)`", text, re.DOTALL):
        shown["prose"].append(text[end : block.start()])
        shown["code"].append(block["block"] or block["code"] or "")
        if block["language"]:
            shown["language"].append(block["language"])
        end = block.end()
    shown["prose"].append(text[end:])
    return shown


MESSENGERS: dict[str, Callable[[Draft], list[Shown]]] = {"telegram": of_telegram, "discord": of_discord, "slack": of_slack}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_a_split_text_is_shown_whole(case: dict[str, Any]) -> None:
    asked = case["input"][0]
    text = "".join(piece * times for piece, times in asked["text"])
    draft = Draft(client_id="1", chat_id="1", text=text, format=asked["format"], extra={"split": asked["split"]})
    messages, expect = MESSENGERS[asked["messenger"]](draft), case["expect"]
    unit = TextUnit(expect["parts"]["unit"])
    assert len(messages) >= expect["parts"]["at_least"]
    assert all(unit.length("".join(shown["text"])) <= expect["parts"]["each_at_most"] for shown in messages)
    everything: Shown = defaultdict(list)
    for shown in messages:
        for style, pieces in shown.items():
            everything[style] += ["".join(pieces)] if style == "text" else pieces
    _check(expect, everything)
    if "language" in expect:
        assert set(everything["language"]) == {expect["language"]}
        assert len(everything["language"]) == len([shown for shown in messages if shown["code"]])


def _check(expect: dict[str, Any], shown: Shown) -> None:
    for field, style, others in (
        ("in_code", "code", ("prose",)),
        ("in_prose", "prose", ("code",)),
        ("bold", "bold", ()),
        ("italic", "italic", ()),
        ("quoted", "quoted", ()),
    ):
        for words in expect.get(field, []):
            assert any(words in piece for piece in shown[style]), (words, style)
            assert not any(words in piece for other in others for piece in shown[other]), (words, others)
            if not others:
                assert _count(words, shown[style]) == _count(words, shown["text"]), (words, style)
    for words, times in expect.get("whole", {}).items():
        assert _count(words, shown["text"]) == times, words
    for label, address, times in expect.get("links", []):
        assert shown["links"].count(f"{label}|{address}") == times
    assert not any(words in piece for words in expect.get("lacks", []) for piece in shown["text"])


def _count(words: str, pieces: list[str]) -> int:
    return sum(piece.count(words) for piece in pieces)
