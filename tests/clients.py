"""The clients in examples/clients, made from the OpenAPI document: `make readme` writes them, tests/test_clients.py checks them."""

import json
import keyword
import re
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcp_messenger.api.http import HttpApi
from mcp_messenger.app import build
from mcp_messenger.config import Config

Json = dict[str, Any]

ROOT = Path(__file__).parent.parent
CLIENTS = ROOT / "examples" / "clients"
REF = "#/components/schemas/"
OTHER_NAMES = re.compile(r"__|^telegram_|^multi_provider_")
"""Calls that are there for programs that learned another path first."""
STREAM = "stream_events"
MADE = "Made by `make readme` from the server's OpenAPI document; do not edit."

PYTHON = '''"""A client of mcp-messenger's REST API, in one file: copy it. It needs httpx.

{made}
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Literal, NotRequired, Self, TypedDict
from urllib.parse import quote

import httpx


class Problem(Exception):
    """The server refused: `code` is for programs, `detail` and `hint` are for people."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        self.status = status
        self.code: str = problem.get("code", "unknown")
        self.detail: str = problem.get("detail", "")
        self.hint: str | None = problem.get("hint")
        self.retry_after: float | None = problem.get("retry_after")
        super().__init__(f"{{self.code}}: {{self.detail}}")


{types}


class Messenger:
    """`key`: an API key, a user's token or the admin token; none is needed on the server's own computer, where no admin token is set."""

    def __init__(self, url: str = "http://127.0.0.1:3000", key: str | None = None, *, timeout: float = 120.0) -> None:
        headers = {{"accept": "application/json"}} | ({{"authorization": f"Bearer {{key}}"}} if key else {{}})
        self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def _ask(self, method: str, path: str, *, query: dict[str, Any] | None = None, body: dict[str, Any] | bytes | None = None) -> httpx.Response:
        given = {{name: value for name, value in (query or {{}}).items() if value is not None}}
        if isinstance(body, dict):
            answer = self._http.request(method, path, params=given, json={{name: value for name, value in body.items() if value is not None}})
        else:
            answer = self._http.request(method, path, params=given, content=body)
        if answer.is_error:
            raise Problem(answer.status_code, answer.json() if "json" in answer.headers.get("content-type", "") else {{}})
        return answer

    def events(self, after: str = "0", instance_id: str | None = None) -> Iterator[EventView]:
        """Give the event log from a cursor on, and each event as it comes. The cursor of the next call is the last event's id."""
        query = {{"after": after}} | ({{"instance_id": instance_id}} if instance_id else {{}})
        with self._http.stream("GET", "/api/v1/events/stream", params=query, timeout=httpx.Timeout(30.0)) as answer:
            if answer.is_error:
                raise Problem(answer.status_code, json.loads(answer.read()))
            kind = ""
            for line in answer.iter_lines():
                name, _, value = line.partition(":")
                kind = value.strip() if name == "event" else kind
                if name == "data" and kind == "problem":
                    raise Problem(409, json.loads(value))
                if name == "data":
                    yield json.loads(value)

{methods}
'''
TYPESCRIPT = """// A client of mcp-messenger's REST API, in one file: copy it. It needs nothing but fetch. {made}

export class Problem extends Error {{
  readonly status: number;
  readonly code: string;
  readonly hint?: string;
  constructor(status: number, problem: {{ code?: string; detail?: string; hint?: string }}) {{
    super(`${{problem.code}}: ${{problem.detail}}`);
    this.status = status;
    this.code = problem.code ?? 'unknown';
    this.hint = problem.hint;
  }}
}}

{types}

type Values = Record<string, unknown>;

/** `key`: an API key, a user's token or the admin token; none is needed on the server's own computer, where no admin token is set. */
export class Messenger {{
  readonly #url: string;
  readonly #headers: Record<string, string>;

  constructor(url = 'http://127.0.0.1:3000', key?: string) {{
    this.#url = url;
    this.#headers = {{ accept: 'application/json', ...(key ? {{ authorization: `Bearer ${{key}}` }} : {{}}) }};
  }}

  async #ask(method: string, path: string, query: Values = {{}}, body?: Values | Uint8Array): Promise<Response> {{
    const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null);
    const search = new URLSearchParams(given.map(([name, value]) => [name, String(value)]));
    const raw = body instanceof Uint8Array;
    const headers = raw || body === undefined ? this.#headers : {{ ...this.#headers, 'content-type': 'application/json' }};
    const sent = raw ? (body as BodyInit) : body === undefined ? undefined : JSON.stringify(body);
    const answer = await fetch(`${{this.#url}}${{path}}${{search.size ? `?${{search}}` : ''}}`, {{ method, headers, body: sent }});
    if (!answer.ok) throw new Problem(answer.status, await answer.json().catch(() => ({{}})));
    return answer;
  }}

{methods}
}}
"""


