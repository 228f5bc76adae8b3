"""Checks what a case expects, all of it at once. A key that is not known here fails the case."""

import json
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from tests.cases.place import ANSWER, Refused
from tests.cases.steps import Run

Json = dict[str, Any]
Statement = Callable[[Run], Awaitable[None]]
"""A statement in words, as code."""

_IDS_AND_TIMES = frozenset({"id", "chat_id", "platform_id", "sender_id", "reply_to", "thread_id", "at"})
_OWN_FIELDS = ("outgoing", "own", "from_me", "mine")
_IN_COLUMNS = {"text": "body"} | {name: name for name in ("outgoing", "sender_name", "sender_id", "kind", "chat_id", "thread_id")}
_DEFAULTS: Json = {"mentions_me": False, "chosen": None}


async def check(run: Run, statements: Mapping[str, Statement] | None = None) -> None:
    """`statements` are those of `also`, each by its words."""
    expected = run.case["expect"]
    for key in expected.keys() - {"also"}:
        assert key in _CHECKS, f"no check is known for {key!r}"
        await _CHECKS[key](run, expected[key])
    for words in expected.get("also", []):
        assert words in (statements or {}), f"no check is written for {words!r}"
        await (statements or {})[words](run)


# Strings


def plain(text: str) -> str:
    """Without regard to case, and without Markdown's backslashes."""
    return re.sub(r"\\(?=[^\w\s])", "", text).casefold()


def strings(value: Any, *, without: frozenset[str] = frozenset()) -> Iterable[str]:
    """Every text and number in a JSON value, apart from the fields that are left out."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name not in without:
                yield from strings(inner, without=without)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner, without=without)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def text_of(value: Any, *, without: frozenset[str] = frozenset()) -> str:
    return plain("\n".join(strings(value, without=without)))


def shows(value: Any, wanted: Iterable[str], *, without: frozenset[str] = frozenset()) -> None:
    text = text_of(value, without=without)
    missing = [one for one in wanted if plain(one) not in text]
    assert not missing, f"{missing} not in {text!r}"


def shows_not(value: Any, unwanted: Iterable[str], *, without: frozenset[str] = frozenset()) -> None:
    text = text_of(value, without=without)
    found = [one for one in unwanted if plain(one) in text]
    assert not found, f"{found} in {text!r}"


# Messages


def stored(run: Run) -> list[Json]:
    """The rows of the case's messages in the order in which they came."""
    statement = """SELECT id, chat_id, outgoing, sender_id, sender_name, kind, body, thread_id, content, status FROM messages
        WHERE instance_id = %s AND body <> %s AND NOT chat_id = ANY(%s) ORDER BY id"""
    names = ("id", "chat_id", "outgoing", "sender_id", "sender_name", "kind", "body", "thread_id", "content", "status")
    found = run.place.rows(statement, run.instance_id, ANSWER, sorted(run.messenger.hidden_chats))
    return [dict(zip(names, row, strict=True)) for row in found]


async def chats(run: Run) -> list[Json]:
    found = (await run.call("list_chats", limit=100))["chats"]
    return [chat for chat in found if chat["id"] not in run.messenger.hidden_chats]


async def texts(run: Run, chat_id: str) -> list[str]:
    """Of a chat's messages, oldest first, without the agent's answers."""
    found = (await run.call("get_messages", chat_id=chat_id, limit=100))["messages"]
    return [message["text"] for message in reversed(found) if message["text"] != ANSWER]


def field_of(row: Json, name: str) -> Any:
    """A field as in providers/models.py, with dots for depth."""
    head, *rest = name.split(".")
    value = row[_IN_COLUMNS[head]] if head in _IN_COLUMNS else row["content"].get(head, _DEFAULTS.get(head))
    for part in rest:
        value = value[part] if isinstance(value, dict) else None
    return value


async def _messages(run: Run, wanted: list[Json]) -> None:
    rows = stored(run)
    if not wanted:
        assert [row["body"] for row in rows] == []
        return
    assert len(rows) >= len(wanted), f"{len(rows)} messages are stored"
    for row, one in zip(rows[-len(wanted) :], wanted, strict=True):
        message = (await run.call("get_message", message_id=str(row["id"])))["message"]
        for key, value in one.items():
            assert key in _OF_MESSAGE, f"no check is known for a message's {key!r}"
            _OF_MESSAGE[key](row, message, value)


