"""The documentation of the REST calls as one page, on which each call can be tried.

What is generated from the calls stays English, as the document for programs is; the page around it speaks the reader's language.
"""

import json
from collections.abc import Iterator
from typing import Any

from starlette.responses import Response

from mcp_messenger.api.pages.html import Html, joined, tag
from mcp_messenger.api.pages.layout import document, respond
from providers.words import Words

Json = dict[str, Any]
SCRIPT = "docs.js"
GENERATED = "en"
"""The language of what the calls say of themselves."""
PROBLEM = "{type, title, status, code, detail, hint?, retry_after?}"


def docs_page(words: Words, openapi: Json) -> Response:
    """Return the page of an OpenAPI document: each call with its parameters, body and answer."""
    say, schemas = words.say, openapi.get("components", {}).get("schemas", {})
    tags: dict[str, list[Html]] = {}
    for path, methods in openapi["paths"].items():
        for method, call in methods.items():
            tags.setdefault(call.get("tags", ["other"])[0], []).append(_call(words, method.upper(), path, call, schemas))
    programs = tag("p", say("For programs"), ": ", tag("a", "/openapi.json", href="/openapi.json"))
    errors = tag("p", say("Errors are problems as RFC 9457 has them"), ": ", tag("code", PROBLEM))
    label = tag("label", say("Key or token, if this server wants one"), for_="key")
    key = tag("p", tag("input", id="key", type="password", autocomplete="off"))
    calls = [part for name, found in tags.items() for part in (tag("h2", name, lang=GENERATED), *found)]
    title = f"{openapi['info']['title']} {openapi['info']['version']}"
    parts = (programs, errors, tag("p", say("Open a call to try it here.")), label, key, *calls)
    return respond(document(words, title, *parts, script=SCRIPT, wide=True), script=SCRIPT)


def _call(words: Words, method: str, path: str, call: Json, schemas: Json) -> Html:
    say = words.say
    rows = [_row(one["name"], one["schema"] | one, one["in"], required=one.get("required", False)) for one in call.get("parameters", [])]
    body: list[Html] = []
    for media in call.get("requestBody", {}).get("content", {}).values():
        shape = _target(media["schema"], schemas)
        fields = shape.get("properties", {}).items()
        rows += [_row(name, field, "body", required=name in shape.get("required", ())) for name, field in fields]
        if "example" in media:
            body = [tag("p", say("For example")), tag("pre", _json(media["example"]), class_="body")]
    heads = (tag("th", one, scope="col") for one in (say("Name"), say("Where"), say("Type"), say("Meaning")))
    table = tag("table", tag("tr", *heads), *rows) if rows else None
    answers = ", ".join(f"{status} {_answer(answer)}" for status, answer in call["responses"].items() if status.isdecimal())
    summary = tag("summary", tag("b", method), tag("code", path), " ", tag("span", call.get("summary", ""), lang=GENERATED))
    described = tag("p", _with_code(call["description"]), lang=GENERATED) if call.get("description") else None
    answered = tag("p", say("Answers"), ": ", tag("span", answers, lang=GENERATED))
    return tag("details", summary, described, table, *body, answered, *_examples(call), class_="call", data_method=method, data_path=path)


def _with_code(text: str) -> Html:
    """Return a text of ours with what it has between backticks as code."""
    return joined(*(tag("code", part) if place % 2 else part for place, part in enumerate(text.split("`"))))


def _examples(call: Json) -> Iterator[Html]:
    for answer in call["responses"].values():
        for media in answer.get("content", {}).values():
            if media.get("example"):
                yield tag("pre", _json(media["example"]))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


def _row(name: str, field: Json, where: str, *, required: bool) -> Html:
    cells = (tag("code", f"{name} *" if required else name), where, _type(field), field.get("description", ""))
    example = str(field.get("example", ""))
    return tag("tr", *(tag("td", cell) for cell in cells), lang=GENERATED, data_in=where, data_name=name, data_example=example)


def _answer(answer: Json) -> str:
    return ", ".join(f"{_type(media.get('schema', {}))} ({type})" for type, media in answer.get("content", {}).items()) or "nothing"


def _target(schema: Json, schemas: Json) -> Json:
    for one in (schema, *schema.get("anyOf", ())):
        if "$ref" in one:
            return schemas[one["$ref"].rpartition("/")[2]]
    return schema


def _type(schema: Json) -> str:
    if "$ref" in schema:
        return schema["$ref"].rpartition("/")[2]
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if "anyOf" in schema:
        return " | ".join(_type(one) for one in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return schema.get("format") or schema.get("type") or "anything"
