"""The REST surface is under review: `--inline-snapshot=fix` writes the OpenAPI document to its file."""

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from inline_snapshot import external_file
from jsonschema import Draft202012Validator

from mcp_messenger.api.http import HttpApi
from mcp_messenger.api.rest.aliases import OF_INSTANCE, OF_MANAGER, SPELLED_OF_INSTANCE, SPELLED_OF_MANAGER
from mcp_messenger.api.rest.docs import of_instance
from mcp_messenger.api.rest.document import VALUES
from mcp_messenger.app import build
from mcp_messenger.config import Config
from mcp_messenger.operations.operation import Transport
from mcp_messenger.operations.table import OPERATIONS
from mcp_messenger.operations.validation import validated

SNAPSHOT = Path(__file__).parent.parent / "snapshots" / "openapi.json"


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return json.loads(json.dumps(HttpApi(build(Config(data_dir=tmp_path_factory.mktemp("data")))).api.openapi()))


@pytest.fixture(scope="module")
def calls(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [call for methods in document["paths"].values() for call in methods.values()]


def lean(value: Any) -> Any:
    """Without the titles that FastAPI makes of the names."""
    if isinstance(value, dict):
        return {name: lean(part) for name, part in value.items() if not (name == "title" and isinstance(part, str))}
    return [lean(part) for part in value] if isinstance(value, list) else value


def test_the_surface_is_what_its_file_says(document: dict[str, Any]) -> None:
    assert lean({name: part for name, part in document.items() if name != "info"}) == external_file(SNAPSHOT)


def test_every_call_has_an_id_of_its_own(calls: list[dict[str, Any]]) -> None:
    ids = [call["operationId"] for call in calls]
    assert len(ids) == len(set(ids))
    rows = {row.name for row in OPERATIONS if Transport.REST in row.transports}
    others = {row.name for row in (*SPELLED_OF_INSTANCE, *SPELLED_OF_MANAGER)} | {alias.name for alias in (*OF_INSTANCE, *OF_MANAGER)}
    assert set(ids) == rows | others | {"stream_events", "get_media_file", "health"}


def test_every_call_says_what_it_does_and_how_it_fails(calls: list[dict[str, Any]]) -> None:
    for call in calls:
        assert call["summary"]
        if call["operationId"] != "health":
            assert set(call["responses"]["4XX"]["content"]) == {"application/problem+json"}


def test_nothing_refers_to_what_is_not_there(document: dict[str, Any]) -> None:
    referred = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))
    assert referred <= document["components"]["schemas"].keys()
    assert "Problem" in referred


@pytest.mark.anyio
async def test_the_page_of_the_documentation(url: str, document: dict[str, Any]) -> None:
    async with httpx.AsyncClient(base_url=url, trust_env=False, follow_redirects=True) as client:
        page = await client.get("/")
    assert page.url.path == "/docs"
    assert page.headers["content-type"].startswith("text/html")
    assert [path for path in document["paths"] if f"<code>{path}</code>" not in page.text] == []


def test_every_example_fits_its_schema(document: dict[str, Any], calls: list[dict[str, Any]]) -> None:
    def check(schema: dict[str, Any], value: Any) -> None:
        Draft202012Validator({**schema, "components": document["components"]}).validate(value)

    for call in calls:
        for parameter in call.get("parameters", ()):
            assert "example" in parameter or not parameter["required"], call["operationId"]
            if "example" in parameter:
                check(parameter["schema"], parameter["example"])
        bodies = [media for kind, media in call.get("requestBody", {}).get("content", {}).items() if kind == "application/json"]
        answers = [answer.get("content", {}).get("application/json") for status, answer in call["responses"].items() if status.isdecimal()]
        for media in [*bodies, *(one for one in answers if one is not None)]:
            check(media["schema"], media["example"])


def test_the_examples_of_bodies_are_taken(document: dict[str, Any], calls: list[dict[str, Any]]) -> None:
    bodies = {
        call["operationId"]: media["example"]
        for call in calls
        for media in call.get("requestBody", {}).get("content", {}).values()
        if "example" in media
    }
    for row in (*OPERATIONS, *SPELLED_OF_INSTANCE, *SPELLED_OF_MANAGER):
        if row.name in bodies:
            in_path = {name: VALUES[name] for name in row.input.model_fields if f"{{{name}}}" in row.path}
            validated(row, {**in_path, **bodies[row.name]})


def test_it_says_where_the_server_is_and_what_opens_it(tmp_path: Path) -> None:
    config = Config(data_dir=tmp_path, public_url="https://bots.example.org", port=3456)
    document = HttpApi(build(config)).api.openapi()
    assert [server["url"] for server in document["servers"]] == ["https://bots.example.org"]
    assert of_instance(document)["servers"] == [{"url": "/"}]
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    assert document["paths"]["/health"]["get"]["security"] == []


@pytest.mark.anyio
async def test_no_script_of_others_runs_on_it(url: str) -> None:
    """It would be of the same origin as the API, and could call it as the administrator."""
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        page = await client.get("/docs")
        assert (await client.get("/redoc")).status_code == 404
    policy = page.headers.get_list("content-security-policy")[0]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    for kind in ("style", "script"):
        ours = re.search(rf"<{kind}>(.*?)</{kind}>", page.text, re.DOTALL)
        assert ours is not None
        assert f"{kind}-src 'sha256-{base64.b64encode(hashlib.sha256(ours[1].encode()).digest()).decode()}'" in policy
    assert len(re.findall("<script", page.text)) == 1
    assert re.findall("<link[^>]*>", page.text) == ['<link rel="icon" href="data:,">']
    assert not re.search(r"src=|\bon\w+=", page.text)
