"""Other paths and spellings for rows of the table, kept for those who learned them first."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from pydantic import Field

from mcp_messenger.app import App
from mcp_messenger.faces.rest import CallerOf, add_route, caller_of_request, endpoint
from mcp_messenger.operations.operation import Input, InstanceId, OfInstance, PlatformId
from mcp_messenger.operations.table import BY_NAME, I
from providers.models import TextFormat

Values = dict[str, Any]


class TelegramSend(OfInstance):
    chatId: PlatformId  # noqa: N815 - Telegram's spelling
    message: str = Field(min_length=1, max_length=100_000)
    parseMode: str | None = Field(default=None, pattern="^(Markdown|MarkdownV2|HTML)$")  # noqa: N815


class TelegramSendMedia(OfInstance):
    chatId: PlatformId  # noqa: N815
    source: str = Field(min_length=1, max_length=90_000_000)
    caption: str = Field(default="", max_length=100_000)


def _telegram_send(values: Values) -> Values:
    mode = values.get("parseMode")
    format = {"HTML": TextFormat.HTML, None: TextFormat.PLAIN}.get(mode, TextFormat.MARKDOWN)
    extra = {"parse_mode": mode} if mode else {}
    return {"instance_id": values["instance_id"], "to": values["chatId"], "message": values["message"], "format": format, "extra": extra}


def _telegram_media(values: Values) -> Values:
    return {"instance_id": values["instance_id"], "to": values["chatId"], "source": values["source"], "caption": values.get("caption", "")}


class MultiProviderCreate(Input):
    provider: str = Field(max_length=64)
    config: dict[str, Any] = Field(default={}, repr=False)
    user_id: str = Field(default="local", min_length=1, max_length=128)


_CONFIG_NAMES = {"clientId": "client_id", "guildId": "guild_id", "botToken": "bot_token"}
_NOT_SETTINGS = frozenset({"authStrategy", "dockerContainer"})
"""Taken and not needed: how an instance runs and logs in follows from its messenger."""


def _multi_provider_create(values: Values) -> Values:
    credentials = {_CONFIG_NAMES.get(name, name): value for name, value in values.get("config", {}).items() if name not in _NOT_SETTINGS}
    if values["provider"] == "telegram" and "bot_token" in credentials:
        credentials["token"] = credentials.pop("bot_token")
    return {"provider": values["provider"], "user_id": values.get("user_id", "local"), "credentials": credentials}


class MultiProviderSend(Input):
    provider: str = Field(max_length=64)
    instance_id: InstanceId
    to: PlatformId
    message: str = Field(min_length=1, max_length=100_000)


def _multi_provider_send(values: Values) -> Values:
    return {name: value for name, value in values.items() if name != "provider"}


@dataclass(frozen=True)
class Alias:
    """`operation` under another `path`, and with `takes` in another spelling, which `convert` turns into the row's own."""

    operation: str
    path: str
    takes: type[Input] | None = None
    convert: Callable[[Values], Values] | None = None

    @property
    def name(self) -> str:
        return f"{self.operation}__" + "_".join(part for part in self.path.replace("{", "").replace("}", "").replace("-", "_").split("/") if part)


OF_INSTANCE = (
    Alias("get_qr", f"{I}/current-qr"),
    Alias("get_auth_status", f"{I}/status"),
    Alias("get_account", f"{I}/telegram/me"),
    Alias("get_account", f"{I}/telegram/account"),
    Alias("get_auth_status", f"{I}/telegram/status"),
    Alias("list_contacts", f"{I}/telegram/contacts"),
    Alias("list_chats", f"{I}/telegram/chats"),
    Alias("get_messages", f"{I}/telegram/messages/{{chat_id}}"),
    Alias("get_recent_messages", f"{I}/telegram/recent-messages"),
    Alias("get_webhook", f"{I}/telegram/webhook"),
    Alias("set_webhook", f"{I}/telegram/webhook"),
    Alias("send_message", f"{I}/telegram/send", takes=TelegramSend, convert=_telegram_send),
    Alias("send_message", f"{I}/telegram/send-telegram-message", takes=TelegramSend, convert=_telegram_send),
    Alias("send_media", f"{I}/telegram/send-media", takes=TelegramSendMedia, convert=_telegram_media),
    Alias("start_instance", f"{I}/telegram/polling/start"),
    Alias("stop_instance", f"{I}/telegram/polling/stop"),
    Alias("get_instance_health", f"{I}/telegram/polling/status"),
)

OF_MANAGER = (
    Alias("list_instances", "/multi-provider/instances"),
    Alias("create_instance", "/multi-provider/instances", takes=MultiProviderCreate, convert=_multi_provider_create),
    Alias("delete_instance", "/multi-provider/instances/{instance_id}"),
    Alias(
        "send_message",
        "/multi-provider/instances/{provider}/{instance_id}/send-message",
        takes=MultiProviderSend,
        convert=_multi_provider_send,
    ),
)


def add_aliases(router: APIRouter, app: App) -> None:
    """On the manager: all of them."""
    caller_of = caller_of_request(app)
    for alias in (*OF_INSTANCE, *OF_MANAGER):
        _add(router, app, alias, alias.path, caller_of, None)


def add_instance_aliases(router: APIRouter, app: App, caller_of: CallerOf, instance_id: Callable[[], str]) -> None:
    """On an instance's own API: those of instances, without the instance in the path."""
    for alias in OF_INSTANCE:
        _add(router, app, alias, alias.path.removeprefix(I), caller_of, instance_id)


def _add(router: APIRouter, app: App, alias: Alias, path: str, caller_of: CallerOf, instance_id: Callable[[], str] | None) -> None:
    row = BY_NAME[alias.operation]
    run = endpoint(app, row, caller_of, path=path, instance_id=instance_id, takes=alias.takes, convert=alias.convert)
    add_route(router, path, row, run, name=alias.name)
