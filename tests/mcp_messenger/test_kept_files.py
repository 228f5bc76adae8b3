"""Files of messages that come in are kept: once, within their limits, over the death of a process, and not beyond the message."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID

import anyio
import pytest
from pydantic import ValidationError

from mcp_messenger.config import MB
from mcp_messenger.delivery.inbound import Source
from mcp_messenger.errors import InvalidInput
from mcp_messenger.operations import erasing, lifecycle, messages
from mcp_messenger.operations.application import App
from mcp_messenger.operations.instances import UpdateInstance, update_instance
from mcp_messenger.operations.messages import DownloadMedia, GetMessage
from mcp_messenger.operations.operation import OfInstance
from mcp_messenger.operations.views import MediaView
from mcp_messenger.operations.warnings import warnings
from mcp_messenger.security.caller import ADMIN
from providers.errors import NotFound, RateLimited
from providers.events import MessageDeleted, MessageEdited, MessageReceived
from providers.models import Chat, ChatKind, Contact, Download, Media, MediaKind, Message
from providers.sandbox.provider import SandboxProvider
from tests.running import ready_sandbox, registered, running_app
from tests.stored import one, rows
from tests.waiting import until

pytestmark = pytest.mark.anyio
ANN = Chat(id="ann", kind=ChatKind.PRIVATE, title="Ann")


class Archive(SandboxProvider):
    """A messenger that has the files named here, and refuses as it is told."""

    files: ClassVar[dict[str, bytes]] = {}
    refusals: ClassVar[dict[str, list[Exception]]] = {}
    asked: ClassVar[list[str]] = []
    doors: ClassVar[dict[str, Callable[[], Awaitable[object]]]] = {}
    """What a download waits for, by file."""

    async def download(self, media: Media) -> Download:
        self.asked.append(media.ref)
        if media.ref in self.doors:
            await self.doors[media.ref]()
        if self.refusals.get(media.ref):
            raise self.refusals[media.ref].pop(0)
        if media.ref not in self.files:
            raise NotFound("The link is dead.")
        return Download(content=self.files[media.ref], mime="text/plain", name=f"{media.ref}.txt")


@dataclass
class Desk:
    app: App
    url: str
    instance_id: str
    written: list[str] = field(default_factory=list[str])

    async def write(self, ref: str, content: bytes | None = b"1. Rest", *, size: int | None = None) -> str:
        """Have a message with a file come in; return our id of it."""
        if content is not None:
            Archive.files[ref] = content
        media = (Media(kind=MediaKind.DOCUMENT, ref=ref, name=f"{ref}.txt", mime="text/plain", size=size),)
        message = Message(id=f"of-{ref}", chat_id="ann", at=datetime.now(UTC), sender_id="ann", sender_name="Ann", media=media)
        await self.deliver(MessageReceived(message=message, chat=ANN, sender=Contact(id="ann", name="Ann")))
        return self.id_of(ref)

    async def deliver(self, *events: Any) -> None:
        await self.app.inbound.deliver(Source(UUID(self.instance_id), None), events)

    def id_of(self, ref: str) -> str:
        return str(one(self.url, f"SELECT id FROM messages WHERE platform_id = 'of-{ref}'"))

    async def media(self, id: str) -> MediaView:
        return (await messages.get_message(self.app, ADMIN, GetMessage(instance_id=self.instance_id, message_id=id))).message.media[0]

    async def settled(self, ref: str) -> str:
        """What became of a file."""
        of = "SELECT status FROM media_files WHERE ref = %s AND status <> 'waiting'"
        await until(lambda: rows(self.url, of, ref))
        return rows(self.url, of, ref)[0][0]

    async def saved(self, id: str) -> messages.Downloaded:
        return await messages.download_media(self.app, ADMIN, DownloadMedia(instance_id=self.instance_id, message_id=id))

    def on_disk(self, id: str) -> list[bytes]:
        folder = self.app.downloads_dir(UUID(self.instance_id)) / id
        return [file.read_bytes() for file in sorted(folder.glob("*"))] if folder.exists() else []

    def hasten(self, ref: str) -> None:
        """What time would do."""
        rows(self.url, "UPDATE media_files SET run_at = now() WHERE status = 'waiting' AND ref = %s", ref)
        for wake in self.app.feed.growth:
            wake()


@pytest.fixture
def archive() -> Generator[None]:
    for known in (Archive.files, Archive.refusals, Archive.asked, Archive.doors):
        known.clear()
    with registered(Archive):
        yield


@pytest.fixture
async def desk(database_url: str, tmp_path: Path, archive: None) -> AsyncGenerator[Desk]:
    async with running_app(database_url, tmp_path, keep_files=MB) as app:
        yield Desk(app, database_url, await ready_sandbox(app, persona="human"))


async def test_a_file_outlives_the_messengers_link_and_is_fetched_once(desk: Desk) -> None:
    id = await desk.write("plan")
    assert await desk.settled("plan") == "kept"
    assert (await desk.media(id)).kept == "yes"
    Archive.files.clear()
    await lifecycle.stop_instance(desk.app, ADMIN, OfInstance(instance_id=desk.instance_id))
    saved = await desk.saved(id)
    assert (Path(saved.path).read_bytes(), saved.name, saved.mime) == (b"1. Rest", "plan.txt", "text/plain")
    assert desk.on_disk(id) == [b"1. Rest"]
    assert Archive.asked == ["plan"]
    assert desk.app.metrics.files[UUID(desk.instance_id), "kept"] == 1
    assert "kept_files" not in await warnings(desk.app)


async def test_what_is_too_large_or_gone_or_has_no_room_is_told_as_not_kept(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    said = await desk.write("huge", size=5 * MB)
    unsaid = await desk.write("large", bytes(MB + 1))
    gone = await desk.write("gone", None)
    assert [await desk.settled(ref) for ref in ("huge", "large", "gone")] == ["not_kept"] * 3
    assert Archive.asked.count("huge") == 0
    assert [(await desk.media(id)).kept for id in (said, unsaid)] == [
        "It has 5.0 MB; files of at most 1 MB are kept.",
        "It has 1.0 MB; files of at most 1 MB are kept.",
    ]
    assert (await desk.media(gone)).kept == "The link is dead."
    assert [desk.on_disk(id) for id in (said, unsaid, gone)] == [[], [], []]
    wanted = UpdateInstance(instance_id=desk.instance_id, retention={"kept_mb": "/1"})
    await update_instance(desk.app, ADMIN, wanted)
    await desk.write("first", bytes(MB - 10))
    assert await desk.settled("first") == "kept"
    full = await desk.write("second", bytes(100))
    assert await desk.settled("second") == "not_kept"
    assert (await desk.media(full)).kept == "The room for files of this instance is full."
    assert "2 files" in (await warnings(desk.app))["kept_files"]
    assert desk.app.metrics.files[UUID(desk.instance_id), "not_kept"] == 4
    assert "is not kept: The link is dead." in caplog.text
    with pytest.raises(ValidationError, match="kept_mb has no age"):
        UpdateInstance(instance_id=desk.instance_id, retention={"kept_mb": "3d"})


async def test_a_messenger_that_refuses_for_now_is_asked_again_and_not_for_ever(desk: Desk) -> None:
    Archive.refusals["late"] = [RateLimited(1.0, "Slow down."), RateLimited(1.0, "Slow down.")]
    Archive.refusals["never"] = [RateLimited(1.0, "Slow down.") for _ in range(10)]
    late, never = await desk.write("late"), await desk.write("never")

    async def asked(ref: str, times: int) -> None:
        refused = "SELECT 1 FROM media_files WHERE ref = %s AND tries = %s AND reason = 'Slow down.'"
        await until(lambda: Archive.asked.count(ref) == times and rows(desk.url, refused, ref, times))

    await asked("late", 1)
    assert (await desk.media(late)).kept == "soon"
    for times in (1, 2):
        await asked("late", times)
        desk.hasten("late")
    for times in range(1, 6):
        await asked("never", times)
        desk.hasten("never")
    assert [await desk.settled(ref) for ref in ("late", "never")] == ["kept", "not_kept"]
    assert Archive.asked.count("late") == 3
    assert Archive.asked.count("never") == 6
    assert (await desk.media(never)).kept == "Slow down."


async def test_what_was_not_fetched_before_a_death_is_fetched_afterwards(database_url: str, tmp_path: Path, archive: None) -> None:
    """Of one file the process had not even made a note when it died; the other it had claimed."""
    stuck = anyio.Event()
    Archive.doors["claimed"] = stuck.wait
    async with running_app(database_url, tmp_path, keep_files=0) as app:
        instance_id = await ready_sandbox(app, persona="human")
        await Desk(app, database_url, instance_id).write("unheard")
    async with running_app(database_url, tmp_path, keep_files=MB) as app:
        desk = Desk(app, database_url, instance_id)
        assert await desk.settled("unheard") == "kept"
        await desk.write("claimed")
        await until(lambda: "claimed" in Archive.asked)
    Archive.doors.clear()
    async with running_app(database_url, tmp_path, keep_files=MB) as app:
        desk = Desk(app, database_url, instance_id)
        await until(lambda: UUID(instance_id) in app.supervisor.owned)
        desk.hasten("claimed")
        assert await desk.settled("claimed") == "kept"
        assert desk.on_disk(desk.id_of("claimed")) == [b"1. Rest"]
    assert Archive.asked == ["unheard", "claimed", "claimed"]


async def test_nothing_is_kept_of_what_is_erased_deleted_or_replaced_meanwhile(desk: Desk) -> None:
    door = anyio.Event()
    Archive.doors["slow"] = door.wait
    slow = await desk.write("slow")
    await until(lambda: "slow" in Archive.asked)
    await erasing.erase_chat(desk.app, ADMIN, erasing.EraseChat(instance_id=desk.instance_id, chat_id="ann"))
    door.set()
    replaced = await desk.write("before")
    assert await desk.settled("before") == "kept"
    Archive.files["after"] = b"2. Work"
    media = (Media(kind=MediaKind.DOCUMENT, ref="after", name="after.txt", mime="text/plain"),)
    await desk.deliver(MessageEdited(chat_id="ann", message_id="of-before", text="", media=media, at=datetime.now(UTC)))
    assert Path((await desk.saved(replaced)).path).read_bytes() == b"2. Work"
    assert await desk.settled("after") == "kept"
    assert desk.on_disk(slow) == []
    assert rows(desk.url, "SELECT count(*) FROM media_files") == [(1,)]
    await desk.deliver(MessageDeleted(chat_id="ann", message_id="of-before", at=datetime.now(UTC)))
    with pytest.raises(InvalidInput, match="no file number 0"):
        await desk.saved(replaced)
