"""What a client is shown of each tool, and arguments as clients write them."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import jsonschema_rs
import pytest
from mcp import Client
from mcp.types import CallToolResult

from mcp_messenger.app import build
from mcp_messenger.config.environment import from_environment
from tests.cases.loading import cases
from tests.cases.place import Place, placed
from tests.mcp_clients import in_memory, over_http, text_of
from tests.running import ready_sandbox

pytestmark = pytest.mark.anyio

Json = dict[str, Any]


@pytest.fixture(scope="module")
async def place(cases_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    """With every tool."""
    async with placed(cases_database_url, tmp_path_factory.mktemp("cases"), toolsets=("all",)) as place:
        yield place


# Schemas


def _references_resolve(schema: Json) -> None:
    for reference in _references(schema):
        assert reference.startswith("#"), reference
        found: Any = schema
        for part in reference.removeprefix("#").split("/")[1:]:
            found = found[part.replace("~1", "/").replace("~0", "~")]


def _references(value: Any) -> Iterable[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)


def _compiles(schema: Json) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema_rs.Draft202012Validator(schema)


OF_SCHEMA: dict[str, Callable[[Json], None]] = {
    "every $ref points to something in the same schema": _references_resolve,
    "compiles with a strict JSON Schema validator": _compiles,
}


async def _schemas(toolsets: str, folder: Path) -> dict[str, Json]:
    """Of every tool that is shown with this value of MCP_MESSENGER_TOOLSETS; listing tools needs no store."""
    config = from_environment({"MCP_MESSENGER_DATA_DIR": str(folder), "MCP_MESSENGER_TOOLSETS": toolsets})
    async with in_memory(build(config)) as client:
        return _of_tools(await client.list_tools())


def _of_tools(listed: Any) -> dict[str, Json]:
    inputs = {f"{tool.name} input": tool.input_schema for tool in listed.tools}
    return inputs | {f"{tool.name} output": tool.output_schema for tool in listed.tools if tool.output_schema is not None}


@pytest.mark.parametrize("case", cases("tool-schemas.json", only=lambda case: "toolsets" in case["input"][0]))
async def test_schemas(tmp_path: Path, case: Json) -> None:
    (step,) = case["input"]
    assert (step.keys(), case["expect"].keys()) == ({"toolsets", "do"}, {"each_schema"})
    toolsets = step["toolsets"]
    for each in [toolsets] if isinstance(toolsets, str) else toolsets:
        schemas = await _schemas(each, tmp_path)
        assert schemas
        for name, schema in schemas.items():
            for words in case["expect"]["each_schema"]:
                try:
                    OF_SCHEMA[words](schema)
                except (KeyError, jsonschema.SchemaError, ValueError) as error:
                    raise AssertionError(f"{name}: {error!r}") from error


# Calls


@dataclass
class Called:
    """A call as a client made it, and how it was answered."""

    place: Place
    client: Client
    instance_id: str
    tool: str
    arguments: Json
    answer: CallToolResult

    @property
    def told(self) -> Json:
        assert not self.answer.is_error, text_of(self.answer)
        return self.answer.structured_content or {}

    @property
    def refusal(self) -> str:
        assert self.answer.is_error, self.answer.structured_content
        return text_of(self.answer)

    async def message(self) -> Json:
        """The message that went out."""
        return (await self.place.call("get_message", instance_id=self.instance_id, message_id=self.told["message_id"]))["message"]

    def nothing_went_out(self) -> None:
        assert self.place.rows("SELECT body FROM messages WHERE outgoing AND instance_id = %s", self.instance_id) == []


async def _valid_against_the_schema(called: Called) -> None:
    schemas = _of_tools(await called.client.list_tools())
    jsonschema.Draft202012Validator(schemas[f"{called.tool} input"]).validate(called.arguments)


async def _filters_are_shown(called: Called) -> None:
    assert called.told
    shown = await called.place.call("get_instance", instance_id=called.instance_id)
    assert shown["instance"]["api_webhook_schema"]["filters"]["allowGroups"] is False


async def _instance_is_made(called: Called) -> None:
    shown = await called.place.call("get_instance", instance_id=called.told["instance_id"])
    assert shown["instance"]["settings"]["persona"] == "human"


async def _poll_has_two_options(called: Called) -> None:
    assert (await called.message())["poll"]["options"] == ["yes", "no"]


async def _text_is_the_json(called: Called) -> None:
    assert (await called.message())["text"] == json.dumps(["yes", "no"])


async def _without_reply_and_key(called: Called) -> None:
    message = await called.message()
    assert (message["text"], message["reply_to"], message["thread_id"]) == ("hello", None, None)
    assert called.place.one("SELECT idempotency_key FROM messages WHERE id = %s", int(message["id"])) is None


async def _goes_out(called: Called) -> None:
    assert (await called.message())["text"] == "hello"


def _refused_for(argument: str) -> Callable[[Called], Awaitable[None]]:
    async def is_refused(called: Called) -> None:
        assert "invalid_input" in called.refusal
        assert argument in called.refusal
        called.nothing_went_out()

    return is_refused


STATEMENTS: dict[str, Callable[[Called], Awaitable[None]]] = {
    "the arguments are valid against the shown schema": _valid_against_the_schema,
    "the call succeeds and get_instance shows allowGroups false": _filters_are_shown,
    "the instance is made, as with the object itself": _instance_is_made,
    "the poll goes out with the two options": _poll_has_two_options,
    'the message that goes out is ["yes", "no"]': _text_is_the_json,
    "the message goes out, without a reply and without a key": _without_reply_and_key,
    "the message goes out": _goes_out,
    "invalid_input that names options; nothing goes out": _refused_for("options"),
    "invalid_input that names message; nothing goes out": _refused_for("message"),
}


@pytest.mark.parametrize("case", cases("tool-schemas.json", only=lambda case: "call" in case["input"][0]))
async def test_calls(place: Place, case: Json) -> None:
    (step,) = case["input"]
    assert (step.keys(), case["expect"].keys()) == ({"call"}, {"also"})
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(over_http(f"{place.url}/mcp"))
        instance_id = await ready_sandbox(place.app, persona="human")
        tool = step["call"]["operation"]
        given = {name: instance_id if value == "{a sandbox instance}" else value for name, value in step["call"]["arguments"].items()}
        called = Called(place, client, instance_id, tool, given, await client.call_tool(tool, given))
        for words in case["expect"]["also"]:
            await STATEMENTS[words](called)
