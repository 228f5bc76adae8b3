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

from mcp_messenger.api.http import HttpApi
from mcp_messenger.api.rest.aliases import OF_INSTANCE, OF_MANAGER, SPELLED_OF_INSTANCE, SPELLED_OF_MANAGER
from mcp_messenger.app import build
from mcp_messenger.config import Config
from mcp_messenger.operations.operation import Transport
from mcp_messenger.operations.table import OPERATIONS

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
    assert set(ids) == rows | others | {"stream_events", "get_media", "health"}


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


@pytest.mark.anyio
async def test_no_script_of_others_runs_on_it(url: str) -> None:
    """It would be of the same origin as the API, and could call it as the administrator."""
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        page = await client.get("/docs")
        assert (await client.get("/redoc")).status_code == 404
    policy = page.headers.get_list("content-security-policy")[0]
    style = re.search(r"<style>(.*?)</style>", page.text, re.DOTALL)
    assert style is not None
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode() in policy
    assert not re.search(r"<script|<link|src=|\bon\w+=", page.text)
