"""Waiting for what comes. The cursor is a message's number: they are given in the order in which messages come."""

import anyio

from mcp_messenger.alone import shelf
from mcp_messenger.alone.operations.reading import known_message, page
from mcp_messenger.alone.program import Program
from mcp_messenger.operations import waiting as asked
from mcp_messenger.security.caller import Caller


async def wait_for_messages(program: Program, caller: Caller, args: asked.WaitForMessages) -> asked.NewMessages:
    chat_id = args.chat_id and program.cls.address(args.chat_id)
    cursor = await program.file.read(shelf.last_number) if args.cursor is None else asked.parse_cursor(args.cursor)
    deadline = anyio.current_time() + args.timeout
    while True:
        growth = program.spool.growth()
        found = await program.file.read(lambda db: shelf.incoming_after(db, cursor, chat_id=chat_id, limit=args.limit))
        if found or anyio.current_time() >= deadline:
            shown = await page(program, found, args.limit)
            return asked.NewMessages(messages=shown.messages, cursor=str(found[-1].id if found else cursor))
        with anyio.move_on_after(deadline - anyio.current_time()):
            await growth.wait()


async def wait_for_reply(program: Program, caller: Caller, args: asked.WaitForReply) -> asked.Replies:
    deadline = anyio.current_time() + args.timeout
    seen, quiet_until = 0, deadline
    while True:
        growth = program.spool.growth()
        message = await known_message(program, args.message_id)
        found = await program.file.read(lambda db, sent=message: shelf.replies_to(db, sent, limit=args.limit))
        now = anyio.current_time()
        if len(found) > seen:
            seen, quiet_until = len(found), min(deadline, now + args.settle)
        if now >= deadline or (found and now >= quiet_until) or message.status == "failed":
            shown = await page(program, found, args.limit)
            return asked.Replies(replies=shown.messages, status=message.status)
        with anyio.move_on_after((quiet_until if found else deadline) - now):
            await growth.wait()
