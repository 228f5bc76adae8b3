"""Groups, as our account makes and changes them; it is the administrator of every group."""

import secrets
from collections.abc import Sequence

from providers.errors import InvalidRequest, NotFound
from providers.models import Chat, ChatChanged, ChatKind, Group, GroupChange, ParticipantResult
from providers.sandbox.people import BLOCKED, OWN_ID
from providers.sandbox.world import World
from providers.text import clean_line


def groups(world: World) -> Sequence[Group]:
    return [_group(world, chat) for chat in world.chats() if chat.kind is ChatKind.GROUP]


def create(world: World, title: str, participants: Sequence[str]) -> GroupChange:
    """Those who cannot be added are left out, and the results say why. Raises InvalidRequest where nobody is left or the title is empty."""
    if not clean_line(title):
        raise InvalidRequest("The title of the group is empty.", hint="Give the group a title.")
    results = tuple(_may_join(world, person) for person in participants)
    if not any(result.ok for result in results):
        raise InvalidRequest("None of the participants can be added to a group.", hint="Call list_contacts for those there are.")
    chat = Chat(id=f"group-{secrets.token_hex(4)}", kind=ChatKind.GROUP, title=title)
    with world.change():
        world.save_chat(chat)
        world.announce(ChatChanged(chat=chat))
        for result in results:
            if result.ok:
                world.add_member(chat.id, result.id)
    return GroupChange(group=_group(world, chat), results=results)


def add(world: World, group_id: str, participants: Sequence[str]) -> GroupChange:
    chat = _chat(world, group_id)
    results = tuple(_may_join(world, person) for person in participants)
    with world.change():
        for result in results:
            if result.ok:
                world.add_member(chat.id, result.id)
    return GroupChange(group=_group(world, chat), results=results)


def remove(world: World, group_id: str, participants: Sequence[str]) -> GroupChange:
    chat = _chat(world, group_id)
    members = {contact.id for contact in world.members(group_id)}
    results = tuple(
        ParticipantResult(id=person, ok=person in members, reason=None if person in members else "Not in this group.") for person in participants
    )
    with world.change():
        for person in participants:
            world.remove_member(chat.id, person)
    return GroupChange(group=_group(world, chat), results=results)


def _may_join(world: World, person: str) -> ParticipantResult:
    if world.find_contact(person) is None:
        return ParticipantResult(id=person, ok=False, reason="No such contact; list_contacts has those there are.")
    if person == BLOCKED:
        return ParticipantResult(id=person, ok=False, reason="Does not want to be added to groups.")
    return ParticipantResult(id=person, ok=True)


def _chat(world: World, group_id: str) -> Chat:
    for chat in world.chats():
        if chat.id == group_id and chat.kind is ChatKind.GROUP:
            return chat
    raise NotFound(f"No group '{group_id}' in this instance.", hint="Call list_groups for those there are.")


def _group(world: World, chat: Chat) -> Group:
    return Group(id=chat.id, title=chat.title, participants=tuple(world.members(chat.id)), admins=(OWN_ID,))