def document() -> Json:
    """Return the OpenAPI document of this checkout."""
    with tempfile.TemporaryDirectory() as folder:
        return json.loads(json.dumps(HttpApi(build(Config(data_dir=Path(folder)))).api.openapi()))


@dataclass(frozen=True)
class Field:
    name: str
    schema: Json
    required: bool


@dataclass(frozen=True)
class Call:
    """`answer` None: nothing; a schema without keys: bytes."""

    name: str
    method: str
    path: str
    summary: str
    tag: str
    in_path: list[Field]
    query: list[Field]
    body: list[Field]
    takes_bytes: bool
    answer: Json | None
    example: Any


def calls(openapi: Json) -> Iterator[Call]:
    """Return the calls of the document, but for other names of a call."""
    schemas = openapi["components"]["schemas"]
    for path, methods in openapi["paths"].items():
        for method, call in methods.items():
            if not OTHER_NAMES.search(call["operationId"]) and call["operationId"] != STREAM:
                yield _call(path, method, call, schemas)


def _call(path: str, method: str, call: Json, schemas: Json) -> Call:
    given = {where: [one for one in call.get("parameters", []) if one["in"] == where] for where in ("path", "query")}
    content = call.get("requestBody", {}).get("content", {})
    media = content.get("application/json", {})
    shape = _resolved(media.get("schema", {}), schemas)
    required = shape.get("required", [])
    body = [Field(name, schema, name in required) for name, schema in shape.get("properties", {}).items()]
    status = next(status for status in call["responses"] if status.isdecimal())
    answers = call["responses"][status].get("content", {})
    answer = answers.get("application/json", {}).get("schema") if "application/json" in answers else {} if answers else None
    return Call(
        name=call["operationId"],
        method=method.upper(),
        path=path,
        summary=call["summary"],
        tag=call.get("tags", ["server"])[0],
        in_path=[Field(one["name"], one["schema"], True) for one in given["path"]],
        query=[Field(one["name"], one["schema"], one.get("required", False)) for one in given["query"]],
        body=sorted(body, key=lambda field: not field.required),
        takes_bytes=bool(content) and not media,
        answer=None if answer == {"$ref": f"{REF}Nothing"} else answer,
        example=media.get("example"),
    )


def _resolved(schema: Json, schemas: Json) -> Json:
    for one in (schema, *schema.get("anyOf", ())):
        if "$ref" in one:
            return schemas[one["$ref"].removeprefix(REF)]
    return schema


def _used(openapi: Json) -> list[str]:
    """Return the names of the schemas that calls use, as they are in the document."""
    schemas = openapi["components"]["schemas"]
    wanted = {"EventView"}
    for call in calls(openapi):
        shapes = [field.schema for field in (*call.in_path, *call.query, *call.body)] + [call.answer or {}]
        wanted |= set(re.findall(rf'"{REF}(\w+)"', json.dumps(shapes)))
    while more := {name for known in wanted for name in re.findall(rf'"{REF}(\w+)"', json.dumps(schemas[known]))} - wanted:
        wanted |= more
    return sorted(wanted)


PY_TYPES = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}
TS_TYPES = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}


def _python_type(schema: Json) -> str:
    if "$ref" in schema:
        return schema["$ref"].removeprefix(REF)
    if "const" in schema or "enum" in schema:
        return f"Literal[{', '.join(json.dumps(one) for one in schema.get('enum', [schema.get('const')]))}]"
    for way in ("anyOf", "oneOf"):
        if way in schema:
            return " | ".join(dict.fromkeys(_python_type(one) for one in schema[way]))
    if schema.get("type") == "array":
        return f"list[{_python_type(schema.get('items', {}))}]"
    if schema.get("type") == "object":
        inner = schema.get("additionalProperties")
        return f"dict[str, {_python_type(inner) if isinstance(inner, dict) and inner else 'Any'}]"
    return PY_TYPES.get(schema.get("type", ""), "Any")


