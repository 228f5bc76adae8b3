"""Groups: what WhatsApp holds of them, and what became of each person in a change."""

from collections.abc import Mapping, Sequence
from typing import Any

from providers.errors import NotFound
from providers.models import ChatKind, Contact, Group, ParticipantResult
from providers.whatsappweb.directory import Ask
from providers.whatsappweb.ids import is_id, kind_of, phone_of, serialized

Json = dict[str, Any]

_NO_SUCH_PERSON = "No such person on WhatsApp; give a phone number with its country code, or an id of list_contacts."
_NOT_IN_GROUP = "Not in this group."


TITLE_MAX = 100


def writable(participants: Sequence[str]) -> list[str]:
    """Those that are ids at all; the page breaks off at any other."""
    return [person for person in participants if is_id(person) and kind_of(person) is ChatKind.PRIVATE]


def require_group(group_id: str) -> str:
    """Raises NotFound."""
    if not is_id(group_id) or kind_of(group_id) is not ChatKind.GROUP:
        raise NotFound(f"'{group_id[:64]}' is no group of WhatsApp.", hint="list_groups has those there are.")
    return group_id


def group_of(raw: Json, own_ids: frozenset[str]) -> Group:
    """We ourselves are among the administrators, and not among the participants."""
    people = [(serialized(one["id"]) or "", bool(one.get("isAdmin") or one.get("isSuperAdmin"))) for one in raw["participants"]]
    return Group(
        id=raw["id"],
        title=raw["title"],
        description=raw.get("description"),
        participants=tuple(Contact(id=id, phone=phone_of(id)) for id, _ in people if id not in own_ids),
        admins=tuple(id for id, is_admin in people if is_admin),
    )


async def members(ask: Ask, group: Group, asked: Sequence[str]) -> dict[str, str | None]:
    """Of those who were asked for, the ids by which the group has them; None for who is not in it."""
    inside = {person.id for person in group.participants}
    found: dict[str, str | None] = {}
    for person in asked:
        names = [person, *await _aliases(ask, person)] if is_id(person) else []
        found[person] = next((name for name in names if name in inside), None)
    return found


async def _aliases(ask: Ask, person: str) -> list[str]:
    if not person.endswith("@lid"):
        return []
    told = await ask("aliases", {"id": person})
    return [told["pn"]] if told.get("pn") else []


async def results(ask: Ask, told: Mapping[str, Json], asked: Sequence[str]) -> tuple[ParticipantResult, ...]:
    """WhatsApp answers by phone number, whichever id was asked for."""
    listed: list[ParticipantResult] = []
    for person in asked:
        answer = next((told[name] for name in [person, *(await _aliases(ask, person) if is_id(person) else [])] if name in told), None)
        code = None if answer is None else answer.get("statusCode") or answer.get("code")
        words = _NO_SUCH_PERSON if answer is None else answer.get("message")
        listed.append(ParticipantResult(id=person, ok=code == 200, reason=None if code == 200 else words))
    return tuple(listed)


def membership(found: Mapping[str, str | None]) -> tuple[ParticipantResult, ...]:
    return tuple(ParticipantResult(id=person, ok=id is not None, reason=None if id else _NOT_IN_GROUP) for person, id in found.items())
