"""The sandbox behind the port."""

import logging
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import anyio
from pydantic import ValidationError

from providers.base import Deliver, ProviderContext, Settings, WebhookReply, WebhookRequest
from providers.capabilities import Capability
from providers.errors import Forbidden, InvalidRequest, LoggedOut, MessengerError, Unreachable
from providers.events import MessageReceived, StateChanged
from providers.groups import Group, GroupChange, GroupSettings, JoinRequest, ParticipantResult
from providers.kit.background import ConnectedProvider
from providers.kit.extra import check_extra
from providers.kit.parts import check_parts, is_split, part_nonce, parts_of, send_parts, texts_of
from providers.limits import Limits, SendingBudget
from providers.models import (
    Chat,
    ChatMarks,
    Contact,
    ControlAction,
    Download,
    Draft,
    Forwarded,
    Found,
    Media,
    Message,
    MessageKind,
    Profile,
    SentMessage,
    TextFormat,
)
from providers.sandbox import groups, marks
from providers.sandbox.event_queue import EventQueue
from providers.sandbox.login import Login, Sleep
from providers.sandbox.marks import mark as set_marks
from providers.sandbox.people import MAYBE_SENT, OWN_ID, SAVED, TROUBLE_IDS, rehearse
from providers.sandbox.personas import Attendant
from providers.sandbox.phone import Phone, new_id
from providers.sandbox.settings import SandboxSettings
from providers.sandbox.templates import TEMPLATES, filled
from providers.sandbox.webhook import WebhookEvent, is_genuine
from providers.sandbox.world import Now, Post, World, utc_now
from providers.states import InstanceState
from providers.templates import Template
from providers.text import clean

if TYPE_CHECKING:
    from providers.sandbox.page import Page

logger = logging.getLogger(__name__)

_PARTS_MAX = 20


@dataclass(frozen=True)
class Running:
    """The parts that live from start to stop."""

    world: World
    phone: Phone
    queue: EventQueue
    login: Login
    attendant: Attendant
    page: "Page | None"

    @property
    def state(self) -> StateChanged:
        return self.queue.state

    async def run(self) -> None:
        """Live until cancelled."""
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self.queue.run)
                tasks.start_soon(self.attendant.run)
                tasks.start_soon(self.login.run)
                if self.page is not None:
                    tasks.start_soon(self.page.serve)
        except Exception:  # the top of the provider: its state says that it broke
            logger.exception("The sandbox broke down.")
            self.queue.tell(StateChanged(state=InstanceState.ERROR, reason="The sandbox broke down; its log says why. Restart the instance."))
            await self.queue.flush()

    def close(self) -> None:
        self.world.close()
        if self.page is not None:
            self.page.close()


_SEARCHED = 1000
"""The newest messages of each chat that a search looks through."""