def _python_class(name: str, schema: Json) -> str:
    if "enum" in schema:
        return f"{name} = {_python_type(schema)}"
    required = schema.get("required", [])
    fields = {
        field: _python_type(part) if field in required else f"NotRequired[{_python_type(part)}]"
        for field, part in schema.get("properties", {}).items()
    }
    said = f'    """{_one_line(schema["description"])}"""\n' if schema.get("description") else ""
    if any(keyword.iskeyword(field) for field in fields):
        members = ", ".join(f'"{field}": {json.dumps(kind)}' for field, kind in fields.items())
        return f'{name} = TypedDict("{name}", {{{members}}})'
    lines = "".join(f"    {field}: {kind}\n" for field, kind in fields.items())
    return f"class {name}(TypedDict):\n{said}{lines or '    pass' if not said else lines}"


def _one_line(text: str) -> str:
    return textwrap.shorten(text.replace("\\", "\\\\").replace('"', "'"), 140, placeholder=" …")


def _python_method(call: Call) -> str:
    optional = [field for field in (*call.query, *call.body) if not field.required]
    required = [field for field in (*call.query, *call.body) if field.required]
    before = "".join(f", {field.name}: str" for field in call.in_path) + (", content: bytes" if call.takes_bytes else "")
    named = "".join(f", {field.name}: {_python_type(field.schema)}" for field in required)
    named += "".join(f", {field.name}: {_python_type(field.schema).removesuffix(' | None')} | None = None" for field in optional)
    path = re.sub(r"\{(\w+)\}", r"{quote(\1, safe='')}", call.path)
    asked = f'"{call.method}", {"f" if call.in_path else ""}"{path}"'
    for what, fields in (("query", call.query), ("body", call.body)):
        if fields:
            pairs = ", ".join(f'"{field.name}": {field.name}' for field in fields)
            asked += f", {what}={{{pairs}}}"
    asked += ", body=content" if call.takes_bytes else ""
    kind = "None" if call.answer is None else _python_type(call.answer) if call.answer else "bytes"
    done = {"None": f"self._ask({asked})", "bytes": f"return self._ask({asked}).content"}.get(kind, f"return self._ask({asked}).json()")
    head = f"    def {call.name}(self{before}{', *' + named if named else ''}) -> {kind}:"
    return f'{head}\n        """{_one_line(call.summary)}"""\n        {done}\n'


def python(openapi: Json) -> str:
    """Return the client for Python."""
    schemas = openapi["components"]["schemas"]
    types = "\n\n\n".join(_python_class(name, schemas[name]) for name in _used(openapi))
    text = PYTHON.format(made=MADE, types=types, methods="\n".join(_python_method(call) for call in calls(openapi)))
    ruff = [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(CLIENTS / "python" / "messenger.py"), "-"]
    return subprocess.run(ruff, cwd=ROOT, input=text, capture_output=True, text=True, check=True).stdout


def _typescript_type(schema: Json) -> str:
    if "$ref" in schema:
        return schema["$ref"].removeprefix(REF)
    if "const" in schema or "enum" in schema:
        return " | ".join(json.dumps(one) for one in schema.get("enum", [schema.get("const")]))
    for way in ("anyOf", "oneOf"):
        if way in schema:
            return " | ".join(dict.fromkeys(_typescript_type(one) for one in schema[way]))
    if schema.get("type") == "array":
        return f"Array<{_typescript_type(schema.get('items', {}))}>"
    if schema.get("type") == "object":
        inner = schema.get("additionalProperties")
        return f"Record<string, {_typescript_type(inner) if isinstance(inner, dict) and inner else 'unknown'}>"
    return TS_TYPES.get(schema.get("type", ""), "unknown")


def _members(fields: list[Field]) -> str:
    return "; ".join(f"{field.name}{'' if field.required else '?'}: {_typescript_type(field.schema)}" for field in fields)


def _typescript_class(name: str, schema: Json) -> str:
    if "enum" in schema:
        return f"export type {name} = {_typescript_type(schema)};"
    required = schema.get("required", [])
    lines = "".join(
        f"  {field}{'' if field in required else '?'}: {_typescript_type(part)};\n" for field, part in schema.get("properties", {}).items()
    )
    return f"export interface {name} {{\n{lines}}}"


