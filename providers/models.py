"""The nouns that every messenger is translated into. Ids are the platform's, opaque, as text."""

from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from providers.text import Body, Line


class Noun(BaseModel):
    """The base of all: immutable, and strict about its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_bytes="base64", val_json_bytes="base64")


class InstanceState(StrEnum):
    """The state of an instance; `providers/states.py` says what can be done in which."""

    CREATED = "created"
    PROCESSING = "processing"
    STARTING = "starting"
    QR_READY = "qr_ready"
    AUTHENTICATED = "authenticated"
    READY = "ready"
    DEGRADED = "degraded"
    STOPPED = "stopped"
    ERROR = "error"
    LOGGED_OUT = "logged_out"


class Capability(StrEnum):
    """An ability that a messenger may have beyond sending and receiving text."""

    REPLY = "reply"
    THREADS = "threads"
    FORMATTING = "formatting"
    MEDIA = "media"
    DOWNLOAD = "download"
    POLL = "poll"
    LOCATION = "location"
    CONTACT = "contact"
    CHOICES = "choices"
    TEMPLATES = "templates"
    EDIT = "edit"
    DELETE = "delete"
    REACT = "react"
    FORWARD = "forward"
    PIN = "pin"
    STAR = "star"
    TYPING = "typing"
    MARK_READ = "mark_read"
    RECEIPTS = "receipts"
    CHATS = "chats"
    CHAT_MARKS = "chat_marks"
    ARCHIVE = "archive"
    CONTACTS = "contacts"
    LOOK_UP = "look_up"
    BLOCK = "block"
    PROFILE = "profile"
    STORIES = "stories"
    HISTORY = "history"
    GROUPS = "groups"
    GROUP_ADMIN = "group_admin"
    GROUP_SETTINGS = "group_settings"
    JOIN_GROUPS = "join_groups"
    JOIN_REQUESTS = "join_requests"
    QR_LOGIN = "qr_login"
    PAIRING_CODE = "pairing_code"
    LOGOUT = "logout"
    SENDING_BUDGET = "sending_budget"
    WEBHOOK = "webhook"
    THREAD_CONTROL = "thread_control"
    PREVIEW = "preview"


class ControlAction(StrEnum):
    """A change of which application answers in a conversation that several share."""

    TAKE = "take"
    PASS = "pass"  # noqa: S105 - the word, not a password
    RELEASE = "release"
    REQUEST = "request"


class TextUnit(StrEnum):
    """The unit in which a platform counts the length of a text."""

    CHARACTERS = "characters"
    UTF16 = "utf16"
    BYTES = "bytes"

    def length(self, text: str) -> int:
        """Return the length of a text in this unit. A lone surrogate counts as one UTF-16 unit and three bytes."""
        match self:
            case TextUnit.CHARACTERS:
                return len(text)
            case TextUnit.UTF16:
                return len(text.encode("utf-16-le", "surrogatepass")) // 2
            case TextUnit.BYTES:
                return len(text.encode(errors="surrogatepass"))


class Rate(Noun):
    """At most `count` sends in `seconds`; a burst of `count` may go at once."""

    count: int
    seconds: float


class Limits(Noun):
    """The platform's own numbers. Sizes in bytes; None where the platform names none."""

    max_text: int
    text_unit: TextUnit = TextUnit.CHARACTERS
    max_caption: int | None = None
    max_upload: int | None = None
    max_photo: int | None = None
    max_download: int | None = None
    reply_window_hours: int | None = None
    overall_rate: Rate | None = None
    chat_rate: Rate | None = None
    group_rate: Rate | None = None
    edit_pause: float = 3.0
    """Least seconds between two edits of one message, where it can be edited: of an answer that is shown while it grows."""


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


class Contact(Noun):
    """A person or a bot, as the platform shows them to this account."""

    id: str
    name: Line = ""
    username: Line | None = None
    phone: Line | None = None
    is_bot: bool = False


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


class Template(Noun):
    """A text that the platform has approved beforehand, and the only one it takes where its window for free texts is closed."""

    name: Line
    language: Line
    status: Line = ""
    category: Line = ""
    text: Body = ""
    """With its placeholders, as the platform shows them."""
    header: Line = ""
    """The kind of its header where that is a file: image, video, document."""
    buttons: tuple[Line, ...] = ()
    """Its buttons in their order, each with its kind and title, and the address where it has one."""


class SendingBudget(Noun):
    """The number of chats that may be opened with people who never wrote. Our caution, not a platform's rule: accounts that write to
    many strangers get blocked."""

    begun: int
    """In the last 24 hours."""
    allowed: int
    """In 24 hours, by now."""
    allowed_after_warm_up: int
    warm_up_until: datetime | None = None
    """A fresh login is allowed less until then; None: it is over, or nobody is logged in."""
    locked_until: datetime | None = None
    """The platform refused new chats, and is not asked again until then."""
    next_at: datetime | None = None
    """When another chat may be opened; None: now, or never where none are allowed."""


class TemplateButton(Noun):
    """The variable part of a button of a template: the end of its address, the answer that a tap brings back, or a code to copy."""

    index: int = Field(ge=0, le=9)
    kind: Literal["url", "quick_reply", "copy_code"] = "url"
    value: str = Field(min_length=1, max_length=2000)


class TemplateUse(Noun):
    """A template to send, with what its placeholders stand for: in their order, or by their names. A file of the draft is its header's."""

    name: str
    language: str
    parameters: tuple[Body, ...] = ()
    named: dict[str, Body] = Field(default_factory=dict)
    header: Body | None = None
    """For the placeholder in a header that is a text."""
    buttons: tuple[TemplateButton, ...] = ()


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


class ParticipantResult(Noun):
    """The outcome for one person in a change of a group; `reason` says why it is not `ok`."""

    id: str
    ok: bool
    reason: Line | None = None


class Group(Noun):
    """A group and its members, as far as the platform shows them; `admins` are ids of participants."""

    id: str
    title: Line
    participants: tuple[Contact, ...] = ()
    admins: tuple[str, ...] = ()
    description: Body | None = None
    invite_link: str | None = None


class GroupChange(Noun):
    """A group after a change, and the outcome for each person."""

    group: Group
    results: tuple[ParticipantResult, ...] = ()


class GroupSettings(Noun):
    """Changes of a group besides its title and description; None leaves a setting as it is."""

    picture: Upload | None = None
    only_admins_write: bool | None = None
    only_admins_edit: bool | None = None
    """Whether only administrators may change the group's title, description and picture."""
    only_admins_add: bool | None = None


class JoinRequest(Noun):
    """A person who asks to be let into a group."""

    person: Contact
    at: datetime | None = None


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
