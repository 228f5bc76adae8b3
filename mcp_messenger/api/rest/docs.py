"""The documentation of the REST calls as one page without scripts: what runs on this server's pages could call it as its user."""

import base64
import hashlib
from collections.abc import Iterator
from html import escape
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route

Json = dict[str, Any]

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color-scheme: light dark }
h2 { margin: 2rem 0 .5rem }
summary { cursor: pointer; padding: .2rem 0 }
b { display: inline-block; min-width: 4.2rem }
code { font-size: .9em; overflow-wrap: anywhere }
table { border-collapse: collapse; margin: .5rem 0 1rem 1.2rem }
td, th { border: 1px solid #8888; padding: .2rem .6rem; text-align: left; vertical-align: top }
details > p { margin: .3rem 0 0 1.2rem }
"""
STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; base-uri 'none'; form-action 'none'"
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
    return {**openapi, "webhooks": {}, "paths": {path.replace(INSTANCE, API): calls for path, calls in _of_instance(openapi["paths"])}}


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
        f"problems: <code>{{type, title, status, code, detail, hint?, retry_after?}}</code>.</p>{body}</body></html>"
    )


def _call(method: str, path: str, call: Json, schemas: Json) -> str:
    rows = [_row(one["name"], one["schema"] | one, one.get("required", False), one["in"]) for one in call.get("parameters", [])]
    for media in call.get("requestBody", {}).get("content", {}).values():
        shape = _target(media["schema"], schemas)
        rows += [_row(name, field, name in shape.get("required", ()), "body") for name, field in shape.get("properties", {}).items()]
    table = f"<table><tr><th>name<th>in<th>type<th>meaning{''.join(rows)}</table>" if rows else ""
    answers = ", ".join(f"{status} {_answer(answer)}" for status, answer in call["responses"].items() if status.isdecimal())
    return (
        f"<details><summary><b>{method}</b><code>{escape(path)}</code> {escape(call.get('summary', ''))}</summary>"
        f"{table}<p>Answers {answers}</p></details>"
    )


def _row(name: str, field: Json, required: bool, where: str) -> str:
    label = f"{escape(name)}{' *' if required else ''}"
    return f"<tr><td><code>{label}</code><td>{where}<td>{escape(_type(field))}<td>{escape(field.get('description', ''))}"


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
