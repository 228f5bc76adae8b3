"""Chats, people and messages: the nouns into which every messenger is translated. Ids are the platform's, opaque, as text."""

from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from pydantic import Field

from providers.noun import Noun
from providers.templates import TemplateUse
from providers.text import Body, Line


class ControlAction(StrEnum):
    """A change of which application answers in a conversation that several share."""

    TAKE = "take"
    PASS = "pass"  # noqa: S105 - the word, not a password
    RELEASE = "release"
    REQUEST = "request"


class ChatKind(StrEnum):
    """Who may be in a chat."""

    PRIVATE = "private"
    GROUP = "group"
    CHANNEL = "channel"
    UNKNOWN = "unknown"


class Chat(Noun):
    """A conversation. `aliases` are further ids under which the platform speaks of the same one, such as an id that hides the number."""

    id: str
    aliases: tuple[str, ...] = ()
    kind: ChatKind = ChatKind.UNKNOWN
    title: Line = ""
    username: Line | None = None
    phone: Line | None = None


class Address(Noun):
    """A place to write to: a chat, and the thread in it where `thread_id` is not None."""

    chat_id: str
    thread_id: str | None = None
    kind: ChatKind = ChatKind.UNKNOWN
    title: Line = ""
    lasting: bool = True
    """Whether the same address will mean this chat for ever. A name may be given to another; it is asked for at each send."""


PRIVATE_THREAD = "direct:"
"""Begins the id of a thread that one person and the account alone see, such as one in the direct messages of a channel."""


def conversation_of(chat_id: str, thread_id: str | None) -> str:
    """Return an id for those who read a message: the chat, or the one person whose own thread it is in."""
    return f"{chat_id} {thread_id}" if is_private_thread(thread_id) else chat_id


def is_private_thread(thread_id: str | None) -> bool:
    """Return whether one person and the account alone see a thread of a chat."""
    return thread_id is not None and thread_id.startswith(PRIVATE_THREAD)


class Contact(Noun):
    """A person or a bot, as the platform shows them to this account."""

    id: str
    name: Line = ""
    username: Line | None = None
    phone: Line | None = None
    is_bot: bool = False
    is_saved: bool = Field(default=False, exclude_if=lambda value: not value)
    """Whether the account itself keeps them in its address book; set in `list_contacts` alone."""


class Account(Noun):
    """The identity of the instance on the platform."""

    id: str
    name: Line = ""
    username: Line | None = None
    phone: Line | None = None


class MediaKind(StrEnum):
    """How a file is shown."""

    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"
    VOICE = "voice"
    DOCUMENT = "document"
    STICKER = "sticker"


class Media(Noun):
    """A file in a message. `size` is in bytes, `duration` in seconds; `ref` lets the provider download it and is never shown to callers."""

    kind: MediaKind
    ref: str
    mime: Line | None = None
    size: int | None = None
    name: Line | None = None
    duration: float | None = None


class Location(Noun):
    """A place, in degrees (WGS 84)."""

    latitude: float = Field(ge=-90, le=90)
    longitude: float = Field(ge=-180, le=180)
    name: Line | None = None


class Poll(Noun):
    """A question with options; `multiple` allows several answers."""

    question: Body
    options: tuple[Body, ...] = Field(min_length=2)
    multiple: bool = False


class Choice(Noun):
    """An answer that the other side may pick with a tap. Its id comes back as `Message.chosen`."""

    id: str = Field(min_length=1, max_length=200)
    title: Line = Field(min_length=1)
    description: Line | None = None


class MessageKind(StrEnum):
    """What a message mainly is."""

    TEXT = "text"
    MEDIA = "media"
    LOCATION = "location"
    POLL = "poll"
    CONTACT = "contact"
    SYSTEM = "system"
    UNKNOWN = "unknown"


class TextFormat(StrEnum):
    # How a text is marked up. No docstring: it would be in the schema of every tool that takes a format, and cost tokens.
    PLAIN = "plain"
    MARKDOWN = "markdown"
    HTML = "html"


class Forwarded(Noun):
    """Where a forwarded message came from, as far as the platform names it."""

    name: Line = ""
    """The person, group or channel that wrote it; empty where the platform only marks it as forwarded."""
    id: str | None = None
    at: datetime | None = None
    mark: Line = ""
    """The platform's own mark where it names nobody, such as "frequently forwarded"."""


