"""Takes an export of this or another installation. What is there already stays as it is, so a file may be imported again."""

import json
import os
import shutil
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any, Literal
from uuid import UUID

import anyio.to_thread
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from db import instances, portable
from db.portable import NewInstance
from mcp_messenger.errors import Conflict, InvalidInput
from mcp_messenger.operations.application import App
from mcp_messenger.operations.exporting import FORMAT, LINES, MEDIA
from mcp_messenger.operations.instance_settings import AgentRoutes, stored_routes
from mcp_messenger.operations.operation import Input, Output
from mcp_messenger.security.caller import Caller
from providers import REGISTRY

BATCH = 500
LONGEST = 64 * 2**20
"""Bytes of one line: a message with all that the platform has sent of it."""
REASON = "Imported. Set its credentials again, and start it where its account runs nowhere else."
UNDER_WAY = {
    "code": "imported",
    "message": "It was on its way when it was exported, so it may have arrived. Look at the chat before you send it again.",
}
HINT = "Export it again."

Id = Field(min_length=1, max_length=256)


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    type: str


class _OfInstance(_Row):
    instance_id: UUID


class _Instance(_Row):
    """`settings` and what follows belong to an instance that was exported whole."""

    id: UUID
    provider: str
    name: str = Field(default="", max_length=100)
    account: dict[str, Any] | None = None
    user_id: str | None = Field(default=None, min_length=1, max_length=128)
    type_instance: list[Literal["api", "mcp"]] | None = None
    runtime: Literal["process", "docker", "swarm"] | None = None
    settings: dict[str, Any] | None = None
    agent_id: str | None = None
    agno_enable: bool = False
    stream: bool = False
    quiet_hours: str | None = None
    agent_routes: AgentRoutes | None = None
    created_at: AwareDatetime


class _Chat(_OfInstance):
    id: str = Id
    kind: str
    title: str = ""
    username: str | None = None
    phone: str | None = None
    unread: int = Field(default=0, ge=0, lt=2**31)
    last_at: AwareDatetime | None = None
    last_incoming_at: AwareDatetime | None = None
    migrated_to: str | None = None


class _Contact(_OfInstance):
    id: str = Id
    name: str = ""
    username: str | None = None
    phone: str | None = None
    is_bot: bool = False


class _Alias(_OfInstance):
    alias: str = Id
    chat_id: str = Id
    thread_id: str | None = None


class _Message(_OfInstance):
    id: int = Field(gt=0, lt=2**63)
    chat_id: str = Id
    platform_id: str | None = None
    outgoing: bool
    status: Literal["received", "queued", "sending", "sent", "delivered", "read", "failed", "unknown"]
    sender_id: str | None = None
    sender_name: str = ""
    kind: str
    body: str = ""
    reply_to: str | None = None
    thread_id: str | None = None
    content: dict[str, Any] = {}
    raw: dict[str, Any] | None = None
    sent_at: AwareDatetime
    created_at: AwareDatetime
    edited_at: AwareDatetime | None = None
    deleted_at: AwareDatetime | None = None
    idempotency_key: str | None = None
    error: dict[str, Any] | None = None
    queued: bool = False


class _Link(BaseModel):
    instance_id: UUID
    contact_id: str = Id
    confirmed_at: AwareDatetime | None = None


class _Person(_Row):
    id: UUID
    name: str = ""
    created_at: AwareDatetime
    contacts: list[_Link]


ROWS: dict[str, type[_Row]] = {
    "instance": _Instance,
    "chat": _Chat,
    "contact": _Contact,
    "alias": _Alias,
    "message": _Message,
    "person": _Person,
}
COUNTED = {"instance": "instances", "chat": "chats", "contact": "contacts", "alias": "aliases", "message": "messages", "person": "people"}


class ImportData(Input):
    _content: IO[bytes] | None = PrivateAttr(default=None)

    @classmethod
    def of(cls, content: IO[bytes]) -> "ImportData":
        """Return the arguments for a file that is open for reading."""
        made = cls()
        object.__setattr__(made, "_content", content)
        return made

    @property
    def content(self) -> IO[bytes]:
        """Raises InvalidInput where no file came."""
        if self._content is None:
            raise InvalidInput("There is no file in the request.", hint="Send the zip file of an export as the body.")
        return self._content


