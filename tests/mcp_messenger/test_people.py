"""One person over several messengers: proposed by anybody, counted when confirmed, seen by their user alone."""

from collections.abc import AsyncGenerator
from pathlib import Path
from uuid import UUID

import pytest

from db import chats
from mcp_messenger.errors import InvalidInput, NoSuchInstance, NoSuchPerson, NotAllowed
from mcp_messenger.operations import people
from mcp_messenger.operations.application import App
from mcp_messenger.operations.operation import Transport
from mcp_messenger.operations.people import ContactOf, ListPeople, OfPerson, PersonView, ProposeLink, SuggestLinks, Unlink
from mcp_messenger.operations.removal import DeleteInstance, delete_instance
from mcp_messenger.operations.table import BY_NAME
from mcp_messenger.security.caller import ADMIN, Caller
from tests.running import ready_sandbox, running_app

pytestmark = pytest.mark.anyio
ALICE, BOB = Caller(user_id="alice"), Caller(user_id="bob")


@pytest.fixture
async def app(database_url: str, tmp_path: Path) -> AsyncGenerator[App]:
    async with running_app(database_url, tmp_path) as app:
        yield app


async def contact(app: App, instance_id: str, id: str, phone: str | None = None) -> ContactOf:
    await chats.upsert_contacts(app.database, UUID(instance_id), [(id, id.title(), None, phone, False, False)])
    return ContactOf(instance_id=instance_id, contact_id=id)


async def two_contacts(app: App, caller: Caller = ALICE, phone: str | None = None) -> list[ContactOf]:
    return [await contact(app, await ready_sandbox(app, caller, persona="human"), f"zoe-{number}", phone) for number in range(2)]


def ids(person: PersonView) -> tuple[list[str], list[str]]:
    return sorted(one.contact_id for one in person.confirmed), sorted(one.contact_id for one in person.proposed)


async def test_a_link_counts_when_it_was_confirmed_and_ends_when_it_is_taken_back(app: App) -> None:
    pair = await two_contacts(app)
    proposed = (await people.propose_link(app, ALICE, ProposeLink(contacts=pair, name="Zoe"))).person
    assert (proposed.name, ids(proposed)) == ("Zoe", ([], ["zoe-0", "zoe-1"]))
    again = (await people.propose_link(app, ALICE, ProposeLink(contacts=pair, person_id=proposed.person_id))).person
    assert ids(again) == ids(proposed)
    of = OfPerson(person_id=proposed.person_id)
    assert ids((await people.confirm_link(app, ALICE, of)).person) == (["zoe-0", "zoe-1"], [])
    assert [ids(one) for one in (await people.list_people(app, ALICE, ListPeople())).people] == [(["zoe-0", "zoe-1"], [])]
    one = Unlink(person_id=proposed.person_id, instance_id=pair[0].instance_id, contact_id="zoe-0")
    assert (await people.unlink(app, ALICE, one)).unlinked == 1
    assert ids((await people.get_person(app, ALICE, of)).person) == (["zoe-1"], [])
    assert (await people.unlink(app, ALICE, Unlink(person_id=proposed.person_id))).unlinked == 1
    with pytest.raises(NoSuchPerson):
        await people.get_person(app, ALICE, of)


async def test_a_contact_is_at_most_one_person(app: App) -> None:
    pair = await two_contacts(app)
    first = (await people.propose_link(app, ALICE, ProposeLink(contacts=pair))).person
    second = (await people.propose_link(app, ALICE, ProposeLink(contacts=pair))).person
    assert first.person_id != second.person_id
    await people.confirm_link(app, ALICE, OfPerson(person_id=first.person_id))
    assert ids((await people.confirm_link(app, ALICE, OfPerson(person_id=second.person_id))).person) == ([], ["zoe-0", "zoe-1"])


async def suggested(app: App) -> list[set[str]]:
    """Without the sandbox's own people, who have the same numbers in every instance."""
    found = (await people.suggest_links(app, ALICE, SuggestLinks())).suggestions
    pairs = [{one.contact_id for one in pair.contacts} for pair in found]
    return [pair for pair in pairs if any(id.startswith("zoe") for id in pair)]


async def test_one_phone_number_is_a_suggestion_and_no_more(app: App) -> None:
    pair = await two_contacts(app, phone="+15550177")
    assert await suggested(app) == [{"zoe-0", "zoe-1"}]
    assert (await people.list_people(app, ALICE, ListPeople())).people == []
    await people.propose_link(app, ALICE, ProposeLink(contacts=pair))
    assert await suggested(app) == []


async def test_another_user_sees_nothing_and_links_nothing(app: App) -> None:
    hers, his = await two_contacts(app, ALICE, "+15550178"), await two_contacts(app, BOB, "+15550178")
    person = (await people.propose_link(app, ALICE, ProposeLink(contacts=hers))).person
    of = OfPerson(person_id=person.person_id)
    for call in (people.get_person, people.confirm_link):
        with pytest.raises(NoSuchPerson):
            await call(app, BOB, of)
    with pytest.raises(NoSuchPerson):
        await people.unlink(app, BOB, Unlink(person_id=person.person_id))
    with pytest.raises(NoSuchPerson):
        await people.propose_link(app, BOB, ProposeLink(contacts=his, person_id=person.person_id))
    with pytest.raises(NoSuchInstance):
        await people.propose_link(app, BOB, ProposeLink(contacts=hers))
    with pytest.raises(InvalidInput):
        await people.propose_link(app, ADMIN, ProposeLink(contacts=[hers[0], his[0]]))
    assert (await people.list_people(app, BOB, ListPeople())).people == []
    found = (await people.suggest_links(app, BOB, SuggestLinks())).suggestions
    assert {one.instance_id for pair in found for one in pair.contacts} == {one.instance_id for one in his}
    with pytest.raises(NotAllowed):
        await people.list_people(app, Caller(user_id="alice", instance_id=UUID(hers[0].instance_id)), ListPeople())


async def test_what_is_deleted_is_nobodys_contact_any_more(app: App) -> None:
    pair = await two_contacts(app)
    person = (await people.propose_link(app, ALICE, ProposeLink(contacts=pair))).person
    await delete_instance(app, ALICE, DeleteInstance(instance_id=pair[0].instance_id))
    assert ids((await people.get_person(app, ALICE, OfPerson(person_id=person.person_id))).person) == ([], ["zoe-1"])


async def test_wrong_input_is_told(app: App) -> None:
    pair = await two_contacts(app)
    with pytest.raises(InvalidInput, match="one contact alone"):
        await people.propose_link(app, ALICE, ProposeLink(contacts=pair[:1]))
    for nonsense in ("nonsense", str(UUID(int=5))):
        with pytest.raises(NoSuchPerson, match="list_people"):
            await people.get_person(app, ALICE, OfPerson(person_id=nonsense))
    person = (await people.propose_link(app, ALICE, ProposeLink(contacts=pair))).person
    with pytest.raises(InvalidInput, match="together"):
        await people.unlink(app, ALICE, Unlink(person_id=person.person_id, contact_id="zoe-0"))


def test_a_model_proposes_and_does_not_confirm() -> None:
    assert Transport.MCP in BY_NAME["propose_link"].transports
    assert Transport.MCP not in BY_NAME["confirm_link"].transports
