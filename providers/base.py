"""The provider port: what the application asks of a messenger."""

import ssl
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import ClassVar, NoReturn

from pydantic import BaseModel, ConfigDict, SecretStr

from providers.capabilities import Capability
from providers.errors import InvalidRequest, LoggedOut, Unsupported
from providers.events import Event, StateChanged
from providers.groups import Group, GroupChange, GroupSettings, JoinRequest, ParticipantResult
from providers.kit.parts import SPLIT_HINT
from providers.limits import Limits, SendingBudget
from providers.models import (
    Account,
    Address,
    Chat,
    ChatMarks,
    Contact,
    ControlAction,
    Download,
    Draft,
    Found,
    Media,
    MediaKind,
    Message,
    Profile,
    SentMessage,
    TextFormat,
)
from providers.templates import Template

Deliver = Callable[[Sequence[Event]], Awaitable[None]]
"""Take events, and return when all of them are durable; only then may the provider confirm them to the platform. Raises where none or
only some are: the same events are delivered again then, and none is stored twice."""


class Settings(BaseModel):
    """The settings of an instance of this messenger. Fields typed SecretStr are stored encrypted."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    admin_fields: ClassVar[frozenset[str]] = frozenset()
    """Fields that only the administrator may set: addresses that this server itself would call."""

    @classmethod
    def secret_fields(cls) -> frozenset[str]:
        """Return the names of the fields that are stored encrypted."""
        return frozenset(name for name, field in cls.model_fields.items() if SecretStr in _union_members(field.annotation))


def _union_members(annotation: object) -> tuple[object, ...]:
    return getattr(annotation, "__args__", (annotation,))


@dataclass(frozen=True)
class ProviderContext:
    """The surroundings of a provider, besides its settings."""

    instance_id: str
    tls: ssl.SSLContext
    """One for the whole process: each costs 1.7 MB and 70 ms."""
    data_dir: Path
    """The folder of this instance alone; it may not exist yet."""
    public_url: str | None = None
    """Where the platform (or a person's browser) reaches this server, without a trailing slash."""
    heard_until: datetime | None = None
    """The time of the newest stored message; None where there is none, or this process does not know."""


@dataclass(frozen=True)
class WebhookRequest:
    """A call from the platform, unchanged: signatures are over `body` as it came."""

    method: str
    headers: Mapping[str, str]
    """Names in lower case."""
    query: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class WebhookReply:
    """The answer to a call from the platform. Every status but 2xx makes most platforms bring it again."""

    status: int = 200
    body: str = ""
    content_type: str = "text/plain"


class Provider(ABC):
    """One account on one messenger.

    Trouble with the connection is a state, never an exception out of `start`. A method that is not overridden raises Unsupported, and
    `capabilities` says so beforehand; a test compares the two. Every method that asks the platform may raise any MessengerError.
    """

    name: ClassVar[str]
    """The messenger's name in addresses, settings and the store."""
    title: ClassVar[str]
    """The messenger's name as people write it."""
    capabilities: ClassVar[frozenset[Capability]]
    limits: ClassVar[Limits]
    settings_type: ClassVar[type[Settings]]
    default_runtime: ClassVar[str] = "process"
    """The runtime of an instance that names none: "docker" for a messenger that needs a browser, where there is a Docker engine."""
    image_stage: ClassVar[str] = "runtime"
    """The stage of the Dockerfile that holds everything the messenger needs in a container."""
    has_address_book: ClassVar[bool] = False
    """Whether the platform says whom the account itself keeps as a contact. Members of a server or workspace are none by that."""
    passed_on: ClassVar[tuple[str, ...]] = ()
    """Environment variables of the manager that its containers get, too. No secrets: an engine shows them."""

    def __init__(self, settings: Settings, context: ProviderContext) -> None:
        """Make a provider that does nothing yet."""
        self.context = context

    @abstractmethod
    async def start(self, deliver: Deliver) -> None:
        """Connect in the background and return soon; states and messages arrive through `deliver`."""

    @abstractmethod
    async def stop(self) -> None:
        """Disconnect and keep the login. May be called twice, and before start."""

    @property
    @abstractmethod
    def state(self) -> StateChanged:
        """The state that was delivered last, or is about to be."""

    @abstractmethod
    async def send(self, draft: Draft) -> SentMessage:
        """Send one draft that `check` accepted. Any MessengerError may be raised; Unreachable tells whether it may have gone out."""

    def check(self, draft: Draft) -> None:
        """Raise Unsupported or InvalidRequest for a draft that the platform is known to refuse, without asking it."""
        needed = {
            Capability.REPLY: draft.reply_to is not None,
            Capability.THREADS: draft.thread_id is not None,
            Capability.MEDIA: draft.upload is not None,
            Capability.POLL: draft.poll is not None,
            Capability.LOCATION: draft.location is not None,
            Capability.CONTACT: draft.contact is not None,
            Capability.CHOICES: bool(draft.choices),
            Capability.TEMPLATES: draft.template is not None,
            Capability.FORWARD: draft.forward is not None,
            Capability.FORMATTING: draft.format is not TextFormat.PLAIN,
        }
        for capability, is_needed in needed.items():
            if is_needed:
                self.require(capability)
        self.check_lengths(draft)

    def check_lengths(self, draft: Draft) -> None:
        """Raise InvalidRequest for a text, caption or file that is longer than the platform takes."""
        if draft.forward is not None:
            return
        limit = self.limits.max_text if draft.upload is None else self.limits.max_caption
        length = self.limits.text_unit.length(draft.text)
        if limit is not None and length > limit:
            what = "text" if draft.upload is None else "caption"
            raise InvalidRequest(
                f"The {what} has {length} {self.limits.text_unit}; {self.title} takes {limit}.",
                hint=SPLIT_HINT if draft.upload is None else "Send the text as a separate message.",
            )
        if draft.upload is not None:
            self._check_size(draft.upload.kind, len(draft.upload.content))

    def _check_size(self, kind: MediaKind, size: int) -> None:
        limit = self.limits.max_photo if kind is MediaKind.IMAGE else None
        limit = limit or self.limits.max_upload
        if limit is not None and size > limit:
            raise InvalidRequest(f"The file has {size} bytes; {self.title} takes {limit} for {kind}.", hint="Send a smaller file, or a link to it.")

    def require(self, capability: Capability) -> None:
        """Raise Unsupported where the messenger has no such capability."""
        if capability not in self.capabilities:
            self._unsupported(capability)

    def _unsupported(self, capability: Capability) -> NoReturn:
        raise Unsupported(self.name, capability)

    @classmethod
    def address(cls, to: str) -> str:
        """Return the platform's id of the chat that a person means by `to`, such as a bare phone number; `to` itself where nothing more is known."""
        return to

    @classmethod
    def must_resolve(cls, to: str) -> bool:
        """Return whether only the platform knows which chat `to` (as `address` gives it) is: a name, or a person whose chat has another id."""
        return False

    async def resolve(self, to: str) -> Address:
        """Return the chat and thread in which a message to `to` will lie. Raises NotFound, InvalidRequest, Unreachable."""
        return Address(chat_id=self.address(to))

    async def lacking(self) -> Mapping[Capability, str]:
        """Return those of `capabilities` that this instance cannot use now (permissions, settings, plan), each with what it needs."""
        return {}

    async def account(self) -> Account:
        """Return who the instance is on the platform. Raises LoggedOut where nobody is logged in."""
        if self.state.account is None:
            raise LoggedOut(f"Nobody is logged in on this {self.title} instance.", hint="Call login: it says what it needs.")
        return self.state.account

    async def identify(self) -> Account | None:
        """Ask the platform whose the settings are, without connecting: to be called before `start`, or without it, and then `stop`.

        None: only a login tells. Raises LoggedOut for a token that the platform does not know, Unreachable where it does not answer.
        """
        return None

    async def list_chats(self) -> Sequence[Chat]:
        """Return the chats that the platform lists for this account."""
        self._unsupported(Capability.CHATS)

    async def list_contacts(self) -> Sequence[Contact]:
        """Return the people that the platform lists for this account."""
        self._unsupported(Capability.CONTACTS)

    async def history(self, chat_id: str, *, before: str | None, limit: int) -> Sequence[Message]:
        """Return at most `limit` messages of a chat from the platform, newest first: those before the message `before`, or the newest.

        `chat_id` may be a thread's id, where `resolve` takes one: then those of the thread. Raises NotFound where the platform does not
        know the chat or the message.
        """
        self._unsupported(Capability.HISTORY)

    async def search(self, query: str, *, chat_id: str | None, limit: int) -> Sequence[Found]:
        """Return at most `limit` messages that the platform's own search finds, newest first: in all chats that it searches, or in one.

        Raises Forbidden where the account may not search, RateLimited while the platform is not ready to.
        """
        self._unsupported(Capability.SEARCH)

    async def edit(self, chat_id: str, message_id: str, text: str, format: TextFormat) -> None:
        """Replace the text, or the caption, of a message that this account sent."""
        self._unsupported(Capability.EDIT)

    async def grow(self, chat_id: str, message_id: str, text: str, format: TextFormat, *, is_whole: bool) -> None:
        """Replace the text of a message that was sent as `growing` by the next, which mostly begins with it; `is_whole`: it is the last."""
        await self.edit(chat_id, message_id, text, format)

    async def delete(self, chat_id: str, message_id: str) -> None:
        """Delete a message for everyone in the chat."""
        self._unsupported(Capability.DELETE)

    async def react(self, chat_id: str, message_id: str, emoji: str | None) -> None:
        """Set this account's reaction to a message; None takes it back."""
        self._unsupported(Capability.REACT)

    async def pin_message(self, chat_id: str, message_id: str, pinned: bool) -> None:
        """Pin a message for everyone in the chat, or take the pin off."""
        self._unsupported(Capability.PIN)

    async def star_message(self, chat_id: str, message_id: str, starred: bool) -> None:
        """Put a message among those that this account keeps at hand, or take it out. Nobody else sees it."""
        self._unsupported(Capability.STAR)

    async def set_typing(self, chat_id: str, typing: bool, message_id: str | None = None) -> None:
        """Show that this account is typing, or no longer. `message_id` is the newest message from others, where there is one."""
        self._unsupported(Capability.TYPING)

    async def mark_read(self, chat_id: str, message_id: str) -> None:
        """Mark everything in the chat up to this message as read."""
        self._unsupported(Capability.MARK_READ)

    async def mark_chat(self, chat_id: str, marks: ChatMarks) -> None:
        """Change how this account keeps the chat in its own list."""
        self._unsupported(Capability.CHAT_MARKS)

    async def archive_chat(self, chat_id: str, archived: bool) -> None:
        """Put the chat into the archive, or take it out."""
        self._unsupported(Capability.ARCHIVE)

    async def look_up(self, phone: str) -> Contact | None:
        """Return who has this phone number on the platform; None: nobody. The contact's id can be written to. Raises Forbidden where it may
        not be asked now."""
        self._unsupported(Capability.LOOK_UP)

    async def block(self, contact_id: str, blocked: bool) -> None:
        """Take no more messages and calls from a person, or take them again."""
        self._unsupported(Capability.BLOCK)

    async def list_blocked(self) -> Sequence[str]:
        """Return the ids of the people that are blocked."""
        self._unsupported(Capability.BLOCK_LIST)

    async def update_profile(self, profile: Profile) -> None:
        """Change the parts of the account's own profile that are not None."""
        self._unsupported(Capability.PROFILE)

    async def post_story(self, text: str) -> str:
        """Show a text to all of the account's contacts for a day, and return its id. Raises Forbidden where the settings do not allow it."""
        self._unsupported(Capability.STORIES)

    async def download(self, media: Media) -> Download:
        """Return a file. Raises NotFound where the platform does not have it any more, InvalidRequest where it is too large."""
        self._unsupported(Capability.DOWNLOAD)

    async def list_groups(self) -> Sequence[Group]:
        """Return the groups that this account is in."""
        self._unsupported(Capability.GROUPS)

    async def create_group(self, title: str, participants: Sequence[str]) -> GroupChange:
        """Make a group, and return it with what became of each participant."""
        self._unsupported(Capability.GROUPS)

    async def add_participants(self, group_id: str, participants: Sequence[str]) -> GroupChange:
        """Add people to a group, and return it with what became of each."""
        self._unsupported(Capability.GROUPS)

    async def remove_participants(self, group_id: str, participants: Sequence[str]) -> GroupChange:
        """Remove people from a group, and return it with what became of each."""
        self._unsupported(Capability.GROUPS)

    async def set_admin(self, group_id: str, participants: Sequence[str], admin: bool) -> GroupChange:
        """Make participants administrators of the group, or ordinary members again."""
        self._unsupported(Capability.GROUP_ADMIN)

    async def update_group(self, group_id: str, title: str | None, description: str | None) -> Group:
        """Change title or description where it is not None, and return the group."""
        self._unsupported(Capability.GROUP_ADMIN)

    async def invite_link(self, group_id: str) -> str:
        """Return a link by which anybody may join the group."""
        self._unsupported(Capability.GROUP_ADMIN)

    async def reset_invite_link(self, group_id: str) -> str:
        """Make the group's link void, and return a new one."""
        self._unsupported(Capability.GROUP_ADMIN)

    async def set_group(self, group_id: str, settings: GroupSettings) -> None:
        """Change the settings of a group that are not None."""
        self._unsupported(Capability.GROUP_SETTINGS)

    async def join_group(self, link: str) -> Group:
        """Join the group that an invitation link leads to. Raises NotFound for a link that leads nowhere (any more)."""
        self._unsupported(Capability.JOIN_GROUPS)

    async def list_join_requests(self, group_id: str) -> Sequence[JoinRequest]:
        """Return the people who ask to be let into the group."""
        self._unsupported(Capability.JOIN_REQUESTS)

    async def answer_join_requests(self, group_id: str, people: Sequence[str], admit: bool) -> Sequence[ParticipantResult]:
        """Let people into the group, or turn them away; return the outcome for each."""
        self._unsupported(Capability.JOIN_REQUESTS)

    async def leave_group(self, group_id: str) -> None:
        """Leave a group."""
        self._unsupported(Capability.GROUP_ADMIN)

    async def list_templates(self) -> Sequence[Template]:
        """Return the templates that the platform has approved or is reviewing."""
        self._unsupported(Capability.TEMPLATES)

    async def sending_budget(self) -> SendingBudget:
        """Return how many chats may be opened with people who never wrote."""
        self._unsupported(Capability.SENDING_BUDGET)

    async def request_pairing_code(self, phone: str) -> str:
        """Return a code that a person types on the phone with this number to log in."""
        self._unsupported(Capability.PAIRING_CODE)

    async def logout(self) -> None:
        """Remove the login on both sides."""
        self._unsupported(Capability.LOGOUT)

    async def preview(self, chat_id: str, text: str, *, number: int, thread_id: str | None = None) -> None:
        """Show what is there of an answer that still grows, in place of what was shown under the same number. It is no message, and goes
        away by itself. Raises Rejected where the chat shows none."""
        self._unsupported(Capability.PREVIEW)

    async def set_control(self, chat_id: str, action: ControlAction, app_id: str | None = None, note: str | None = None) -> None:
        """Change which application answers in a conversation; `app_id` is the one to pass it to, `note` is handed to it.

        Raises Forbidden where another application has the conversation and the platform does not let us have it.
        """
        self._unsupported(Capability.THREAD_CONTROL)

    async def receive_webhook(self, request: WebhookRequest) -> WebhookReply:
        """Verify a call, deliver its events, then answer: with 200 only where they are durable. Raises what `deliver` raises."""
        self._unsupported(Capability.WEBHOOK)
