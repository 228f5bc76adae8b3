"""Erases what is stored of a chat, a contact, a person or a user, for good."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import anyio.to_thread
from pydantic import Field

from db import erasure, instances, people
from db.audit import ERASED, Entry
from db.erasure import Erased
from mcp_messenger.errors import NoSuchPerson
from mcp_messenger.operations.application import App
from mcp_messenger.operations.operation import Input, OfInstance, Output, PlatformId
from mcp_messenger.operations.people import OfPerson, parse_person_id
from mcp_messenger.operations.removal import DeleteInstance, delete_instance
from mcp_messenger.security.caller import Caller, instance_of


class EraseChat(OfInstance):
    chat_id: PlatformId


class EraseContact(OfInstance):
    contact_id: PlatformId


class EraseUser(Input):
    user_id: str = Field(min_length=1, max_length=128)


class Erasure(Output):
    """What was removed here. The messenger keeps its own copy."""

    messages: int = 0
    chats: int = 0
    contacts: int = 0
    instances: int = 0


async def erase_chat(app: App, caller: Caller, args: EraseChat) -> Erasure:
    """Remove a chat, its messages and files; the messenger's history does not bring them back."""
    caller.require_owner()
    row = await instance_of(app.database, caller, args.instance_id)
    return await _erased(app, row.id, await erasure.erase(app.database, row.id, _entry(app, caller, row.id), chat_id=args.chat_id))


async def erase_contact(app: App, caller: Caller, args: EraseContact) -> Erasure:
    """Remove a contact, the private chats with them, and what they wrote in groups."""
    caller.require_owner()
    row = await instance_of(app.database, caller, args.instance_id)
    return await _erased(app, row.id, await erasure.erase(app.database, row.id, _entry(app, caller, row.id), contact_id=args.contact_id))


async def erase_person(app: App, caller: Caller, args: OfPerson) -> Erasure:
    """Remove a person on all messengers where their contact was confirmed. Raises NoSuchPerson."""
    caller.require_owner()
    person_id = parse_person_id(args.person_id)
    found = [one for one in await people.get(app.database, person_id, user_id=caller.user_id) if one.confirmed_at is not None]
    if not found:
        raise NoSuchPerson(args.person_id)
    results: list[Erasure] = []
    for one in found:
        entry = _entry(app, caller, one.instance_id)
        results.append(await _erased(app, one.instance_id, await erasure.erase(app.database, one.instance_id, entry, contact_id=one.contact_id)))
    return _sum(results)


async def erase_user(app: App, caller: Caller, args: EraseUser) -> Erasure:
    """Delete all instances of a user with all that is stored of them, and the user's tokens and people."""
    caller.require_admin()
    ids = await instances.ids_of_user(app.database, args.user_id)
    for instance_id in ids:
        await delete_instance(app, caller, DeleteInstance(instance_id=str(instance_id), purge=True))
    await instances.forget_user(app.database, args.user_id)
    return Erasure(instances=len(ids))


def _entry(app: App, caller: Caller, instance_id: UUID) -> Entry:
    return app.judge.audit.entry(caller, ERASED, "done", instance_id=instance_id)


async def _erased(app: App, instance_id: UUID, erased: Erased) -> Erasure:
    folders = [app.downloads_dir(instance_id) / str(id) for id in erased.message_ids]
    await anyio.to_thread.run_sync(_remove, folders)
    return Erasure(messages=len(erased.message_ids), chats=erased.chats, contacts=erased.contacts)


def _remove(folders: Sequence[Path]) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _sum(results: Sequence[Erasure]) -> Erasure:
    return Erasure(
        messages=sum(one.messages for one in results), chats=sum(one.chats for one in results), contacts=sum(one.contacts for one in results)
    )
