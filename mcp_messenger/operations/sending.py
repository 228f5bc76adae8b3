"""Sends texts, polls, places, contacts and choices, and forwards messages."""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import anyio
from pydantic import Field

from mcp_messenger.errors import InvalidInput
from mcp_messenger.operations.application import App
from mcp_messenger.operations.messages import OfMessage, known_message, platform_id_of
from mcp_messenger.operations.operation import Input, OfInstance, Output, PlatformId
from mcp_messenger.operations.queueing import TO, Send, SendAnswer, queue_send
from mcp_messenger.operations.waiting import LONGEST_WAIT, WaitForReply, wait_for_reply
from mcp_messenger.policy.decide import ALLOWED, Decision, File, stricter
from mcp_messenger.policy.judging import Rehearsed, current
from mcp_messenger.policy.shown import Words
from mcp_messenger.security.caller import Caller, instance_of
from providers.errors import MessengerError
from providers.models import Choice, Contact, Forwarding, Location, Poll, TextFormat

MANY_MAX = 50
AT_ONCE = 5
"""Sends of one call that are under way at once."""


class SendMessage(Send):
    operation = "send_message"

    message: str = Field(min_length=1, max_length=100_000)
    format: TextFormat = TextFormat.PLAIN
    split: bool = Field(default=False, description="send a too long text as several messages")
    wait: float = Field(default=0.0, ge=0, le=LONGEST_WAIT, description="seconds to wait for the answer")


class OneOfMany(Input):
    to: PlatformId = Field(validation_alias=TO)
    message: str = Field(min_length=1, max_length=100_000)


class SendMany(OfInstance):
    messages: list[OneOfMany] = Field(min_length=1, max_length=MANY_MAX, description="each {to, message}")
    format: TextFormat = TextFormat.PLAIN
    idempotency_key: str | None = Field(default=None, min_length=1, max_length=100, description="same key: sent once")

    hidden = frozenset({"format"})


class SentOne(Output):
    """What became of one of many sends, as of a send alone; `code`, `detail` and `hint` where it was refused."""

    to: str
    message_id: str | None = None
    status: str = "refused"
    chat_id: str | None = None
    code: str | None = None
    detail: str | None = None
    hint: str | None = None


class SentMany(Output):
    """One result for each message, in their order."""

    results: list[SentOne]

    def words(self) -> Iterable[Words]:
        return [Words(one.chat_id, incoming=False) for one in self.results if one.chat_id is not None]


class SendPoll(Send):
    operation = "send_poll"

    question: str = Field(min_length=1, max_length=1000)
    options: list[str] = Field(min_length=2, max_length=20)
    multiple: bool = False


class SendLocation(Send):
    operation = "send_location"

    latitude: float = Field(ge=-90, le=90)
    longitude: float = Field(ge=-180, le=180)
    name: str | None = Field(default=None, max_length=200)


class SendContact(Send):
    operation = "send_contact"

    contact_id: str = Field(default="", max_length=256, description="from list_contacts, where it is one of them")
    name: str = Field(min_length=1, max_length=200)
    phone: str | None = Field(default=None, max_length=32)


class SendChoices(Send):
    operation = "send_choices"

    message: str = Field(min_length=1, max_length=100_000)
    format: TextFormat = TextFormat.PLAIN
    choices: list[Choice] = Field(min_length=1, max_length=25, description="shown as buttons or a list; the id comes back as chosen")


async def send_message(app: App, caller: Caller, args: SendMessage) -> SendAnswer:
    """Send a text, and wait for the answer where that is wanted. Raises what `queue_send` raises."""
    sent = await queue_send(app, caller, args, text=args.message, format=args.format, split=args.split)
    judging = current.get()
    if not args.wait or args.send_at is not None or (judging is not None and judging.approved is not None):
        return sent
    heard = await wait_for_reply(app, caller, WaitForReply(instance_id=args.instance_id, message_id=sent.message_id, timeout=args.wait))
    return sent.model_copy(update={"replies": heard.replies, "reactions": heard.reactions, "status": heard.status})


