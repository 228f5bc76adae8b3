"""Other paths and spellings for rows of the table, kept for those who learned them first."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any

from pydantic import Field

from mcp_messenger.api.rest.login_page import PAGE, SVG, drawing, login_page
from mcp_messenger.api.rest.routes import PICTURE, Answer, Routes
from mcp_messenger.config.toolsets import Toolset
from mcp_messenger.errors import InvalidInput
from mcp_messenger.operations import instance_answers, instances, queueing, removal, sending
from mcp_messenger.operations.application import App
from mcp_messenger.operations.operation import REST_ONLY, Effect, Input, InstanceId, Nothing, OfInstance, Operation, Output, PlatformId
from mcp_messenger.operations.table import BY_NAME, I
from mcp_messenger.operations.validation import validated
from mcp_messenger.policy.touch import Touch
from mcp_messenger.security.caller import Caller, instance_of
from providers.models import TextFormat


@dataclass(frozen=True)
class Alias:
    """`operation` under another `path`; `media` where that path answers a picture or a page of it."""

    operation: str
    path: str
    media: str | None = None

    @property
    def name(self) -> str:
        return f"{self.operation}__" + "_".join(part for part in self.path.translate(_NOT_IN_NAMES).split("/") if part)


_NOT_IN_NAMES = str.maketrans({"{": None, "}": None, "-": "_", ".": "_"})

OF_INSTANCE = (
    Alias("get_qr", f"{I}/current-qr"),
    Alias("get_qr", f"{I}/qr.png", PICTURE),
    Alias("get_qr", f"{I}/qr.svg", SVG),
    Alias("get_auth_status", f"{I}/qr-page", PAGE),
    Alias("get_auth_status", f"{I}/status"),
    Alias("get_account", f"{I}/telegram/me"),
    Alias("get_account", f"{I}/telegram/account"),
    Alias("get_auth_status", f"{I}/telegram/status"),
    Alias("list_contacts", f"{I}/telegram/contacts"),
    Alias("list_chats", f"{I}/telegram/chats"),
    Alias("get_messages", f"{I}/telegram/messages/{{chat_id}}"),
    Alias("search_messages", f"{I}/search"),
    Alias("wait_for_messages", f"{I}/wait"),
    Alias("get_recent_messages", f"{I}/telegram/recent-messages"),
    Alias("get_webhook", f"{I}/telegram/webhook"),
    Alias("set_webhook", f"{I}/telegram/webhook"),
    Alias("start_instance", f"{I}/telegram/polling/start"),
    Alias("stop_instance", f"{I}/telegram/polling/stop"),
    Alias("get_instance_health", f"{I}/telegram/polling/status"),
)

SHOWN: dict[str, Callable[[Operation], Answer]] = {SVG: drawing, PAGE: login_page}
"""How an alias answers that is neither JSON nor the row's own picture."""

OF_MANAGER = (Alias("list_instances", "/multi-provider/instances"),)


IdempotencyKey = Annotated[str | None, Field(min_length=1, max_length=128, description="same key, same send: never sent twice")]


class TelegramSend(OfInstance):
    chatId: PlatformId  # noqa: N815 - Telegram's spelling
    message: str = Field(min_length=1, max_length=100_000)
    parseMode: str | None = Field(default=None, pattern="^(Markdown|MarkdownV2|HTML)$")  # noqa: N815
    idempotency_key: IdempotencyKey = None


def _telegram_text(args: TelegramSend) -> dict[str, Any]:
    """The text goes out as it is; Telegram reads the markup."""
    format = {"HTML": TextFormat.HTML, None: TextFormat.PLAIN}.get(args.parseMode, TextFormat.MARKDOWN)
    extra = {"parse_mode": args.parseMode} if args.parseMode else {}
    return {"to": args.chatId, "message": args.message, "format": format, "extra": extra, "idempotency_key": args.idempotency_key}


class TelegramSendMedia(OfInstance):
    chatId: PlatformId  # noqa: N815
    source: str = Field(min_length=1, max_length=90_000_000)
    caption: str = Field(default="", max_length=100_000)
    idempotency_key: IdempotencyKey = None


def _telegram_file(args: TelegramSendMedia) -> dict[str, Any]:
    return {"to": args.chatId, "source": args.source, "caption": args.caption, "idempotency_key": args.idempotency_key}


@dataclass(frozen=True)
class Spelling:
    """`operation` under another path, with arguments in another spelling; `meant` says them in its own."""

    name: str
    operation: str
    path: str
    input: type[OfInstance]
    meant: Callable[[Any], dict[str, Any]]
    summary: str

    def row(self, operation: Operation) -> Operation:
        async def run(app: Any, caller: Caller, args: OfInstance) -> Output:
            return await operation.run(app, caller, validated(operation, {"instance_id": args.instance_id, **self.meant(args)}))

        return replace(
            operation,
            name=self.name,
            path=self.path,
            input=self.input,
            run=run,
            summary=self.summary,
            transports=REST_ONLY,
            patient=False,
        )


