"""Has agents answer what comes in: a run for each burst of a chat, and its answer through the outbox, once.

The answer's idempotency key is made of the first delivery of its burst. Who dies before the answer is queued has the run made again; who
dies after it finds the answer there.
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import anyio
import anyio.abc

from db import agents as store
from db import deliveries, history, instances, messages, outbox
from db.agents import TARGET
from db.database import Database
from db.deliveries import Claimed
from db.errors import StoreUnavailable
from db.instances import InstanceRow
from db.messages import MessageRow
from mcp_messenger.delivery.agno import AgentOs
from mcp_messenger.delivery.guards import BOT_WINDOW, WINDOW, Quiet, Situation, judge
from mcp_messenger.delivery.outbox import Outbox
from mcp_messenger.errors import AgentFailed, IdempotencyConflict
from mcp_messenger.instances import classes
from mcp_messenger.instances.remote import Calls, RemotePort
from mcp_messenger.instances.supervisor import Supervisor
from providers.base import Provider
from providers.errors import MessengerError
from providers.models import Capability, ChatKind, Download, Draft, Media, TextFormat

log = logging.getLogger(__name__)

AT_ONCE, AT_ONCE_OF_ONE = 16, 8
POLL = 1.0
LEASE = 300.0
"""Longer than the longest run."""
FIRST_DELAY, FACTOR, LONGEST_DELAY = 5.0, 3.0, 900.0
WINDOW_HOURS = 24
"""So long a message is answered after all, where the platform names no window."""
TYPING_EVERY = 4.0
GIVE_BACK_WITHIN = 5.0
FILES_MAX, FILE_MAX = 5, 20_000_000
NEVER = 10**9


@dataclass(frozen=True)
class Burst:
    """What one run answers. `ids` are its deliveries, the first of them the head."""

    row: InstanceRow
    chat_id: str
    chat_kind: ChatKind
    ids: list[int]
    attempts: int
    messages: Sequence[MessageRow]

    @property
    def key(self) -> str:
        return f"agno:{self.ids[0]}"

    @property
    def session(self) -> str:
        return f"{self.row.id}:{self.chat_id}"


class Agents:
    def __init__(
        self,
        database: Database,
        *,
        outbox: Outbox,
        supervisor: Supervisor,
        calls: Calls,
        agent_os: AgentOs | None,
        quiet: Quiet | None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._supervisor = supervisor
        self._calls = calls
        self._agent_os = agent_os
        self._quiet = quiet
        self._now = now
        self._running = 0
        self._wake = anyio.Event()

    def wake(self) -> None:
        """There may be something to answer."""
        self._wake.set()

    async def run(self) -> None:
        """Returns at once where no AgentOS is set: what is asked waits for a process that has one."""
        if self._agent_os is None:
            return
        async with anyio.create_task_group() as runs:
            while True:
                self._wake = anyio.Event()
                try:
                    await self._claim(runs)
                except StoreUnavailable as error:
                    log.warning("questions to agents unreadable: %s", error)
                except Exception:
                    log.exception("questions to agents unreadable")
                with anyio.move_on_after(POLL):
                    await self._wake.wait()

    async def _claim(self, runs: anyio.abc.TaskGroup) -> None:
        if self._running >= AT_ONCE:
            return
        room = AT_ONCE - self._running
        claimed = await deliveries.claim(self._database, TARGET, limit=room, each=AT_ONCE_OF_ONE, busy={}, breaker=NEVER, lease=LEASE)
        for one in claimed:
            self._running += 1
            runs.start_soon(self._guarded, one)

    async def _guarded(self, claimed: Claimed) -> None:
        try:
            await self._look_at(claimed)
        except StoreUnavailable as error:
            # It stays claimed, and comes again when its time is over.
            log.warning("a question to an agent waits: %s", error)
        except Exception:
            log.exception("a question to an agent broke", extra={"instance_id": str(claimed.instance_id)})
        finally:
            self._running -= 1
            self._wake.set()

    async def _look_at(self, claimed: Claimed) -> None:
        row = await instances.get(self._database, claimed.instance_id)
        if row is None or not row.agno_enable or not row.agent_id:
            await deliveries.end(self._database, [claimed.instance_id], TARGET)
            return
        chat_id = claimed.chat_id or ""
        if await outbox.known(self._database, row.id, f"agno:{claimed.id}") is not None:
            await store.end(self._database, [claimed.id, *await store.covered(self._database, claimed.id)], "done")
            return
        asked = await store.take(self._database, row.id, chat_id, head=claimed.id, held=claimed.lease_until, lease=LEASE)
        if not asked:
            return
        ids = [one.id for one in asked]
        found = await messages.by_ids(self._database, [one.message_id for one in asked if one.message_id is not None and not one.outgoing])
        verdict = judge(
            Situation(
                burst=asked,
                messages=found,
                chat_kind=claimed.chat_kind or ChatKind.UNKNOWN,
                mode=await store.mode(self._database, row.id, chat_id),
                runs=await store.runs(self._database, row.id, chat_id, seconds=WINDOW),
                runs_in_hour=await store.runs(self._database, row.id, chat_id, seconds=BOT_WINDOW),
                quiet=self._quiet,
                now=self._now(),
            )
        )
        if verdict.pause:
            await store.set_mode(self._database, row.id, chat_id, "paused", seconds=verdict.pause, reason=verdict.skip, noticed=True)
        if verdict.skip is not None:
            await store.end(self._database, ids, "done", verdict.skip)
        elif verdict.wait:
            await store.again(self._database, ids, verdict.wait)
        else:
            kind = ChatKind(claimed.chat_kind or ChatKind.UNKNOWN)
            ordered = sorted(found, key=lambda message: message.id)
            await self._answer(Burst(row, chat_id, kind, ids, claimed.attempts, ordered))

    async def _answer(self, burst: Burst) -> None:
        cls = await classes.load(burst.row.provider)
        hours = cls.limits.reply_window_hours or WINDOW_HOURS
        if (self._now() - burst.messages[-1].sent_at).total_seconds() > hours * 3600:
            await store.end(self._database, burst.ids, "dead", f"It was not answered within {hours} h.")
            return
        try:
            text = await self._run(burst, cls)
        except AgentFailed as error:
            await self._failed(burst, error)
            return
        except anyio.get_cancelled_exc_class():
            # This process stops: another one, or the next start, has the run made again.
            with anyio.move_on_after(GIVE_BACK_WITHIN, shield=True), suppress(StoreUnavailable):
                await store.again(self._database, burst.ids, 0.0)
            raise
        if not text.strip() or await self._is_taken_over(burst):
            await store.end(self._database, burst.ids, "done", "There was nothing to say." if not text.strip() else "A person took over.")
            return
        await self._send(burst, cls, text)

    async def _is_taken_over(self, burst: Burst) -> bool:
        """While the agent was thinking."""
        mode = await store.mode(self._database, burst.row.id, burst.chat_id)
        wrote = await store.owner_wrote(self._database, burst.row.id, burst.chat_id, after=burst.messages[-1].id)
        return mode.mode != "agent" or wrote

    async def _run(self, burst: Burst, cls: type[Provider]) -> str:
        assert self._agent_os is not None
        port = self._port(burst.row.id)
        answer: str | AgentFailed = ""
        async with anyio.create_task_group() as around:
            if Capability.TYPING in cls.capabilities:
                around.start_soon(self._type, port, burst.chat_id)
            files, missing = await self._files(burst, cls, port)
            text = "\n".join([*_lines(burst), *missing])
            try:
                answer = await self._ask(burst, text, files)
            except AgentFailed as error:
                answer = error
            around.cancel_scope.cancel()
        if isinstance(answer, AgentFailed):
            raise answer
        return answer

    async def _ask(self, burst: Burst, text: str, files: Sequence[Download]) -> str:
        assert self._agent_os is not None
        agent_id = burst.row.agent_id or ""
        try:
            return await self._agent_os.run(agent_id, message=text, session=burst.session, files=files)
        except AgentFailed as error:
            if error.status != 400 or not files:
                raise
        # AgentOS refuses types of files that it does not know.
        names = ", ".join(file.name for file in files)
        return await self._agent_os.run(agent_id, message=f"{text}\n[files that could not be passed on: {names}]", session=burst.session)

    def _port(self, instance_id: UUID) -> Provider | RemotePort:
        held = self._supervisor.get(instance_id)
        return held.provider if held is not None else RemotePort(self._calls.asker(instance_id))

    async def _type(self, port: Provider | RemotePort, chat_id: str) -> None:
        """The sign goes out by itself after a few seconds on most platforms."""
        with suppress(MessengerError):
            while True:
                await port.set_typing(chat_id, True)
                await anyio.sleep(TYPING_EVERY)

    async def _files(self, burst: Burst, cls: type[Provider], port: Provider | RemotePort) -> tuple[list[Download], list[str]]:
        files: list[Download] = []
        missing: list[str] = []
        for media in [media for message in burst.messages for media in message.content.get("media", ())]:
            wanted = Media.model_validate(media)
            name = wanted.name or wanted.kind
            if Capability.DOWNLOAD not in cls.capabilities or len(files) == FILES_MAX or (wanted.size or 0) > FILE_MAX:
                missing.append(f"[a file that could not be passed on: {name}]")
                continue
            try:
                files.append(await port.download(wanted))
            except MessengerError as error:
                missing.append(f"[a file that could not be fetched: {name}: {error.detail}]")
        return files, missing

    async def _failed(self, burst: Burst, error: AgentFailed) -> None:
        delay = min(LONGEST_DELAY, FIRST_DELAY * FACTOR ** min(10, burst.attempts - 1))
        await store.again(self._database, burst.ids, delay, error.detail)
        await history.record_error(self._database, burst.row.id, error.code, error.detail)

    async def _send(self, burst: Burst, cls: type[Provider], text: str) -> None:
        last = burst.messages[-1]
        can_reply = Capability.REPLY in cls.capabilities and burst.chat_kind is not ChatKind.PRIVATE
        draft = Draft(
            client_id="0",
            chat_id=burst.chat_id,
            text=text,
            format=TextFormat.MARKDOWN if Capability.FORMATTING in cls.capabilities else TextFormat.PLAIN,
            reply_to=last.platform_id if can_reply else None,
            extra={"split": True} if cls.limits.text_unit.length(text) > cls.limits.max_text else {},
        )
        # Already there: another process answered when we took too long.
        with suppress(IdempotencyConflict):
            await self._outbox.queue(burst.row.id, draft, kind=burst.chat_kind, idempotency_key=burst.key)
        await self._supervisor.wake_outbox(burst.row.id)
        await store.end(self._database, burst.ids, "done")


def _lines(burst: Burst) -> list[str]:
    """In a group, who said it."""
    named = burst.chat_kind is not ChatKind.PRIVATE
    texts = [(message.sender_name or message.sender_id or "?", message.body or f"[{message.kind}]") for message in burst.messages]
    return [f"{name}: {text}" if named else text for name, text in texts]
