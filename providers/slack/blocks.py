"""The words of blocks, of their elements and of attachments, in mrkdwn."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from providers.slack.markup import entities, literal, to_mrkdwn
from providers.slack.shapes import inner, items

Json = dict[str, Any]

CHOICE = "choice-"
"""How the action ids of our own buttons begin: they are no words of our messages."""

_BULLET = "•"
_MARKS = (("strike", "~"), ("italic", "_"), ("bold", "*"))
# In the order in which they are shown.
_FIELDS_OF_UNKNOWN = (
    "pretext", "header", "title", "name", "subtitle", "text", "label", "body", "content", "message", "description", "caption", "details", "output",
    "alt_text", "value", "chart", "series", "segments", "data", "elements", "blocks", "child_blocks", "cards", "tasks", "items", "options", "columns",
    "rows", "fields", "sources", "actions", "positive_button", "negative_button", "url", "footer", "subtext",
)  # fmt: skip
# Of a kind that is not known, what holds no words for people.
_NO_WORDS = frozenset({"accessibility_label", "confirm", "event_payload", "filter", "metadata", "slack_icon", "style", "workflow"})
_INITIAL = ("initial_value", "initial_date", "initial_time", "initial_number")
_DEPTH = 8
_TEXTS = frozenset({"", "button", "image", "mrkdwn", "plain_text"})
_SILENT = frozenset({"divider", "actions"})
_ELEMENTS = frozenset({"button", "workflow_button", "image", "feedback_buttons"})


def words_of_blocks(blocks: Sequence[Json]) -> list[str]:
    """Return the words of each block that has some. A block of a kind that is not known is read by the names of its fields."""
    return [words for block in blocks if (words := _block(block))]


def unread_kinds(blocks: Sequence[Json]) -> list[str]:
    """Return the types of blocks in which no words were found, each once; a divider has none to find."""
    return list(dict.fromkeys(str(block.get("type")) for block in blocks if block.get("type") not in _SILENT and not _block(block)))


def _block(block: Json) -> str:
    read = _BLOCKS.get(str(block.get("type")))
    return read(block) if read is not None else _unknown(block)


def _lines(*parts: str) -> str:
    return "\n".join(part for part in parts if part.strip())


def _object(text: object) -> str:
    """A text object, or a bare text. A plain one is shown as it is: only what would be read as markup is changed in it."""
    if not isinstance(text, dict):
        return text if isinstance(text, str) else ""
    given = cast("Json", text)
    words = given.get("text")
    if not isinstance(words, str):
        return ""
    return words if given.get("type") == "mrkdwn" else words.replace("<", "&lt;").replace(">", "&gt;")


def _link(address: Any, label: str) -> str:
    if not isinstance(address, str) or not address:
        return label
    return f"<{entities(address)}|{label}>" if label and "\n" not in label else _lines(label, f"<{entities(address)}>")


def _section(block: Json) -> str:
    return _lines(_object(block.get("text")), *map(_object, items(block, "fields")), _element(inner(block, "accessory")))


def _elements(block: Json) -> str:
    """Buttons and menus, or the parts of a context, which stand in one line."""
    others = [element for element in items(block, "elements") if not str(element.get("action_id", "")).startswith(CHOICE)]
    return " ".join(filter(None, (_element(other) or _wordless(other) for other in others)))


def _wordless(element: Json) -> str:
    kind = str(element.get("type") or "")
    return "" if kind in _TEXTS else f"[{entities(kind.replace('_', ' '))}]"


def _element(element: Json) -> str:
    """A button or a menu in brackets, a picture, or a text."""
    match element.get("type"):
        case "button" | "workflow_button" | "icon_button":
            title = _object(element.get("text"))
            return _link(element.get("url"), title) if element.get("url") else f"[{title}]" if title else ""
        case "image":
            return _image(element)
        case "mrkdwn" | "plain_text":
            return _object(element)
        case "feedback_buttons":
            return " ".join(filter(None, (_element({"type": "button", **inner(element, name)}) for name in ("positive_button", "negative_button"))))
        case _:
            return _menu(element)


def _menu(element: Json) -> str:
    """What can be picked or written, with what is there already."""
    options = [_option(option) for option in items(element, "options")]
    for group in items(element, "option_groups"):
        options += [f"{_object(group.get('label'))}: {' | '.join(map(_option, items(group, 'options')))}"]
    picked = [_option(one) for one in (inner(element, "initial_option"), *items(element, "initial_options")) if one]
    written = [_object({"text": element.get(name)}) for name in _INITIAL]
    words = [_object(element.get("placeholder")), " | ".join(filter(None, options)), ", ".join(filter(None, (*picked, *written)))]
    shown = ": ".join(filter(None, words)) or _unknown({name: one for name, one in element.items() if name != "type"}).replace("\n", " ")
    return f"[{shown}]" if shown else ""


def _option(option: Json) -> str:
    title, description = _object(option.get("text")), _object(option.get("description"))
    return f"{title} ({description})" if description else title


def _image(block: Json) -> str:
    title, description = _object(block.get("title")), _object({"text": block.get("alt_text")})
    shown = _link(block.get("image_url"), title or description)
    return _lines(f"Image: {shown}" if shown else "", description if title and description != title else "")


def _video(block: Json) -> str:
    title = _object(block.get("title")) or _object({"text": block.get("alt_text")})
    names = " – ".join(filter(None, (_object({"text": block.get(name)}) for name in ("author_name", "provider_name"))))
    return _lines(f"Video: {_link(block.get('title_url') or block.get('video_url'), title)}", names, _object(block.get("description")))


def _input(block: Json) -> str:
    return _lines(_object(block.get("label")), _object(block.get("hint")), _element(inner(block, "element")))


def _file(block: Json) -> str:
    file = inner(block, "file")
    title = _object({"text": file.get("title") or file.get("name")})
    return f"File: {_link(file.get('permalink'), title)}" if title or file.get("permalink") else ""


def _call(block: Json) -> str:
    call = inner(inner(block, "call"), "v1")
    return f"Call: {_link(call.get('join_url'), _object({'text': call.get('name')}))}" if call else ""


def _table(block: Json) -> str:
    rows: list[list[Json]] = block.get("rows") or []
    return _lines(_object(block.get("caption")), *(" | ".join(map(_cell, row)) for row in rows))


def _cell(cell: Json) -> str:
    if cell.get("type") == "rich_text":
        return rich_text(cell).replace("\n", " ")
    return _object(inner(cell, "text")) or _element(inner(cell, "element")) or literal(str(cell.get("text", cell.get("value", ""))))


def _task(block: Json) -> str:
    """A step of an app's work, with how far it is."""
    status = str(block.get("status") or "").replace("_", " ")
    title = _object(block.get("title"))
    sources = (_link(source.get("url"), _object(source.get("text")) or _object(source.get("title"))) for source in items(block, "sources"))
    parts = [rich_text(inner(block, name)) if inner(block, name) else _object(block.get(name)) for name in ("details", "output")]
    return _lines(f"{title} [{entities(status)}]" if status else title, *parts, *sources)


