"""The tools, resources and prompts that the official conformance suite calls, on the MCP server of the application.

They are named and answer as the suite's descriptions of its scenarios say; everything between them and the wire is ours.
"""

import base64
import json
from collections.abc import Callable
from typing import Annotated, Any

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.prompts.base import UserMessage
from mcp.shared.exceptions import MCPError
from mcp.shared.message import ServerMessageMetadata
from mcp.types import (
    AudioContent,
    CallToolResult,
    ClientCapabilities,
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    EmbeddedResource,
    EmptyResult,
    ImageContent,
    InputRequiredResult,
    ListRootsRequest,
    LoggingMessageNotification,
    LoggingMessageNotificationParams,
    SamplingCapability,
    SamplingMessage,
    SetLevelRequestParams,
    SubscribeRequestParams,
    TextContent,
    TextResourceContents,
    Tool,
    UnsubscribeRequestParams,
)
from pydantic import BaseModel, Field

from mcp_messenger.api.mcp.server import MessengerServer

PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
SOUND = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA="
MISSING_CAPABILITY = -32021
WATCHED = "test://watched-resource"
ADDRESS = {"$anchor": "addressDef", "type": "object", "properties": {"street": {"type": "string"}, "city": {"type": "string"}}}
SCHEMA_2020_12: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {"address": ADDRESS},
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}


class ConformanceServer(MessengerServer):
    """Ours, with what the suite needs beside."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        _add_contents(self)
        _add_older(self)
        _add_questions(self)
        _add_resources(self)
        _add_prompts(self)
        self.low.add_request_handler("logging/setLevel", SetLevelRequestParams, _accepted)

    async def list_tools(self) -> list[Tool]:
        fixtures = [
            one.model_copy(update={"input_schema": SCHEMA_2020_12}) if one.name == "json_schema_2020_12_tool" else one
            for one in await super(MessengerServer, self).list_tools()
        ]
        return [*await super().list_tools(), *fixtures]

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[None, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        if any(one.name == name for one in await super(MessengerServer, self).list_tools()):
            return await super(MessengerServer, self).call_tool(name, arguments, context)
        return await super().call_tool(name, arguments, context)


def let_watch(server: MessengerServer) -> None:
    """Let clients subscribe to the suite's resource too, which is of no instance. Call it when the server is whole."""
    for method, params in (("resources/subscribe", SubscribeRequestParams), ("resources/unsubscribe", UnsubscribeRequestParams)):
        entry = server.low._request_handlers[method]

        async def handler(context: Any, params: Any, ours: Callable[..., Any] = entry.handler) -> Any:
            return EmptyResult() if params.uri == WATCHED else await ours(context, params)

        server.low.add_request_handler(method, params, handler)


async def _accepted(context: Any, params: Any) -> EmptyResult:
    return EmptyResult()


def _add_contents(server: MessengerServer) -> None:
    picture = ImageContent(type="image", data=PICTURE, mime_type="image/png")

    def embedded(uri: str, mime: str, text: str) -> EmbeddedResource:
        return EmbeddedResource(type="resource", resource=TextResourceContents(uri=uri, mime_type=mime, text=text))

    contents: dict[str, list[Any]] = {
        "test_simple_text": [TextContent(type="text", text="This is a simple text response for testing.")],
        "test_image_content": [picture],
        "test_audio_content": [AudioContent(type="audio", data=SOUND, mime_type="audio/wav")],
        "test_embedded_resource": [embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")],
        "test_multiple_content_types": [
            TextContent(type="text", text="Multiple content types test:"),
            picture,
            embedded("test://mixed-content-resource", "application/json", '{"test":"data","value":123}'),
        ],
        "test_logging_tool": [TextContent(type="text", text="nothing is logged")],
        "json_schema_2020_12_tool": [TextContent(type="text", text="ok")],
    }
    for name, content in contents.items():
        server.add_tool(_answering(content), name=name, description=f"Answer as the suite expects of {name}.")

    @server.tool(description="Take an argument that is in a header of the request too.")
    def test_x_mcp_header(region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})]) -> str:
        return region

    @server.tool(description="Fail.")
    def test_error_handling() -> str:
        raise ToolError("This tool intentionally returns an error for testing")

    @server.tool(description="Report progress.")
    async def test_tool_with_progress(ctx: Context) -> str:
        for done in (0, 50, 100):
            await ctx.report_progress(done, 100, f"Completed step {done} of 100")
        return "done"


