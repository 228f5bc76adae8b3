"""Groups, as our account makes and changes them; it is the administrator of every group."""

import json
import secrets
from collections.abc import Sequence

from providers.errors import InvalidRequest, NotFound
from providers.events import ChatChanged
from providers.groups import Group, GroupChange, GroupSettings, JoinRequest, ParticipantResult
from providers.models import Chat, ChatKind
from providers.sandbox.people import BLOCKED, OWN_ID, PEOPLE
from providers.sandbox.world import World
from providers.text import clean, clean_line

_LINK = "https://sandbox.invalid/join/"
CLUB = Chat(id="reading-club", kind=ChatKind.GROUP, title="Reading club")


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


def set_admin(world: World, group_id: str, participants: Sequence[str], admin: bool) -> GroupChange:
    chat = _chat(world, group_id)
    members = {contact.id for contact in world.members(group_id)}
    results = tuple(
        ParticipantResult(id=person, ok=person in members, reason=None if person in members else "Not in this group.") for person in participants
    )
    chosen = {result.id for result in results if result.ok}
    admins = set(_admins(world, chat.id))
    with world.change():
        world.set_fact(f"admins:{chat.id}", json.dumps(sorted(admins | chosen if admin else admins - chosen)))
    return GroupChange(group=_group(world, chat), results=results)


def update(world: World, group_id: str, title: str | None, description: str | None) -> Group:
    chat = _chat(world, group_id)
    if title is not None and not clean_line(title):
        raise InvalidRequest("The title of the group is empty.", hint="Give the group a title.")
    changed = chat if title is None else chat.model_copy(update={"title": clean_line(title)})
    with world.change():
        world.save_chat(changed)
        if changed != chat:
            world.announce(ChatChanged(chat=changed))
        if description is not None:
            world.set_fact(f"description:{chat.id}", clean(description))
    return _group(world, changed)


def set_group(world: World, group_id: str, settings: GroupSettings) -> None:
    """Change the settings that are not None."""
    chat = _chat(world, group_id)
    with world.change():
        for name in ("only_admins_write", "only_admins_edit", "only_admins_add"):
            if (value := getattr(settings, name)) is not None:
                world.set_fact(f"{name}:{chat.id}", "yes" if value else None)
        if (picture := settings.picture) is not None:
            world.set_fact(f"picture:{chat.id}", world.add_file(picture.content, picture.mime, picture.name))


def invite_link(world: World, group_id: str) -> str:
    """Return the group's link; it leads nowhere, as the sandbox has no strangers."""
    chat = _chat(world, group_id)
    return f"{_LINK}{chat.id}{world.fact(f'invite:{chat.id}') or ''}"


def reset_invite_link(world: World, group_id: str) -> str:
    """Make the group's link void, and return a new one."""
    world.set_fact(f"invite:{_chat(world, group_id).id}", f"-{secrets.token_hex(4)}")
    return invite_link(world, group_id)


def join(world: World, link: str) -> Group:
    """Join the reading club, whose link is always the same. Raises NotFound for any other link."""
    if link != f"{_LINK}{CLUB.id}":
        raise NotFound("This link leads to no group.", hint=f"The sandbox has one to join: {_LINK}{CLUB.id}")
    if CLUB.id not in {chat.id for chat in world.chats()}:
        with world.change():
            world.save_chat(CLUB)
            world.announce(ChatChanged(chat=CLUB))
            world.add_member(CLUB.id, PEOPLE[0].id)
    return _group(world, CLUB)


def join_requests(world: World, group_id: str) -> Sequence[JoinRequest]:
    """Return the people of the sandbox who are in no such group and were not turned away: all of them would like to join."""
    chat = _chat(world, group_id)
    members = world.members(chat.id)
    return [JoinRequest(person=one) for one in PEOPLE if one not in members and world.fact(f"turned-away:{chat.id}:{one.id}") is None]


def answer_join_requests(world: World, group_id: str, people: Sequence[str], admit: bool) -> Sequence[ParticipantResult]:
    """Let people in, or turn them away."""
    asking = {request.person.id for request in join_requests(world, group_id)}
    with world.change():
        for person in asking.intersection(people):
            if admit:
                world.add_member(group_id, person)
            else:
                world.set_fact(f"turned-away:{group_id}:{person}", "yes")
    return [ParticipantResult(id=one, ok=one in asking, reason=None if one in asking else "Does not ask to join.") for one in people]


def leave(world: World, group_id: str) -> None:
    chat = _chat(world, group_id)
    with world.change():
        world.remove_chat(chat.id)


def _admins(world: World, group_id: str) -> list[str]:
    return json.loads(world.fact(f"admins:{group_id}") or "[]")


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
    members = world.members(chat.id)
    admins = [contact.id for contact in members if contact.id in _admins(world, chat.id)]
    description = world.fact(f"description:{chat.id}")
    return Group(id=chat.id, title=chat.title, participants=tuple(members), admins=(OWN_ID, *admins), description=description)