def _unknown(block: object, depth: int = 0) -> str:
    """Texts under the names that blocks give to what people read."""
    if depth > _DEPTH:
        return ""
    if isinstance(block, list):
        return _lines(*(_unknown(one, depth + 1) for one in cast("list[object]", block)))
    if isinstance(block, int | float) and not isinstance(block, bool):
        return str(block)
    if not isinstance(block, dict):
        return _object(block)
    given = cast("Json", block)
    if depth and (read := _BLOCKS.get(str(given.get("type")))) is not None:
        return read(given)
    if isinstance(given.get("text"), str) and given.get("type") in {"mrkdwn", "plain_text"}:
        return _object(given)
    if depth and given.get("type") in _ELEMENTS and (words := _element(given)):
        return words
    holding = (name for name, part in given.items() if isinstance(part, dict | list) and name not in _NO_WORDS)
    names = dict.fromkeys([*(name for name in _FIELDS_OF_UNKNOWN if name in given), *holding])
    return _lines(*(_unknown(given[name], depth + 1) for name in names))


def rich_text(block: Json) -> str:
    """A rich text as its writer sees it, in mrkdwn."""
    return "\n".join(filter(None, map(_rich_part, items(block, "elements"))))


def _rich_part(part: Json) -> str:
    match part.get("type"):
        case "rich_text_list":
            return _rich_list(part)
        case "rich_text_preformatted":
            return f"```\n{''.join(map(_bare, items(part, 'elements')))}\n```"
        case "rich_text_quote":
            return "\n".join(f"&gt; {line}" for line in _rich_line(part).split("\n"))
        case _:
            return _rich_line(part)


def _rich_list(part: Json) -> str:
    before = "  " * int(part.get("indent") or 0)
    first = int(part.get("offset") or 0) + 1
    numbered = part.get("style") == "ordered"
    lines = map(_rich_line, items(part, "elements"))
    return "\n".join(f"{before}{f'{first + at}.' if numbered else _BULLET} {line}" for at, line in enumerate(lines))


def _rich_line(part: Json) -> str:
    return "".join(map(_inline, items(part, "elements"))).rstrip("\n")


def _inline(element: Json) -> str:
    words, style = _bare(element), inner(element, "style")
    if not words.strip() or "\n" in words.strip():
        return words
    core = words.strip()
    start, end = words[: len(words) - len(words.lstrip())], words[len(words.rstrip()) :]
    if style.get("code"):
        return f"{start}`{core}`{end}" if "`" not in core else words
    for name, mark in _MARKS:
        if style.get(name):
            core = f"{mark}{core}{mark}"
    return f"{start}{core}{end}"


def _bare(element: Json) -> str:
    """A part of a line, without its style."""
    match element.get("type"):
        case "text":
            text, style = str(element.get("text", "")), inner(element, "style")
            return entities(text) if style.get("code") else literal(text)
        case "link":
            return _link(element.get("url"), entities(str(element.get("text") or "")).replace("|", "¦"))
        case "user":
            return f"<@{element['user_id']}>"
        case "channel":
            return f"<#{element['channel_id']}>"
        case "usergroup":
            return f"<!subteam^{element['usergroup_id']}>"
        case "broadcast":
            return f"<!{element.get('range', 'channel')}>"
        case "emoji":
            return f":{element.get('name', '')}:"
        case "date":
            return entities(str(element.get("fallback") or _day(element.get("timestamp"))))
        case "color":
            return str(element.get("value", ""))
        case _:
            words = entities(str(element.get("text") or element.get("name") or element.get("url") or element.get("value") or ""))
            return words or f"[{entities(str(element.get('type')))}]"


def _day(seconds: Any) -> str:
    return datetime.fromtimestamp(float(seconds), UTC).strftime("%Y-%m-%d %H:%M UTC") if isinstance(seconds, int | float | str) and seconds else ""


_BLOCKS: dict[str, Callable[[Json], str]] = {
    "section": _section,
    "header": _section,
    "context": _elements,
    "actions": _elements,
    "context_actions": _elements,
    "markdown": lambda block: to_mrkdwn(str(block.get("text", ""))),
    "rich_text": rich_text,
    "image": _image,
    "video": _video,
    "input": _input,
    "file": _file,
    "call": _call,
    "table": _table,
    "data_table": _table,
    "task_card": _task,
    "divider": lambda block: "",
}