async def send_many(app: App, caller: Caller, args: SendMany) -> SentMany:
    """Send a text of its own to each of several chats; each is judged, paced and answered by itself. Those to one chat keep their order.

    Raises NoSuchInstance.
    """
    await instance_of(app.database, caller, args.instance_id)
    judging = current.get()
    if judging is not None and judging.is_rehearsal:
        raise Rehearsed(stricter([await _rehearsed(app, caller, args, place) for place in range(len(args.messages))]))
    results: dict[int, SentOne] = {}
    places: defaultdict[str, list[int]] = defaultdict(list)
    for place, one in enumerate(args.messages):
        places[one.to].append(place)
    room = anyio.CapacityLimiter(AT_ONCE)

    async def send(of_chat: Sequence[int]) -> None:
        for place in of_chat:
            async with room:
                results[place] = await _result(app, caller, args, place)

    async with anyio.create_task_group() as tasks:
        for of_chat in places.values():
            tasks.start_soon(send, of_chat)
    return SentMany(results=[results[place] for place in range(len(args.messages))])


def _one_of(args: SendMany, place: int) -> SendMessage:
    one = args.messages[place]
    key = None if args.idempotency_key is None else f"{args.idempotency_key}:{place}"
    return SendMessage(instance_id=args.instance_id, to=one.to, message=one.message, format=args.format, idempotency_key=key)


async def _rehearsed(app: App, caller: Caller, args: SendMany, place: int) -> Decision:
    try:
        await send_message(app, caller, _one_of(args, place))
    except Rehearsed as rehearsed:
        return rehearsed.decision
    return ALLOWED


async def _result(app: App, caller: Caller, args: SendMany, place: int) -> SentOne:
    to = args.messages[place].to
    try:
        sent = await send_message(app, caller, _one_of(args, place))
    except MessengerError as error:
        return SentOne(to=to, code=error.code, detail=error.detail, hint=error.hint)
    return SentOne(to=to, message_id=sent.message_id, status=sent.status, chat_id=sent.chat_id, detail=sent.detail)


async def send_poll(app: App, caller: Caller, args: SendPoll) -> SendAnswer:
    """Send a poll. Raises what `queue_send` raises."""
    poll = Poll(question=args.question, options=tuple(args.options), multiple=args.multiple)
    return await queue_send(app, caller, args, poll=poll)


async def send_location(app: App, caller: Caller, args: SendLocation) -> SendAnswer:
    """Send a place. Raises what `queue_send` raises."""
    return await queue_send(app, caller, args, location=Location(latitude=args.latitude, longitude=args.longitude, name=args.name))


async def send_contact(app: App, caller: Caller, args: SendContact) -> SendAnswer:
    """Send a contact card. Raises what `queue_send` raises."""
    return await queue_send(app, caller, args, contact=Contact(id=args.contact_id, name=args.name, phone=args.phone))


async def send_choices(app: App, caller: Caller, args: SendChoices) -> SendAnswer:
    """Send a text with choices to tap. Raises what `queue_send` raises."""
    return await queue_send(app, caller, args, text=args.message, format=args.format, choices=tuple(args.choices))


class ForwardMessage(OfMessage):
    to: PlatformId = Field(validation_alias=TO, description="as in send_message")
    idempotency_key: str | None = Field(default=None, min_length=1, max_length=128, description="same key: sent once")

    def concerns(self) -> Hashable | None:
        return self.instance_id, self.to


async def forward_message(app: App, caller: Caller, args: ForwardMessage) -> SendAnswer:
    """Pass a message on to another chat, marked as forwarded. Raises NoSuchMessage and what `queue_send` raises."""
    row = await instance_of(app.database, caller, args.instance_id)
    message = await known_message(app, row, args.message_id)
    if message.deleted_at is not None:
        raise InvalidInput(f"The message {message.id} was deleted.", hint="Forward another one.")
    forward = Forwarding(chat_id=message.chat_id, message_id=platform_id_of(message))
    send = Send(instance_id=str(row.id), to=args.to, idempotency_key=args.idempotency_key)
    media: list[dict[str, Any]] = message.content.get("media", [])
    size = sum(one.get("size") or 0 for one in media)
    file = File(size, from_chat=message.chat_id, is_received=not message.outgoing) if media else None
    return await queue_send(app, caller, send, asked=args, text=message.body, forward=forward, file=file)
