"""What a process without the lease asks of an instance: it becomes a row, and the process that runs the instance does it."""

import functools
import inspect
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import anyio
from pydantic import BaseModel, ConfigDict, TypeAdapter, create_model

from db import calls
from db.database import Database
from db.errors import StoreUnavailable
from db.events import EventRow
from mcp_messenger.delivery.feed import Feed, Listener
from mcp_messenger.errors import InternalError, NotReady
from mcp_messenger.instances.held import COMING, LOGGING_IN, WORKING, Held
from mcp_messenger.instances.supervisor import Supervisor
from providers import errors
from providers.base import Provider
from providers.errors import MessengerError
from providers.models import Download, Group, GroupChange, InstanceState, Media, Message, SendingBudget, Template, TextFormat

log = logging.getLogger(__name__)

ANSWER_WITHIN = 60.0
WITHDRAW_WITHIN = 5.0
UNDECIDED = COMING | {InstanceState.CREATED, InstanceState.STOPPED}
"""States in which a call is left for later."""

METHODS: dict[str, Callable[[Provider], Callable[..., Awaitable[Any]]]] = {
    "history": lambda provider: provider.history,
    "edit": lambda provider: provider.edit,
    "delete": lambda provider: provider.delete,
    "react": lambda provider: provider.react,
    "set_typing": lambda provider: provider.set_typing,
    "mark_read": lambda provider: provider.mark_read,
    "download": lambda provider: provider.download,
    "list_groups": lambda provider: provider.list_groups,
    "create_group": lambda provider: provider.create_group,
    "add_participants": lambda provider: provider.add_participants,
    "remove_participants": lambda provider: provider.remove_participants,
    "set_admin": lambda provider: provider.set_admin,
    "update_group": lambda provider: provider.update_group,
    "invite_link": lambda provider: provider.invite_link,
    "leave_group": lambda provider: provider.leave_group,
    "list_templates": lambda provider: provider.list_templates,
    "sending_budget": lambda provider: provider.sending_budget,
    "request_pairing_code": lambda provider: provider.request_pairing_code,
}
"""Those of RemotePort."""


AS_JSON = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")


@dataclass(frozen=True)
class Codec:
    """A method's arguments and its answer as JSON."""

    arguments: type[BaseModel]
    answer: TypeAdapter[Any]


@functools.cache
def codec_of(method: str) -> Codec:
    """By the signature in Provider."""
    signature = inspect.signature(vars(Provider)[method])
    named: dict[str, Any] = {name: (one.annotation, ...) for name, one in signature.parameters.items() if name != "self"}
    return Codec(create_model(method, __config__=AS_JSON, **named), TypeAdapter(signature.return_annotation))


class Calls(Listener):
    """Both sides: asks what other processes are to do, and does what they ask."""

    def __init__(self, database: Database, feed: Feed, supervisor: Supervisor) -> None:
        self._database = database
        self._feed = feed
        self._supervisor = supervisor
        self._asked = anyio.Event()
        self._answered: dict[str, anyio.Event] = {}

    def wake(self, call_id: str) -> None:
        """A call was answered; or, where it is none of ours, something may be asked of us."""
        self._answered.get(call_id, self._asked).set()

    def instance_changed(self, instance_id: UUID, rows: list[EventRow]) -> None:
        """An instance that begins to run here may have been asked something meanwhile."""
        if any(row.type == "state" for row in rows) and self._supervisor.get(instance_id) is not None:
            self._asked.set()

    async def run(self) -> None:
        """Do what is asked of the instances that this process holds, until cancelled."""
        async with anyio.create_task_group() as group:
            while True:
                settled = {id: held for id, held in self._supervisor.held.items() if held.provider.state.state not in UNDECIDED}
                try:
                    for call in await calls.claim(self._database, {id: held.epoch for id, held in settled.items()}) if settled else ():
                        group.start_soon(self._do, settled[call.instance_id], call)
                except StoreUnavailable as error:
                    log.warning("calls unreadable: %s", error)
                except Exception:
                    # A statement that was cancelled, or the like: the next one may succeed.
                    log.exception("calls unreadable")
                with anyio.move_on_after(self._feed.poll_every):
                    await self._asked.wait()
                self._asked = anyio.Event()

    async def _do(self, held: Held, call: calls.Call) -> None:
        try:
            await calls.answer(self._database, call.id, **await self._outcome_of(held, call))
        except StoreUnavailable as error:
            log.warning("a call was not answered: %s", error, extra={"instance_id": str(call.instance_id)})

    async def _outcome_of(self, held: Held, call: calls.Call) -> dict[str, Any]:
        state = held.provider.state.state
        try:
            if state not in (LOGGING_IN if call.method == "request_pairing_code" else WORKING):
                raise NotReady(str(call.instance_id), state)
            codec = codec_of(call.method)
            arguments = dict(codec.arguments.model_validate_json(call.args))
            answer = await METHODS[call.method](held.provider)(**arguments)
            return {"result": codec.answer.dump_python(answer, mode="json")}
        except MessengerError as error:
            return {"error": told(error)}
        except Exception:
            log.exception("call failed", extra={"instance_id": str(call.instance_id)})
            return {"error": told(InternalError())}

    def asker(self, instance_id: UUID) -> "Ask":
        return functools.partial(self.ask, instance_id)

    async def ask(self, instance_id: UUID, method: str, arguments: dict[str, Any]) -> Any:
        """Raises what the method raised there, and Unreachable when nobody does it or the one who does it goes away."""
        codec, call_id = codec_of(method), uuid4()
        await calls.ask(self._database, call_id, instance_id, method, codec.arguments(**arguments).model_dump(mode="json"))
        begun = True
        try:
            outcome = await self._wait(call_id)
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(WITHDRAW_WITHIN):
                begun = await calls.withdraw(self._database, call_id)
        if outcome is None:
            detail = "The process that runs the instance did not answer." if begun else "No process took this on: the instance runs nowhere now."
            hint = "It may have been done; look before doing it again." if begun else "Nothing was done; try again in a moment."
            raise errors.Unreachable(detail, maybe_sent=begun, hint=hint)
        if outcome.error is not None:
            raise raised(outcome.error)
        return codec.answer.validate_json(outcome.result or "null")

    async def _wait(self, call_id: UUID) -> calls.Outcome | None:
        began = anyio.current_time()
        try:
            while True:
                answered = self._answered[str(call_id)] = anyio.Event()
                outcome = await calls.outcome(self._database, call_id)
                if outcome is None or outcome.done:
                    return outcome
                patience = calls.CLAIM_WITHIN if not outcome.claimed else ANSWER_WITHIN if outcome.alive else 0.0
                left = began + patience - anyio.current_time()
                if left <= 0:
                    return None
                with anyio.move_on_after(min(left, self._feed.poll_every)):
                    await answered.wait()
        finally:
            del self._answered[str(call_id)]