def _is(row: Json, message: Json, wanted: Json) -> None:
    assert {name: field_of(row, name) for name in wanted} == wanted


def _text(row: Json, message: Json, wanted: str) -> None:
    assert wanted == "not empty"
    assert message["text"].strip(), "the text is empty"


def _shown_times(row: Json, message: Json, wanted: dict[str, int]) -> None:
    text = text_of(message, without=_IDS_AND_TIMES)
    assert {one: text.count(plain(one)) for one in wanted} == wanted


def _media(row: Json, message: Json, wanted: list[str]) -> None:
    assert [media["kind"] for media in message["media"]] == wanted


def _media_count(row: Json, message: Json, wanted: int) -> None:
    assert len(message["media"]) == wanted


_OF_MESSAGE: dict[str, Callable[[Json, Json, Any], None]] = {
    "is": _is,
    "shown": lambda row, message, wanted: shows(message, wanted, without=_IDS_AND_TIMES),
    "not_shown": lambda row, message, wanted: shows_not(message, wanted, without=_IDS_AND_TIMES),
    "shown_times": _shown_times,
    "text": _text,
    "media": _media,
    "media_count": _media_count,
}


async def _not_shown_anywhere(run: Run, unwanted: list[str]) -> None:
    messages = [await run.call("get_message", message_id=str(row["id"])) for row in stored(run)]
    events = await run.place.call("get_events", instance_id=run.instance_id, limit=500)
    shows_not([messages, events, await chats(run), await _instance_told(run)], unwanted)


# The agent


def heard(run: Run) -> list[str]:
    """What the agent was asked for this case's instance."""
    return [one.message for one in run.place.agents.runs if one.session_id.startswith(run.instance_id)]


async def _agent(run: Run, wanted: str) -> None:
    assert wanted in {"runs", "does not run"}
    reasons = run.place.rows("SELECT status, last_error FROM deliveries WHERE target = 'agno' AND instance_id = %s", run.instance_id)
    assert bool(heard(run)) == (wanted == "runs"), reasons


async def _agent_hears_no_line(run: Run, unwanted: str) -> None:
    lines = [line for message in heard(run) for line in message.splitlines()]
    assert lines, "the agent heard nothing"
    assert [line for line in lines if plain(line).startswith(plain(unwanted))] == []


# Whose words these are


async def _own(run: Run, wanted: dict[str, bool]) -> None:
    faces = await _faces(run)
    for text, is_own in wanted.items():
        row = next(row for row in stored(run) if row["body"] == text)
        assert row["outgoing"] is is_own
    wrong = {name: told for name, entries in faces.items() if (told := _misjudged(entries, wanted))}
    assert not wrong, wrong


def _misjudged(entries: list[Json], wanted: dict[str, bool]) -> list[str]:
    """The texts of which one cannot tell whose they are; an answer that has none of them tells nothing wrong."""
    return [entry["text"] for entry in entries if entry.get("text") in wanted and not _is_told(entry, own=wanted[entry["text"]])]


def _is_told(entry: Json, *, own: bool) -> bool:
    """By a field of its own, or by a name that nobody but the account is shown under."""
    for name in _OWN_FIELDS:
        if isinstance(entry.get(name), bool):
            return entry[name] is own
    return (_folded(str(entry.get("from"))) == "me") is own


def _folded(name: str) -> str:
    """As a reader takes it: without case, spaces, wide letters and signs that are not seen."""
    import unicodedata

    seen = "".join(sign for sign in unicodedata.normalize("NFKC", name) if unicodedata.category(sign) not in {"Cf", "Cc"})
    return "".join(seen.split()).casefold()


async def _faces(run: Run) -> dict[str, list[Json]]:
    """The entries of each answer that shows messages."""
    chat = stored(run)[0]["chat_id"]
    word = re.findall(r"\w{2,}", stored(run)[0]["body"])[0]
    found = {
        "get_messages": await run.call("get_messages", chat_id=chat),
        "get_recent_messages": await run.call("get_recent_messages"),
        "search_messages": await run.call("search_messages", query=word, context=3),
        "catch_up": await run.place.call("catch_up", instance_id=run.instance_id),
        "wait_for_messages": await run.call("wait_for_messages", cursor="0", timeout=0),
        "get_events": await run.place.call("get_events", instance_id=run.instance_id, limit=500),
    }
    return {name: list(_entries(answer)) for name, answer in found.items()}


