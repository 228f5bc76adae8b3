"""Groups of a business number: made by the business alone, which is their only administrator; people join by the link.

Source: https://developers.facebook.com/documentation/business-messaging/whatsapp/groups/reference/.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

from providers.errors import InvalidRequest, MessengerError, NotFound, Unreachable
from providers.groups import Group, GroupChange, JoinRequest, ParticipantResult
from providers.kit.bounded import BoundedMap
from providers.kit.json import Json, parts
from providers.kit.phones import digits_of
from providers.meta.client import GraphClient, id_in, segment
from providers.meta.errors import from_refusal, refusal_in, words_of
from providers.models import Contact

_FIELDS = "id,subject,description,participants"
_PAGE = 100
_DESCRIBED = 25
"""Groups of a list whose participants are asked for; each costs a call."""
_REMOVED_AT_ONCE = 8
_BY_LINK = "People join WhatsApp's groups by the invitation link alone: send it to them."
OURS: Json = {"messaging_product": "whatsapp"}


class Groups:
    """`told` gets the reports of groups from the deliveries: Meta answers the making of a group with a number, and names the group later."""

    def __init__(self, number: str, seconds: float) -> None:
        """`seconds` is how long the making of a group waits for Meta's report."""
        self._number = number
        self._seconds = seconds
        self._made: BoundedMap[str, Json] = BoundedMap(100)
        """Reports by the number of the request."""
        self._news = asyncio.Event()

    def told(self, group: Json) -> None:
        """Note a report of a group."""
        if group.get("request_id"):
            self._made[str(group["request_id"])] = group
            self._news.set()
            self._news = asyncio.Event()

    async def listed(self, graph: GraphClient) -> list[Group]:
        """Return the groups, the first of them with their participants."""
        found = [group for page in await graph.pages(f"{self._number}/groups", limit=_PAGE) for group in parts(page, "data", "groups")]
        described = [await self.described(graph, one["id"]) for one in found[:_DESCRIBED]]
        return [*described, *(Group(id=one["id"], title=one.get("subject", "")) for one in found[_DESCRIBED:])]

    async def described(self, graph: GraphClient, group_id: str) -> Group:
        """Return one group as it is now. Raises NotFound."""
        return _group(await graph.get(segment(group_id), fields=_FIELDS))

    async def create(self, graph: GraphClient, title: str, people: Sequence[str]) -> GroupChange:
        """Make a group, and return it with its link. Raises Unreachable where Meta does not report it soon."""
        answer = await graph.post(f"{self._number}/groups", {**OURS, "subject": title}, sends=True)
        group = await self._until_made(id_in(answer, "request_id"))
        if not group.get("group_id"):
            refusal = refusal_in({"error": errors[0]}) if (errors := parts(group, "errors")) else None
            raise from_refusal(refusal, 400, {}, sends=False) if refusal else InvalidRequest("Meta did not make the group, and gave no reason.")
        made = Group(id=group["group_id"], title=group.get("subject") or title, invite_link=group.get("invite_link"))
        return GroupChange(group=made, results=_not_added(people))

    async def _until_made(self, request: str) -> Json:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._seconds):
                while (group := self._made.get(request)) is None:
                    await self._news.wait()
                return group
        raise Unreachable(
            "Meta makes the group, and has not reported yet under which id.",
            maybe_sent=True,
            hint="list_groups shows it; its report also comes as a notice in its chat.",
        )

    async def add(self, graph: GraphClient, group_id: str, people: Sequence[str]) -> GroupChange:
        """Return the group unchanged, with the reason why nobody was added."""
        return GroupChange(group=await self.described(graph, group_id), results=_not_added(people))

    async def remove(self, graph: GraphClient, group_id: str, people: Sequence[str]) -> GroupChange:
        """Have people removed, and return the group without them; Meta reports what became of it as a notice in the group."""
        group = await self.described(graph, group_id)
        members = {one.id for one in group.participants}
        numbers = {person: digits_of(person) or person for person in people}
        wanted = [number for number in numbers.values() if number in members]
        for at in range(0, len(wanted), _REMOVED_AT_ONCE):
            body = {**OURS, "participants": [{"user": number} for number in wanted[at : at + _REMOVED_AT_ONCE]]}
            await graph.delete(f"{segment(group_id)}/participants", body)
        left = tuple(one for one in group.participants if one.id not in wanted)
        results = tuple(
            ParticipantResult(id=person, ok=number in wanted, reason=None if number in wanted else "They are not in the group.")
            for person, number in numbers.items()
        )
        return GroupChange(group=group.model_copy(update={"participants": left}), results=results)

    async def update(self, graph: GraphClient, group_id: str, title: str | None, description: str | None) -> Group:
        """Change title or description, and return the group as it is then."""
        changes = {name: value for name, value in (("subject", title), ("description", description)) if value is not None}
        if changes:
            await graph.post(segment(group_id), {**OURS, **changes})
        group = await self.described(graph, group_id)
        # Meta carries it out a little later.
        news = {name: value for name, value in (("title", title), ("description", description)) if value is not None}
        return group.model_copy(update=news)

    async def link(self, graph: GraphClient, group_id: str, *, new: bool) -> str:
        """Return the link of a group; a `new` one makes the former void."""
        path = f"{segment(group_id)}/invite_link"
        answer = await graph.post(path, OURS) if new else await graph.get(path)
        return id_in(answer, "invite_link", sent=False)

    async def asking(self, graph: GraphClient, group_id: str) -> list[tuple[str, JoinRequest]]:
        """Return who asks to join, each with Meta's id of the question."""
        answer = await graph.get(f"{segment(group_id)}/join_requests")
        return [
            (
                str(one["join_request_id"]),
                JoinRequest(
                    person=Contact(id=str(one.get("wa_id") or one.get("user_id"))),
                    at=datetime.fromtimestamp(int(one["creation_timestamp"]), UTC) if one.get("creation_timestamp") else None,
                ),
            )
            for one in parts(answer, "data")
        ]

    async def answer(self, graph: GraphClient, group_id: str, people: Sequence[str], *, admit: bool) -> list[ParticipantResult]:
        """Let people in, or turn them away. Raises NotFound where none of them asks."""
        asked = {request.person.id: id for id, request in await self.asking(graph, group_id)}
        numbers = {person: digits_of(person) or person for person in people}
        wanted = {asked[number]: person for person, number in numbers.items() if number in asked}
        if not wanted:
            raise NotFound("None of these people asks to join the group.", hint="list_join_requests shows those who do.")
        body = {**OURS, "join_requests": list(wanted)}
        path = f"{segment(group_id)}/join_requests"
        told = await graph.post(path, body) if admit else await graph.delete(path, body)
        failed = {
            str(one.get("join_request_id")): "; ".join(map(words_of, parts(one, "errors"))) or "refused"
            for one in parts(told, "failed_join_requests")
        }
        done = [ParticipantResult(id=person, ok=id not in failed, reason=failed.get(id)) for id, person in wanted.items()]
        others = [ParticipantResult(id=person, ok=False, reason="They do not ask to join.") for person in people if numbers[person] not in asked]
        return done + others