def _answering(content: list[Any]) -> Callable[[], CallToolResult]:
    def tool() -> CallToolResult:
        return CallToolResult(content=content)

    return tool


class Answer(BaseModel):
    username: str = Field(description="User's response")
    email: str = Field(description="User's email address")


class Defaults(BaseModel):
    name: str = "John Doe"
    age: int = 30
    score: float = 95.5
    status: str = Field(default="active", json_schema_extra={"enum": ["active", "inactive", "pending"]})
    verified: bool = True


def _titled(*values: str) -> list[Any]:
    return [{"const": value, "title": value.title()} for value in values]


class Choices(BaseModel):
    untitledSingle: str = Field(json_schema_extra={"enum": ["option1", "option2", "option3"]})
    titledSingle: str = Field(json_schema_extra={"oneOf": _titled("value1", "value2", "value3")})
    legacyEnum: str = Field(json_schema_extra={"enum": ["opt1", "opt2"], "enumNames": ["Option One", "Option Two"]})
    untitledMulti: list[str] = Field(json_schema_extra={"items": {"type": "string", "enum": ["option1", "option2"]}})
    titledMulti: list[str] = Field(json_schema_extra={"items": {"anyOf": _titled("value1", "value2")}})


def _add_older(server: MessengerServer) -> None:
    """What the server asks of a client while its call waits: of the older era alone."""

    @server.tool(description="Log three lines.")
    async def test_tool_with_logging(ctx: Context) -> str:
        for words in ("Tool execution started", "Tool processing data", "Tool execution completed"):
            line = LoggingMessageNotification(params=LoggingMessageNotificationParams(level="info", data=words))
            await ctx.session.send_notification(line, related_request_id=ctx.request_id)
        return "logged"

    @server.tool(description="Ask the client's model.")
    async def test_sampling(prompt: str, ctx: Context) -> str:
        asked = [SamplingMessage(role="user", content=TextContent(type="text", text=prompt))]
        request = CreateMessageRequest(params=CreateMessageRequestParams(messages=asked, max_tokens=100))
        metadata = ServerMessageMetadata(related_request_id=ctx.request_id)
        answer: Any = await ctx.session.send_request(request, CreateMessageResult, metadata=metadata)
        return f"LLM response: {answer.content.text}"

    async def asked(ctx: Context, message: str, schema: type[BaseModel]) -> str:
        found = await ctx.elicit(message, schema)
        content = found.data.model_dump_json() if found.action == "accept" else "{}"
        return f"Elicitation completed: action={found.action}, content={content}"

    @server.tool(description="Ask the person.")
    async def test_elicitation(message: str, ctx: Context) -> str:
        return await asked(ctx, message, Answer)

    @server.tool(description="Ask with defaults.")
    async def test_elicitation_sep1034_defaults(ctx: Context) -> str:
        return await asked(ctx, "Please check", Defaults)

    @server.tool(description="Ask with choices.")
    async def test_elicitation_sep1330_enums(ctx: Context) -> str:
        return await asked(ctx, "Please choose", Choices)


def _form(message: str, name: str, type: str = "string") -> ElicitRequest:
    schema: Any = {"type": "object", "properties": {name: {"type": type}}, "required": [name]}
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


def _sample(text: str, tokens: int) -> CreateMessageRequest:
    message = SamplingMessage(role="user", content=TextContent(type="text", text=text))
    return CreateMessageRequest(params=CreateMessageRequestParams(messages=[message], max_tokens=tokens))