Ask = Callable[[str, dict[str, Any]], Awaitable[Any]]
"""A method's name and its arguments by name."""


class RemotePort:
    """The port of an instance that runs elsewhere: the same methods as Provider's, with the same errors, each of them asked for."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def history(self, chat_id: str, *, before: str | None, limit: int) -> Sequence[Message]:
        return await self._ask("history", {"chat_id": chat_id, "before": before, "limit": limit})

    async def edit(self, chat_id: str, message_id: str, text: str, format: TextFormat) -> None:
        await self._ask("edit", {"chat_id": chat_id, "message_id": message_id, "text": text, "format": format})

    async def delete(self, chat_id: str, message_id: str) -> None:
        await self._ask("delete", {"chat_id": chat_id, "message_id": message_id})

    async def react(self, chat_id: str, message_id: str, emoji: str | None) -> None:
        await self._ask("react", {"chat_id": chat_id, "message_id": message_id, "emoji": emoji})

    async def set_typing(self, chat_id: str, typing: bool) -> None:
        await self._ask("set_typing", {"chat_id": chat_id, "typing": typing})

    async def mark_read(self, chat_id: str, message_id: str) -> None:
        await self._ask("mark_read", {"chat_id": chat_id, "message_id": message_id})

    async def download(self, media: Media) -> Download:
        return await self._ask("download", {"media": media})

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

    async def leave_group(self, group_id: str) -> None:
        await self._ask("leave_group", {"group_id": group_id})

    async def list_templates(self) -> Sequence[Template]:
        return await self._ask("list_templates", {})

    async def sending_budget(self) -> SendingBudget:
        return await self._ask("sending_budget", {})

    async def request_pairing_code(self, phone: str) -> str:
        return await self._ask("request_pairing_code", {"phone": phone})


OF_ERRORS = ("retry_after", "maybe_sent", "provider", "capability", "state")
PLAIN = (errors.NotFound, errors.Forbidden, errors.InvalidRequest, errors.WindowClosed, errors.Rejected, errors.LoggedOut)


def told(error: MessengerError) -> dict[str, Any]:
    """An error as JSON."""
    return {"code": error.code, "detail": error.detail, "hint": error.hint} | {name: vars(error)[name] for name in OF_ERRORS if name in vars(error)}


def raised(told: dict[str, Any]) -> MessengerError:
    """The error that `told` made this of; InternalError where it is of a kind that no provider raises."""
    detail, hint = told["detail"], told["hint"]
    match told["code"]:
        case errors.RateLimited.code:
            return errors.RateLimited(told["retry_after"], detail)
        case errors.Unreachable.code:
            return errors.Unreachable(detail, maybe_sent=told["maybe_sent"], hint=hint)
        case errors.Unsupported.code:
            return errors.Unsupported(told["provider"], told["capability"], hint=hint)
        case NotReady.code:
            return NotReady("", InstanceState(told["state"]), detail, hint=hint)
        case code:
            return next((cls for cls in PLAIN if cls.code == code), InternalError)(detail, hint=hint)