async def block(graph: GraphClient, number: str, person: str, *, blocked: bool) -> None:
    """Block a person, or take the block off. Raises the reason why Meta did not; it blocks who has written within a day."""
    body = {**OURS, "block_users": [{"user": digits_of(person) or person}]}
    answer = await (graph.post(f"{number}/block_users", body) if blocked else graph.delete(f"{number}/block_users", body))
    for failed in parts(answer, "block_users", "failed_users"):
        raise _why(failed)


async def list_blocked(graph: GraphClient, number: str) -> list[str]:
    """Return the numbers, or scoped ids, of the people that are blocked."""
    pages = await graph.pages(f"{number}/block_users", limit=_PAGE)
    return [str(one.get("wa_id") or one.get("user_id")) for page in pages for one in parts(page, "data")]


def _why(failed: Json) -> MessengerError:
    errors = parts(failed, "errors")
    refusal = refusal_in({"error": errors[0]}) if errors else None
    return from_refusal(refusal, 400, {}, sends=False) if refusal else InvalidRequest("Meta did not do it, and gave no reason.")


def _group(payload: Json) -> Group:
    people = tuple(Contact(id=str(one.get("wa_id") or one.get("user_id"))) for one in parts(payload, "participants"))
    return Group(id=str(payload["id"]), title=payload.get("subject", ""), participants=people, description=payload.get("description"))


def _not_added(people: Sequence[str]) -> tuple[ParticipantResult, ...]:
    return tuple(ParticipantResult(id=person, ok=False, reason=_BY_LINK) for person in people)
