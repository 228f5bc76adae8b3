"""WhatsApp Web behind the port: a linked device of a person's account."""

import base64
import binascii
import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from providers.base import Deliver, ProviderContext, Settings
from providers.capabilities import Capability
from providers.errors import Forbidden, InvalidRequest, LoggedOut, MessengerError, NotFound, Unreachable
from providers.groups import Group, GroupChange, GroupSettings, JoinRequest, ParticipantResult
from providers.kit.background import ConnectedProvider
from providers.kit.bounded import BoundedMap
from providers.kit.extra import check_extra
from providers.kit.parts import check_parts, is_split, part_nonce, parts_of, send_parts, texts_of
from providers.limits import Limits, Rate, SendingBudget
from providers.models import Address, Chat, ChatKind, ChatMarks, Contact, Download, Draft, Media, Message, Profile, SentMessage, TextFormat
from providers.states import InstanceState
from providers.text import clean_line
from providers.whatsappweb import groups
from providers.whatsappweb.connection import Connection
from providers.whatsappweb.directory import Person
from providers.whatsappweb.errors import bridge_errors, not_on_whatsapp
from providers.whatsappweb.governor import Governor
from providers.whatsappweb.ids import address, is_person, kind_of, phone_of, require_chat, require_message, serialized
from providers.whatsappweb.inbound import id_of, read
from providers.whatsappweb.lacking import capabilities_lacking
from providers.whatsappweb.machine import Machine, behind_proxy, find_machine
from providers.whatsappweb.markup import to_whatsapp
from providers.whatsappweb.outbound import check_content, file_args, sent_of
from providers.whatsappweb.sender import Sender
from providers.whatsappweb.settings import WhatsAppWebSettings
from providers.whatsappweb.timing import Timing

Json = dict[str, Any]

_HISTORY_MAX = 5000
_CALLS_REMEMBERED = 1000
_CALLS_ANSWERED_EVERY = 3600.0
# A number that sends many messages at once looks like a robot.
_PARTS_MAX = 10


