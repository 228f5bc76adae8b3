"""MCP: a tool of every row of the table, with the row's own validation, errors and output.

`MCPServer` derives schemas and validation from Python functions and ignores arguments it does not know. Here the table says it all,
so its two public methods `list_tools` and `call_tool` are answered from the table instead.
"""

import json
import logging
from collections.abc import Awaitable, Callable
from functools import cache, cached_property, partial
from typing import Any, TypeVar

import anyio
from mcp.server import MCPServer, Server, ServerRequestContext
from mcp.server.mcpserver import Audio, Context, Image
from mcp.server.mcpserver.exceptions import ToolError
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INVALID_PARAMS,
    CallToolResult,
    ContentBlock,
    GetPromptResult,
    InputRequiredResult,
    ListToolsResult,
    PaginatedRequestParams,
    Resource,
    ResourceLink,
    TextContent,
    Tool,
    ToolAnnotations,
)
from mcp_types.version import is_version_at_least

from mcp_messenger import progress
from mcp_messenger.api.mcp import at_client
from mcp_messenger.api.mcp.identity import identity
from mcp_messenger.api.mcp.next_steps import explained, explained_answer
from mcp_messenger.api.mcp.schema import input_schema, output_schema
from mcp_messenger.config import Answers, Config
from mcp_messenger.config.toolsets import chosen
from mcp_messenger.errors import ApprovalRequired, InvalidInput, ReadOnly, quoted
from mcp_messenger.operations import turns
from mcp_messenger.operations.alongside import alongside
from mcp_messenger.operations.application import App
from mcp_messenger.operations.operation import Effect, FromOthers, Operation, Output, Transport
from mcp_messenger.operations.table import BY_NAME, OPERATIONS
from mcp_messenger.operations.transcript import fenced
from mcp_messenger.operations.validation import validated
from mcp_messenger.security.caller import Caller
from providers.errors import MessengerError

log = logging.getLogger(__name__)

SOUNDS_SINCE, LINKS_SINCE = "2025-03-26", "2025-06-18"
"""Revisions of the protocol from which on an answer may hold a sound, and a link to a resource."""
NOT_AT_ITSELF = frozenset({"delete_instance"})
"""Tools that an instance's own MCP lacks: by a call without arguments, the address would take itself away."""
T = TypeVar("T")
Authenticate = Callable[[Any], Awaitable[Caller]]


def selected(config: Config, *, one_instance: bool = False) -> tuple[Operation, ...]:
    """The rows that are tools here, by toolsets and read-only. Raises InvalidInput for a toolset that does not exist."""
    wanted = chosen(config.toolsets)
    return tuple(
        row
        for row in OPERATIONS
        if Transport.MCP in row.transports
        and row.toolset in wanted
        and not (config.read_only and row.effect is not Effect.READ)
        and (not one_instance or (row.of_instance and row.name not in NOT_AT_ITSELF))
    )


