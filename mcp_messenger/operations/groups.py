"""Groups: listed, made, joined, their settings and their participants."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated

from pydantic import Field

from mcp_messenger.errors import InvalidInput
from mcp_messenger.net.uploads import load_upload
from mcp_messenger.operations.account_actions import PICTURE, PICTURE_MAX
from mcp_messenger.operations.application import App
from mcp_messenger.operations.chats import group_of
from mcp_messenger.operations.operation import FromOthers, Nothing, OfInstance, Output, PlatformId
from mcp_messenger.operations.port import port
from mcp_messenger.operations.queueing import SendAnswer
from mcp_messenger.operations.sending import SendMessage, send_message
from mcp_messenger.operations.uploading import media_policy
from mcp_messenger.policy.shown import Words
from mcp_messenger.security.caller import Caller, instance_of
from providers.capabilities import Capability
from providers.groups import Group, GroupChange, GroupSettings, ParticipantResult
from providers.models import MediaKind

Participants = Annotated[list[PlatformId], Field(min_length=1, max_length=256)]


class GroupView(Output):
    id: str
    title: str
    participants: list[str] = []
    admins: list[str] = []
    description: str | None = None
    invite_link: str | None = None


class OneGroup(GroupView, FromOthers):
    """A group. Its title and description may be others' words."""

    def words(self) -> Iterable[Words]:
        return (Words(self.id),)


class GroupList(FromOthers):
    groups: list[GroupView]

    def words(self) -> Iterable[Words]:
        return [Words(group.id) for group in self.groups]


class GroupChanged(FromOthers):
    """A group after a change, and the outcome for each person."""

    group: GroupView
    results: list[ParticipantResult] = []

    def words(self) -> Iterable[Words]:
        return (Words(self.group.id),)


def _one_group(group: Group) -> OneGroup:
    return OneGroup.model_validate(group_view(group).model_dump())


def group_view(group: Group) -> GroupView:
    """Return a group as callers see it."""
    return GroupView(
        id=group.id,
        title=group.title,
        participants=[person.id for person in group.participants],
        admins=list(group.admins),
        description=group.description,
        invite_link=group.invite_link,
    )


def changed(change: GroupChange) -> GroupChanged:
    """Return the outcome of a change of a group as callers see it."""
    return GroupChanged(group=group_view(change.group), results=list(change.results))


async def list_groups(app: App, caller: Caller, args: OfInstance) -> GroupList:
    """Ask the platform for the groups of the account. Raises Unsupported, NotReady."""
    row = await instance_of(app.database, caller, args.instance_id)
    provider = await port(app, row, Capability.GROUPS)
    return GroupList(groups=[group_view(group) for group in await provider.list_groups()])


class OfGroup(OfInstance):
    group_id: PlatformId


class GroupAnswer(FromOthers):
    group: GroupView

    def words(self) -> Iterable[Words]:
        return (Words(self.group.id),)


async def get_group(app: App, caller: Caller, args: OfGroup) -> GroupAnswer:
    """Ask the platform for one group of the account. Raises Unsupported, NotReady, NoSuchChat."""
    row = await instance_of(app.database, caller, args.instance_id)
    return GroupAnswer(group=group_view(await group_of(app, row, args.group_id)))


class CreateGroup(OfInstance):
    name: str = Field(min_length=1, max_length=200)
    participants: Participants


async def create_group(app: App, caller: Caller, args: CreateGroup) -> GroupChanged:
    """Create a group. Raises Unsupported, NotReady, and the platform's refusal where nobody could be added."""
    row = await instance_of(app.database, caller, args.instance_id)
    return changed(await (await port(app, row, Capability.GROUPS)).create_group(args.name, args.participants))


class ChangeParticipants(OfInstance):
    group_id: PlatformId
    participants: Participants


async def add_participants(app: App, caller: Caller, args: ChangeParticipants) -> GroupChanged:
    """Add people to a group; `results` says for each whether it worked."""
    row = await instance_of(app.database, caller, args.instance_id)
    return changed(await (await port(app, row, Capability.GROUPS)).add_participants(args.group_id, args.participants))


class RemoveParticipant(OfInstance):
    group_id: PlatformId
    participant: PlatformId


async def remove_participant(app: App, caller: Caller, args: RemoveParticipant) -> GroupChanged:
    """Remove one person from a group."""
    row = await instance_of(app.database, caller, args.instance_id)
    return changed(await (await port(app, row, Capability.GROUPS)).remove_participants(args.group_id, [args.participant]))


class SetGroupAdmin(OfGroup):
    participants: Participants
    admin: bool = True


async def set_group_admin(app: App, caller: Caller, args: SetGroupAdmin) -> GroupChanged:
    """Make people administrators of a group, or ordinary members again."""
    row = await instance_of(app.database, caller, args.instance_id)
    return changed(await (await port(app, row, Capability.GROUP_ADMIN)).set_admin(args.group_id, args.participants, args.admin))


