"""Reacts to messages, pins, stars, edits and deletes them, marks chats as read and shows the typing sign."""

from collections.abc import Hashable
from datetime import UTC, datetime

from pydantic import Field

from db import chats, messages
from db.instances import InstanceRow
from db.messages import MessageRow
from mcp_messenger.delivery.inbound import Source
from mcp_messenger.errors import InvalidInput
from mcp_messenger.instances import classes
from mcp_messenger.operations import turns
from mcp_messenger.operations.addresses import recipient
from mcp_messenger.operations.application import App
from mcp_messenger.operations.chats import known_chat
from mcp_messenger.operations.messages import OfMessage, known_message, platform_id_of
from mcp_messenger.operations.operation import Nothing, OfInstance, PlatformId
from mcp_messenger.operations.port import port
from mcp_messenger.operations.queueing import checker
from mcp_messenger.policy.judging import about_message, current
from mcp_messenger.policy.touch import Touch
from mcp_messenger.security.caller import Caller, instance_of
from providers.capabilities import Capability
from providers.events import ReactionChanged
from providers.models import Draft, TextFormat, is_private_thread


class ChangeMessage(OfMessage):
    # A model that changes its mind within one turn means the last of its calls.
    def concerns(self) -> Hashable | None:
        return self.instance_id, "message", self.message_id


class React(ChangeMessage):
    emoji: str | None = Field(default=None, max_length=32, description="none takes the reaction back")


async def react(app: App, caller: Caller, args: React) -> Nothing:
    """Set our reaction to a message, or take it back. Raises Unsupported, NotReady, NoSuchMessage."""
    row, message = await _on_message(app, caller, args)
    await _permit(app, row, message, args.emoji or "")
    await (await port(app, row, Capability.REACT)).react(message.chat_id, platform_id_of(message), args.emoji)
    own_id = (row.account or {}).get("id")
    if own_id is not None:
        # Most platforms do not tell us what we did ourselves.
        emojis = () if args.emoji is None else (args.emoji,)
        id, now = platform_id_of(message), datetime.now(UTC)
        ours = ReactionChanged(chat_id=message.chat_id, message_id=id, sender_id=own_id, emojis=emojis, at=now)
        await app.inbound.deliver(Source(row.id, None), [ours])
    return Nothing()


class PinMessage(ChangeMessage):
    pinned: bool = Field(default=True, description="false takes the pin off")


async def pin_message(app: App, caller: Caller, args: PinMessage) -> Nothing:
    """Pin a message for everyone in its chat, or take the pin off. Raises Unsupported, NotReady, NoSuchMessage."""
    row, message = await _on_message(app, caller, args)
    await (await port(app, row, Capability.PIN)).pin_message(message.chat_id, platform_id_of(message), args.pinned)
    return Nothing()


class StarMessage(ChangeMessage):
    starred: bool = True


async def star_message(app: App, caller: Caller, args: StarMessage) -> Nothing:
    """Put a message among the starred ones, or take it out. Raises Unsupported, NotReady, NoSuchMessage."""
    row, message = await _on_message(app, caller, args)
    await (await port(app, row, Capability.STAR)).star_message(message.chat_id, platform_id_of(message), args.starred)
    return Nothing()


class EditMessage(ChangeMessage):
    message: str = Field(min_length=1, max_length=100_000)
    format: TextFormat = TextFormat.PLAIN


async def edit_message(app: App, caller: Caller, args: EditMessage) -> Nothing:
    """Change the text of our own message. Raises InvalidInput for one that somebody else wrote."""
    row, message = await _on_message(app, caller, args)
    _require_own(message)
    await _permit(app, row, message, args.message)
    await port(app, row, Capability.EDIT)
    (await checker(app, row)).check_lengths(Draft(client_id="0", chat_id=message.chat_id, text=args.message))
    await app.calls.edit(row.id, message.chat_id, platform_id_of(message), args.message, args.format)
    return Nothing()


async def delete_message(app: App, caller: Caller, args: ChangeMessage) -> Nothing:
    """Delete a message for everyone; one that is deleted stays so. Raises Unsupported, NotReady, NoSuchMessage."""
    row, message = await _on_message(app, caller, args)
    if message.deleted_at is not None:
        return Nothing()
    await _permit(app, row, message, "", change=Touch.DELETE)
    await port(app, row, Capability.DELETE)
    await app.calls.delete(row.id, message.chat_id, platform_id_of(message))
    return Nothing()


async def _permit(app: App, row: InstanceRow, message: MessageRow, text: str, *, change: Touch | None = None) -> None:
    """Raise PolicyDenied or ApprovalRequired where nothing may be sent to the message's chat, or the `change` not be made."""
    judging = current.get()
    if judging is not None:
        to = await recipient(app, row, message.chat_id, judging)
        thread_id = message.thread_id if is_private_thread(message.thread_id) else None
        draft = Draft(client_id="0", chat_id=message.chat_id, thread_id=thread_id, reply_to=platform_id_of(message), text=text)
        if to.about is not None:
            permit = await judging.permit(row, draft, kind=to.kind, about=to.about, change=change, words=about_message(message.body))
            await judging.recording.let_out(permit.entry)


async def _on_message(app: App, caller: Caller, args: ChangeMessage) -> tuple[InstanceRow, MessageRow]:
    turn = turns.current.get()
    if turn is not None:
        await turn.comes()
    row = await instance_of(app.database, caller, args.instance_id)
    return row, await known_message(app, row, args.message_id)


def _require_own(message: MessageRow) -> None:
    if not message.outgoing:
        raise InvalidInput(f"The message {message.id} was written by somebody else.", hint="Only own messages can be edited.")


class MarkRead(OfInstance):
    chat_id: PlatformId


async def mark_read(app: App, caller: Caller, args: MarkRead) -> Nothing:
    """Mark the chat as read up to the newest message from others: on the platform where it has such marks, then in our own count."""
    row = await instance_of(app.database, caller, args.instance_id)
    chat = await known_chat(app, row, args.chat_id)
    cls = await classes.load(row.provider)
    if Capability.MARK_READ in cls.capabilities:
        newest = await messages.newest_incoming(app.database, row.id, chat.id)
        if newest is not None:
            await (await port(app, row, Capability.MARK_READ)).mark_read(chat.id, newest)
    await chats.mark_read(app.database, row.id, chat.id)
    return Nothing()


class SetTyping(OfInstance):
    chat_id: PlatformId
    typing: bool = True


async def set_typing(app: App, caller: Caller, args: SetTyping) -> Nothing:
    """Show or hide the typing sign. Raises Unsupported, NotReady."""
    row = await instance_of(app.database, caller, args.instance_id)
    to = await recipient(app, row, args.chat_id)
    newest = await messages.newest_incoming(app.database, row.id, to.chat_id)
    await (await port(app, row, Capability.TYPING)).set_typing(to.chat_id, args.typing, newest)
    return Nothing()