def _entries(value: Any) -> Iterable[Json]:
    if isinstance(value, dict):
        if "text" in value:
            yield value
        for inner in value.values():
            yield from _entries(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _entries(inner)


# The window, the log, the instance, the error


async def _window(run: Run, wanted: Json) -> None:
    assert wanted.keys() == {"chat", "is"}
    checked = await run.call("check_send", to=wanted["chat"], message="hello")
    assert ("open" if checked["ok"] else "closed") == wanted["is"], checked


def event_types(run: Run) -> set[str]:
    return {row[0] for row in run.place.rows("SELECT type FROM events WHERE instance_id = %s", run.instance_id)}


async def _events(run: Run, wanted: list[str]) -> None:
    assert set(wanted) <= event_types(run), event_types(run)


async def _events_lack(run: Run, unwanted: list[str]) -> None:
    assert not set(unwanted) & event_types(run), event_types(run)


async def _instance_told(run: Run) -> list[Json]:
    return [await run.call(operation) for operation in ("get_instance", "get_instance_health", "get_errors")]


async def _instance_shown(run: Run, wanted: list[str]) -> None:
    shows(await _instance_told(run), wanted)


async def _instance_not_shown(run: Run, unwanted: list[str]) -> None:
    shows_not(await _instance_told(run), unwanted)


async def _error_shown(run: Run, wanted: list[str]) -> None:
    shows(run.problem, wanted)


async def _error_not_shown(run: Run, unwanted: list[str]) -> None:
    shows_not(run.problem, unwanted)


async def _status(run: Run, wanted: list[int]) -> None:
    assert run.statuses
    assert set(run.statuses) <= set(wanted), run.statuses


# Requests


async def _requests(run: Run, wanted: list[Json]) -> None:
    for one in wanted:
        pattern = re.sub(r"\\\{\w+\\\}", "[^/ ]+", re.escape(one["method"]))
        found = [body for method, body in run.messenger.requests() if re.fullmatch(pattern, method, re.IGNORECASE)]
        _request(found, one)


def _request(found: list[Json], wanted: Json) -> None:
    """Without `each`, one of the requests has all that is wanted; with `last`, the last."""
    if wanted.get("none"):
        assert found == []
        return
    assert len(found) >= wanted.get("at_least", 1), f"{wanted['method']} went out {len(found)} times"
    for key in wanted.keys() - {"method", "at_least", "last"}:
        assert key in _OF_REQUEST, f"no check is known for a request's {key!r}"
    every = [key for key in wanted if key in _OF_EACH]
    assert all(_OF_REQUEST[key](body, wanted[key]) for key in every for body in found), found
    single = [key for key in wanted if key in _OF_REQUEST.keys() - _OF_EACH]
    chosen = found[-1:] if wanted.get("last") else found
    assert any(all(_OF_REQUEST[key](body, wanted[key]) for key in single) for body in chosen), chosen


def _has(body: Json, wanted: Json) -> bool:
    return all(_same(_deep(body, name), value) for name, value in wanted.items())


def _deep(body: Any, name: str) -> Any:
    for part in name.split("."):
        body = _loaded(body)
        body = body.get(part) if isinstance(body, dict) else None
    return body


def _loaded(value: Any) -> Any:
    """Forms carry objects as JSON."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _same(given: Any, wanted: Any) -> bool:
    return given == wanted or (not isinstance(wanted, str) and _loaded(given) == wanted)


def _words(body: Json) -> str:
    return str(body.get("text", body.get("content", body.get("caption", ""))))


_OF_REQUEST: dict[str, Callable[[Json, Any], bool]] = {
    "has": _has,
    "each": _has,
    "each_has": lambda body, names: all(_deep(body, name) is not None for name in names),
    "has_not": lambda body, names: all(_deep(body, name) is None for name in names),
    "text_has": lambda body, wanted: all(one.casefold() in _words(body).casefold() for one in wanted),
    "text_lacks": lambda body, unwanted: all(one.casefold() not in _words(body).casefold() for one in unwanted),
    "body_shown": lambda body, wanted: all(one.casefold() in json.dumps(body, ensure_ascii=False).casefold() for one in wanted),
    "body_lacks": lambda body, unwanted: all(one.casefold() not in json.dumps(body, ensure_ascii=False).casefold() for one in unwanted),
}
_OF_EACH = frozenset({"each", "each_has", "has_not", "text_lacks", "body_lacks"})


# Answers of operations


async def _answer(run: Run, wanted: Json) -> None:
    unknown = wanted.keys() - {"of", "the", "arguments", "shown", "not_shown", "shown_together", "is", "reply_to"}
    assert not unknown, f"no check is known for an answer's {unknown}"
    answer = await _asked(run, wanted)
    shows(answer, wanted.get("shown", []))
    shows_not(answer, wanted.get("not_shown", []))
    if together := wanted.get("shown_together"):
        assert any(all(plain(one) in text for one in together) for text in _single_entries(answer)), answer
    for name, value in wanted.get("is", {}).items():
        (inner,) = [answer] if name in answer else [part for part in answer.values() if isinstance(part, dict)]
        assert inner[name] == value, answer
    if "reply_to" in wanted:
        _reply_to(run, answer, *_quoted(wanted["the"]), *_quoted(wanted["reply_to"]))


async def _asked(run: Run, wanted: Json) -> Json:
    operation, arguments = wanted["of"], wanted.get("arguments", {})
    match operation:
        case "get_replies":
            return await run.call("wait_for_reply", message_id=run.sent["message_id"], timeout=0)
        case "get_message":
            return await run.call("get_message", message_id=_the(run, wanted["the"]))
        case "GET /api/v1/events":
            return await run.place.request("GET", f"/api/v1/events?instance_id={run.instance_id}&limit=500")
        case "GET /api/v1/events/stream":
            count = run.place.one("SELECT count(*) FROM events WHERE instance_id = %s", run.instance_id)
            return {"events": await run.place.streamed(run.instance_id, count)}
        case "catch_up":
            return await run.place.call("catch_up", instance_id=run.instance_id)
        case _:
            return await run.call(operation, **arguments)


def _the(run: Run, what: str) -> str:
    """The id of the message that is meant."""
    match what:
        case "sent message" | "poll":
            return run.sent["message_id"]
        case "message":
            return str(stored(run)[-1]["id"])
        case _:
            raise AssertionError(f"{what!r} is no message that is known")


def _quoted(words: str) -> list[str]:
    return re.findall("“(.*?)”", words)


def _reply_to(run: Run, answer: Json, text: str, replied: str) -> None:
    id = next(str(row["id"]) for row in stored(run) if row["body"] == replied)
    found = [entry for entry in _entries(answer) if plain(entry["text"]) == plain(text)]
    assert found, answer
    assert [entry.get("reply_to") for entry in found] == [id] * len(found)


def _single_entries(value: Any) -> Iterable[str]:
    """The text of each entry: a text, an element of a list, or a name with its plain values."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if not isinstance(inner, dict) and not (isinstance(inner, list) and any(isinstance(one, dict) for one in inner)):
                yield plain(name) + " " + text_of(inner)
            yield from _single_entries(inner)
    elif isinstance(value, list):
        for inner in value:
            if isinstance(inner, dict):
                yield text_of(inner)
            yield from _single_entries(inner)


_CHECKS: dict[str, Callable[[Run, Any], Awaitable[None]]] = {
    "messages": _messages,
    "not_shown_anywhere": _not_shown_anywhere,
    "agent": _agent,
    "agent_hears_no_line": _agent_hears_no_line,
    "own": _own,
    "window": _window,
    "events": _events,
    "events_lack": _events_lack,
    "instance_shown": _instance_shown,
    "instance_not_shown": _instance_not_shown,
    "error_shown": _error_shown,
    "error_not_shown": _error_not_shown,
    "status": _status,
    "requests": _requests,
    "answer": _answer,
}


__all__ = ["Refused", "Statement", "chats", "check", "heard", "plain", "shows", "stored", "texts"]
