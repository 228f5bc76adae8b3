"""Calls of an instance from a process without its lease: each is a row, and the process that runs the instance carries it out."""

import json
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import anyio
import anyio.abc

from db import calls
from db.database import Database
from db.events import EventRow
from mcp_messenger.delivery.feed import Feed, Listener
from mcp_messenger.delivery.inbound import Inbound
from mcp_messenger.delivery.own_changes import OwnChanges, store_deletion, store_edit
from mcp_messenger.delivery.owned_instance import OwnedInstance
from mcp_messenger.errors import InternalError, NotReady
from mcp_messenger.instances.supervisor import Supervisor
from mcp_messenger.observability.workers import Workers
from mcp_messenger.relay.port import Ask, codec_of, deserialize_error, method_of, serialize_error, states_for
from providers import errors
from providers.errors import MessengerError
from providers.models import TextFormat
from providers.states import COMING, InstanceState

ANSWER_WITHIN = 60.0
WITHDRAW_WITHIN = 5.0
UNDECIDED = COMING | {InstanceState.CREATED, InstanceState.STOPPED}
"""States in which a call is left for later."""
STORED = "stored"
"""Beside a call's arguments: the owner shall store the change too. In its answer: it has. Owners of earlier versions do neither."""


class Calls(Listener):
    """Asks other processes, and carries out the calls that they ask for."""

    def __init__(self, database: Database, feed: Feed, supervisor: Supervisor, inbound: Inbound, workers: Workers, *, claim_within: float) -> None:
        self._database = database
        self._inbound = inbound
        self._own_changes = OwnChanges(inbound)
        self._worker = workers.worker("calls")
        self._feed = feed
        self._supervisor = supervisor
        self._claim_within = claim_within
        self._asked = anyio.Event()
        self._answered: dict[str, anyio.Event] = {}

    def wake(self, call_id: str) -> None:
        """Wake the caller of this call; for a call of another process, look for calls to carry out."""
        self._answered.get(call_id, self._asked).set()

    def instance_changed(self, instance_id: UUID, rows: list[EventRow]) -> None:
        """Look for the calls that an instance was asked while it was about to run here."""
        if any(row.type == "state" for row in rows) and self._supervisor.get(instance_id) is not None:
            self._asked.set()

    async def run(self) -> None:
        """Carry out the calls of the instances that this process owns, until cancelled."""
        async with anyio.create_task_group() as group:
            await self._worker.keep(partial(self._claim, group), self._until_asked)

    async def _claim(self, group: anyio.abc.TaskGroup) -> None:
        settled = {id: owned for id, owned in self._supervisor.owned.items() if owned.provider.state.state not in UNDECIDED}
        for call in await calls.claim(self._database, {id: owned.epoch for id, owned in settled.items()}) if settled else ():
            group.start_soon(self._do, settled[call.instance_id], call)

    async def _until_asked(self) -> None:
        with anyio.move_on_after(self._feed.poll_every):
            await self._asked.wait()
        self._asked = anyio.Event()

    async def _do(self, owned: OwnedInstance, call: calls.Call) -> None:
        with self._worker.contained(instance_id=str(call.instance_id)):
            await calls.answer(self._database, call.id, **await self._outcome_of(owned, call))

    async def _outcome_of(self, owned: OwnedInstance, call: calls.Call) -> dict[str, Any]:
        outcome: dict[str, Any] = {}
        with self._worker.contained(instance_id=str(call.instance_id)) as contained:
            try:
                outcome = {"result": await self._result_of(owned, call)}
            except MessengerError as error:
                outcome = {"error": serialize_error(error)}
        return outcome if contained.error is None else {"error": serialize_error(InternalError())}

    async def _result_of(self, owned: OwnedInstance, call: calls.Call) -> Any:
        now = owned.provider.state
        if now.state not in states_for(call.method):
            raise NotReady(str(call.instance_id), now.state, reason=now.reason)
        codec = codec_of(call.method)
        arguments = dict(codec.arguments.model_validate_json(call.args))
        if STORED in json.loads(call.args):
            change = self._own_changes.edit if call.method == "edit" else self._own_changes.delete
            await change(owned, **arguments)
            return {STORED: True}
        answer = await method_of(owned.provider, call.method)(**arguments)
        return codec.answer.dump_python(answer, mode="json", exclude_defaults=True)

    async def edit(self, instance_id: UUID, chat_id: str, message_id: str, text: str, format: TextFormat) -> None:
        """Edit our own message where the instance runs, and store it. Raises as `ask` does."""
        owned = self._supervisor.get(instance_id)
        if owned is not None:
            await self._own_changes.edit(owned, chat_id, message_id, text, format)
        elif not await self._asked_to_store(instance_id, "edit", chat_id=chat_id, message_id=message_id, text=text, format=format):
            await store_edit(self._inbound, instance_id, chat_id, message_id, text)

    async def delete(self, instance_id: UUID, chat_id: str, message_id: str) -> None:
        """Delete a message where the instance runs, and store that. Raises as `ask` does."""
        owned = self._supervisor.get(instance_id)
        if owned is not None:
            await self._own_changes.delete(owned, chat_id, message_id)
        elif not await self._asked_to_store(instance_id, "delete", chat_id=chat_id, message_id=message_id):
            await store_deletion(self._inbound, instance_id, chat_id, message_id)

    async def _asked_to_store(self, instance_id: UUID, method: str, **arguments: Any) -> bool:
        """Return whether the owner has stored the change, and not only made it."""
        answer = await self._outcome(instance_id, method, codec_of(method).arguments(**arguments).model_dump(mode="json") | {STORED: True})
        return answer is not None and bool(json.loads(answer))

    def asker(self, instance_id: UUID) -> "Ask":
        return partial(self.ask, instance_id)

    async def ask(self, instance_id: UUID, method: str, arguments: dict[str, Any]) -> Any:
        """Call the method where the instance runs, and return its answer.

        Raises the method's errors, and Unreachable if no process takes the call on or the one that did goes away.
        """
        codec = codec_of(method)
        answer = await self._outcome(instance_id, method, codec.arguments(**arguments).model_dump(mode="json"))
        return codec.answer.validate_json(answer or "null", extra="ignore")

    async def _outcome(self, instance_id: UUID, method: str, arguments: dict[str, Any]) -> str | None:
        call_id = uuid4()
        await calls.ask(self._database, call_id, instance_id, method, arguments)
        may_be_done = True
        try:
            outcome = await self._wait(call_id)
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(WITHDRAW_WITHIN):
                may_be_done = await calls.withdraw(self._database, call_id)
        if outcome is None:
            detail = (
                "The process that runs the instance did not answer." if may_be_done else "No process took this on: the instance runs nowhere now."
            )
            hint = "It may have been done; look before doing it again." if may_be_done else "Nothing was done; try again in a moment."
            raise errors.Unreachable(detail, maybe_sent=may_be_done, hint=hint)
        if outcome.error is not None:
            raise deserialize_error(outcome.error)
        return outcome.result

    async def _wait(self, call_id: UUID) -> calls.Outcome | None:
        began = anyio.current_time()
        try:
            while True:
                answered = self._answered[str(call_id)] = anyio.Event()
                outcome = await calls.outcome(self._database, call_id)
                if outcome is None or outcome.done:
                    return outcome
                patience = self._claim_within if not outcome.claimed else ANSWER_WITHIN if outcome.alive else 0.0
                left = began + patience - anyio.current_time()
                if left <= 0:
                    return None
                with anyio.move_on_after(min(left, self._feed.poll_every)):
                    await answered.wait()
        finally:
            del self._answered[str(call_id)]
