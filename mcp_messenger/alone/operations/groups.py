"""Groups, asked of the messenger itself."""

from mcp_messenger.alone.program import Program
from mcp_messenger.errors import InvalidInput
from mcp_messenger.operations import groups as asked
from mcp_messenger.operations.operation import Nothing, OfInstance
from mcp_messenger.security.caller import Caller
from providers.models import Capability


async def list_groups(program: Program, caller: Caller, args: OfInstance) -> asked.GroupList:
    return asked.GroupList(groups=[asked.group_view(group) for group in await program.runner.port(Capability.GROUPS).list_groups()])


async def create_group(program: Program, caller: Caller, args: asked.CreateGroup) -> asked.GroupChanged:
    return asked.changed(await program.runner.port(Capability.GROUPS).create_group(args.name, args.participants))


async def add_participants(program: Program, caller: Caller, args: asked.ChangeParticipants) -> asked.GroupChanged:
    return asked.changed(await program.runner.port(Capability.GROUPS).add_participants(args.group_id, args.participants))


async def remove_participant(program: Program, caller: Caller, args: asked.RemoveParticipant) -> asked.GroupChanged:
    return asked.changed(await program.runner.port(Capability.GROUPS).remove_participants(args.group_id, [args.participant]))


async def set_group_admin(program: Program, caller: Caller, args: asked.SetGroupAdmin) -> asked.GroupChanged:
    return asked.changed(await program.runner.port(Capability.GROUP_ADMIN).set_admin(args.group_id, args.participants, args.admin))


async def update_group(program: Program, caller: Caller, args: asked.UpdateGroup) -> asked.GroupView:
    if args.name is None and args.description is None:
        raise InvalidInput("Neither a name nor a description was given.", hint="Give what is to be changed.")
    return asked.group_view(await program.runner.port(Capability.GROUP_ADMIN).update_group(args.group_id, args.name, args.description))


async def get_invite_link(program: Program, caller: Caller, args: asked.OfGroup) -> asked.InviteLink:
    return asked.InviteLink(invite_link=await program.runner.port(Capability.GROUP_ADMIN).invite_link(args.group_id))


async def leave_group(program: Program, caller: Caller, args: asked.OfGroup) -> Nothing:
    await program.runner.port(Capability.GROUP_ADMIN).leave_group(args.group_id)
    return Nothing()
