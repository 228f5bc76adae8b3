"""Reads text as Telegram reads it under each parse_mode: the visible text, or the refusal."""

import re
from html import unescape

from tests.standins.telegram_bot_api.refusal import Refusal, bad_request

_HTML_TAGS = {"b", "strong", "i", "em", "u", "ins", "s", "strike", "del", "code", "pre", "a", "blockquote", "tg-spoiler", "tg-emoji", "span"}
_HTML_TOKEN = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9-]*)([^<>]*)>|<")
_V2_RESERVED = set("_*[]()~`>#+-=|{}.!")
_V2_MARKS = ("__", "||", "*", "_", "~", "`")
_V2_LINK = re.compile(r"\[((?:[^\]\\]|\\.)*)\]\([^)]*\)")


def visible_text(text: str, parse_mode: str | None) -> str:
    if not parse_mode:
        return text
    match parse_mode.lower():
        case "html":
            return _html(text)
        case "markdown":
            return _legacy(text)
        case "markdownv2":
            return _version_2(text)
        case _:
            raise bad_request("unsupported parse_mode")


def _cannot_parse(words: str) -> Refusal:
    return bad_request(f"can't parse entities: {words}")


def _offset(text: str, position: int) -> int:
    return len(text[:position].encode())


def _html(text: str) -> str:
    visible: list[str] = []
    opened: list[str] = []
    end = 0
    for token in _HTML_TOKEN.finditer(text):
        visible.append(text[end : token.start()])
        end = token.end()
        closing, tag, at = token[1], (token[2] or "").lower(), _offset(text, token.start())
        if tag not in _HTML_TAGS:
            raise _cannot_parse(f'Unsupported start tag "{tag}" at byte offset {at}')
        if not closing:
            opened.append(tag)
        elif not opened:
            raise _cannot_parse(f"Unexpected end tag at byte offset {at}")
        elif (expected := opened.pop()) != tag:
            raise _cannot_parse(f'Unmatched end tag at byte offset {at}, expected "</{expected}>", found "</{tag}>"')
    if opened:
        raise _cannot_parse(f'Can\'t find end tag corresponding to start tag "{opened[-1]}"')
    return unescape("".join([*visible, text[end:]])).strip()


def _legacy(text: str) -> str:
    visible: list[str] = []
    at = 0
    while at < len(text):
        mark = text[at]
        if mark == "\\" and at + 1 < len(text) and text[at + 1] in "_*`[":
            visible.append(text[at + 1])
            at += 2
        elif mark in "_*`[":
            inside, at = _legacy_entity(text, at)
            visible.append(inside)
        else:
            visible.append(mark)
            at += 1
    return "".join(visible).strip()


def _legacy_entity(text: str, start: int) -> tuple[str, int]:
    mark = "```" if text.startswith("```", start) else text[start]
    closer = "]" if mark == "[" else mark
    end = text.find(closer, start + len(mark))
    if end < 0:
        raise _cannot_parse(f"Can't find end of the entity starting at byte offset {_offset(text, start)}")
    inside, after = text[start + len(mark) : end], end + len(closer)
    if mark == "[" and text.startswith("(", after):
        after = text.find(")", after) + 1 or after
    return inside, after


def _version_2(text: str) -> str:
    visible: list[str] = []
    opened: list[tuple[str, int]] = []
    at = 0
    while at < len(text):
        mark = next((mark for mark in _V2_MARKS if text.startswith(mark, at)), None)
        if text[at] == "\\" and at + 1 < len(text):
            visible.append(text[at + 1])
            at += 2
        elif link := _V2_LINK.match(text, at):
            visible.append(_version_2(link[1]))
            at = link.end()
        elif mark is not None:
            if opened and opened[-1][0] == mark:
                opened.pop()
            else:
                opened.append((mark, at))
            at += len(mark)
        elif text[at] in _V2_RESERVED:
            raise _cannot_parse(f"Character '{text[at]}' is reserved and must be escaped with the preceding '\\'")
        else:
            visible.append(text[at])
            at += 1
    if opened:
        raise _cannot_parse(f"Can't find end of the entity starting at byte offset {_offset(text, opened[-1][1])}")
    return "".join(visible).strip()