class Imported(Output):
    """What is new here. `known` messages were here already, `erased` ones were erased here before and stay so."""

    instances: int = 0
    chats: int = 0
    contacts: int = 0
    aliases: int = 0
    people: int = 0
    messages: int = 0
    known: int = 0
    erased: int = 0
    files: int = 0


async def import_data(app: App, caller: Caller, args: ImportData) -> Imported:
    """Import a file. Instances come stopped and without secrets. Raises InvalidInput, and Conflict for an instance of somebody else."""
    caller.require_owner()
    caller.require_all_instances()
    try:
        archive = zipfile.ZipFile(args.content)
        member = archive.open(LINES)
    except (zipfile.BadZipFile, KeyError) as error:
        raise InvalidInput("The file is no export of mcp-messenger.", hint="Give a file that 'mcp-messenger export' has written.") from error
    with archive, member:
        work = _Import(app, caller)
        await work.run(member)
        new = {COUNTED[type]: count for type, count in work.new.items()}
        return Imported(**new, known=work.known, erased=work.erased, files=await work.files(archive))


class _Import:
    def __init__(self, app: App, caller: Caller) -> None:
        self._app = app
        self._caller = caller
        self._owners: dict[UUID, str] = {}
        self._numbers: dict[tuple[UUID, int], int] = {}
        self._waiting: list[_Row] = []
        self.new = Counter[str]()
        self.known = 0
        self.erased = 0

    async def run(self, member: IO[bytes]) -> None:
        """Store the lines, a batch at a time; what is stored stays when a later line is refused, and is known the next time."""
        lines = _lines(member)
        head = await anyio.to_thread.run_sync(next, lines, None)
        if head is None or head.get("type") != "export" or head.get("format") != FORMAT:
            raise InvalidInput("The export was written by another version.", hint="Import it with the version that wrote it, or a later one.")
        is_whole = False
        while batch := await anyio.to_thread.run_sync(_taken, lines):
            for line in batch:
                if is_whole := line.get("type") == "end":
                    break
                await self._take(_parsed(line))
        await self._store()
        if not is_whole:
            raise InvalidInput("The export has no end.", hint=HINT)
        await portable.set_last_messages(self._app.database, list(self._owners))

    async def _take(self, row: _Row | None) -> None:
        if row is None:
            return
        if isinstance(row, _Instance):
            await self._store()
            await self._add_instance(row)
            return
        if isinstance(row, _OfInstance) and row.instance_id not in self._owners:
            raise InvalidInput(f"A {row.type} is of an instance that is not in the export.", hint=HINT)
        if self._waiting and (self._waiting[0].type != row.type or len(self._waiting) >= BATCH):
            await self._store()
        self._waiting.append(row)

    async def _store(self) -> None:
        rows, self._waiting = self._waiting, []
        if not rows:
            return
        if isinstance(rows[0], _Message):
            await self._add_messages([row for row in rows if isinstance(row, _Message)])
            return
        given = [self._given(row) for row in rows]
        self.new[rows[0].type] += await portable.add(self._app.database, rows[0].type, given)

    def _given(self, row: _Row) -> dict[str, Any]:
        given = row.model_dump(mode="json")
        if isinstance(row, _Person):
            owners = [self._owners[link.instance_id] for link in row.contacts if link.instance_id in self._owners]
            return given | {"user_id": owners[0] if owners else None}
        return given

    async def _add_instance(self, row: _Instance) -> None:
        if row.provider not in REGISTRY:
            raise InvalidInput(f"There is no messenger {row.provider!r} here.", hint="Import it with a version that has it.")
        found = await instances.get(self._app.database, row.id)
        if found is not None and (not self._caller.sees(found) or found.provider != row.provider):
            raise Conflict(f"The instance {row.id} is somebody else's here.", hint="Import it with that user's token, or into another installation.")
        # A user may import no more than a user may set: the administrator's file says the rest.
        trusted = self._caller.is_admin
        owner = found.user_id if found is not None else (self._caller.user_id or row.user_id or "local")
        self._owners[row.id] = owner
        new = NewInstance(
            id=row.id,
            user_id=owner,
            provider=row.provider,
            name=row.name,
            type_instance=[*(row.type_instance or ["api"])],
            runtime=(trusted and row.runtime) or "process",
            reason=REASON,
            account=row.account,
            settings=(trusted and row.settings) or {},
            agent_id=(trusted and row.agent_id) or None,
            agno_enable=trusted and row.agno_enable,
            stream=row.stream,
            quiet_hours=row.quiet_hours,
            agent_routes=stored_routes(row.agent_routes) if trusted else None,
            created_at=row.created_at,
        )
        self.new["instance"] += await portable.add_instance(self._app.database, new)

    async def _add_messages(self, rows: list[_Message]) -> None:
        waiting = list(rows)
        while waiting:
            now, waiting = _distinct(waiting)
            given = [_settled(row) | {"position": position} for position, row in enumerate(now)]
            for one in await portable.add_messages(self._app.database, given):
                row = now[one.position]
                self.new["message"] += one.is_new
                self.known += not one.is_new and one.id is not None
                self.erased += one.id is None
                if one.id is not None:
                    self._numbers[row.instance_id, row.id] = one.id

    async def files(self, archive: zipfile.ZipFile) -> int:
        """Unpack the files of messages that are stored; return how many were not there yet."""
        count = 0
        for name in archive.namelist():
            parts = PurePosixPath(name).parts
            if len(parts) != 4 or parts[0] != MEDIA or parts[3] in {".", ".."} or "\\" in parts[3] or ":" in parts[3] or not parts[2].isdecimal():
                continue
            number = self._numbers.get((_uuid(parts[1]), int(parts[2])))
            if number is not None:
                target = self._app.downloads_dir(_uuid(parts[1])) / str(number) / parts[3]
                count += await anyio.to_thread.run_sync(_unpack, archive, name, target)
        return count


