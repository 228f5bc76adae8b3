"""Shows a model the file of a message: a picture as a picture, a document as text."""

from dataclasses import replace
from typing import Any, Self

from pydantic import Field, PrivateAttr

from db.messages import transcripts
from mcp_messenger.media.decoding import Decoded, kind_of
from mcp_messenger.net.mime import mime_of, safe_name
from mcp_messenger.operations.application import App
from mcp_messenger.operations.messages import INLINE_MAX, GetMedia, fetched_media, resource_of
from mcp_messenger.operations.operation import FileLink, FromOthers, MaxTokens
from mcp_messenger.operations.tokens import part_of
from mcp_messenger.operations.transcript import BUDGET
from mcp_messenger.policy.shown import Words
from mcp_messenger.security.caller import Caller

PLAIN = frozenset({"application/json", "application/xml"})
PLAIN_MAX = 200_000
HEARD = "A machine wrote the text down from the sound; it may be wrong."
SAVED = "download_media saves the file; its bytes are at the resource."


class ShowMedia(GetMedia):
    hidden = frozenset({"max_tokens"})

    offset: int = Field(default=0, ge=0, description="text_goes_on of the answer before")
    max_tokens: MaxTokens = None


class ShownMedia(FromOthers):
    """A file of a message. `text` is what a document says; a picture comes beside it, scaled to what models take, and a
    short sound that nobody has written down as it is.

    `resource` is the address of the file's bytes among the resources.
    """

    name: str
    mime: str
    size: int
    width: int | None = None
    height: int | None = None
    text: str | None = None
    text_goes_on: int | None = None
    note: str | None = None
    resource: str
    _picture: tuple[bytes, str] | None = PrivateAttr(default=None)
    _sound: bytes | None = PrivateAttr(default=None)

    def with_picture(self, decoded: Decoded) -> Self:
        """Return the answer, with the picture that was made of the file, where one was."""
        self._picture = (decoded.content, decoded.mime) if decoded.content else None
        return self

    def with_sound(self, content: bytes) -> Self:
        """Return the answer, with a sound as it is."""
        self._sound = content
        return self

    def pictures(self) -> tuple[tuple[bytes, str], ...]:
        return () if self._picture is None else (self._picture,)

    def sounds(self) -> tuple[tuple[bytes, str], ...]:
        return () if self._sound is None else ((self._sound, self.mime),)

    def links(self) -> tuple[FileLink, ...]:
        is_shown = self.text is not None or self._picture is not None or self._sound is not None
        return () if is_shown else (FileLink(self.resource, self.name, self.mime, self.size),)


async def get_media(app: App, caller: Caller, args: ShowMedia) -> ShownMedia:
    """Return what a file shows, or says. Raises NoSuchMessage, InvalidInput, Unsupported, NotReady."""
    row, message, download = await fetched_media(app, caller, args)
    mime = mime_of(download.content, download.mime, download.name)
    decoded = await _decoded(app, mime, download.content)
    heard = transcripts(message.content)[args.index]
    if heard is not None:
        decoded = replace(decoded, text=heard, note=decoded.note or HEARD)
    text, further = (None, None) if decoded.text is None else part_of(decoded.text, args.offset, args.max_tokens or BUDGET)
    media: dict[str, Any] = message.content["media"][args.index]
    seconds = f" It is {media['duration']:g} s long." if isinstance(media.get("duration"), int | float) else ""
    note = decoded.note if decoded.note or decoded.content or text is not None else f"No model reads this as it is.{seconds} {SAVED}"
    shown = ShownMedia(
        name=safe_name(download.name, mime),
        mime=mime,
        size=len(download.content),
        width=decoded.width,
        height=decoded.height,
        text=text,
        text_goes_on=further,
        note=note,
        resource=resource_of(row.id, message.id, args.index),
    )
    if mime.startswith("audio/") and text is None and len(download.content) <= INLINE_MAX:
        shown = shown.with_sound(download.content)
    return shown.with_picture(decoded).with_words([Words(message.chat_id)])


async def _decoded(app: App, mime: str, content: bytes) -> Decoded:
    if mime.startswith("text/") or mime in PLAIN:
        note = f"Only the first {PLAIN_MAX} bytes are here." if len(content) > PLAIN_MAX else None
        return Decoded(text=content[:PLAIN_MAX].decode(errors="replace"), note=note)
    kind = kind_of(mime)
    return Decoded() if kind is None else await app.decoder.decode(kind, content)


class FileOfMessage(FromOthers):
    """A file as it is, for whoever reads it as a resource."""

    content: bytes = Field(repr=False)


async def get_file(app: App, caller: Caller, args: GetMedia) -> FileOfMessage:
    """Return a file of a message. Raises NoSuchMessage, InvalidInput, Unsupported, NotReady."""
    _, message, download = await fetched_media(app, caller, args)
    return FileOfMessage(content=download.content).with_words([Words(message.chat_id)])
