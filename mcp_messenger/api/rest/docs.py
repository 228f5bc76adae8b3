"""The documentation of the REST calls as one page, on which each call can be tried.

Its script is this server's own and in the page, and the policy lets no other run: it could call the server as its user.
"""

import base64
import hashlib
import json
from collections.abc import Iterator
from html import escape
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route

Json = dict[str, Any]

STYLE = """
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem }
h2 { margin: 2rem 0 .5rem }
summary { cursor: pointer; padding: .2rem 0 }
b { display: inline-block; min-width: 5rem }
code { font-size: .9em; overflow-wrap: anywhere }
table { border-collapse: collapse; margin: .5rem 0 1rem 1.2rem }
td, th { border: 1px solid #8888; padding: .2rem .6rem; text-align: left; vertical-align: top }
details > p, details > pre, form { margin: .3rem 0 0 1.2rem }
pre { overflow-x: auto; white-space: pre-wrap; overflow-wrap: anywhere; border: 1px solid #8888; padding: .4rem .6rem }
label { display: block; margin: .4rem 0 }
label code { display: inline-block; min-width: 10rem }
input, textarea, button { font: inherit; box-sizing: border-box; max-width: 100% }
input { width: 24rem }
textarea { display: block; width: 100%; font-family: ui-monospace, monospace }
::placeholder { color: inherit; opacity: .75 }
button { min-height: 2.5rem; padding: 0 1rem; margin: .4rem .5rem .4rem 0 }
"""
SCRIPT = """
'use strict';
const SHOWN = 200000;
const add = (parent, name, text = '') => {
  const made = document.createElement(name);
  made.textContent = text;
  return parent.appendChild(made);
};
const labelled = (form, name, where, control) => {
  const label = add(form, 'label');
  add(label, 'code', name);
  const made = add(label, control);
  made.dataset.name = name;
  made.dataset.in = where;
  made.autocomplete = 'off';
  return made;
};
const build = (call) => {
  const form = add(call, 'form');
  for (const row of call.querySelectorAll('tr[data-in]')) {
    if (row.dataset.in !== 'body') labelled(form, row.dataset.name, row.dataset.in, 'input').value = row.dataset.example || '';
  }
  const body = call.querySelector('pre.body');
  if (body) {
    const area = labelled(form, 'body', 'body', 'textarea');
    area.value = body.textContent;
    area.rows = Math.min(20, area.value.split('\\n').length + 1);
  }
  add(form, 'button', 'Send');
  const stop = add(form, 'button', 'Stop');
  stop.type = 'button';
  stop.hidden = true;
  const answer = add(form, 'pre');
  answer.setAttribute('role', 'status');
  answer.hidden = true;
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    send(call, form, answer, stop);
  });
};
const send = async (call, form, answer, stop) => {
  const query = new URLSearchParams(), headers = {}, ending = new AbortController();
  let path = call.dataset.path, body;
  for (const one of form.querySelectorAll('[data-in]')) {
    const {name, in: where} = one.dataset;
    if (where === 'path') path = path.replace(`{${name}}`, encodeURIComponent(one.value));
    else if (where === 'body') body = one.value;
    else if (one.value !== '' && where === 'query') query.append(name, one.value);
    else if (one.value !== '') headers[name] = one.value;
  }
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  const key = document.getElementById('key').value.trim();
  if (key) headers.Authorization = `Bearer ${key}`;
  answer.hidden = stop.hidden = false;
  answer.textContent = '';
  stop.onclick = () => ending.abort();
  const text = query.size ? `${path}?${query}` : path;
  try {
    const got = await fetch(text, {method: call.dataset.method, headers, body, signal: ending.signal});
    answer.textContent = `${got.status} ${got.statusText}\\n`;
    await show(got, answer);
  } catch (error) {
    answer.textContent += ending.signal.aborted ? '\\nstopped' : `\\n${error}`;
  }
  stop.hidden = true;
};
const show = async (got, answer) => {
  const type = got.headers.get('content-type') || '';
  if (!/json|text|^$/.test(type)) {
    answer.textContent += `${(await got.blob()).size} bytes of ${type}`;
  } else if (/json/.test(type)) {
    const text = await got.text();
    answer.textContent += text.length < SHOWN ? JSON.stringify(JSON.parse(text), null, 2) : text.slice(0, SHOWN);
  } else if (got.body) {
    const reader = got.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let part; !(part = await reader.read()).done && answer.textContent.length < SHOWN; ) answer.textContent += part.value;
    await reader.cancel();
  }
};
document.addEventListener('toggle', ({target}) => {
  if (target.open && target.dataset.path && !target.querySelector('form')) build(target);
}, true);
"""


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