class SandboxProvider(ConnectedProvider[Running]):
    """Can all that any messenger can, but previews: a growing answer is a message here that is edited.

    The address of its chat page is the reason of the state `ready`.
    """

    name = "sandbox"
    title = "Sandbox"
    capabilities = frozenset(Capability) - {Capability.PREVIEW}
    limits: ClassVar[Limits] = Limits(
        max_text=4096, max_caption=1024, max_upload=16 * 2**20, max_photo=8 * 2**20, max_download=16 * 2**20, edit_pause=0.5
    )
    settings_type = SandboxSettings
    has_address_book = True

    def __init__(self, settings: Settings, context: ProviderContext, *, now: Now = utc_now, sleep: Sleep = anyio.sleep) -> None:
        super().__init__(settings, context)
        self._settings = SandboxSettings.model_validate(settings)
        self._now = now
        self._sleep = sleep
        self._open: Running | None = None

    def _connect(self, deliver: Deliver) -> Running:
        try:
            self._open = self._assemble(deliver)
        except (OSError, sqlite3.Error) as error:
            raise Unreachable(f"The sandbox could not open its folder or its port: {error}", maybe_sent=False) from error
        return self._open

    async def _disconnect(self) -> None:
        running, self._open = self._open, None
        if running is not None:
            running.close()

    def _assemble(self, deliver: Deliver) -> Running:
        world = World(self.context.data_dir, now=self._now)
        phone = Phone(world)
        queue = EventQueue(world, deliver)
        attendant = Attendant(world, phone, self._settings, self._sleep)
        if not self._settings.page:
            login = Login(world, queue, self._settings, sleep=self._sleep)
            return Running(world, phone, queue, login, attendant, page=None)
        from providers.sandbox.page import Page, listen  # Starlette and uvicorn cost 0.2 s, and only the page needs them

        try:
            listener = listen(world, self._settings.page_port)
        except OSError:
            world.close()
            raise
        login = Login(world, queue, self._settings, sleep=self._sleep, address=listener.address)
        return Running(world, phone, queue, login, attendant, Page(world, phone, queue, login, listener))

    def _linked(self) -> Running:
        if self._connection is None:
            raise Unreachable("This sandbox instance is not running.", maybe_sent=False, hint="Call login, then try again.")
        if self.state.state is not InstanceState.READY:
            raise LoggedOut(f"This sandbox instance is not logged in; it is {self.state.state}.", hint="Call login: it says what it needs.")
        return self._connection

    @property
    def world(self) -> World:
        """The platform while an account is linked. Raises Unreachable before start, LoggedOut before the login."""
        return self._linked().world

    def check(self, draft: Draft) -> None:
        super().check(draft)
        check_extra(draft, self.title)

    def check_lengths(self, draft: Draft) -> None:
        if is_split(draft):
            check_parts(self._texts(draft), _PARTS_MAX)
        else:
            super().check_lengths(draft)

    def _texts(self, draft: Draft) -> list[str]:
        return texts_of(draft, self.limits, markdown=draft.format is TextFormat.MARKDOWN)

    async def send(self, draft: Draft) -> SentMessage:
        """Send a draft. The same client_id again is the same message. What goes wrong on purpose, and where, is in `people`."""
        parts = parts_of(draft, self._texts(draft))

        async def send(part: Draft, number: int) -> SentMessage:
            nonce = part_nonce(draft.client_id, number, len(parts))
            return self._send_one(part.model_copy(update={"client_id": nonce}), is_whole=len(parts) == 1)

        return await send_parts(parts, send)

    def _send_one(self, draft: Draft, *, is_whole: bool) -> SentMessage:
        world = self.world
        earlier = world.sent_as(draft.client_id)
        if earlier is not None:
            return _sent(earlier)
        chat = world.chat(draft.chat_id)
        if (other := world.fact(f"control:{chat.id}") or "ours") != "ours":
            raise Forbidden(f"{other} has this conversation now.", hint="set_thread_control takes it back.")
        self._rehearse(world, draft)
        if draft.reply_to is not None:
            world.post(draft.reply_to, chat.id)
        with world.change():
            message = _message(world, draft)
            world.add_message(message, client_id=draft.client_id, format=draft.format)
            world.offer(message.id, draft.choices)
            if is_whole:
                world.announce(MessageReceived(message=message, chat=chat, client_id=draft.client_id))
        world.set_typing(chat.id, False)
        if chat.id == MAYBE_SENT:
            raise Unreachable("The sandbox took the message and did not answer.", maybe_sent=True, hint="Wait: its echo will tell.")
        return SentMessage(id=message.id, at=message.at, chat_id=chat.id, media=message.media)

    def _rehearse(self, world: World, draft: Draft) -> None:
        if draft.chat_id not in TROUBLE_IDS:
            return
        key = f"tried:{draft.client_id}"
        first_try = world.fact(key) is None
        world.set_fact(key, "yes")
        rehearse(draft.chat_id, first_try=first_try)

    async def list_chats(self) -> Sequence[Chat]:
        return self.world.chats()

    async def list_contacts(self) -> Sequence[Contact]:
        """Everybody; those who were there at the beginning are in the address book."""
        return [one.model_copy(update={"is_saved": one.id in SAVED}) for one in self.world.contacts()]

    async def history(self, chat_id: str, *, before: str | None, limit: int) -> Sequence[Message]:
        world = self.world
        if world.find_post(chat_id) is not None:
            found = world.thread(chat_id, before=before, limit=limit)
        else:
            found = world.posts(world.chat(chat_id).id, before=before, limit=limit)
        return [post.message for post in found if not post.deleted]

    async def search(self, query: str, *, chat_id: str | None, limit: int) -> Sequence[Found]:
        world, words = self.world, query.casefold().split()
        chats = world.chats() if chat_id is None else [world.chat(chat_id)]
        posts = [(post, chat) for chat in chats for post in world.posts(chat.id, limit=_SEARCHED) if not post.deleted]
        found = [(post, chat) for post, chat in posts if all(word in post.message.text.casefold() for word in words)]
        found.sort(key=lambda one: one[0].position, reverse=True)
        return [Found(message=post.message, chat=chat) for post, chat in found[:limit]]

    def _own(self, chat_id: str, message_id: str) -> Message:
        message = self.world.post(message_id, chat_id).message
        if not message.outgoing:
            raise Forbidden("This message is somebody else's.", hint="Only messages that this account sent can be edited or deleted.")
        return message

    async def edit(self, chat_id: str, message_id: str, text: str, format: TextFormat) -> None:
        message = self._own(chat_id, message_id)
        if message.kind not in {MessageKind.TEXT, MessageKind.MEDIA}:
            raise InvalidRequest(f"A {message.kind} cannot be edited.", hint="Delete it and send another.")
        self.check_lengths(Draft(client_id=message_id, chat_id=chat_id, text=text))
        with self.world.change():
            self.world.rewrite(message.model_copy(update={"text": clean(text)}), format=format)

    async def delete(self, chat_id: str, message_id: str) -> None:
        message = self._own(chat_id, message_id)
        with self.world.change():
            self.world.strike_out(message.id)

    async def react(self, chat_id: str, message_id: str, emoji: str | None) -> None:
        post = self.world.post(message_id, chat_id)
        with self.world.change():
            self.world.set_reaction(post.message.id, OWN_ID, emoji)

    async def pin_message(self, chat_id: str, message_id: str, pinned: bool) -> None:
        marks.set_pinned(self.world, message_id, chat_id, pinned)

    async def star_message(self, chat_id: str, message_id: str, starred: bool) -> None:
        marks.set_starred(self.world, message_id, chat_id, starred)

    async def mark_chat(self, chat_id: str, marks: ChatMarks) -> None:
        set_marks(self.world, chat_id, marks)

    async def archive_chat(self, chat_id: str, archived: bool) -> None:
        marks.set_archived(self.world, chat_id, archived)

    async def look_up(self, phone: str) -> Contact | None:
        return marks.look_up(self.world, phone)

    async def block(self, contact_id: str, blocked: bool) -> None:
        marks.set_blocked(self.world, contact_id, blocked)

    async def list_blocked(self) -> Sequence[str]:
        return marks.blocked_people(self.world)

    async def update_profile(self, profile: Profile) -> None:
        marks.update_profile(self.world, profile)

    async def post_story(self, text: str) -> str:
        return marks.post_story(self.world, text)

    async def set_typing(self, chat_id: str, typing: bool, message_id: str | None = None) -> None:
        self.world.set_typing(chat_id, typing)

    async def mark_read(self, chat_id: str, message_id: str) -> None:
        post = self.world.post(message_id, chat_id)
        with self.world.change():
            self.world.set_read_up_to(chat_id, post.position)

    async def download(self, media: Media) -> Download:
        return self.world.file(media.ref)

    async def list_groups(self) -> Sequence[Group]:
        return groups.groups(self.world)

    async def create_group(self, title: str, participants: Sequence[str]) -> GroupChange:
        return groups.create(self.world, title, participants)

    async def add_participants(self, group_id: str, participants: Sequence[str]) -> GroupChange:
        return groups.add(self.world, group_id, participants)

    async def remove_participants(self, group_id: str, participants: Sequence[str]) -> GroupChange:
        return groups.remove(self.world, group_id, participants)

    async def set_admin(self, group_id: str, participants: Sequence[str], admin: bool) -> GroupChange:
        return groups.set_admin(self.world, group_id, participants, admin)

    async def update_group(self, group_id: str, title: str | None, description: str | None) -> Group:
        return groups.update(self.world, group_id, title, description)

    async def invite_link(self, group_id: str) -> str:
        return groups.invite_link(self.world, group_id)

    async def reset_invite_link(self, group_id: str) -> str:
        return groups.reset_invite_link(self.world, group_id)

    async def set_group(self, group_id: str, settings: GroupSettings) -> None:
        groups.set_group(self.world, group_id, settings)

    async def join_group(self, link: str) -> Group:
        return groups.join(self.world, link)

    async def list_join_requests(self, group_id: str) -> Sequence[JoinRequest]:
        return groups.join_requests(self.world, group_id)

    async def answer_join_requests(self, group_id: str, people: Sequence[str], admit: bool) -> Sequence[ParticipantResult]:
        return groups.answer_join_requests(self.world, group_id, people, admit)

    async def leave_group(self, group_id: str) -> None:
        groups.leave(self.world, group_id)

    async def list_templates(self) -> Sequence[Template]:
        self._linked()
        return TEMPLATES

    async def sending_budget(self) -> SendingBudget:
        """Nobody is a stranger here."""
        self._linked()
        return SendingBudget(begun=0, allowed=1000, allowed_after_warm_up=1000)

    async def set_control(self, chat_id: str, action: ControlAction, app_id: str | None = None, note: str | None = None) -> None:
        """Control that is asked for is given at once: the other application is only thought of."""
        world = self.world
        chat = world.chat(chat_id)
        is_ours = action in {ControlAction.TAKE, ControlAction.REQUEST}
        world.set_fact(f"control:{chat.id}", "ours" if is_ours else app_id or "another application")

    async def request_pairing_code(self, phone: str) -> str:
        """Eight letters and digits, to be typed on the chat page within 180 s."""
        if self._connection is None:
            raise Unreachable("This sandbox instance is not running.", maybe_sent=False, hint="Call login, then try again.")
        return self._connection.login.request_pairing_code(phone)

    async def logout(self) -> None:
        self._linked().login.unlink("Logged out by this side.")

    async def receive_webhook(self, request: WebhookRequest) -> WebhookReply:
        """See `webhook` for what is expected. Raises what `deliver` raises; the caller then tries again."""
        secret = self._settings.webhook_secret
        if secret is None or not is_genuine(request, secret, self._now()):
            return WebhookReply(403, "The signature or its time is wrong, or the instance has no webhook_secret.")
        if request.method != "POST":
            return WebhookReply(405, "Events are posted.")
        try:
            event = WebhookEvent.model_validate_json(request.body)
        except ValidationError as error:
            return WebhookReply(400, "; ".join(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors()))
        try:
            running = self._linked()
            running.phone.write(event.chat_id, event.text, sender_id=event.sender_id, message_id=f"hook-{event.id}")
        except (Unreachable, LoggedOut) as error:
            return WebhookReply(503, error.detail)
        except MessengerError as error:
            return WebhookReply(422, error.detail)
        await running.queue.flush()
        return WebhookReply(200, "ok")


