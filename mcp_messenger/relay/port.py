"""The provider port over a wire: its methods by name; their arguments, answers and errors as JSON."""

import functools
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, create_model

from mcp_messenger.errors import InternalError, NotReady
from providers import errors
from providers.base import Provider
from providers.capabilities import Capability
from providers.errors import MessengerError
from providers.groups import Group, GroupChange, GroupSettings, JoinRequest, ParticipantResult
from providers.limits import SendingBudget
from providers.models import Address, ChatMarks, Contact, ControlAction, Download, Found, Media, Message, Profile, TextFormat
from providers.states import LOGGING_IN, WORKING, InstanceState
from providers.templates import Template

METHODS = frozenset(
    {
        "resolve",
        "lacking",
        "history",
        "search",
        "edit",
        "grow",
        "delete",
        "react",
        "pin_message",
        "star_message",
        "set_typing",
        "mark_read",
        "mark_chat",
        "archive_chat",
        "look_up",
        "block",
        "list_blocked",
        "update_profile",
        "post_story",
        "download",
        "list_groups",
        "create_group",
        "add_participants",
        "remove_participants",
        "set_admin",
        "update_group",
        "invite_link",
        "reset_invite_link",
        "set_group",
        "join_group",
        "list_join_requests",
        "answer_join_requests",
        "leave_group",
        "list_templates",
        "sending_budget",
        "request_pairing_code",
        "logout",
        "set_control",
        "preview",
    }
)
"""The methods of RemotePort, which a process without the instance's lease may ask for."""
RELAYED = METHODS | {"list_chats", "list_contacts", "receive_webhook"}
"""The methods that a manager may ask a relay for."""

AS_JSON = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")


@dataclass(frozen=True)
class Codec:
    """The types of a method's arguments and of its answer, which turn them into JSON and back."""

    arguments: type[BaseModel]
    answer: TypeAdapter[Any]


@functools.cache
def codec_of(method: str) -> Codec:
    """Return the codec of a method, made from its signature in Provider."""
    signature = inspect.signature(vars(Provider)[method])
    named: dict[str, Any] = {
        name: (one.annotation, ... if one.default is inspect.Parameter.empty else one.default)
        for name, one in signature.parameters.items()
        if name != "self"
    }
    return Codec(create_model(method, __config__=AS_JSON, **named), TypeAdapter(signature.return_annotation))


def method_of(provider: Provider, method: str) -> Callable[..., Awaitable[Any]]:
    """Return the provider's method, which is one of RELAYED."""
    return getattr(provider, method)


def states_for(method: str) -> frozenset[InstanceState]:
    """Return the states in which the method can be called."""
    match method:
        case "receive_webhook":
            return frozenset(InstanceState)
        case "request_pairing_code":
            return LOGGING_IN
        case "logout":
            return WORKING | LOGGING_IN
        case _:
            return WORKING


Ask = Callable[[str, dict[str, Any]], Awaitable[Any]]
"""Calls a method by its name, with its arguments by name."""