POLICY = (
    f"default-src 'none'; style-src 'sha256-{_hash(STYLE)}'; script-src 'sha256-{_hash(SCRIPT)}'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'"
)
HEADERS = {"content-security-policy": POLICY}
API = "/api/v1/"
INSTANCE = "/api/v1/instances/{instance_id}/"


def add_docs(api: FastAPI) -> None:
    """Serve the page of all calls, and document and page of those of one instance, which its own address shows as its own."""

    async def docs(request: Request) -> HTMLResponse:
        return HTMLResponse(page(api.openapi()), headers=HEADERS)

    async def docs_of_instance(request: Request) -> HTMLResponse:
        return HTMLResponse(page(of_instance(api.openapi())), headers=HEADERS)

    async def openapi_of_instance(request: Request) -> JSONResponse:
        return JSONResponse(of_instance(api.openapi()))

    api.router.routes += [Route("/docs", docs), Route(f"{INSTANCE}docs", docs_of_instance), Route(f"{INSTANCE}openapi.json", openapi_of_instance)]


def of_instance(openapi: Json) -> Json:
    """Return the part of the OpenAPI document that one instance's address serves, with the paths that it has there."""
    return {
        **openapi,
        "servers": [{"url": "/"}],
        "webhooks": {},
        "paths": {path.replace(INSTANCE, API): calls for path, calls in _of_instance(openapi["paths"])},
    }


def _of_instance(paths: Json) -> Iterator[tuple[str, Json]]:
    for path, calls in paths.items():
        if path.startswith(INSTANCE):
            yield path, {method: {**call, "parameters": _others(call.get("parameters", []))} for method, call in calls.items()}


def _others(parameters: list[Json]) -> list[Json]:
    return [one for one in parameters if (one["in"], one["name"]) != ("path", "instance_id")]


def page(openapi: Json) -> str:
    """HTML of an OpenAPI document: each call with its parameters, body and answer."""
    schemas: Json = openapi.get("components", {}).get("schemas", {})
    tags: dict[str, list[str]] = {}
    for path, methods in openapi["paths"].items():
        for method, call in methods.items():
            tags.setdefault(call.get("tags", ["other"])[0], []).append(_call(method.upper(), path, call, schemas))
    title = escape(f"{openapi['info']['title']} {openapi['info']['version']}")
    body = "".join(f"<h2>{escape(tag)}</h2>{''.join(calls)}" for tag, calls in tags.items())
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
        f'<style>{STYLE}</style></head><body><h1>{title}</h1><p>For programs: <a href="/openapi.json">/openapi.json</a>. Errors are RFC 9457 '
        f"problems: <code>{{type, title, status, code, detail, hint?, retry_after?}}</code>.</p><p>Open a call to try it here.</p>"
        '<label><code>key or token</code><input id="key" type="password" autocomplete="off" placeholder="if this server wants one"></label>'
        f"{body}<script>{SCRIPT}</script></body></html>"
    )


def _call(method: str, path: str, call: Json, schemas: Json) -> str:
    rows = [_row(one["name"], one["schema"] | one, one.get("required", False), one["in"]) for one in call.get("parameters", [])]
    body = ""
    for media in call.get("requestBody", {}).get("content", {}).values():
        shape = _target(media["schema"], schemas)
        rows += [_row(name, field, name in shape.get("required", ()), "body") for name, field in shape.get("properties", {}).items()]
        body = f'<p>For example</p><pre class="body">{_json(media["example"])}</pre>' if "example" in media else ""
    table = f"<table><tr><th>name<th>in<th>type<th>meaning{''.join(rows)}</table>" if rows else ""
    answers = ", ".join(f"{status} {_answer(answer)}" for status, answer in call["responses"].items() if status.isdecimal())
    examples = [media["example"] for answer in call["responses"].values() for media in answer.get("content", {}).values() if "example" in media]
    answer = "".join(f"<pre>{_json(one)}</pre>" for one in examples if one)
    head = (
        f"<summary><b>{method}</b><code>{escape(path)}</code> {escape(call.get('summary', ''))}</summary><p>{escape(call.get('description', ''))}</p>"
    )
    return f'<details data-method="{method}" data-path="{escape(path)}">{head}{table}{body}<p>Answers {answers}</p>{answer}</details>'


def _json(value: Any) -> str:
    return escape(json.dumps(value, ensure_ascii=False, indent=2))


def _row(name: str, field: Json, required: bool, where: str) -> str:
    label, example = f"{escape(name)}{' *' if required else ''}", escape(str(field.get("example", "")))
    described = escape(field.get("description", ""))
    data = f'data-in="{where}" data-name="{escape(name)}" data-example="{example}"'
    return f"<tr {data}><td><code>{label}</code><td>{where}<td>{escape(_type(field))}<td>{described}"


def _answer(answer: Json) -> str:
    return escape(", ".join(f"{_type(media.get('schema', {}))} ({type})" for type, media in answer.get("content", {}).items()) or "nothing")


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
