"""Archives, pins and mutes chats, looks people up, blocks them, and changes what the account shows of itself."""

from datetime import datetime

from pydantic import Field

from mcp_messenger.errors import InvalidInput
from mcp_messenger.net.uploads import load_upload
from mcp_messenger.operations.addresses import recipient
from mcp_messenger.operations.application import App
from mcp_messenger.operations.chats import known_chat
from mcp_messenger.operations.operation import FromOthers, Nothing, OfInstance, Output, PlatformId
from mcp_messenger.operations.port import port
from mcp_messenger.operations.sending import media_policy
from mcp_messenger.security.caller import Caller, instance_of
from providers.models import Capability, ChatMarks, MediaKind, Profile

PICTURE_MAX = 16 * 2**20
"""Bytes."""
PICTURE = Field(default=None, min_length=1, max_length=90_000_000, description="URL, path in a media folder, data: URI or base64:...")


class UpdateChat(OfInstance):
    chat_id: PlatformId
    archived: bool | None = None
    pinned: bool | None = None
    muted: bool | None = None
    muted_until: datetime | None = Field(default=None, description="end of a mute; none: until unmuted")
    unread: bool | None = Field(default=None, description="true marks it as unread; mark_read does the opposite")


async def update_chat(app: App, caller: Caller, args: UpdateChat) -> Nothing:
    """Change how this account keeps a chat. Raises InvalidInput where nothing is to be changed, NoSuchChat, Unsupported, NotReady."""
    row = await instance_of(app.database, caller, args.instance_id)
    if args.unread is False:
        raise InvalidInput("unread: a chat is marked as read by reading it.", hint="Call mark_read.")
    if args.muted_until is not None and not args.muted:
        raise InvalidInput("muted_until: it is the end of a mute.", hint="Give muted: true with it.")
    is_marked = any(value is not None for value in (args.pinned, args.muted, args.unread))
    if args.archived is None and not is_marked:
        raise InvalidInput("Nothing was given that is to be changed.", hint="Give archived, pinned, muted or unread.")
    chat = await known_chat(app, row, args.chat_id)
    marking = await port(app, row, Capability.CHAT_MARKS) if is_marked else None
    archiving = await port(app, row, Capability.ARCHIVE) if args.archived is not None else None
    if marking is not None:
        marks = ChatMarks(pinned=args.pinned, muted=args.muted, muted_until=args.muted_until, unread=args.unread)
        await marking.mark_chat(chat.id, marks)
    if archiving is not None:
        await archiving.archive_chat(chat.id, bool(args.archived))
    return Nothing()


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
