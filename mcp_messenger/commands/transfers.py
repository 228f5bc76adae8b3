"""mcp-messenger export and import: beside a server at work, or without one."""

import argparse
import json
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import IO

import anyio

from db import retention
from mcp_messenger.app import stored
from mcp_messenger.commands.subject import Named, named
from mcp_messenger.commands.terminal import say, working
from mcp_messenger.config import Config
from mcp_messenger.errors import InvalidInput, quoted
from mcp_messenger.operations import exporting
from mcp_messenger.operations.application import App
from mcp_messenger.operations.exporting import ExportChat, ExportContact, ExportUser, Subject, write_export
from mcp_messenger.operations.importing import ImportData, import_data
from mcp_messenger.operations.operation import OfInstance
from mcp_messenger.operations.people import OfPerson
from mcp_messenger.security.caller import ADMIN

PARTIAL = ".partial"


async def export(config: Config, args: argparse.Namespace) -> None:
    """Write the file, which has its name when it is whole. Raises InvalidInput, NoSuchInstance, NoSuchChat, NoSuchPerson and StoreUnavailable."""
    of, path = named(args), Path(args.file)
    if not args.force and await anyio.Path(path).exists():
        raise InvalidInput(f"{path} exists.", hint="Choose another name, or overwrite it with --force.")
    partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}{PARTIAL}")
    async with stored(config) as app:
        await app.database.started()
        subject = await _subject(app, of)
        try:
            with _opened(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL) as file:
                with working(f"Writing {path}", lambda: f"{file.tell() / 1e6:.1f} MB"):
                    made = await write_export(app, subject, file)
                file.flush()
                os.fsync(file.fileno())
            await anyio.Path(partial).replace(path)
        finally:
            with suppress(OSError):
                await anyio.Path(partial).unlink(missing_ok=True)
    if args.json:
        say(json.dumps({"file": str(path), "rows": made.rows, "files": made.files}, indent=2))
        return
    rows = ", ".join(f"{count} of {type}" for type, count in made.rows.items())
    say(f"{path} is written: {rows or 'nothing'}, {made.files} files. It holds messages in the clear: keep it where you would keep them.")


async def import_file(config: Config, path: Path, as_json: bool) -> None:
    """Import a file and say what is new. Raises InvalidInput, Conflict and StoreUnavailable."""
    async with stored(config) as app:
        await app.database.started()
        with _opened(path, os.O_RDONLY) as file, working(f"Importing {path}", lambda: f"{file.tell() / 1e6:.1f} MB"):
            done = await import_data(app, ADMIN, ImportData.of(file))
    if as_json:
        say(done.model_dump_json(indent=2))
        return
    say(
        f"New: {done.instances} instances, {done.chats} chats, {done.contacts} contacts, {done.people} people, {done.messages} messages, "
        f"{done.files} files. {done.known} messages were here already."
    )
    if done.erased:
        say(f"{done.erased} messages were erased here, and stay so.")
    if done.instances:
        say("Instances are stopped and have no secrets: set their credentials, and start each where its account runs nowhere else.")


async def _subject(app: App, of: Named) -> Subject:
    match of.kind:
        case "chat":
            return await exporting.of_chat(app, ADMIN, ExportChat(instance_id=await _whole(app, of.instance), chat_id=of.id))
        case "contact":
            return await exporting.of_contact(app, ADMIN, ExportContact(instance_id=await _whole(app, of.instance), contact_id=of.id))
        case "person":
            return await exporting.of_person(app, ADMIN, OfPerson(person_id=of.id))
        case "user":
            return await exporting.of_user(app, ADMIN, ExportUser(user_id=of.id))
        case _:
            return await exporting.of_instance(app, ADMIN, OfInstance(instance_id=await _whole(app, of.id)))


async def _whole(app: App, beginning: str) -> str:
    """Return the whole id of the one instance whose id begins so. Raises InvalidInput for none, and for several."""
    found = [str(row) for row in await retention.instances(app.database) if str(row).startswith(beginning.lower())]
    if len(found) != 1:
        raise InvalidInput(f"{len(found) or 'No'} instances begin with {quoted(beginning)}.", hint="'mcp-messenger ps' lists them.")
    return found[0]


def _opened(path: Path, flags: int) -> IO[bytes]:
    try:
        return os.fdopen(os.open(path, flags, 0o600), "rb" if flags == os.O_RDONLY else "w+b")
    except OSError as error:
        raise InvalidInput(f"{path} cannot be opened: {error.strerror}.", hint="Check the name, the folder, and who may use them.") from error
