"""Reading: from the spool's file, and where the platform gives older messages, from there."""

import base64
import json
from collections.abc import Sequence

import anyio
import anyio.to_thread

from db.chats import ChatRow
from db.messages import MessageRow
from mcp_messenger.alone import shelf
from mcp_messenger.alone.archive import WORD, keep_chat, keep_contact, keep_message
from mcp_messenger.alone.program import Program
from mcp_messenger.alone.shelf import Connection
from mcp_messenger.errors import InvalidInput, NoSuchChat, NoSuchMessage
from mcp_messenger.net.mime import safe_name
from mcp_messenger.operations import chats as asked_chats
from mcp_messenger.operations import cursor as cursors
from mcp_messenger.operations import messages as asked
from mcp_messenger.operations.views import chat_view, contact_view, message_view
from mcp_messenger.security.caller import Caller
from providers.errors import MessengerError
from providers.models import Capability, Chat, ChatKind, Contact, Media, Message


async def list_chats(program: Program, caller: Caller, args: asked_chats.ListChats) -> asked_chats.ChatList:
    before = cursors.decode(args.cursor)
    await _learn_chats(program)
    found = await program.file.read(lambda db: shelf.chats(db, kind=args.kind, unread=args.unread, before=before, limit=args.limit + 1))
    page = found[: args.limit]
    return asked_chats.ChatList(
        chats=[chat_view(chat) for chat in page],
        next_cursor=cursors.encode(page[-1].last_at, page[-1].id) if len(found) > args.limit else None,
    )


async def _learn_chats(program: Program) -> None:
    """Those of which nothing has come yet, where the platform lists them. What is known is answered in any case."""
    listed: Sequence[Chat] = ()
    try:
        with anyio.move_on_after(asked.HISTORY_WITHIN):
            listed = await program.runner.port(Capability.CHATS).list_chats()
    except MessengerError:
        return
    await program.file.write(lambda db: [keep_chat(db, chat) for chat in listed])


async def get_chat(program: Program, caller: Caller, args: asked_chats.OfChat) -> asked_chats.ChatAnswer:
    return asked_chats.ChatAnswer(chat=chat_view(await known_chat(program, args.chat_id), text_max=200))


async def known_chat(program: Program, chat_id: str) -> ChatRow:
    """The chat, under the id it has by now; the number of whom it is with will do. Raises NoSuchChat."""
    address = program.cls.address(chat_id)
    found = await program.file.read(lambda db: shelf.chat(db, address))
    if found is None:
        raise NoSuchChat(chat_id)
    return found


async def list_contacts(program: Program, caller: Caller, args: asked_chats.ListContacts | asked_chats.SearchContacts) -> asked_chats.ContactList:
    await _learn_contacts(program)
    found = await program.file.read(lambda db: shelf.contacts(db, query=args.query, after=args.cursor, limit=args.limit + 1))
    page = found[: args.limit]
    next_cursor = page[-1].id if len(found) > args.limit else None
    return asked_chats.ContactList(contacts=[contact_view(contact) for contact in page], next_cursor=next_cursor)


async def _learn_contacts(program: Program) -> None:
    listed: Sequence[Contact] = ()
    try:
        with anyio.move_on_after(asked.HISTORY_WITHIN):
            listed = await program.runner.port(Capability.CONTACTS).list_contacts()
    except MessengerError:
        return
    await program.file.write(lambda db: [keep_contact(db, contact) for contact in listed])


async def get_messages(program: Program, caller: Caller, args: asked.GetMessages) -> asked.MessageList:
    chat = await known_chat(program, args.chat_id)
    before = cursors.decode_message(args.cursor)

    def read(db: Connection) -> list[MessageRow]:
        return shelf.messages(db, chat_id=chat.id, before=before, limit=args.limit + 1)

    found = await program.file.read(read)
    if len(found) <= args.limit and await _read_back(program, chat, found, args.limit):
        found = await program.file.read(read)
    return await page(program, found, args.limit, chat_id=chat.id)


