"""Sends a draft once, however often it is asked for."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.abc

from db.errors import StoreUnavailable
from mcp_messenger.alone import ledger
from mcp_messenger.alone.database import SpoolUnavailable
from mcp_messenger.alone.ledger import Entry, Outcome
from mcp_messenger.alone.spool import Spool
from mcp_messenger.errors import ApplicationError
from mcp_messenger.relay.port import deserialize_error, serialize_error
from providers.base import Provider
from providers.drafts import fingerprint_of, stored_draft
from providers.errors import InvalidRequest, MessengerError, Unreachable
from providers.models import Draft, SentMessage

log = logging.getLogger(__name__)

INTERRUPTED = "The program stopped while this was being sent; it may have arrived."
ANOTHER_SPOOL = "The program lost what it knew of this send; it may have arrived."


@dataclass
class _Flight:
    """A send under way, and all who wait for it."""

    fingerprint: str
    sent: SentMessage | None = None
    error: MessengerError | None = None
    done: anyio.Event = field(default_factory=anyio.Event)

    def result(self) -> SentMessage:
        if self.sent is not None:
            return self.sent
        raise self.error or Unreachable(INTERRUPTED, maybe_sent=True, hint="Look before sending it again.")


class Sends:
    def __init__(self, spool: Spool, sender: Callable[[], Provider], tasks: anyio.abc.TaskGroup) -> None:
        self._spool = spool
        self._file = spool.file
        self._sender = sender
        self._tasks = tasks
        self._flights: dict[str, _Flight] = {}
        self._unwritten: dict[str, tuple[Outcome, dict[str, Any]]] = {}

    async def send(self, draft: Draft, *, spool: str | None = None) -> SentMessage:
        """What became of the draft's client_id, now or before. Whoever asks may go away: the send comes to its end.

        `spool` names the spool that was asked before: another one does not know what that one has sent.
        Raises Unreachable(maybe_sent=True) for one that was begun and of which nobody knows; InvalidRequest where the client_id
        was used for something else.
        """
        if spool is not None and spool != await self._identity():
            raise Unreachable(ANOTHER_SPOOL, maybe_sent=True, hint="Look before sending it again.")
        fingerprint = fingerprint_of(stored_draft(draft), draft.upload)
        flight = self._flights.get(draft.client_id)
        if flight is None:
            flight = self._flights[draft.client_id] = _Flight(fingerprint)
            self._tasks.start_soon(self._fly, flight, draft)
        else:
            _require_same(flight.fingerprint, fingerprint)
        await flight.done.wait()
        return flight.result()

    async def _identity(self) -> str:
        try:
            return await self._spool.identity()
        except SpoolUnavailable as error:
            raise Unreachable(error.detail, maybe_sent=True, hint=error.hint) from error

    async def _fly(self, flight: _Flight, draft: Draft) -> None:
        try:
            flight.sent = await self._known(draft.client_id, flight.fingerprint) or await self._send(draft, flight.fingerprint)
        except MessengerError as error:
            flight.error = error
        except Exception:
            log.exception("a send broke")
        finally:
            del self._flights[draft.client_id]
            flight.done.set()

    async def _known(self, client_id: str, fingerprint: str) -> SentMessage | None:
        """What was sent before; None where nothing went out for sure."""
        await self._write_down()
        try:
            entry = await self._file.read(lambda db: ledger.entry(db, client_id))
        except SpoolUnavailable as error:
            raise Unreachable(error.detail, maybe_sent=False, hint=error.hint) from error
        if entry is None:
            return None
        _require_same(entry.fingerprint, fingerprint)
        if client_id in self._unwritten:
            outcome, answer = self._unwritten[client_id]
            entry = Entry(outcome, fingerprint, answer)
        return _sent(entry)

    async def _send(self, draft: Draft, fingerprint: str) -> SentMessage:
        provider = self._sender()
        try:
            await self._file.write(lambda db: ledger.begin(db, draft.client_id, fingerprint))
        except SpoolUnavailable as error:
            raise Unreachable(error.detail, maybe_sent=False, hint=error.hint) from error
        try:
            sent = await provider.send(draft)
        except MessengerError as error:
            error = _honest(error)
            outcome: Outcome = "unknown" if isinstance(error, Unreachable) and error.maybe_sent else "failed"
            if (echoed := await self._settle(draft.client_id, outcome, serialize_error(error))) is not None:
                return echoed
            raise error from None
        except Exception:
            log.exception("a send broke")
            error = Unreachable("Something broke while this was being sent; it may have arrived.", maybe_sent=True, hint="The log says what.")
            if (echoed := await self._settle(draft.client_id, "unknown", serialize_error(error))) is not None:
                return echoed
            raise error from None
        await self._settle(draft.client_id, "done", sent.model_dump(mode="json"))
        return sent

    async def _settle(self, client_id: str, outcome: Outcome, answer: dict[str, Any]) -> SentMessage | None:
        """The sent message where an echo has told that it went out. What cannot be written down now is remembered until it can."""
        try:
            entry = await self._file.write(lambda db: ledger.settle(db, client_id, outcome, answer))
        except SpoolUnavailable as error:
            log.warning("what became of a send cannot be written down yet: %s", error.detail)
            self._unwritten[client_id] = outcome, answer
            return None
        return SentMessage.model_validate(entry.answer) if entry.outcome == "done" else None

    async def _write_down(self) -> None:
        for client_id, (outcome, answer) in list(self._unwritten.items()):
            try:
                await self._file.write(lambda db, of=client_id, to=outcome, said=answer: ledger.settle(db, of, to, said))
            except SpoolUnavailable:
                return
            del self._unwritten[client_id]


def _honest(error: MessengerError) -> MessengerError:
    """What is ours and not the platform's tells nothing of the platform: what the provider delivered meanwhile was not taken."""
    if isinstance(error, StoreUnavailable | ApplicationError):
        return Unreachable(error.detail, maybe_sent=True, hint=error.hint)
    return error


def _sent(entry: Entry) -> SentMessage | None:
    match entry.outcome:
        case "done":
            return SentMessage.model_validate(entry.answer)
        case "failed":
            return None
        case "unknown" if entry.answer is not None:
            raise deserialize_error(entry.answer)
        case _:
            raise Unreachable(INTERRUPTED, maybe_sent=True, hint="Look before sending it again.")


def _require_same(known: str, fingerprint: str) -> None:
    if known != fingerprint:
        raise InvalidRequest("This client_id was used for another message.", hint="Take a new one for each message.")