def _message(world: World, draft: Draft) -> Message:
    if draft.forward is not None:
        passed_on = world.post(draft.forward.message_id, draft.forward.chat_id).message
        where = {"id": new_id(), "chat_id": draft.chat_id, "at": world.now(), "outgoing": True, "sender_id": OWN_ID, "sender_name": ""}
        return passed_on.model_copy(update={**where, "reply_to": None, "thread_id": None, "chosen": None, "forwarded": Forwarded()})
    kinds = {
        MessageKind.MEDIA: draft.upload,
        MessageKind.POLL: draft.poll,
        MessageKind.LOCATION: draft.location,
        MessageKind.CONTACT: draft.contact,
    }
    kind = next((kind for kind, content in kinds.items() if content is not None), MessageKind.TEXT)
    text = draft.text if draft.template is None else filled(draft.template)
    if kind is MessageKind.TEXT and not text.strip():
        raise InvalidRequest("The message is empty.", hint="Give it a text, a file, a poll or a location.")
    return Message(
        id=new_id(),
        chat_id=draft.chat_id,
        at=world.now(),
        outgoing=True,
        sender_id=OWN_ID,
        kind=kind,
        text=text,
        format=draft.format,
        reply_to=draft.reply_to,
        thread_id=draft.thread_id,
        media=_keep(world, draft),
        location=draft.location,
        poll=draft.poll,
        contact=draft.contact,
        raw=draft.extra,
    )


def _keep(world: World, draft: Draft) -> tuple[Media, ...]:
    upload = draft.upload
    if upload is None:
        return ()
    ref = world.add_file(upload.content, upload.mime, upload.name)
    return (Media(kind=upload.kind, ref=ref, mime=upload.mime, size=len(upload.content), name=upload.name),)


def _sent(post: Post) -> SentMessage:
    message = post.message
    return SentMessage(id=message.id, at=message.at, chat_id=message.chat_id, media=message.media)