def _add_questions(server: MessengerServer) -> None:
    """Calls that are answered with questions: of the newer era alone."""

    name = _form("What is your name?", "name")
    questions: dict[str, dict[str, Any]] = {
        "elicitation": {"user_name": name},
        "sampling": {"capital_question": _sample("What is the capital of France?", 100)},
        "list_roots": {"client_roots": ListRootsRequest()},
        "request_state": {"confirm": _form("Please confirm", "ok", "boolean")},
        "tampered_state": {"confirm": _form("Please confirm", "ok", "boolean")},
        "multiple_inputs": {"user_name": name, "greeting": _sample("Generate a greeting", 50), "client_roots": ListRootsRequest()},
        "capabilities": {"user_name": name, "greeting": _sample("Generate a greeting", 50)},
    }
    for what, asked in questions.items():
        server.add_tool(_asking(what, asked), name=f"test_input_required_result_{what}", description=f"Ask for {', '.join(asked)}.")

    @server.tool(description="Ask twice.")
    async def test_input_required_result_multi_round(ctx: Context) -> CallToolResult | InputRequiredResult:
        given = ctx.input_responses or {}
        if ctx.request_state == "one" and "step1" in given:
            return InputRequiredResult(input_requests={"step2": _form("Step 2: What is your favorite color?", "color")}, request_state="two")
        if ctx.request_state == "two" and "step2" in given:
            return _text("both steps")
        return InputRequiredResult(input_requests={"step1": _form("Step 1: What is your name?", "name")}, request_state="one")

    @server.tool(description="Needs sampling.")
    async def test_missing_capability(ctx: Context) -> str:
        capabilities = ctx.client_capabilities
        if capabilities is None or capabilities.sampling is None:
            needed = ClientCapabilities(sampling=SamplingCapability())
            data = {"requiredCapabilities": needed.model_dump(by_alias=True, exclude_none=True)}
            raise MCPError(code=MISSING_CAPABILITY, message="The client must declare sampling.", data=data)
        return "ok"

    @server.tool(description="Ask without a request on the stream.")
    async def test_streaming_elicitation(ctx: Context) -> CallToolResult | InputRequiredResult:
        return _text("ok") if ctx.input_responses else InputRequiredResult(input_requests={"user_name": name})


def _asking(what: str, asked: dict[str, Any]) -> Callable[..., Any]:
    async def tool(ctx: Context) -> CallToolResult | InputRequiredResult:
        able = ctx.client_capabilities or ClientCapabilities()
        wanted = {
            key: request
            for key, request in asked.items()
            if what != "capabilities" or (able.sampling if isinstance(request, CreateMessageRequest) else able.elicitation) is not None
        }
        given = ctx.input_responses or {}
        if wanted.keys() <= given.keys():
            return _text(f"state-ok {json.dumps({key: str(given[key]) for key in wanted})}")
        return InputRequiredResult(input_requests=wanted, request_state=what if what in STATEFUL else None)

    return tool


STATEFUL = frozenset({"request_state", "tampered_state", "multiple_inputs"})


def _text(text: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=text)])


def _add_resources(server: MessengerServer) -> None:
    @server.resource("test://static-text", mime_type="text/plain", description="A text.")
    def text() -> str:
        return "This is the content of the static text resource."

    @server.resource("test://static-binary", mime_type="image/png", description="A picture.")
    def binary() -> bytes:
        return base64.b64decode(PICTURE)

    @server.resource("test://template/{id}/data", mime_type="application/json", description="Data of an id.")
    def template(id: str) -> str:
        return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})

    @server.resource(WATCHED, mime_type="text/plain", description="A resource that may be watched.")
    def watched() -> str:
        return "Watched resource content"


def _add_prompts(server: MessengerServer) -> None:
    @server.prompt(description="A prompt without arguments.")
    def test_simple_prompt() -> list[UserMessage]:
        return [UserMessage("This is a simple prompt for testing.")]

    @server.prompt(description="A prompt with arguments.")
    def test_prompt_with_arguments(arg1: str, arg2: str) -> list[UserMessage]:
        return [UserMessage(f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'")]

    @server.prompt(description="A prompt with a resource.")
    def test_prompt_with_embedded_resource(resourceUri: str) -> list[UserMessage]:
        contents = TextResourceContents(uri=resourceUri, mime_type="text/plain", text="Embedded resource content for testing.")
        return [UserMessage(EmbeddedResource(type="resource", resource=contents)), UserMessage("Please process the embedded resource above.")]

    @server.prompt(description="A prompt with a picture.")
    def test_prompt_with_image() -> list[UserMessage]:
        return [UserMessage(ImageContent(type="image", data=PICTURE, mime_type="image/png")), UserMessage("Please analyze the image above.")]

    @server.prompt(description="A prompt that asks first.")
    def test_input_required_result_prompt(ctx: Context) -> Any:
        if "user_context" in (ctx.input_responses or {}):
            return [UserMessage("with the context")]
        return InputRequiredResult(input_requests={"user_context": _form("What context should the prompt use?", "context")})