class UpdateGroup(OfGroup):
    takes_empty = frozenset({"description"})

    name: str | None = Field(default=None, min_length=1, max_length=200)
    description: str | None = Field(default=None, max_length=2048)
    picture: str | None = PICTURE
    only_admins_write: bool | None = None
    only_admins_edit: bool | None = Field(default=None, description="only administrators change name, description and picture")
    only_admins_add: bool | None = None


async def update_group(app: App, caller: Caller, args: UpdateGroup) -> OneGroup:
    """Change name, description, picture or rights of a group. Raises InvalidInput where none is given, Unsupported."""
    row = await instance_of(app.database, caller, args.instance_id)
    given = args.model_dump(exclude={"instance_id", "group_id"}, exclude_none=True)
    if not given:
        raise InvalidInput("Nothing was given that is to be changed.", hint="Give a name, a description, a picture or a right.")
    provider = await port(app, row, Capability.GROUP_ADMIN)
    if given.keys() - {"name", "description"}:
        provider = await port(app, row, Capability.GROUP_SETTINGS)
        picture = None
        if args.picture is not None:
            picture = await load_upload(args.picture, policy=media_policy(app, row), max_bytes=PICTURE_MAX, kind=MediaKind.IMAGE)
        rights = args.model_dump(include={"only_admins_write", "only_admins_edit", "only_admins_add"})
        await provider.set_group(args.group_id, GroupSettings(picture=picture, **rights))
    return _one_group(await provider.update_group(args.group_id, args.name, args.description))


class InviteLink(Output):
    """A link by which anybody may join."""

    invite_link: str


async def get_invite_link(app: App, caller: Caller, args: OfGroup) -> InviteLink:
    """Return the link by which anybody may join the group."""
    row = await instance_of(app.database, caller, args.instance_id)
    return InviteLink(invite_link=await (await port(app, row, Capability.GROUP_ADMIN)).invite_link(args.group_id))


async def reset_invite_link(app: App, caller: Caller, args: OfGroup) -> InviteLink:
    """Make the link void, and return a new one."""
    row = await instance_of(app.database, caller, args.instance_id)
    return InviteLink(invite_link=await (await port(app, row, Capability.GROUP_ADMIN)).reset_invite_link(args.group_id))


class JoinGroup(OfInstance):
    invite_link: str = Field(min_length=8, max_length=300)


async def join_group(app: App, caller: Caller, args: JoinGroup) -> OneGroup:
    """Join the group of an invitation link. Raises Unsupported, NotReady, NotFound."""
    row = await instance_of(app.database, caller, args.instance_id)
    return _one_group(await (await port(app, row, Capability.JOIN_GROUPS)).join_group(args.invite_link))


class AskingPerson(Output):
    id: str
    name: str | None = None
    phone: str | None = None
    at: datetime | None = None


class JoinRequestList(FromOthers):
    requests: list[AskingPerson]


async def list_join_requests(app: App, caller: Caller, args: OfGroup) -> JoinRequestList:
    """Return the people who ask to be let into a group. Raises Unsupported, NotReady."""
    row = await instance_of(app.database, caller, args.instance_id)
    asking = await (await port(app, row, Capability.JOIN_REQUESTS)).list_join_requests(args.group_id)
    people = [AskingPerson(id=one.person.id, name=one.person.name or None, phone=one.person.phone, at=one.at) for one in asking]
    return JoinRequestList(requests=people)


class AnswerJoinRequests(OfGroup):
    participants: Participants
    admit: bool = Field(description="false turns them away")


class JoinRequestsAnswered(Output):
    """The outcome for each person."""

    results: list[ParticipantResult]


async def answer_join_requests(app: App, caller: Caller, args: AnswerJoinRequests) -> JoinRequestsAnswered:
    """Let people into a group, or turn them away. Raises Unsupported, NotReady."""
    row = await instance_of(app.database, caller, args.instance_id)
    provider = await port(app, row, Capability.JOIN_REQUESTS)
    return JoinRequestsAnswered(results=list(await provider.answer_join_requests(args.group_id, args.participants, args.admit)))


async def leave_group(app: App, caller: Caller, args: OfGroup) -> Nothing:
    """Leave a group."""
    row = await instance_of(app.database, caller, args.instance_id)
    await (await port(app, row, Capability.GROUP_ADMIN)).leave_group(args.group_id)
    return Nothing()


class SendToGroup(OfInstance):
    group_id: PlatformId
    message: str = Field(min_length=1, max_length=100_000)
    idempotency_key: str | None = Field(default=None, min_length=1, max_length=128)


async def send_to_group(app: App, caller: Caller, args: SendToGroup) -> SendAnswer:
    """Send a text to a group, as `send_message` does."""
    send = SendMessage(instance_id=args.instance_id, to=args.group_id, message=args.message, idempotency_key=args.idempotency_key)
    return await send_message(app, caller, send)
