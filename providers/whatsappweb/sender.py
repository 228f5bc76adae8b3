"""Sends a draft through the page, within the governor's budget of new chats, and judges WhatsApp's answer."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

from providers.errors import Unreachable
from providers.models import ChatKind, Draft
from providers.whatsappweb.client import BridgeRefused
from providers.whatsappweb.connection import Connection
from providers.whatsappweb.echoes import Pending
from providers.whatsappweb.errors import REACH_OUT_LOCK, from_bridge, send_refusal
from providers.whatsappweb.governor import Governor
from providers.whatsappweb.ids import kind_of
from providers.whatsappweb.inbound import id_of
from providers.whatsappweb.outbound import send_args
from providers.whatsappweb.timing import Timing

Json = dict[str, Any]


class Sender:
    """The sends of one account. `awake` returns the connection when its page runs, or raises LoggedOut or Unreachable."""

    def __init__(self, awake: Callable[[], Awaitable[Connection]], governor: Governor, timing: Timing) -> None:
        self._awake = awake
        self._governor = governor
        self._timing = timing

    def _is_new(self, connection: Connection, chat_id: str) -> bool:
        """Whether it would begin a chat with somebody. Before the login nobody knows."""
        is_logged_in = connection.me is not None or connection.is_suspended
        if not is_logged_in or kind_of(chat_id) is not ChatKind.PRIVATE:
            return False
        return not connection.people.knows(chat_id) or self._governor.is_untaken(connection.people.ids(chat_id))

    def require_allowed(self, connection: Connection, chat_id: str) -> None:
        """Raise Forbidden where a chat would begin and no further one may."""
        if self._is_new(connection, chat_id):
            self._governor.require(connection.people.key(chat_id))

    async def send(self, draft: Draft) -> Json:
        """Send a draft, and return the page's message of it.

        Raises Unreachable where WhatsApp does not answer in time, and what its refusal means.
        """
        args = send_args(draft)
        connection = await self._awake()
        governed = connection.people.key(draft.chat_id)
        begins = self._is_new(connection, draft.chat_id) and self._governor.begin(governed)
        await asyncio.sleep(random.uniform(0, self._timing.jitter))  # noqa: S311  not a secret
        pending = connection.echoes.expect(draft)
        try:
            answer = await self._call(connection, pending, {**args, "answer_ms": round(1000 * self._timing.answer)})
        except BridgeRefused as refusal:
            if begins and not refusal.begun:
                self._governor.not_begun(governed)
            raise from_bridge(refusal) from refusal
        self._judge(connection, pending, answer, governed)
        self._governor.taken(connection.people.ids(draft.chat_id))
        connection.arrivals.sent(pending, answer["message"])
        return answer["message"]

    async def _call(self, connection: Connection, pending: Pending, args: Json) -> Json:
        try:
            return await connection.bridge.call("send", args, seconds=self._timing.call + self._timing.answer)
        except BridgeRefused as refusal:
            if refusal.begun:
                connection.echoes.unsure(pending)
            else:
                connection.echoes.drop(pending)
            raise
        except (Unreachable, asyncio.CancelledError):
            connection.echoes.unsure(pending)
            raise

    def _judge(self, connection: Connection, pending: Pending, answered: Json, governed: str) -> None:
        """Raise what WhatsApp's answer to the send means."""
        answer, ack = answered["answer"], answered["ack"] or 0
        if answer is None and ack < 1:
            connection.echoes.unsure(pending, id_of(answered["message"]))
            raise Unreachable("WhatsApp did not answer in time; the message may still go out.", maybe_sent=True, hint="Wait: its echo will tell.")
        if ack < 0 or (answer is not None and answer.get("messageSendResult") != "OK"):
            connection.echoes.drop(pending)
            refusal: Json = answer or {}
            if refusal.get("errorCode") == REACH_OUT_LOCK:
                self._governor.locked(governed)
            raise send_refusal(refusal.get("errorCode"), refusal.get("messageSendResult") or "refused")