class WhatsAppWebProvider(ConnectedProvider[Connection]):
    """Unofficial: WhatsApp may block a number that is used like this. The governor keeps it from what is known to lead there."""

    name = "whatsappweb"
    title = "WhatsApp Web"
    capabilities = frozenset(
        {
            Capability.REPLY,
            Capability.FORMATTING,
            Capability.MEDIA,
            Capability.DOWNLOAD,
            Capability.POLL,
            Capability.LOCATION,
            Capability.CONTACT,
            Capability.EDIT,
            Capability.DELETE,
            Capability.REACT,
            Capability.FORWARD,
            Capability.PIN,
            Capability.STAR,
            Capability.TYPING,
            Capability.MARK_READ,
            Capability.RECEIPTS,
            Capability.CHATS,
            Capability.CHAT_MARKS,
            Capability.ARCHIVE,
            Capability.CONTACTS,
            Capability.LOOK_UP,
            Capability.BLOCK,
            Capability.PROFILE,
            Capability.STORIES,
            Capability.HISTORY,
            Capability.GROUPS,
            Capability.GROUP_MESSAGES,
            Capability.GROUP_ADMIN,
            Capability.GROUP_SETTINGS,
            Capability.JOIN_GROUPS,
            Capability.JOIN_REQUESTS,
            Capability.QR_LOGIN,
            Capability.PAIRING_CODE,
            Capability.LOGOUT,
            Capability.SENDING_BUDGET,
        }
    )
    limits: ClassVar[Limits] = Limits(
        max_text=65_536,
        max_caption=1024,
        max_upload=64 * 2**20,  # WhatsApp takes documents of 2 GB; more than this does not go through the browser's pipe in one piece
        max_photo=16 * 2**20,
        max_download=64 * 2**20,
        overall_rate=Rate(count=20, seconds=60),
        chat_rate=Rate(count=5, seconds=10),
        edit_pause=5.0,
    )
    settings_type = WhatsAppWebSettings
    default_runtime = "docker"
    image_stage = "whatsapp"
    passed_on = ("WA_CHROMIUM_ARGS",)
    has_address_book = True

    def __init__(self, settings: Settings, context: ProviderContext, *, machine: Machine | None = None, timing: Timing | None = None) -> None:
        super().__init__(settings, context)
        self._settings = WhatsAppWebSettings.model_validate(settings)
        self._machine = machine
        self._timing = timing or Timing()
        self._governor = Governor(context.data_dir, self._settings.new_chats_per_day)
        self._sender = Sender(self._awake, self._governor, self._timing)
        self._answered_calls: BoundedMap[str, float] = BoundedMap(_CALLS_REMEMBERED)

    @classmethod
    def address(cls, to: str) -> str:
        return address(to)

    @classmethod
    def must_resolve(cls, to: str) -> bool:
        """Whether it is a person: the registered number may be another, and the chat may be kept under the id that hides the number."""
        return is_person(to)

    async def resolve(self, to: str) -> Address:
        """Return the chat with a person. Raises NotFound where WhatsApp knows nobody, Forbidden where no further chat may be opened."""
        connection = await self._awake()
        with bridge_errors():
            person = await connection.people.person(to, self._governor.look_up)
        if person is None:
            raise not_on_whatsapp(to)
        chat_id = person.chat_id or person.ids[0]
        self._sender.require_allowed(connection, chat_id)
        return Address(chat_id=chat_id, kind=ChatKind.PRIVATE)

    def _connect(self, deliver: Deliver) -> Connection:
        machine = behind_proxy(self._machine or find_machine())
        return Connection(machine, self.context.data_dir, deliver, self._settings, self._governor, self._timing, self._answer_call)

    async def _answer_call(self, call_id: str, caller: str) -> None:
        """Write to somebody whose call was rejected, unless they were written to for that within an hour."""
        if time.monotonic() - self._answered_calls.get(caller, -_CALLS_ANSWERED_EVERY) < _CALLS_ANSWERED_EVERY:
            return
        self._answered_calls[caller] = time.monotonic()
        draft = Draft(client_id=f"call-{call_id}", chat_id=caller, text=self._settings.reject_calls_message)
        try:
            raw = await self._sender.send(draft)
            await self._linked.arrivals.hand_over_own(raw)
        except MessengerError as error:
            if self._connection is not None:
                await self._connection.arrivals.tell(
                    "call_not_answered", f"The caller of a rejected call was not written to: {clean_line(error.detail)}"
                )

    @property
    def _linked(self) -> Connection:
        """Raises LoggedOut and Unreachable."""
        if self._connection is None:
            raise Unreachable("This WhatsApp instance is not running.", maybe_sent=False, hint="Call login, then try again.")
        _ = self._connection.bridge
        return self._connection

    async def _awake(self) -> Connection:
        """Return the connection when its browser runs. Raises LoggedOut and Unreachable."""
        if self._connection is not None:
            await self._connection.awake()
        return self._linked

    async def _ask(self, op: str, args: Json | None = None) -> Any:
        connection = await self._awake()
        with bridge_errors():
            return await connection.ask(op, args)

    def check(self, draft: Draft) -> None:
        super().check(draft)
        check_extra(draft, self.title)
        check_content(draft)
        if self._connection is not None:
            self._sender.require_allowed(self._connection, draft.chat_id)

    def check_lengths(self, draft: Draft) -> None:
        if is_split(draft):
            check_parts(self._texts(draft), _PARTS_MAX)
        else:
            super().check_lengths(draft)

    def _texts(self, draft: Draft) -> list[str]:
        """Return the text of each message. WhatsApp shows code blocks in a text that has no format."""
        return texts_of(draft, self.limits, markdown=True)

    async def send(self, draft: Draft) -> SentMessage:
        """Send a draft. One that WhatsApp does not answer in time may still go out: Unreachable says so, and its echo settles it."""
        parts = parts_of(draft, self._texts(draft))

        async def send(part: Draft, number: int) -> SentMessage:
            nonce = part_nonce(draft.client_id, number, len(parts))
            return sent_of(await self._sender.send(part.model_copy(update={"client_id": nonce})))

        return await send_parts(parts, send)

    async def lacking(self) -> Mapping[Capability, str]:
        """Return what the settings, a changed WhatsApp Web and the look-ups of this day keep back."""
        lost = {} if self._connection is None else self._connection.lost
        return capabilities_lacking(self._settings, lost, self._governor.no_look_up())

    async def sending_budget(self) -> SendingBudget:
        return self._governor.budget()

    async def list_chats(self) -> Sequence[Chat]:
        connection = await self._awake()
        raws: list[Json] = await self._ask("chats")
        connection.people.note(raws)
        newest_first = sorted(raws, key=lambda chat: -chat["t"])
        return [Chat(id=raw["id"], kind=kind_of(raw["id"]), title=raw["title"] or "", phone=phone_of(raw["id"])) for raw in newest_first]

    async def list_contacts(self) -> Sequence[Contact]:
        """WhatsApp Web lists a person by number and by lid; the library tells the number of both where it is known."""
        raws: list[Json] = await self._ask("contacts")
        people = {serialized(raw["id"]): raw for raw in raws if raw.get("isUser") and not raw.get("isMe")}
        return [
            Contact(id=id, name=raw.get("name") or raw.get("pushname") or "", phone=phone_of(id), is_saved=raw.get("isMyContact") is True)
            for id, raw in people.items()
            if id
        ]

    async def history(self, chat_id: str, *, before: str | None, limit: int) -> Sequence[Message]:
        connection, wanted = await self._awake(), limit if before is None else limit + 50
        require_chat(chat_id)
        while True:
            payload: Json = await self._ask("messages", {"chat_id": chat_id, "limit": wanted, "phone_ms": round(1000 * self._timing.phone)})
            if payload["failed"]:
                words = clean_line(payload["failed"])
                raise Unreachable(f"WhatsApp Web could not read this chat: {words}", maybe_sent=False, hint="Try again later.")
            raws: list[Json] = payload["messages"]
            end = len(raws) if before is None else next((index for index, raw in enumerate(raws) if id_of(raw) == before), None)
            if len(raws) < wanted or wanted >= _HISTORY_MAX or (end is not None and end >= limit):
                break
            wanted *= 2
        if end is None:
            raise NotFound(f"The message {before} is not in this chat.", hint="get_messages has the ids.")
        if connection.me is None:
            raise Unreachable("WhatsApp Web is being started.", maybe_sent=False, hint="Try again in a minute.")
        me = connection.me
        return [message for raw in reversed(raws[max(0, end - limit) : end]) if (message := read(raw, me)) is not None]

    async def edit(self, chat_id: str, message_id: str, text: str, format: TextFormat) -> None:
        self.check_lengths(Draft(client_id=message_id, chat_id=chat_id, text=text))
        written = to_whatsapp(text) if format is TextFormat.MARKDOWN else text
        await self._ask("edit", {"message_id": require_message(message_id), "text": written})

    async def delete(self, chat_id: str, message_id: str) -> None:
        await self._ask("delete", {"message_id": require_message(message_id)})

    async def react(self, chat_id: str, message_id: str, emoji: str | None) -> None:
        await self._ask("react", {"message_id": require_message(message_id), "emoji": emoji})

    async def pin_message(self, chat_id: str, message_id: str, pinned: bool) -> None:
        """For 30 days, the longest that WhatsApp has."""
        await self._ask("pin", {"message_id": require_message(message_id), "pinned": pinned})

    async def star_message(self, chat_id: str, message_id: str, starred: bool) -> None:
        await self._ask("star", {"message_id": require_message(message_id), "starred": starred})

    async def set_typing(self, chat_id: str, typing: bool, message_id: str | None = None) -> None:
        """Shown for 25 s."""
        await self._ask("typing", {"chat_id": require_chat(chat_id), "typing": typing})

    async def mark_read(self, chat_id: str, message_id: str) -> None:
        """WhatsApp marks the whole chat."""
        require_message(message_id)
        await self._ask("mark_read", {"chat_id": require_chat(chat_id)})

    async def mark_chat(self, chat_id: str, marks: ChatMarks) -> None:
        await self._ask("mark_chat", {"chat_id": require_chat(chat_id), **marks.model_dump(mode="json")})

    async def archive_chat(self, chat_id: str, archived: bool) -> None:
        await self._ask("archive", {"chat_id": require_chat(chat_id), "archived": archived})

    async def look_up(self, phone: str) -> Contact | None:
        """Return who has the number, by the id under which a chat with them lies. Asking costs of the look-ups of a day."""
        connection = await self._awake()
        with bridge_errors():
            person = await connection.people.person(address(phone), self._governor.look_up)
        if person is None:
            return None
        return Contact(id=person.chat_id or person.ids[0], phone=phone_of(person.pn))

    async def block(self, contact_id: str, blocked: bool) -> None:
        if not is_person(contact_id):
            raise InvalidRequest("Only people can be blocked.", hint="Give the chat id of a private chat.")
        await self._ask("block", {"id": contact_id, "blocked": blocked})

    async def update_profile(self, profile: Profile) -> None:
        picture = None if profile.picture is None else file_args(profile.picture)
        await self._ask("profile", {"name": profile.name, "about": profile.about, "picture": picture})

    async def post_story(self, text: str) -> str:
        if not self._settings.stories:
            raise Forbidden("This instance may not post stories.", hint="The owner can allow it with the setting stories.")
        return await self._ask("story", {"text": text})

    async def download(self, media: Media) -> Download:
        limit = self.limits.max_download
        if media.size is not None and limit is not None and media.size > limit:
            raise InvalidRequest(f"The file has {media.size} bytes; at most {limit} are fetched.", hint="Ask for a smaller file.")
        file: Json = await self._ask("download", {"message_id": require_message(media.ref)})
        try:
            content = base64.b64decode(file["data"], validate=True)
        except binascii.Error:
            raise Unreachable("WhatsApp Web handed out a broken file.", maybe_sent=False, hint="Try again.") from None
        mime = media.mime or file["mime"] or "application/octet-stream"
        return Download(content=content, mime=mime, name=clean_line(media.name or file["name"] or f"{media.kind}"))

    async def list_groups(self) -> Sequence[Group]:
        raws: list[Json] = await self._ask("groups")
        return [groups.group_of(raw, self._own_ids) for raw in raws if any(serialized(one["id"]) in self._own_ids for one in raw["participants"])]

    @property
    def _own_ids(self) -> frozenset[str]:
        me = self._linked.me
        return frozenset() if me is None else me.ids

    async def _group(self, group_id: str) -> Group:
        return groups.group_of(await self._ask("group", {"group_id": groups.require_group(group_id)}), self._own_ids)

    async def create_group(self, title: str, participants: Sequence[str]) -> GroupChange:
        title = clean_line(title)
        if not title or len(title) > groups.TITLE_MAX:
            raise InvalidRequest(f"A group's title has 1 to {groups.TITLE_MAX} characters.", hint="Give it a shorter title.")
        people = await self._people(participants)
        groups.require_somebody(people)
        made: Json = await self._ask("group_create", {"title": title, "participants": groups.writable(people)})
        group = await self._group(made["id"])
        results = groups.added(made["participants"], group, people)
        groups.require_added(group, results)
        return GroupChange(group=group, results=results)

    async def _people(self, participants: Sequence[str]) -> dict[str, Person | None]:
        """Return who is meant by each, whichever way it is written."""
        people = (await self._awake()).people
        with bridge_errors():
            return {asked: await people.person(address(asked), self._governor.look_up) for asked in participants}

    async def add_participants(self, group_id: str, participants: Sequence[str]) -> GroupChange:
        groups.require_group(group_id)
        people = await self._people(participants)
        ids = groups.writable(people)
        payload: Json = await self._ask("group_add", {"group_id": group_id, "participants": ids}) if ids else {}
        group = await self._group(group_id)
        return GroupChange(group=group, results=groups.added(payload, group, people))

    async def remove_participants(self, group_id: str, participants: Sequence[str]) -> GroupChange:
        before, people = await self._members(group_id, participants)
        after = await self._change_members("group_remove", before, people, {})
        return GroupChange(group=after, results=groups.removed(before, after, people))

    async def set_admin(self, group_id: str, participants: Sequence[str], admin: bool) -> GroupChange:
        before, people = await self._members(group_id, participants)
        after = await self._change_members("group_admin", before, people, {"admin": admin})
        return GroupChange(group=after, results=groups.promoted(before, after, people, admin=admin))

    async def _members(self, group_id: str, participants: Sequence[str]) -> tuple[Group, dict[str, Person | None]]:
        return await self._group(group_id), await self._people(participants)

    async def _change_members(self, op: str, group: Group, people: groups.People, more: Json) -> Group:
        """Change those who are in the group: WhatsApp Web says nothing of the others."""
        ids = [id for person in people.values() if (id := groups.inside(group, person)) is not None]
        if not ids:
            return group
        await self._ask(op, {"group_id": group.id, "participants": ids, **more})
        return await self._group(group.id)

    async def update_group(self, group_id: str, title: str | None, description: str | None) -> Group:
        groups.require_group(group_id)
        if title is not None:
            await self._ask("group_title", {"group_id": group_id, "title": clean_line(title)})
        if description is not None:
            await self._ask("group_description", {"group_id": group_id, "description": description})
        return await self._group(group_id)

    async def invite_link(self, group_id: str) -> str:
        return f"{groups.LINK}{await self._ask('group_invite', {'group_id': groups.require_group(group_id), 'renew': False})}"

    async def reset_invite_link(self, group_id: str) -> str:
        return f"{groups.LINK}{await self._ask('group_invite', {'group_id': groups.require_group(group_id), 'renew': True})}"

    async def set_group(self, group_id: str, settings: GroupSettings) -> None:
        picture = None if settings.picture is None else file_args(settings.picture)
        rights = settings.model_dump(exclude={"picture"})
        await self._ask("group_settings", {"group_id": groups.require_group(group_id), "picture": picture, **rights})

    async def join_group(self, link: str) -> Group:
        return await self._group(await self._ask("group_join", {"code": groups.code_of(link)}))

    async def list_join_requests(self, group_id: str) -> Sequence[JoinRequest]:
        raws: list[Json] = await self._ask("group_requests", {"group_id": groups.require_group(group_id)})
        people = self._linked.people
        return [groups.join_request(raw, await people.phone(raw["id"])) for raw in raws]

    async def answer_join_requests(self, group_id: str, people: Sequence[str], admit: bool) -> Sequence[ParticipantResult]:
        groups.require_group(group_id)
        asking: list[Json] = await self._ask("group_requests", {"group_id": group_id})
        found = await self._people(people)
        ids = groups.asking(asking, found)
        raws: list[Json] = await self._ask("group_answer", {"group_id": group_id, "people": list(ids.values()), "admit": admit}) if ids else []
        return groups.answered(people, ids, raws)

    async def leave_group(self, group_id: str) -> None:
        await self._ask("group_leave", {"group_id": groups.require_group(group_id)})

    async def request_pairing_code(self, phone: str) -> str:
        """Eight letters and digits, for three minutes; WhatsApp then shows the next one by itself."""
        number = address(phone).removesuffix("@c.us")
        if not number.isdigit():
            raise InvalidRequest("The phone number is not 7 to 15 digits.", hint="Give it with its country code, such as +15550199.")
        connection = self._connection
        if connection is None:
            raise Unreachable("This WhatsApp instance is not running.", maybe_sent=False, hint="Call login, then try again.")
        if connection.me is not None:
            raise Forbidden("This WhatsApp instance is logged in already.", hint="Log out first, then start it.")
        with bridge_errors():
            code = await connection.request_pairing_code(number)
        return f"{code[:4]}-{code[4:]}"

    async def logout(self) -> None:
        connection = await self._awake()
        if connection.state.state is InstanceState.LOGGED_OUT:
            raise LoggedOut("Nobody is logged in.")
        await connection.logout()