def _typescript_method(call: Call) -> str:
    before = [f"{field.name}: string" for field in call.in_path] + (["content: Uint8Array"] if call.takes_bytes else [])
    fields = [*call.query, *call.body]
    if fields:
        before.append(f"given: {{ {_members(fields)} }}{'' if any(field.required for field in fields) else ' = {}'}")
    path = "`" + re.sub(r"\{(\w+)\}", r"${encodeURIComponent(\1)}", call.path) + "`"
    asked = [f"'{call.method}'", path]
    if call.takes_bytes:
        asked += ["{}", "content"]
    elif call.body:
        asked += ["{}", "given"]
    elif call.query:
        asked.append("given")
    kind = "void" if call.answer is None else _typescript_type(call.answer) if call.answer else "Uint8Array"
    ask = f"const answer = await this.#ask({', '.join(asked)});\n    return"
    if kind == "void":
        done = f"await this.#ask({', '.join(asked)});"
    else:
        done = f"{ask} new Uint8Array(await answer.arrayBuffer());" if kind == "Uint8Array" else f"{ask} (await answer.json()) as {kind};"
    return f"  /** {call.summary} */\n  async {call.name}({', '.join(before)}): Promise<{kind}> {{\n    {done}\n  }}\n"


def typescript(openapi: Json) -> str:
    """Return the client for TypeScript."""
    schemas = openapi["components"]["schemas"]
    types = "\n\n".join(_typescript_class(name, schemas[name]) for name in _used(openapi))
    return TYPESCRIPT.format(made=MADE, types=types, methods="\n".join(_typescript_method(call) for call in calls(openapi)))


def _bru(call: Call, number: int) -> str:
    url = "{{url}}" + re.sub(r"\{(\w+)\}", r":\1", call.path)
    has_body = bool(call.body)
    parts = [
        f"meta {{\n  name: {call.name}\n  type: http\n  seq: {number}\n}}",
        f"{call.method.lower()} {{\n  url: {url}\n  body: {'json' if has_body else 'none'}\n  auth: inherit\n}}",
    ]
    if call.query:
        parts.append("params:query {\n" + "".join(f"  ~{field.name}: \n" for field in call.query) + "}")
    if call.in_path:
        parts.append("params:path {\n" + "".join(f"  {field.name}: {{{{{field.name}}}}}\n" for field in call.in_path) + "}")
    if has_body:
        example = json.dumps(call.example or {}, ensure_ascii=False, indent=2)
        parts.append("body:json {\n" + textwrap.indent(example, "  ") + "\n}")
    parts.append(f"docs {{\n  {call.summary}\n}}")
    return "\n\n".join(parts) + "\n"


def bruno(openapi: Json) -> dict[str, str]:
    """Return the files of the Bruno collection by their path in it."""
    known = {field.name for call in calls(openapi) for field in call.in_path}
    variables = "".join(f"  {name}: \n" for name in sorted(known))
    files = {
        "bruno.json": json.dumps({"version": "1", "name": "mcp-messenger", "type": "collection"}, indent=2) + "\n",
        "collection.bru": "auth {\n  mode: bearer\n}\n\nauth:bearer {\n  token: {{key}}\n}\n\ndocs {\n  " + MADE + "\n}\n",
        "environments/local.bru": "vars {\n  url: http://127.0.0.1:3000\n" + variables + "}\n\nvars:secret [\n  key\n]\n",
    }
    for number, call in enumerate(calls(openapi), start=1):
        files[f"{call.tag}/{call.name}.bru"] = _bru(call, number)
    return files


def files() -> dict[Path, str]:
    """Return all files under examples/clients that are made."""
    openapi = document()
    made = {CLIENTS / "python" / "messenger.py": python(openapi), CLIENTS / "typescript" / "messenger.ts": typescript(openapi)}
    return made | {CLIENTS / "bruno" / path: text for path, text in bruno(openapi).items()}


def write() -> None:
    """Write the clients; a call that is no more leaves no file."""
    made = files()
    for path in (CLIENTS / "bruno").rglob("*.bru"):
        if path not in made:
            path.unlink()
    for path, text in made.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
