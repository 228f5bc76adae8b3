"""Fetches files to send, and sends them."""

import re
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import anyio.to_thread
from pydantic import Field

from db import messages
from db.instances import InstanceRow
from mcp_messenger.errors import Conflict
from mcp_messenger.instances import classes
from mcp_messenger.net.network_policy import NetworkPolicy
from mcp_messenger.net.uploads import MediaPolicy, load_upload
from mcp_messenger.operations.addresses import recipient
from mcp_messenger.operations.application import App
from mcp_messenger.operations.queueing import Send, SendAnswer, checker, draft_of, queue_send, require_sendable
from mcp_messenger.policy.asking import arguments_of
from mcp_messenger.policy.decide import File
from mcp_messenger.policy.judging import current
from mcp_messenger.progress import doing
from mcp_messenger.security.caller import Caller, instance_of
from providers import errors as provider_errors
from providers.base import Provider
from providers.capabilities import Capability
from providers.errors import MessengerError
from providers.models import Draft, MediaKind, TextFormat, Upload

DEFAULT_UPLOAD_MAX = 64 * 1024 * 1024
PATH_MAX = 4096
ADDRESS = re.compile(r"\s*https?:", re.IGNORECASE)
"""The beginning of a source that is fetched from somebody's server."""


class SendMedia(Send):
    operation = "send_media"
    hidden = Send.hidden | {"format", "kind", "mime", "name"}

    source: str = Field(min_length=1, max_length=90_000_000, description="URL, path in a media folder, data: URI or base64:...")
    caption: str = Field(default="", max_length=100_000)
    format: TextFormat = TextFormat.PLAIN
    kind: MediaKind | None = Field(default=None, description="how to show it; found out by itself")
    name: str | None = Field(default=None, max_length=200)
    mime: str | None = Field(default=None, max_length=100)
    more: list[Annotated[str, Field(min_length=1, max_length=PATH_MAX)]] = Field(default=[], max_length=20, description="further files")


async def send_media(app: App, caller: Caller, args: SendMedia) -> SendAnswer:
    """Send files from URLs, a media folder or the call itself, each as a message, the first one with the caption.

    Raises Unsupported and what `queue_send` raises; once the first one is sent, the answer's `detail` says which other could not be.
    """
    sent = await _send_one(app, caller, args.model_copy(update={"more": []}))
    also: list[str] = []
    for number, source in enumerate(args.more, 2):
        key = None if args.idempotency_key is None else f"{args.idempotency_key}:{number}"[-128:]
        further: dict[str, Any] = {
            "source": source,
            "more": [],
            "caption": "",
            "name": None,
            "mime": None,
            "kind": None,
            "reply_to": None,
            "idempotency_key": key,
        }
        try:
            also.append((await _send_one(app, caller, args.model_copy(update=further))).message_id)
        except MessengerError as error:
            left = f"File {number} of {1 + len(args.more)} was not sent, nor those after it: {error.detail} {error.hint or ''}".strip()
            return sent.model_copy(update={"also": also, "detail": left})
    return sent.model_copy(update={"also": also}) if also else sent


async def _send_one(app: App, caller: Caller, args: SendMedia) -> SendAnswer:
    """Send a file. Raises Unsupported and what `queue_send` raises."""
    row = await instance_of(app.database, caller, args.instance_id)
    cls = await classes.load(row.provider)
    require_capability(cls, Capability.MEDIA)
    if not await app.outbox.is_known(row.id, args.idempotency_key):
        # Before a file is fetched that could not be sent.
        await recipient(app, row, args.to, current.get())
        (await checker(app, row)).check_lengths(Draft(client_id="0", chat_id=args.to, text=args.caption, format=args.format))
        if args.send_at is None:
            require_sendable(app, row)
    return await send_file(app, caller, args, args.source, (args.name, args.mime, args.kind), text=args.caption, format=args.format)


async def send_file(
    app: App, caller: Caller, args: Send, source: str, said: tuple[str | None, str | None, MediaKind | None], **content: Any
) -> SendAnswer:
    """Fetch a file and send it with `content`. `said` is what the caller says of it: name, mime and kind.

    An address is fetched only when policy lets it: to fetch it tells its server something.
    """
    row = await instance_of(app.database, caller, args.instance_id)
    cls = await classes.load(row.provider)
    name, mime, kind = said
    judging = current.get()
    if judging is not None and ADDRESS.match(source):
        to = await recipient(app, row, args.to, judging)
        if to.about is not None:
            draft = await draft_of(app, row, args, to, **content)
            if not await app.outbox.is_known(row.id, args.idempotency_key):
                given = arguments_of(args)
                await judging.permit_fetch(row, draft, kind=to.kind, about=to.about, operation=args.operation, arguments=given)
            elif not await judging.lets_fetch(row, draft, kind=to.kind, about=to.about):
                # A repeated call learns whether it is the same one from the file alone, and another address would be told something.
                raise Conflict(
                    "A send was asked for with this idempotency_key before, and the file is not fetched once more.",
                    hint="get_messages shows what became of that send, wait_for_approval where it was approved. A new send takes a new key.",
                )
    async with app.upload_room.share() as share:
        upload = await load_upload(
            source,
            policy=media_policy(app, row),
            max_bytes=min(cls.limits.max_upload or DEFAULT_UPLOAD_MAX, app.config.max_upload),
            name=name,
            mime=mime,
            kind=kind,
            room=share.take,
        )
        file = await _file(app, row, source, upload)
        doing(f"{row.provider} is given the file of {len(upload.content) / 1e6:.1f} MB.")
        return await queue_send(app, caller, args, file=file, upload=upload, **content)


async def _file(app: App, row: InstanceRow, source: str, upload: Upload) -> File:
    """Return what policy has to know of a file: one in the folder of downloads was received in a chat."""
    folder = app.downloads_dir(row.id)

    def place() -> Path | None:
        path = Path(source.removeprefix("file://"))
        try:
            return path.resolve().relative_to(folder.parent.resolve())
        except (ValueError, OSError):
            return None

    found = None if len(source) > PATH_MAX else await anyio.to_thread.run_sync(place)
    if found is None:
        return File(len(upload.content))
    instance = found.parts[0] if found.parts else ""
    number = found.parts[1] if len(found.parts) > 1 else ""
    message = None
    if instance == str(row.id) and number.isascii() and number.isdecimal() and int(number) < 2**63:
        message = await messages.get(app.database, row.id, int(number))
    return File(len(upload.content), from_chat=message and message.chat_id, is_received=True)


def media_policy(app: App, row: InstanceRow) -> MediaPolicy:
    """Return whence files come: the media folders, that of the instance's user, and what this very instance has downloaded."""
    of_users = app.config.data_dir / "media" / "users"
    roots = app.config.media_roots or (app.config.data_dir / "media",)
    own = of_users / quote(row.user_id, safe="").replace(".", "%2E")
    return MediaPolicy(
        roots=(*roots, own, app.downloads_dir(row.id)),
        closed=of_users,
        spool=app.config.data_dir,
        network=NetworkPolicy(allowed_networks=app.config.allowed_networks),
        tls=app.tls(),
    )


def require_capability(cls: type[Provider], capability: Capability) -> None:
    """Raise Unsupported for a messenger without the capability."""
    if capability not in cls.capabilities:
        raise provider_errors.Unsupported(cls.name, capability)
