"""Sends a draft once, however often it is asked for."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.abc

from mcp_messenger.errors import ApplicationError
from mcp_messenger.relay import send_ledger
from mcp_messenger.relay.port import deserialize_error, serialize_error
from mcp_messenger.relay.send_ledger import Entry, Outcome
from mcp_messenger.relay.spool import Spool
from mcp_messenger.relay.spool_file import SpoolUnavailable
from providers.base import Provider
from providers.drafts import fingerprint_of, stored_draft
from providers.errors import InvalidRequest, MessengerError, Unreachable
from providers.models import Draft, SentMessage

log = logging.getLogger(__name__)

INTERRUPTED = "The relay stopped while this was being sent; it may have arrived."
ANOTHER_SPOOL = "The relay's ledger of this send is gone; it may have arrived."


@dataclass
class _Flight:
    """A send in flight, shared by everybody who asks for it."""

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
        """`sender` returns the provider to send with, or raises Unreachable(maybe_sent=False)."""
        self._spool = spool
        self._file = spool.file
        self._sender = sender
        self._tasks = tasks
        self._flights: dict[str, _Flight] = {}
        self._unwritten: dict[str, tuple[Outcome, dict[str, Any]]] = {}

    async def send(self, draft: Draft, *, spool: str | None = None) -> SentMessage:
        """Return the outcome of the draft's client_id, now or from before. The send goes on when the caller goes away.

        `spool` names the spool that was asked before: another one does not know that one's sends.
        Raises Unreachable(maybe_sent=True) for a send that was tried and whose outcome is unknown; InvalidRequest if the client_id
        was used for another message.
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
        except Exception:  # the top of a task: whoever waits for the flight reports it
            log.exception("a send broke")
        finally:
            del self._flights[draft.client_id]
            flight.done.set()

    async def _known(self, client_id: str, fingerprint: str) -> SentMessage | None:
        """Return the message if it was sent before, or None if surely nothing went out. Raises Unreachable if that is unknown."""
        await self._write_down()
        try:
            entry = await self._file.read(lambda db: send_ledger.entry(db, client_id))
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
            await self._file.write(lambda db: send_ledger.begin(db, draft.client_id, fingerprint))
        except SpoolUnavailable as error:
            raise Unreachable(error.detail, maybe_sent=False, hint=error.hint) from error
        try:
            sent = await provider.send(draft)
        except MessengerError as error:
            error = _from_platform(error)
            outcome: Outcome = "unknown" if isinstance(error, Unreachable) and error.maybe_sent else "failed"
            if (echoed := await self._settle(draft.client_id, outcome, serialize_error(error))) is not None:
                return echoed
            raise error from None
        except Exception:  # whatever breaks in an SDK, the ledger must say that the message may have gone out
            log.exception("a send broke")
            error = Unreachable("Something broke while this was being sent; it may have arrived.", maybe_sent=True, hint="The log has the reason.")
            if (echoed := await self._settle(draft.client_id, "unknown", serialize_error(error))) is not None:
                return echoed
            raise error from None
        await self._settle(draft.client_id, "done", sent.model_dump(mode="json"))
        return sent

    async def _settle(self, client_id: str, outcome: Outcome, answer: dict[str, Any]) -> SentMessage | None:
        """Write the outcome down; return the sent message if an echo has shown that it went out. Remember what cannot be written now."""
        try:
            entry = await self._file.write(lambda db: send_ledger.settle(db, client_id, outcome, answer))
        except SpoolUnavailable as error:
            log.warning("the outcome of a send cannot be written down yet: %s", error.detail)
            self._unwritten[client_id] = outcome, answer
            return None
        return SentMessage.model_validate(entry.answer) if entry.outcome == "done" else None

    async def _write_down(self) -> None:
        for client_id, (outcome, answer) in list(self._unwritten.items()):
            try:
                await self._file.write(lambda db, of=client_id, to=outcome, said=answer: send_ledger.settle(db, of, to, said))
            except SpoolUnavailable:
                return
            del self._unwritten[client_id]


def _from_platform(error: MessengerError) -> MessengerError:
    """Return the error if it is the platform's. One of the relay's own, such as a spool that took no event, says nothing about the send."""
    return Unreachable(error.detail, maybe_sent=True, hint=error.hint) if isinstance(error, ApplicationError) else error


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