SPELLINGS = (
    Spelling("telegram_send", "send_message", f"{I}/telegram/send", TelegramSend, _telegram_text, "Send a text."),
    Spelling(
        "telegram_send_formatted",
        "send_message",
        f"{I}/telegram/send-telegram-message",
        TelegramSend,
        _telegram_text,
        "Send a text with Telegram's markup.",
    ),
    Spelling("telegram_send_media", "send_media", f"{I}/telegram/send-media", TelegramSendMedia, _telegram_file, "Send a file."),
)
SPELLED_OF_INSTANCE = tuple(spelling.row(BY_NAME[spelling.operation]) for spelling in SPELLINGS)


class MultiProviderCreate(Input):
    """`config` holds the messenger's settings, in its own spelling or with `botToken`, `clientId` and `guildId`."""

    provider: str = Field(max_length=64)
    config: dict[str, Any] = Field(default={}, repr=False)
    user_id: str = Field(default="local", min_length=1, max_length=128)


class MultiProviderCreated(instance_answers.CreatedInstance):
    provider: str
    instanceId: str  # noqa: N815 - as those programs read it


_CONFIG_NAMES = {"clientId": "client_id", "guildId": "guild_id", "botToken": "bot_token"}
_NOT_SETTINGS = frozenset({"authStrategy", "dockerContainer"})
"""How an instance logs in follows from its messenger."""


async def multi_provider_create(app: App, caller: Caller, args: MultiProviderCreate) -> MultiProviderCreated:
    credentials = {_CONFIG_NAMES.get(name, name): value for name, value in args.config.items() if name not in _NOT_SETTINGS}
    if args.provider == "telegram" and "bot_token" in credentials:
        credentials["token"] = credentials.pop("bot_token")
    runtime = "docker" if args.config.get("dockerContainer") is True else None
    wanted = {"provider": args.provider, "user_id": args.user_id, "credentials": credentials, "runtime": runtime}
    create = validated(BY_NAME["create_instance"], wanted)
    assert isinstance(create, instances.CreateInstance)
    made = await instances.create_instance(app, caller, create)
    return MultiProviderCreated(**dict(made), provider=made.instance.provider, instanceId=made.instance_id)


class MultiProviderSend(Input):
    provider: str = Field(max_length=64)
    instance_id: InstanceId
    to: PlatformId
    message: str = Field(min_length=1, max_length=100_000)
    idempotency_key: IdempotencyKey = None


async def multi_provider_send(app: App, caller: Caller, args: MultiProviderSend) -> queueing.SendAnswer:
    row = await instance_of(app.database, caller, args.instance_id)
    if row.provider != args.provider:
        raise InvalidInput(f"provider: this instance is of {row.provider}.", hint=f"Use .../instances/{row.provider}/{row.id}/send-message.")
    send = {"instance_id": args.instance_id, "to": args.to, "message": args.message, "idempotency_key": args.idempotency_key}
    return await sending.send_message(app, caller, sending.SendMessage.model_validate(send))


# fmt: off
SPELLED_OF_MANAGER = (
    Operation("multi_provider_create", "POST", "/multi-provider/instances", MultiProviderCreate, MultiProviderCreated, multi_provider_create,
              "Make an instance.", Toolset.INSTANCES, Effect.WRITE, transports=REST_ONLY, status=201, touches=Touch.LOGIN),
    Operation("multi_provider_delete", "DELETE", "/multi-provider/instances/{instance_id}", removal.DeleteInstance, Nothing,
              removal.delete_instance, "Remove an instance; messages stay unless purge.", Toolset.INSTANCES, Effect.DESTROY,
              transports=REST_ONLY, status=204, touches=Touch.DELETE),
    Operation("multi_provider_send", "POST", "/multi-provider/instances/{provider}/{instance_id}/send-message", MultiProviderSend,
              queueing.SendAnswer, multi_provider_send, "Send a text.", Toolset.SENDING, Effect.WRITE, transports=REST_ONLY,
              touches=Touch.SEND),
)
# fmt: on


def add_aliases(routes: Routes) -> None:
    """Make routes of all other paths and spellings."""
    for alias in (*OF_INSTANCE, *OF_MANAGER):
        row = BY_NAME[alias.operation]
        answer = SHOWN[alias.media](row) if alias.media in SHOWN else None
        media = (alias.media,) if alias.media else ()
        routes.add(row, alias.path, name=alias.name, answer=answer, as_picture=alias.media == PICTURE, media=media)
    for row in (*SPELLED_OF_INSTANCE, *SPELLED_OF_MANAGER):
        routes.add(row)