def _lines(member: IO[bytes]) -> Iterator[dict[str, Any]]:
    while line := member.readline(LONGEST):
        try:
            found = json.loads(line)
        except ValueError as error:
            raise InvalidInput("The export has a line that is no JSON.", hint=HINT) from error
        if not isinstance(found, dict):
            raise InvalidInput("The export has a line that is no object.", hint=HINT)
        yield found


def _taken(lines: Iterator[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for _, line in zip(range(BATCH), lines, strict=False)]


def _parsed(line: dict[str, Any]) -> _Row | None:
    """Return None for a type of a later version."""
    cls = ROWS.get(str(line.get("type")))
    try:
        return None if cls is None else cls.model_validate(line)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InvalidInput(f"A {line['type']} in the export cannot be used: {where}: {first['msg']}.", hint=HINT) from error


def _distinct(rows: list[_Message]) -> tuple[list[_Message], list[_Message]]:
    """Return rows that share nothing that may be there once only, and the rest."""
    seen, first, rest = set[tuple[object, ...]](), list[_Message](), list[_Message]()
    for row in rows:
        marks = {("id", row.id), ("platform", row.instance_id, row.platform_id or row.id), ("key", row.instance_id, row.idempotency_key or row.id)}
        (rest if marks & seen else first).append(row)
        seen |= marks
    return first, rest


def _settled(row: _Message) -> dict[str, Any]:
    """Return the row as it is stored: what was on its way is not sent from here."""
    given = row.model_dump(mode="json")
    return given | {"status": "unknown", "error": UNDER_WAY} if row.status in {"queued", "sending"} else given


def _unpack(archive: zipfile.ZipFile, name: str, target: Path) -> bool:
    """Return False where the file is there."""
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "wb") as file, archive.open(name) as content:
        shutil.copyfileobj(content, file)
    return True


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        return UUID(int=0)
