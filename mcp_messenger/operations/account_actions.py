"""Archives, pins and mutes chats, looks people up, blocks them, and changes what the account shows of itself."""

from datetime import datetime

from pydantic import Field

from db import chats
from mcp_messenger.errors import InvalidInput
from mcp_messenger.instances import classes
from mcp_messenger.net.uploads import load_upload
from mcp_messenger.operations.addresses import recipient
from mcp_messenger.operations.application import App
from mcp_messenger.operations.chats import ChatAnswer, OfChat, get_chat, known_chat
from mcp_messenger.operations.message_actions import MarkRead, mark_read
from mcp_messenger.operations.operation import FromOthers, Nothing, OfInstance, Output, PlatformId
from mcp_messenger.operations.port import port
from mcp_messenger.operations.uploading import media_policy
from mcp_messenger.security.caller import Caller, instance_of
from providers.capabilities import Capability
from providers.models import ChatMarks, MediaKind, Profile

PICTURE_MAX = 16 * 2**20
"""Bytes."""
PICTURE = Field(default=None, min_length=1, max_length=90_000_000, description="URL, path in a media folder, data: URI or base64:...")


class UpdateChat(OfInstance):
    chat_id: PlatformId
    archived: bool | None = None
    pinned: bool | None = None
    muted: bool | None = None
    muted_until: datetime | None = None
    unread: bool | None = Field(default=None, description="false: mark as read")

    @property
    def hides(self) -> bool:
        """Whether its owner would see less of the chat."""
        return bool(self.archived or self.muted)


async def update_chat(app: App, caller: Caller, args: UpdateChat) -> ChatAnswer:
    """Change how the account keeps a chat: on the platform where it has such marks, and here in any case.

    Raises InvalidInput where nothing is to be changed, NoSuchChat, NotReady.
    """
    row = await instance_of(app.database, caller, args.instance_id)
    if args.muted_until is not None and not args.muted:
        raise InvalidInput("muted_until: it is the end of a mute.", hint="Give muted: true with it.")
    is_marked = any(value is not None for value in (args.pinned, args.muted, args.archived))
    if not is_marked and args.unread is None:
        raise InvalidInput("Nothing was given that is to be changed.", hint="Give archived, pinned, muted or unread.")
    chat = await known_chat(app, row, args.chat_id)
    cls = await classes.load(row.provider)
    marks = ChatMarks(pinned=args.pinned, muted=args.muted, muted_until=args.muted_until, unread=True if args.unread else None)
    if Capability.CHAT_MARKS in cls.capabilities and marks != ChatMarks():
        await (await port(app, row, Capability.CHAT_MARKS)).mark_chat(chat.id, marks)
    if Capability.ARCHIVE in cls.capabilities and args.archived is not None:
        await (await port(app, row, Capability.ARCHIVE)).archive_chat(chat.id, args.archived)
    if is_marked:
        until = args.muted_until
        await chats.mark(app.database, row.id, chat.id, pinned=args.pinned, archived=args.archived, muted=args.muted, muted_until=until)
    if args.unread:
        await chats.mark_unread(app.database, row.id, chat.id)
    if args.unread is False:
        await mark_read(app, caller, MarkRead(instance_id=args.instance_id, chat_id=chat.id))
    return await get_chat(app, caller, OfChat(instance_id=args.instance_id, chat_id=chat.id))


class CheckNumber(OfInstance):
    phone: str = Field(pattern=r"^\+?[0-9][0-9 ().-]{4,24}$", description="with its country code")


class NumberCheck(FromOthers):
    """Whether somebody has the number on the messenger; `chat_id` is where to write to."""

    registered: bool
    chat_id: str | None = None
    phone: str | None = None
    name: str | None = None


async def check_number(app: App, caller: Caller, args: CheckNumber) -> NumberCheck:
    """Ask the platform for the owner of a number. Raises Unsupported, NotReady, and Forbidden where too many were asked for."""
    row = await instance_of(app.database, caller, args.instance_id)
    found = await (await port(app, row, Capability.LOOK_UP)).look_up(args.phone)
    if found is None:
        return NumberCheck(registered=False)
    return NumberCheck(registered=True, chat_id=found.id, phone=found.phone, name=found.name or None)


class BlockContact(OfInstance):
    contact_id: PlatformId = Field(description="chat id or number of the person")
    blocked: bool = Field(default=True, description="false takes the block off")


async def block_contact(app: App, caller: Caller, args: BlockContact) -> Nothing:
    """Take no more messages from a person, or take them again. Raises Unsupported, NotReady, NotFound."""
    row = await instance_of(app.database, caller, args.instance_id)
    provider = await port(app, row, Capability.BLOCK)
    await provider.block((await recipient(app, row, args.contact_id)).chat_id, args.blocked)
    return Nothing()


class BlockList(Output):
    """The ids of the people."""

    contacts: list[str]


async def list_blocked(app: App, caller: Caller, args: OfInstance) -> BlockList:
    """Ask the platform for the people that are blocked. Raises Unsupported, NotReady."""
    row = await instance_of(app.database, caller, args.instance_id)
    return BlockList(contacts=list(await (await port(app, row, Capability.BLOCK_LIST)).list_blocked()))


class UpdateProfile(OfInstance):
    takes_empty = frozenset({"about"})

    name: str | None = Field(default=None, min_length=1, max_length=100)
    about: str | None = Field(default=None, max_length=500)
    picture: str | None = PICTURE


async def update_profile(app: App, caller: Caller, args: UpdateProfile) -> Nothing:
    """Change what the account shows of itself. Raises InvalidInput where nothing is given, Unsupported, NotReady."""
    row = await instance_of(app.database, caller, args.instance_id)
    if args.name is None and args.about is None and args.picture is None:
        raise InvalidInput("Nothing was given that is to be changed.", hint="Give a name, an about text or a picture.")
    provider = await port(app, row, Capability.PROFILE)
    picture = None
    if args.picture is not None:
        picture = await load_upload(args.picture, policy=media_policy(app, row), max_bytes=PICTURE_MAX, kind=MediaKind.IMAGE)
    await provider.update_profile(Profile(name=args.name, about=args.about, picture=picture))
    return Nothing()


class PostStory(OfInstance):
    message: str = Field(min_length=1, max_length=700)


class PostedStory(Output):
    platform_id: str


async def post_story(app: App, caller: Caller, args: PostStory) -> PostedStory:
    """Show a text to the account's contacts for a day. Raises Unsupported, NotReady, and Forbidden where the settings do not allow it."""
    row = await instance_of(app.database, caller, args.instance_id)
    return PostedStory(platform_id=await (await port(app, row, Capability.STORIES)).post_story(args.message))
