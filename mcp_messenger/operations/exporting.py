"""Writes what is stored of a person, a chat, an instance or a user into one file: JSON Lines, and the files that were downloaded."""

import json
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Literal, Self
from uuid import UUID

import anyio.to_thread
from pydantic import Field, PrivateAttr

from db import instances, people
from db.portable import Part, exporting, is_known
from mcp_messenger.errors import NoSuchChat, NoSuchPerson
from mcp_messenger.operations.application import App
from mcp_messenger.operations.operation import Input, OfInstance, Output, PlatformId
from mcp_messenger.operations.people import OfPerson, parse_person_id
from mcp_messenger.security.caller import Caller, instance_of
from mcp_messenger.version import __version__

FORMAT = 1
LINES = "export.jsonl"
MEDIA = "media"
BLOCK = 1 << 18


class ExportChat(OfInstance):
    chat_id: PlatformId


class ExportContact(OfInstance):
    contact_id: PlatformId


class ExportUser(Input):
    user_id: str = Field(min_length=1, max_length=128)


class Export(Output):
    """A zip file. `rows` counts its lines by type."""

    name: str
    rows: dict[str, int]
    files: int
    _content: IO[bytes] | None = PrivateAttr(default=None)

    def with_content(self, content: IO[bytes]) -> Self:
        """Return it with the file that it is about."""
        self._content = content
        return self

    def content(self) -> Iterator[bytes]:
        """Give the file in pieces, once."""
        assert self._content is not None
        with self._content as content:
            content.seek(0)
            while block := content.read(BLOCK):
                yield block


@dataclass(frozen=True)
class Subject:
    """What is exported: parts of instances, and people whose contacts are of these instances."""

    name: str
    parts: Sequence[Part]
    person_id: UUID | None = None
    has_people: bool = False


async def export_instance(app: App, caller: Caller, args: OfInstance) -> Export:
    """Export an instance without its secrets."""
    return await _exported(app, await of_instance(app, caller, args))


async def export_chat(app: App, caller: Caller, args: ExportChat) -> Export:
    """Export a chat under all ids that it has or had. Raises NoSuchChat."""
    return await _exported(app, await of_chat(app, caller, args))


async def export_contact(app: App, caller: Caller, args: ExportContact) -> Export:
    """Export a contact, the private chats with them, and what they wrote in groups."""
    return await _exported(app, await of_contact(app, caller, args))


async def export_person(app: App, caller: Caller, args: OfPerson) -> Export:
    """Export a person on all messengers where their contact was confirmed. Raises NoSuchPerson."""
    return await _exported(app, await of_person(app, caller, args))


async def export_user(app: App, caller: Caller, args: ExportUser) -> Export:
    """Export all instances of a user, and the people that they know."""
    return await _exported(app, await of_user(app, caller, args))


async def of_instance(app: App, caller: Caller, args: OfInstance) -> Subject:
    """Return an instance as the subject of an export. Raises NoSuchInstance."""
    caller.require_owner()
    row = await instance_of(app.database, caller, args.instance_id)
    return Subject(f"{row.provider}-{str(row.id)[:8]}", [Part(row.id)])


async def of_chat(app: App, caller: Caller, args: ExportChat) -> Subject:
    """Return a chat as the subject of an export. Raises NoSuchInstance and NoSuchChat."""
    return await _of_part(app, caller, args, "chat", args.chat_id)


async def of_contact(app: App, caller: Caller, args: ExportContact) -> Subject:
    """Return a contact as the subject of an export. Raises NoSuchInstance and NoSuchChat."""
    return await _of_part(app, caller, args, "contact", args.contact_id)


async def _of_part(app: App, caller: Caller, args: OfInstance, kind: Literal["chat", "contact"], id: str) -> Subject:
    caller.require_owner()
    row = await instance_of(app.database, caller, args.instance_id)
    part = Part(row.id, chat_id=id) if kind == "chat" else Part(row.id, contact_id=id)
    if not await is_known(app.database, part):
        raise NoSuchChat(id)
    return Subject(f"{row.provider}-{str(row.id)[:8]}-{kind}", [part])


