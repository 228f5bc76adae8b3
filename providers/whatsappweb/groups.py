"""Groups: what WhatsApp holds of them, and the outcome for each person in a change."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from providers.errors import InvalidRequest, NotFound, Rejected
from providers.groups import Group, JoinRequest, ParticipantResult
from providers.models import ChatKind, Contact
from providers.whatsappweb.directory import Person
from providers.whatsappweb.ids import is_id, kind_of, phone_of, serialized

Json = dict[str, Any]
People = Mapping[str, Person | None]
"""By the words with which each was asked for; None: nobody on WhatsApp."""

LINK = "https://chat.whatsapp.com/"
TITLE_MAX = 100

_CODE = re.compile(r"[\w-]{8,64}", re.ASCII)
_NOBODY = "Not on WhatsApp. Give the phone number with its country code, or an id of list_contacts."
_DONE = 200
_REFUSALS = {
    403: "May be added by a private invitation only. Send the group's get_invite_link.",
    404: _NOBODY,
    408: "Left the group recently and cannot be added yet. Send the group's get_invite_link.",
    409: "Is already in the group.",
    417: "Cannot be added to the community. Send the group's get_invite_link.",
    419: "The group is full.",
}
_NOT_IN_GROUP = "Not in this group."
_NOT_ASKING = "Does not ask to join this group."
_NO_ANSWER = "WhatsApp did not say whether it worked, and the group does not show it."


def require_group(group_id: str) -> str:
    """Return the id. Raises NotFound where it is none of a group."""
    if not is_id(group_id) or kind_of(group_id) is not ChatKind.GROUP:
        raise NotFound(f"'{group_id[:64]}' is no group of WhatsApp.", hint="list_groups has those there are.")
    return group_id


def code_of(link: str) -> str:
    """Return the code of an invitation link, or the code itself. Raises InvalidRequest."""
    code = link.strip().removeprefix("http://").removeprefix("https://").removeprefix("chat.whatsapp.com/").partition("?")[0].rstrip("/")
    if not _CODE.fullmatch(code):
        raise InvalidRequest("This is no invitation link of a WhatsApp group.", hint=f"Such a link is {LINK} and a code.")
    return code


def join_request(raw: Json, phone: str | None) -> JoinRequest:
    """Return a request to join. `phone` is the person's number where WhatsApp tells it."""
    at = datetime.fromtimestamp(raw["t"], UTC) if raw.get("t") else None
    return JoinRequest(person=Contact(id=raw["id"], phone=phone), at=at)


def asking(requests: Sequence[Json], people: People) -> dict[str, str]:
    """Return the ids under which those of `people` ask to join who do, by the words with which each was asked for."""
    ids = {raw["id"] for raw in requests}
    found = {asked: next((id for id in person.ids if id in ids), None) for asked, person in people.items() if person is not None}
    return {asked: id for asked, id in found.items() if id is not None}


def answered(people: Sequence[str], ids: Mapping[str, str], raws: Sequence[Json]) -> tuple[ParticipantResult, ...]:
    """Return the outcome for each person, as WhatsApp told it by id."""
    by_id = {raw["requesterId"]: raw for raw in raws}
    return tuple(_answered(asked, ids.get(asked), by_id) for asked in people)


def _answered(asked: str, id: str | None, by_id: Mapping[str, Json]) -> ParticipantResult:
    if id is None:
        return ParticipantResult(id=asked, ok=False, reason=_NOT_ASKING)
    raw = by_id.get(id)
    if raw is None:
        return ParticipantResult(id=asked, ok=False, reason="WhatsApp did not say whether it worked; list_join_requests shows who still asks.")
    is_done = raw["message"].endswith("successfully")
    return ParticipantResult(id=asked, ok=is_done, reason=None if is_done else raw["message"])


def group_of(raw: Json, own_ids: frozenset[str]) -> Group:
    """Return a group. We ourselves are among the administrators, and not among the participants."""
    people = [(serialized(one["id"]) or "", bool(one.get("isAdmin") or one.get("isSuperAdmin"))) for one in raw["participants"]]
    return Group(
        id=raw["id"],
        title=raw["title"],
        description=raw.get("description"),
        participants=tuple(Contact(id=id, phone=phone_of(id)) for id, _ in people if id not in own_ids),
        admins=tuple(id for id, is_admin in people if is_admin),
    )


def writable(people: People) -> list[str]:
    """Return the ids to hand to WhatsApp, each person once: it wants numbers where they are known."""
    return list(dict.fromkeys(person.ids[0] for person in people.values() if person is not None))


def inside(group: Group, person: Person | None) -> str | None:
    """Return the id under which the group has the person; None where it has not."""
    members = {member.id for member in group.participants}
    return None if person is None else next((id for id in person.ids if id in members), None)


def added(payload: Mapping[str, int], group: Group, people: People) -> tuple[ParticipantResult, ...]:
    """Return the outcomes of an addition. `payload` has WhatsApp's code by id; where it is silent about somebody, the group tells."""
    return tuple(_added(asked, person, payload, group) for asked, person in people.items())


def _added(asked: str, person: Person | None, payload: Mapping[str, int], group: Group) -> ParticipantResult:
    if person is None:
        return ParticipantResult(id=asked, ok=False, reason=_NOBODY)
    code = next((payload[id] for id in person.ids if id in payload), None)
    if code is None:
        is_inside = inside(group, person) is not None
        return ParticipantResult(id=asked, ok=is_inside, reason=None if is_inside else _NO_ANSWER)
    return ParticipantResult(id=asked, ok=code == _DONE, reason=None if code == _DONE else _REFUSALS.get(code, f"WhatsApp refused it ({code})."))


def require_somebody(people: People) -> None:
    """Raise NotFound where nobody of those who were asked for is on WhatsApp, before a group is made."""
    if not writable(people):
        raise NotFound("Nobody of these is on WhatsApp. No group was made.", hint=f"{_NOBODY} check_send looks a number up.")


def require_added(group: Group, results: Sequence[ParticipantResult]) -> None:
    """Raise Rejected for a group that was made and has nobody in it."""
    if any(result.ok for result in results):
        return
    reasons = "; ".join(f"{result.id}: {result.reason}" for result in results)
    raise Rejected(
        f"The group {group.id} was made, and nobody could be added to it. {reasons}",
        hint="Do not make it again: send its get_invite_link to the people, or leave it with leave_group.",
    )


def removed(before: Group, after: Group, people: People) -> tuple[ParticipantResult, ...]:
    """Return the outcomes of a removal, as the group then shows them."""
    return _changed(before, people, lambda person: inside(after, person) is None)


def promoted(before: Group, after: Group, people: People, *, admin: bool) -> tuple[ParticipantResult, ...]:
    """Return the outcomes of a change of administrators, as the group then shows them."""
    return _changed(before, people, lambda person: any(id in after.admins for id in person.ids) == admin)


def _changed(before: Group, people: People, has_changed: Callable[[Person], bool]) -> tuple[ParticipantResult, ...]:
    results: list[ParticipantResult] = []
    for asked, person in people.items():
        reason = None
        if person is None or inside(before, person) is None:
            reason = _NOT_IN_GROUP
        elif not has_changed(person):
            reason = _NO_ANSWER
        results.append(ParticipantResult(id=asked, ok=reason is None, reason=reason))
    return tuple(results)