class Quoted(Noun):
    """The words a message answers, as the platform brings them along: a part of a message, one that was never stored, a story or a post."""

    text: Body = ""
    name: Line = ""
    """Who wrote them."""
    of: Line | None = None
    """What was answered where it is no message, such as "story"."""


class Message(Noun):
    """One message as the platform delivered it.

    `id` is unique within the instance: a provider whose platform numbers messages by chat puts the chat into it.
    """

    id: str
    chat_id: str
    at: datetime
    outgoing: bool = False
    sender_id: str | None = None
    sender_name: Line = ""
    kind: MessageKind = MessageKind.TEXT
    text: Body = ""
    reply_to: str | None = None
    thread_id: str | None = None
    media: tuple[Media, ...] = ()
    location: Location | None = None
    poll: Poll | None = None
    contact: Contact | None = None
    format: TextFormat = TextFormat.PLAIN
    """How `text` is marked up: Markdown where the platform's own markup was translated."""
    chosen: str | None = None
    """The id of the choice that was picked; `text` is its title."""
    mentions_me: bool = False
    forwarded: Forwarded | None = None
    quoted: Quoted | None = None
    thread_title: Line | None = None
    """The title of the thread, topic or post that `thread_id` names."""
    album: Line | None = None
    """The same for all messages that were sent together as one album."""
    standby: bool = False
    """Another application handles the conversation at present (Meta's standby): the message is stored and wakes nobody."""
    raw: dict[str, Any] = Field(default_factory=dict)


class Found(Noun):
    """A message that the platform's own search found, with its chat. It need not be stored here, nor its chat be one of the account's."""

    message: Message
    chat: Chat


class Upload(Noun):
    """A file to send, whole. `kind` tells the platform how to show it."""

    kind: MediaKind
    content: bytes = Field(repr=False)
    mime: Line
    name: Line


class Forwarding(Noun):
    """The message to pass on. The draft's text is a copy of its text, for the store and for people; the platform makes the message itself."""

    chat_id: str
    message_id: str


class Draft(Noun):
    """A message to send. `client_id` is unique to this send and the same when it is tried again: a nonce where the platform takes one."""

    client_id: str
    chat_id: str
    text: Body = ""
    format: TextFormat = TextFormat.PLAIN
    reply_to: str | None = None
    thread_id: str | None = None
    upload: Upload | None = None
    location: Location | None = None
    poll: Poll | None = None
    contact: Contact | None = None
    choices: tuple[Choice, ...] = ()
    """To pick from, under the text: shown as buttons or as a list, whichever the platform has for so many."""
    template: TemplateUse | None = None
    forward: Forwarding | None = None
    silent: bool = False
    growing: bool = False
    """Whether the text is the beginning of one that follows by `Provider.grow`; a messenger that knows such messages shows it as one."""
    mass_mentions: bool = False
    """Whether `@everyone`, `@channel`, roles and the like in `text` alarm the people they name; otherwise they are made inert."""
    extra: dict[str, Any] = Field(default_factory=dict)
    """The platform's fields of the call that sends (Telegram's `parse_mode`, Slack's `blocks`), and `split`, which is ours."""


class SentMessage(Noun):
    """The message that the platform made of a draft. `parts` holds the ids of all pieces where it had to be split; `id` is the first.

    `chat_id` is the chat in which it really lies, where answers will come: it may differ from the draft's, which then becomes its alias.
    """

    id: str
    at: datetime
    chat_id: str
    thread_id: str | None = None
    parts: tuple[str, ...] = ()
    media: tuple[Media, ...] = ()
    raw: dict[str, Any] = Field(default_factory=dict)


class ChatMarks(Noun):
    """How this account keeps a chat in its own list; None leaves a mark as it is."""

    pinned: bool | None = None
    muted: bool | None = None
    muted_until: datetime | None = None
    """The end of a mute; None: until it is taken back."""
    unread: Literal[True] | None = None


class Profile(Noun):
    """What the account shows of itself to others; None leaves a part as it is."""

    name: Line | None = None
    about: Body | None = None
    picture: Upload | None = None


class Download(Noun):
    """A file, whole."""

    content: bytes = Field(repr=False)
    mime: Line
    name: Line