class MessengerServer(MCPServer[None]):
    """The tools of one caller's reach; `instance_id` set: of the one instance it names, which no tool then takes as an argument."""

    def __init__(
        self,
        app: App,
        authenticate: Authenticate,
        *,
        instance_id: Callable[[Any], str] | None = None,
    ) -> None:
        self._app = app
        self._authenticate = at_client.named(authenticate)
        self._instance_id = instance_id
        self._turns = turns.Turns()
        super().__init__(**identity(one_instance=instance_id is not None), subscriptions=False)
        self.low.add_request_handler("tools/list", PaginatedRequestParams, self._tools_of_caller)

    @property
    def low(self) -> Server[None]:
        """For methods that have to know who asks, which the SDK's own decorators do not tell."""
        return self._lowlevel_server

    @cached_property
    def _rows(self) -> dict[str, Operation]:
        return {row.name: row for row in selected(self._app.config, one_instance=self._instance_id is not None)}

    @cached_property
    def _listed(self) -> list[Tool]:
        return [tool(row, self._app.config.answers, without_instance=self._instance_id is not None) for row in self._rows.values()]

    async def list_tools(self) -> list[Tool]:
        return self._listed

    async def _tools_of_caller(self, context: ServerRequestContext[Any, Any], params: PaginatedRequestParams) -> ListToolsResult:
        """Return the tools that the caller's key may use. Raises MCPError for a caller who may not come in."""
        try:
            caller = await self._authenticate(context)
        except MessengerError as error:
            raise MCPError(code=INVALID_PARAMS, message=error_text(error)) from error
        tools = await self.list_tools()
        return ListToolsResult(tools=[one for one in tools if caller.scopes is None or caller.may(self._rows[one.name].scope)])

    async def list_resources(self) -> list[Resource]:
        """The templates that can be read as they are. The SDK lists only resources that need not know who reads."""
        templates = [(template.uri_template.partition("{?")[0], template) for template in await self.list_resource_templates()]
        return [
            Resource(uri=uri, name=template.name, description=template.description, mime_type=template.mime_type)
            for uri, template in templates
            if "{" not in uri
        ]

    async def get_prompt(
        self, name: str, arguments: dict[str, Any] | None = None, context: Context[None, Any] | None = None
    ) -> GetPromptResult | InputRequiredResult:
        """Raises MCPError for a prompt, or arguments of one, that do not exist: the SDK takes those for a fault of the server."""
        prompts = {prompt.name: prompt for prompt in await self.list_prompts()}
        if name not in prompts:
            raise unknown(f"There is no prompt {quoted(name[:64])}.", f"Prompts: {', '.join(prompts) or 'none'}.")
        known = {argument.name: argument.required for argument in prompts[name].arguments or ()}
        given = arguments or {}
        missing = [argument for argument, is_required in known.items() if is_required and not given.get(argument)]
        if missing or given.keys() - known.keys():
            wrong = f"{', '.join(missing)} is missing" if missing else f"{quoted(', '.join(given.keys() - known.keys())[:64])} is not known"
            raise unknown(f"{name}: {wrong}.", f"It takes: {', '.join(known) or 'nothing'}.")
        return await super().get_prompt(name, arguments, context)

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[None, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """Raises MCPError for a tool that does not exist, and ToolError whose text begins with the error's code, the same as in a problem of REST."""
        turn = _turn_of(context) or self._turns.take(None)
        turns.current.set(turn)
        try:
            return await self._called(name, arguments, context, turn)
        finally:
            turn.end()

    def _after_decision(self, row: Operation, outcome: dict[str, Any]) -> CallToolResult:
        has_schema = self._app.config.answers != "lines" or not row.output.has_transcript()
        return at_client.result_of(outcome, has_schema=has_schema)

    async def _alive(self, context: Context[None, Any] | None, work: Callable[[], Awaitable[T]]) -> T:
        """Do a part of a call, and meanwhile tell a client that asked for progress what is being done, so that it does not give up."""
        if context is None or (told := progress.current.get()) is None:
            return await work()
        return await alongside(partial(_report, context, told, self._app), work)

    async def _called(
        self, name: str, arguments: dict[str, Any], context: Context[None, Any] | None, turn: turns.Turn
    ) -> CallToolResult | InputRequiredResult:
        caller: Caller | None = None
        try:
            row = self._row(name)
            progress.current.set(progress.Progress() if row.patient or _wants_progress(context) else None)
            args = self._arguments(row, arguments, context)
            turn.name(args.concerns())
            caller = await self._alive(context, lambda: self._authenticate(context))
            decided = await at_client.answered(self._app, caller, row, context)
            if decided is not None:
                return self._after_decision(row, decided)
            try:
                who = caller
                output = await self._alive(context, lambda: row.carry_out(self._app, who, args, transport=Transport.MCP))
            except ApprovalRequired as required:
                # Those behind it need not wait for a person.
                turn.end()
                asked = await at_client.asked(self._app, caller, context, required)
                return asked if isinstance(asked, InputRequiredResult) else self._after_decision(row, asked)
        except MessengerError as error:
            raise ToolError(explained(error_text(error), self._rows, self._app.config, caller)) from error
        except MCPError:
            raise
        except Exception as error:  # the transport: what broke is for the log, since a model could do nothing with it
            log.exception("tool %s broke", name)
            raise ToolError("internal_error: Something broke on the server. Its log says what; try again or tell the operator.") from error
        version = None if context is None else context.protocol_version
        return result_of(
            output, self._app.config.answers, lambda shown: explained_answer(shown, self._rows, self._app.config, caller), version=version
        )

    def _row(self, name: str) -> Operation:
        row = self._rows.get(name)
        if row is not None:
            return row
        if self._app.config.read_only and name in BY_NAME:
            raise ReadOnly(f"The tool {name} is not available: this server is read-only.")
        if name in BY_NAME:
            raise unknown(explained(f"There is no tool {quoted(name)} here.", self._rows, self._app.config, None), f"Tools: {', '.join(self._rows)}.")
        raise unknown(f"There is no tool {quoted(name[:64])}.", f"Tools: {', '.join(self._rows)}.")

    def _arguments(self, row: Operation, arguments: dict[str, Any], context: Any) -> Any:
        if self._instance_id is None:
            return validated(row, arguments)
        if "instance_id" in arguments:
            raise InvalidInput("instance_id: this server is of one instance.", hint="Leave it out.")
        return validated(row, {**arguments, "instance_id": self._instance_id(context)})


def _wants_progress(context: Context[None, Any] | None) -> bool:
    """Return whether the client sent a token for it. A client in this process sends none, and hears of what is patient all the same."""
    meta = None if context is None else context.request_context.meta
    return meta is not None and "progress_token" in meta


def _turn_of(context: Any) -> turns.Turn | None:
    """Return the place that the request took when it came in over HTTP; None over stdio, whose calls come in here in their order."""
    request = getattr(getattr(context, "request_context", None), "request", None)
    return None if request is None else request.scope.get("turn")


def unknown(detail: str, hint: str) -> MCPError:
    """Return the protocol's own error for a name that the client was never given."""
    return MCPError(code=INVALID_PARAMS, message=error_text(InvalidInput(detail, hint=hint)))


def error_text(error: MessengerError) -> str:
    return f"{error.code}: {error.detail}" + (f" {error.hint}" if error.hint else "")


def result_of(
    output: Output,
    answers: Answers = "json",
    explain: Callable[[dict[str, Any]], dict[str, Any]] = lambda shown: shown,
    *,
    version: str | None = None,
) -> CallToolResult:
    """Return the answer of a tool: lines alone where it has some, for many clients show a model both texts and fields, or the fields only.

    `explain` is given the fields, and returns them with its remarks. `version` of the protocol says which blocks the client knows.
    """
    lines = output.transcript() if answers == "lines" else None
    if lines is not None:
        return CallToolResult(content=[TextContent(type="text", text=lines)])
    shown = explain(output.shown())
    text = json.dumps(shown, ensure_ascii=False, separators=(",", ":"))
    text = fenced(text) if answers == "lines" and isinstance(output, FromOthers) else text
    content: list[ContentBlock] = [TextContent(type="text", text=text)]
    content += [Image(data=picture, format=mime.partition("/")[2]).to_image_content() for picture, mime in output.pictures()]
    if _knows(version, SOUNDS_SINCE):
        content += [Audio(data=sound, format=mime.partition("/")[2]).to_audio_content() for sound, mime in output.sounds()]
    if _knows(version, LINKS_SINCE):
        content += [ResourceLink(uri=link.uri, name=link.name, mime_type=link.mime, size=link.size) for link in output.links()]
    return CallToolResult(content=content, structured_content=shown)


def _knows(version: str | None, since: str) -> bool:
    return version is not None and is_version_at_least(version, since)


@cache
def tool(row: Operation, answers: Answers = "json", *, without_instance: bool) -> Tool:
    """Return the tool of a row, the same one each time. What answers in lines has no schema of its answer."""
    return Tool(
        name=row.name,
        description=row.summary,
        input_schema=input_schema(row, without_instance=without_instance),
        output_schema=None if answers == "lines" and row.output.has_transcript() else output_schema(row),
        annotations=ToolAnnotations(
            read_only_hint=row.effect is Effect.READ,
            destructive_hint=row.effect is Effect.DESTROY,
            idempotent_hint=row.idempotent or row.effect is Effect.READ,
            open_world_hint=row.open_world,
        ),
    )


async def _report(context: Context[None, Any], told: progress.Progress, app: App) -> None:
    """Say every few seconds what the call is doing. The figure is the seconds since it began: it has to grow with each report."""
    while True:
        await anyio.sleep(app.config.timing.progress)
        words = told.words or app.database.stage
        said = f"{words} ({told.seconds:.0f} s)" if words else f"still waiting after {told.seconds:.3g} s"
        await context.report_progress(told.seconds, message=said)
