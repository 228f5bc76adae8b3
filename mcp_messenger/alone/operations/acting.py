"""What can be done to messages and chats that are there."""

from datetime import UTC, datetime

from mcp_messenger.alone.operations.reading import known_chat, known_message
from mcp_messenger.alone.operations.sending import chat_of
from mcp_messenger.alone.program import Program
from mcp_messenger.errors import InvalidInput
from mcp_messenger.operations import sending as asked
from mcp_messenger.operations.messages import OfMessage, platform_id_of
from mcp_messenger.operations.operation import Nothing
from mcp_messenger.security.caller import Caller
from providers.models import Capability, Draft, MessageDeleted, MessageEdited


async def react(program: Program, caller: Caller, args: asked.React) -> Nothing:
    message = await known_message(program, args.message_id)
    await program.runner.port(Capability.REACT).react(message.chat_id, platform_id_of(message), args.emoji)
    return Nothing()


async def edit_message(program: Program, caller: Caller, args: asked.EditMessage) -> Nothing:
    message = await known_message(program, args.message_id)
    if not message.outgoing:
        raise InvalidInput(f"The message {message.id} was written by somebody else.", hint="Only own messages can be edited.")
    provider = program.runner.port(Capability.EDIT)
    provider.check_lengths(Draft(client_id="0", chat_id=message.chat_id, text=args.message))
    await provider.edit(message.chat_id, platform_id_of(message), args.message, args.format)
    # Not every platform tells us of our own edit again.
    edited = MessageEdited(chat_id=message.chat_id, message_id=platform_id_of(message), text=args.message, at=datetime.now(UTC))
    await program.spool.append([edited])
    return Nothing()


async def delete_message(program: Program, caller: Caller, args: OfMessage) -> Nothing:
    message = await known_message(program, args.message_id)
    await program.runner.port(Capability.DELETE).delete(message.chat_id, platform_id_of(message))
    await program.spool.append([MessageDeleted(chat_id=message.chat_id, message_id=platform_id_of(message), at=datetime.now(UTC))])
    return Nothing()


async def mark_read(program: Program, caller: Caller, args: asked.MarkRead) -> Nothing:
    """Our own count in any case; the sender's ticks where the platform has them."""
    chat = await known_chat(program, args.chat_id)
    if Capability.MARK_READ in program.cls.capabilities and chat.last_message_id is not None:
        last = await known_message(program, str(chat.last_message_id))
        if last.platform_id is not None:
            await program.runner.port(Capability.MARK_READ).mark_read(chat.id, last.platform_id)
    await program.file.write(lambda db: db.execute("UPDATE chats SET unread = 0 WHERE id = ?", (chat.id,)))
    return Nothing()


async def set_typing(program: Program, caller: Caller, args: asked.SetTyping) -> Nothing:
    chat_id, _ = await chat_of(program, args.chat_id)
    await program.runner.port(Capability.TYPING).set_typing(chat_id, args.typing)
    return Nothing()