async def _read_back(program: Program, chat: ChatRow, found: Sequence[MessageRow], limit: int) -> bool:
    """Fetch older history from the platform, where it gives any soon; whether it gave something."""
    oldest = next((message.platform_id for message in reversed(found) if message.platform_id), None)
    older: Sequence[Message] = ()
    try:
        with anyio.move_on_after(asked.HISTORY_WITHIN):
            older = await program.runner.port(Capability.HISTORY).history(chat.id, before=oldest, limit=limit + 1)
    except MessengerError:
        return False
    noun = Chat(id=chat.id, kind=ChatKind(chat.kind), title=chat.title)
    await program.file.write(lambda db: [keep_message(db, message, noun, backfill=True) for message in older])
    return bool(older)


async def page(program: Program, found: Sequence[MessageRow], limit: int, *, chat_id: str | None = None) -> asked.MessageList:
    """One page of rows, of which there may be one more than `limit`."""
    shown = found[:limit]
    replies = await _replied_to(program, shown)
    return asked.MessageList(
        chat_id=chat_id,
        messages=[message_view(message, reply_to=replies.get(message.reply_to or ""), chat=chat_id is None) for message in shown],
        next_cursor=cursors.encode(shown[-1].sent_at, shown[-1].id) if len(found) > limit else None,
    )


async def _replied_to(program: Program, shown: Sequence[MessageRow]) -> dict[str, str]:
    """Our number of each message that is quoted, by the platform's id."""
    known = {message.platform_id: str(message.id) for message in shown if message.platform_id}
    missing = sorted({message.reply_to for message in shown if message.reply_to} - known.keys())
    if missing:
        quoted = await program.file.read(lambda db: shelf.by_platform_ids(db, missing))
        known |= {str(message.platform_id): str(message.id) for message in quoted}
    return known


async def get_recent_messages(program: Program, caller: Caller, args: asked.GetRecentMessages) -> asked.MessageList:
    before = cursors.decode_message(args.cursor)
    return await page(program, await program.file.read(lambda db: shelf.messages(db, before=before, limit=args.limit + 1)), args.limit)


async def search_messages(program: Program, caller: Caller, args: asked.SearchMessages) -> asked.MessageList:
    words = WORD.findall(args.query.casefold())[: asked.SEARCH_WORDS]
    if not words:
        raise InvalidInput("query: there is no word in it.", hint="Give words or numbers to look for.")
    before = cursors.decode_message(args.cursor)
    found = await program.file.read(lambda db: shelf.messages(db, chat_id=args.chat_id, words=words, before=before, limit=args.limit + 1))
    return await page(program, found, args.limit)


async def get_message(program: Program, caller: Caller, args: asked.OfMessage) -> asked.MessageAnswer:
    message = await known_message(program, args.message_id)
    replies = await _replied_to(program, [message])
    return asked.MessageAnswer(message=message_view(message, reply_to=replies.get(message.reply_to or ""), full=True))


async def known_message(program: Program, message_id: str) -> MessageRow:
    """Raises NoSuchMessage."""
    found = None
    if message_id.isascii() and message_id.isdecimal() and int(message_id) < 2**63:
        found = await program.file.read(lambda db: shelf.message(db, int(message_id)))
    if found is None:
        raise NoSuchMessage(message_id)
    return found


async def download_media(program: Program, caller: Caller, args: asked.DownloadMedia) -> asked.Downloaded:
    message = await known_message(program, args.message_id)
    media = message.content.get("media", [])
    if args.index >= len(media) or not media[args.index].get("ref"):
        raise InvalidInput(f"The message {message.id} has no file number {args.index}.", hint="get_message lists its media.")
    download = await program.runner.port(Capability.DOWNLOAD).download(Media.model_validate_json(json.dumps(media[args.index])))
    name = safe_name(download.name, download.mime)
    path = program.downloads_dir / str(message.id) / f"{args.index}-{name}"

    def save() -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_bytes(download.content)

    await anyio.to_thread.run_sync(save)
    size = len(download.content)
    inline = base64.b64encode(download.content).decode() if args.inline and size <= asked.INLINE_MAX else None
    return asked.Downloaded(path=str(path), name=name, mime=download.mime, size=size, base64=inline)