class RemotePort:
    """The provider port of an instance that runs elsewhere: Provider's methods with the same errors, each one asked for over there."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def resolve(self, to: str) -> Address:
        return await self._ask("resolve", {"to": to})

    async def lacking(self) -> Mapping[Capability, str]:
        return await self._ask("lacking", {})

    async def history(self, chat_id: str, *, before: str | None, limit: int) -> Sequence[Message]:
        return await self._ask("history", {"chat_id": chat_id, "before": before, "limit": limit})

    async def search(self, query: str, *, chat_id: str | None, limit: int) -> Sequence[Found]:
        return await self._ask("search", {"query": query, "chat_id": chat_id, "limit": limit})

    async def edit(self, chat_id: str, message_id: str, text: str, format: TextFormat) -> None:
        await self._ask("edit", {"chat_id": chat_id, "message_id": message_id, "text": text, "format": format})

    async def grow(self, chat_id: str, message_id: str, text: str, format: TextFormat, *, is_whole: bool) -> None:
        arguments = {"chat_id": chat_id, "message_id": message_id, "text": text, "format": format, "is_whole": is_whole}
        await self._ask("grow", arguments)

    async def delete(self, chat_id: str, message_id: str) -> None:
        await self._ask("delete", {"chat_id": chat_id, "message_id": message_id})

    async def react(self, chat_id: str, message_id: str, emoji: str | None) -> None:
        await self._ask("react", {"chat_id": chat_id, "message_id": message_id, "emoji": emoji})

    async def pin_message(self, chat_id: str, message_id: str, pinned: bool) -> None:
        await self._ask("pin_message", {"chat_id": chat_id, "message_id": message_id, "pinned": pinned})

    async def star_message(self, chat_id: str, message_id: str, starred: bool) -> None:
        await self._ask("star_message", {"chat_id": chat_id, "message_id": message_id, "starred": starred})

    async def set_typing(self, chat_id: str, typing: bool, message_id: str | None = None) -> None:
        await self._ask("set_typing", {"chat_id": chat_id, "typing": typing, "message_id": message_id})

    async def mark_read(self, chat_id: str, message_id: str) -> None:
        await self._ask("mark_read", {"chat_id": chat_id, "message_id": message_id})

    async def mark_chat(self, chat_id: str, marks: ChatMarks) -> None:
        await self._ask("mark_chat", {"chat_id": chat_id, "marks": marks})

    async def archive_chat(self, chat_id: str, archived: bool) -> None:
        await self._ask("archive_chat", {"chat_id": chat_id, "archived": archived})

    async def look_up(self, phone: str) -> Contact | None:
        return await self._ask("look_up", {"phone": phone})

    async def block(self, contact_id: str, blocked: bool) -> None:
        await self._ask("block", {"contact_id": contact_id, "blocked": blocked})

    async def list_blocked(self) -> Sequence[str]:
        return await self._ask("list_blocked", {})

    async def update_profile(self, profile: Profile) -> None:
        await self._ask("update_profile", {"profile": profile})

    async def post_story(self, text: str) -> str:
        return await self._ask("post_story", {"text": text})

    async def download(self, media: Media) -> Download:
        return await self._ask("download", {"media": media})

    async def logout(self) -> None:
        await self._ask("logout", {})

    async def list_groups(self) -> Sequence[Group]:
        return await self._ask("list_groups", {})

    async def create_group(self, title: str, participants: Sequence[str]) -> GroupChange:
        return await self._ask("create_group", {"title": title, "participants": participants})

    async def add_participants(self, group_id: str, participants: Sequence[str]) -> GroupChange:
        return await self._ask("add_participants", {"group_id": group_id, "participants": participants})

    async def remove_participants(self, group_id: str, participants: Sequence[str]) -> GroupChange:
        return await self._ask("remove_participants", {"group_id": group_id, "participants": participants})

    async def set_admin(self, group_id: str, participants: Sequence[str], admin: bool) -> GroupChange:
        return await self._ask("set_admin", {"group_id": group_id, "participants": participants, "admin": admin})

    async def update_group(self, group_id: str, title: str | None, description: str | None) -> Group:
        return await self._ask("update_group", {"group_id": group_id, "title": title, "description": description})

    async def invite_link(self, group_id: str) -> str:
        return await self._ask("invite_link", {"group_id": group_id})

    async def reset_invite_link(self, group_id: str) -> str:
        return await self._ask("reset_invite_link", {"group_id": group_id})

    async def set_group(self, group_id: str, settings: GroupSettings) -> None:
        await self._ask("set_group", {"group_id": group_id, "settings": settings})

    async def join_group(self, link: str) -> Group:
        return await self._ask("join_group", {"link": link})

    async def list_join_requests(self, group_id: str) -> Sequence[JoinRequest]:
        return await self._ask("list_join_requests", {"group_id": group_id})

    async def answer_join_requests(self, group_id: str, people: Sequence[str], admit: bool) -> Sequence[ParticipantResult]:
        return await self._ask("answer_join_requests", {"group_id": group_id, "people": people, "admit": admit})

    async def leave_group(self, group_id: str) -> None:
        await self._ask("leave_group", {"group_id": group_id})

    async def list_templates(self) -> Sequence[Template]:
        return await self._ask("list_templates", {})

    async def sending_budget(self) -> SendingBudget:
        return await self._ask("sending_budget", {})

    async def request_pairing_code(self, phone: str) -> str:
        return await self._ask("request_pairing_code", {"phone": phone})

    async def preview(self, chat_id: str, text: str, *, number: int, thread_id: str | None = None) -> None:
        await self._ask("preview", {"chat_id": chat_id, "text": text, "number": number, "thread_id": thread_id})

    async def set_control(self, chat_id: str, action: ControlAction, app_id: str | None = None, note: str | None = None) -> None:
        await self._ask("set_control", {"chat_id": chat_id, "action": action, "app_id": app_id, "note": note})


OF_ERRORS = ("retry_after", "of_chat", "maybe_sent", "provider", "capability", "state")
PLAIN = (errors.NotFound, errors.Forbidden, errors.InvalidRequest, errors.WindowClosed, errors.Rejected, errors.LoggedOut)


def serialize_error(error: MessengerError) -> dict[str, Any]:
    """Return the error as JSON."""
    return {"code": error.code, "detail": error.detail, "hint": error.hint} | {name: vars(error)[name] for name in OF_ERRORS if name in vars(error)}


def deserialize_error(data: dict[str, Any]) -> MessengerError:
    """Return the error that `serialize_error` was given; InternalError for a kind that no provider raises."""
    detail, hint = data["detail"], data["hint"]
    match data["code"]:
        case errors.RateLimited.code:
            return errors.RateLimited(data["retry_after"], detail, of_chat=data.get("of_chat", False))
        case errors.Unreachable.code:
            return errors.Unreachable(detail, maybe_sent=data["maybe_sent"], hint=hint)
        case errors.Unsupported.code:
            return errors.Unsupported(data["provider"], data["capability"], hint=hint)
        case NotReady.code:
            return NotReady("", InstanceState(data["state"]), detail, hint=hint)
        case code:
            return next((cls for cls in PLAIN if cls.code == code), InternalError)(detail, hint=hint)
