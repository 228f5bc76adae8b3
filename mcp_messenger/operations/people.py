"""One person over several messengers. An agent proposes who is one; a person confirms it, over REST, before it counts."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import groupby
from uuid import UUID

from pydantic import Field

from db import people
from db.people import IdentityRow
from mcp_messenger.errors import InvalidInput, NoSuchPerson
from mcp_messenger.operations.application import App
from mcp_messenger.operations.operation import Cursor, FromOthers, Input, InstanceId, Limit, Output, PlatformId
from mcp_messenger.policy.shown import Words
from mcp_messenger.security.caller import Caller, instance_of


class ContactOf(Input):
    instance_id: InstanceId
    contact_id: PlatformId


class IdentityView(Output):
    instance_id: str
    provider: str
    contact_id: str
    name: str = ""
    username: str | None = None
    phone: str | None = None
    confirmed_at: datetime | None = None


class PersonView(Output):
    """`confirmed` contacts are this person's; `proposed` ones may be, and nobody has said so yet."""

    person_id: str
    name: str = ""
    confirmed: list[IdentityView] = []
    proposed: list[IdentityView] = []


class Person(FromOthers):
    person: PersonView

    def words(self) -> Iterable[Words]:
        return _words([self.person])


class PersonList(FromOthers):
    people: list[PersonView]
    next_cursor: str | None = None

    def words(self) -> Iterable[Words]:
        return _words(self.people)


def _words(people: Iterable[PersonView]) -> Iterable[Words]:
    return [Words(contact.contact_id, contact.instance_id) for person in people for contact in (*person.confirmed, *person.proposed)]


class ListPeople(Input):
    limit: Limit = 20
    cursor: Cursor = None


async def list_people(app: App, caller: Caller, args: ListPeople) -> PersonList:
    """Return a page of people, each with the contacts that are theirs."""
    caller.require_owner()
    caller.require_all_instances()
    after = None if args.cursor is None else parse_person_id(args.cursor)
    views = _views(await people.listing(app.database, user_id=caller.user_id, after=after, limit=args.limit + 1))
    page = views[: args.limit]
    return PersonList(people=page, next_cursor=page[-1].person_id if len(views) > args.limit else None)


class SuggestLinks(Input):
    limit: Limit = 20


class Suggestion(Output):
    contacts: list[ContactOf]


class Suggestions(Output):
    """Contacts with one phone number: a reason to propose that they are one person, no proof."""

    suggestions: list[Suggestion]


async def suggest_links(app: App, caller: Caller, args: SuggestLinks) -> Suggestions:
    """Return contacts that share a phone number."""
    caller.require_owner()
    caller.require_all_instances()
    pairs = await people.alike(app.database, user_id=caller.user_id, limit=args.limit)
    return Suggestions(
        suggestions=[
            Suggestion(contacts=[ContactOf(instance_id=str(one), contact_id=first), ContactOf(instance_id=str(other), contact_id=second)])
            for one, first, other, second in pairs
        ]
    )


class ProposeLink(Input):
    contacts: list[ContactOf] = Field(min_length=1, max_length=20)
    person_id: str | None = Field(default=None, max_length=64, description="who has them; left out: a new person")
    name: str = Field(default="", max_length=200)


async def propose_link(app: App, caller: Caller, args: ProposeLink) -> Person:
    """Propose that contacts are one person; a person confirms it. Raises InvalidInput for contacts of several users."""
    caller.require_owner()
    caller.require_all_instances()
    rows = [await instance_of(app.database, caller, contact.instance_id) for contact in args.contacts]
    owners = {row.user_id for row in rows}
    if len(owners) > 1:
        raise InvalidInput("contacts: they are of instances of several users.", hint="Link contacts of one user's instances.")
    person_id = None if args.person_id is None else UUID((await _known(app, caller, args.person_id)).person_id)
    if person_id is None and len(args.contacts) < 2:
        raise InvalidInput("contacts: one contact alone is linked to nobody.", hint="Give two, or the person_id it belongs to.")
    contacts = [(row.id, contact.contact_id) for row, contact in zip(rows, args.contacts, strict=True)]
    made = await people.propose(app.database, user_id=owners.pop(), person_id=person_id, name=args.name, contacts=list(dict.fromkeys(contacts)))
    return Person(person=await _known(app, caller, str(made)))


class OfPerson(Input):
    person_id: str = Field(max_length=64)


async def get_person(app: App, caller: Caller, args: OfPerson) -> Person:
    """Return one person. Raises NoSuchPerson."""
    caller.require_owner()
    caller.require_all_instances()
    return Person(person=await _known(app, caller, args.person_id))


async def confirm_link(app: App, caller: Caller, args: OfPerson) -> Person:
    """Confirm all contacts that are proposed for a person."""
    caller.require_owner()
    caller.require_all_instances()
    person = await _known(app, caller, args.person_id)
    await people.confirm(app.database, UUID(person.person_id))
    return Person(person=await _known(app, caller, args.person_id))


class Unlink(OfPerson):
    takes_empty = frozenset({"instance_id", "contact_id"})  # refused: an empty one must not separate all

    instance_id: str | None = Field(default=None, max_length=64)
    contact_id: PlatformId | None = Field(default=None, description="left out: all of the person's")


class Unlinked(Output):
    unlinked: int


async def unlink(app: App, caller: Caller, args: Unlink) -> Unlinked:
    """Separate one contact, or all, from a person."""
    caller.require_owner()
    caller.require_all_instances()
    person = await _known(app, caller, args.person_id)
    if (args.contact_id is None) != (args.instance_id is None):
        raise InvalidInput("A contact is named by instance_id and contact_id together.", hint="Give both, or neither to separate all.")
    instance_id = None if args.instance_id is None else (await instance_of(app.database, caller, args.instance_id)).id
    return Unlinked(unlinked=await people.take_back(app.database, UUID(person.person_id), instance_id=instance_id, contact_id=args.contact_id))


async def _known(app: App, caller: Caller, person_id: str) -> PersonView:
    """Return a person of the caller. Raises NoSuchPerson, also for a person of another user."""
    views = _views(await people.get(app.database, parse_person_id(person_id), user_id=caller.user_id))
    if not views:
        raise NoSuchPerson(person_id)
    return views[0]


def parse_person_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NoSuchPerson(text) from None


def _views(rows: Sequence[IdentityRow]) -> list[PersonView]:
    views: list[PersonView] = []
    for person_id, group in groupby(rows, lambda row: row.person_id):
        of = list(group)
        views.append(
            PersonView(
                person_id=str(person_id),
                name=of[0].person_name,
                confirmed=[_identity(row) for row in of if row.confirmed_at is not None],
                proposed=[_identity(row) for row in of if row.confirmed_at is None],
            )
        )
    return views


def _identity(row: IdentityRow) -> IdentityView:
    return IdentityView(
        instance_id=str(row.instance_id),
        provider=row.provider,
        contact_id=row.contact_id,
        name=row.name,
        username=row.username,
        phone=row.phone,
        confirmed_at=row.confirmed_at,
    )