async def of_person(app: App, caller: Caller, args: OfPerson) -> Subject:
    """Return a person as the subject of an export. Raises NoSuchPerson."""
    caller.require_owner()
    caller.require_all_instances()
    person_id = parse_person_id(args.person_id)
    found = [one for one in await people.get(app.database, person_id, user_id=caller.user_id) if one.confirmed_at is not None]
    if not found:
        raise NoSuchPerson(args.person_id)
    parts = [Part(one.instance_id, contact_id=one.contact_id) for one in found]
    return Subject(f"person-{str(person_id)[:8]}", parts, person_id=person_id, has_people=True)


async def of_user(app: App, caller: Caller, args: ExportUser) -> Subject:
    """Return a user as the subject of an export. Raises NotAllowed for anybody but the administrator and the user."""
    caller.require_owner()
    caller.require_all_instances()
    if caller.user_id != args.user_id:
        caller.require_admin()
    ids = await instances.ids_of_user(app.database, args.user_id)
    return Subject("user", [Part(id) for id in ids], has_people=True)


async def _exported(app: App, subject: Subject) -> Export:
    # Without a name in the folder, so that nothing is left after a kill.
    content = tempfile.TemporaryFile(dir=app.config.data_dir)  # noqa: SIM115 - closed by whoever reads it
    try:
        made = await write_export(app, subject, content)
    except BaseException:
        content.close()
        raise
    return made.with_content(content)


async def write_export(app: App, subject: Subject, into: IO[bytes]) -> Export:
    """Write an export into a file that is open for writing. Raises StoreUnavailable."""
    counts, files = Counter[str](), list[tuple[Path, str]]()
    with zipfile.ZipFile(into, "w") as archive:
        info = zipfile.ZipInfo(LINES, datetime.now(UTC).timetuple()[:6])
        info.compress_type = zipfile.ZIP_DEFLATED
        with archive.open(info, "w", force_zip64=True) as member:
            lines = _Lines(member)
            await lines.add(json.dumps({"type": "export", "format": FORMAT, "version": __version__, "made_at": datetime.now(UTC).isoformat()}))
            async with exporting(app.database) as rows:
                for part in subject.parts:
                    folder = app.downloads_dir(part.instance_id)
                    kept = await anyio.to_thread.run_sync(_names, folder)
                    async with aclosing(rows.lines(part)) as found:
                        async for line, message_id in found:
                            await lines.add(line)
                            counts[_type_of(line)] += 1
                            if message_id is not None and str(message_id) in kept:
                                files += _files(folder / str(message_id), f"{MEDIA}/{part.instance_id}/{message_id}")
                if subject.has_people:
                    async with aclosing(rows.people([part.instance_id for part in subject.parts], subject.person_id)) as people_of:
                        async for line in people_of:
                            await lines.add(line)
                            counts["person"] += 1
            await lines.add(json.dumps({"type": "end", "rows": counts}))
            await lines.finish()
        saved = sum([await anyio.to_thread.run_sync(_save, archive, file, name) for file, name in files])
    name = f"mcp-messenger-{subject.name}-{datetime.now(UTC):%Y%m%d-%H%M%S}.zip"
    return Export(name=name, rows=dict(counts), files=saved)


@dataclass
class _Lines:
    """Collects lines until there are enough for a thread to compress."""

    _member: IO[bytes]
    _waiting: list[str] = field(default_factory=list[str])
    _size: int = 0

    async def add(self, line: str) -> None:
        self._waiting.append(line)
        self._size += len(line)
        if self._size > BLOCK:
            await self.finish()

    async def finish(self) -> None:
        block = "".join(f"{line}\n" for line in self._waiting).encode()
        self._waiting, self._size = [], 0
        await anyio.to_thread.run_sync(self._member.write, block)


def _type_of(line: str) -> str:
    """Return the type of a row as PostgreSQL has written it, where it comes first."""
    return line.split('"', 4)[3]


def _names(folder: Path) -> frozenset[str]:
    return frozenset(path.name for path in folder.iterdir()) if folder.is_dir() else frozenset()


def _files(folder: Path, name: str) -> list[tuple[Path, str]]:
    return [(file, f"{name}/{file.name}") for file in folder.iterdir() if not file.name.startswith(".")]


def _save(archive: zipfile.ZipFile, file: Path, name: str) -> bool:
    """Return False where the file is gone by now."""
    try:
        archive.write(file, name)
    except FileNotFoundError:
        return False
    return True
