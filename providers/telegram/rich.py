"""Rich messages, block by block, as Markdown."""

from typing import Any, cast

from providers.models import Media
from providers.telegram.attachments import media_in
from providers.telegram.entities import escaped, link

Json = dict[str, Any]

_AROUND = {"bold": "**", "italic": "*", "strikethrough": "~~"}
_LITERAL = {"email_address", "phone_number", "bank_card_number", "mention", "hashtag", "cashtag", "bot_command"}


def markdown_of(blocks: list[Json]) -> str:
    """Return the words of blocks, with an empty line between two."""
    return "\n\n".join(words for block in blocks if (words := _block(block)))


def media_of_blocks(blocks: list[Json]) -> tuple[Media, ...]:
    """Return the files of blocks, also of those in other blocks."""
    found: list[Media] = []
    for block in blocks:
        voice = {"voice": block["voice_note"]} if "voice_note" in block else {}
        found += media_in({**block, **voice}) if block.get("type") != "map" else ()
        found += media_of_blocks([*block.get("blocks", []), *(inner for item in block.get("items", []) for inner in item.get("blocks", []))])
    return tuple(found)


def _block(block: Json) -> str:
    """Read by what a block holds, so that one of a new type is not lost."""
    kind = block.get("type", "")
    parts = [_opening(kind, block)]
    if "items" in block:
        parts.append("\n".join(_item(item) for item in block["items"]))
    if "cells" in block:
        parts.append(_table(block["cells"]))
    if "blocks" in block:
        inner = markdown_of(block["blocks"])
        parts.append("\n".join(f"> {line}".rstrip() for line in inner.splitlines()) if "quot" in kind else inner)
    if place := block.get("location"):
        parts.append(f"A map of {place['latitude']}, {place['longitude']}.")
    parts += [text_of(block.get("caption", "")), text_of(block.get("credit", ""))]
    words = "\n".join(part for part in parts if part)
    return words or ("" if media_of_blocks([block]) or kind in {"divider", "anchor"} else f"A block of the type {kind}.")


def _opening(kind: str, block: Json) -> str:
    if "expression" in block:
        return f"`{block['expression']}`"
    if "summary" in block:
        return f"**{text_of(block['summary'])}**"
    if "text" not in block:
        return "---" if kind == "divider" else ""
    if kind == "pre":
        return f"```{block.get('language', '')}\n{text_of(block['text'], is_code=True)}\n```"
    words = text_of(block["text"])
    if "heading" in kind:
        return f"{'#' * max(1, min(6, block.get('size', 2)))} {words}"
    return "\n".join(f"> {line}" for line in words.splitlines()) if "quot" in kind else words


def _item(item: Json) -> str:
    box = ("[x] " if item.get("is_checked") else "[ ] ") if item.get("has_checkbox") else ""
    label = item.get("label") or "-"
    return f"{'-' if label in {'•', '-', '*'} else label} {box}" + markdown_of(item.get("blocks", [])).replace("\n\n", "\n").replace("\n", "\n  ")


def _table(rows: list[list[Json]]) -> str:
    lines = ["| " + " | ".join(text_of(cell.get("text", "")).replace("|", r"\|").replace("\n", " ") for cell in row) + " |" for row in rows]
    if lines:
        lines.insert(1, "|" + "---|" * len(rows[0]))
    return "\n".join(lines)


def text_of(text: Any, *, is_code: bool = False) -> str:
    """Return a RichText (a string, an object, or a list of those) as Markdown, or bare where it is code."""
    if isinstance(text, str):
        return text if is_code else escaped(text)
    if isinstance(text, list):
        return "".join(text_of(part, is_code=is_code) for part in cast("list[Any]", text))
    return _one_text(text, is_code=is_code)


def _one_text(text: Json, *, is_code: bool) -> str:
    kind = text.get("type", "")
    if "alternative_text" in text or "expression" in text:
        return text.get("alternative_text") or text["expression"]
    if "credit" in text:
        return f"{text_of(text['text'])}\n{text_of(text['credit'])}"
    inner = text_of(text.get("text", ""), is_code=is_code or kind == "code" or kind in _LITERAL)
    if is_code or not inner:
        return inner
    if kind == "code":
        return f"`{inner}`"
    if "url" in text:
        return link(inner, text["url"])
    return f"{_AROUND.get(kind, '')}{inner}{_AROUND.get(kind, '')}"
