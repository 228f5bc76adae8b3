"""Groups: listed, made, and their participants."""

from typing import Annotated

from pydantic import Field

from mcp_messenger.app import App
from mcp_messenger.caller import Caller, instance_of
from mcp_messenger.operations.operation import FromOthers, OfInstance, Output, PlatformId
from mcp_messenger.operations.port import port
from mcp_messenger.operations.sending import SendAnswer, SendMessage, send_message
from providers.models import Capability, Group, GroupChange, ParticipantResult

Participants = Annotated[list[PlatformId], Field(min_length=1, max_length=256)]


class GroupView(Output):
    id: str
    title: str
    participants: list[str] = []
    admins: list[str] = []
    description: str | None = None
    invite_link: str | None = None


class GroupList(FromOthers):
    groups: list[GroupView]


class GroupChanged(Output):
    """What became of the group, and of each person."""

    group: GroupView
    results: list[ParticipantResult] = []


def group_view(group: Group) -> GroupView:
    return GroupView(
        id=group.id,
        title=group.title,
        participants=[person.id for person in group.participants],
        admins=list(group.admins),
        description=group.description,
        invite_link=group.invite_link,
    )


def _changed(change: GroupChange) -> GroupChanged:
    return GroupChanged(group=group_view(change.group), results=list(change.results))


async def list_groups(app: App, caller: Caller, args: OfInstance) -> GroupList:
    row = await instance_of(app.database, caller, args.instance_id)
    provider = await port(app, row, Capability.GROUPS)
    return GroupList(groups=[group_view(group) for group in await provider.list_groups()])


class CreateGroup(OfInstance):
    name: str = Field(min_length=1, max_length=200)
    participants: Participants


async def create_group(app: App, caller: Caller, args: CreateGroup) -> GroupChanged:
    row = await instance_of(app.database, caller, args.instance_id)
    return _changed(await (await port(app, row, Capability.GROUPS)).create_group(args.name, args.participants))


class ChangeParticipants(OfInstance):
    group_id: PlatformId
    participants: Participants


async def add_participants(app: App, caller: Caller, args: ChangeParticipants) -> GroupChanged:
    row = await instance_of(app.database, caller, args.instance_id)
    return _changed(await (await port(app, row, Capability.GROUPS)).add_participants(args.group_id, args.participants))


class RemoveParticipant(OfInstance):
    group_id: PlatformId
    participant: PlatformId


async def remove_participant(app: App, caller: Caller, args: RemoveParticipant) -> GroupChanged:
    row = await instance_of(app.database, caller, args.instance_id)
    return _changed(await (await port(app, row, Capability.GROUPS)).remove_participants(args.group_id, [args.participant]))


class SendToGroup(OfInstance):
    group_id: PlatformId
    message: str = Field(min_length=1, max_length=100_000)
    idempotency_key: str | None = Field(default=None, min_length=1, max_length=128)


async def send_to_group(app: App, caller: Caller, args: SendToGroup) -> SendAnswer:
    send = SendMessage(instance_id=args.instance_id, to=args.group_id, message=args.message, idempotency_key=args.idempotency_key)
    return await send_message(app, caller, send)
