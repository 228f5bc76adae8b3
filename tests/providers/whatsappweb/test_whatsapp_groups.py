"""Groups by phone number, as people write numbers; looked at from the phones of the people in them."""

import pytest

from providers.errors import Forbidden, NotFound, Rejected
from providers.groups import ParticipantResult
from tests.providers.whatsappweb.conftest import Station
from tests.standins.whatsapp_web import Account, Group, WhatsAppStandIn

pytestmark = pytest.mark.anyio


def named(group: Group) -> set[str]:
    return {member.name for member in group.members}


def look_ups(whatsapp: WhatsAppStandIn) -> list[str]:
    return [args["id"] for op, args in whatsapp.calls if op == "exists"]


def failed(results: tuple[ParticipantResult, ...]) -> dict[str, str]:
    return {result.id: result.reason or "" for result in results if not result.ok}


@pytest.mark.parametrize("migrated", [False, True])
async def test_a_group_by_numbers_has_the_people_in_it_and_changes_by_number(
    station: Station, whatsapp: WhatsAppStandIn, agent: Account, ann: Account, migrated: bool
) -> None:
    agent.migrated = migrated
    bia = whatsapp.account("551187654321", "Bia")
    bia.also_written.add("5511987654321@c.us")
    bob = whatsapp.account("15550102", "Bob", by_lid=True)
    provider = await station.ready(agent)
    made = await provider.create_group("Team", ["1 555-0101", "+55 (11) 98765-4321", "19999999"])
    assert failed(made.results).keys() == {"19999999"}
    assert "Not on WhatsApp" in failed(made.results)["19999999"]
    group = whatsapp.groups[-1]
    assert (made.group.id, named(group)) == (group.id, {"Agent", "Ann", "Bia"})

    added = await provider.add_participants(group.id, ["+15550102", "15550101"])
    assert failed(added.results).keys() == {"15550101"}
    assert named(group) == {"Agent", "Ann", "Bia", "Bob"}

    promoted = await provider.set_admin(group.id, ["00 1 555 0101", bob.lid], admin=True)
    assert failed(promoted.results) == {}
    assert {member.name for member in group.admins} == {"Agent", "Ann", "Bob"}
    assert failed((await provider.set_admin(group.id, ["15550102"], admin=False)).results) == {}
    assert {member.name for member in group.admins} == {"Agent", "Ann"}

    removed = await provider.remove_participants(group.id, ["55 11 98765 4321", "19999999"])
    assert failed(removed.results) == {"19999999": "Not in this group."}
    assert named(group) == {"Agent", "Ann", "Bob"}


async def test_where_nobody_can_be_added_it_is_an_error_that_says_whether_there_is_a_group(
    station: Station, whatsapp: WhatsAppStandIn, agent: Account, ann: Account
) -> None:
    provider = await station.ready(agent)
    with pytest.raises(NotFound, match="No group was made"):
        await provider.create_group("Nobody", ["19999999", "Ann"])
    assert whatsapp.groups == []
    ann.invite_only = True
    with pytest.raises(Rejected, match="was made, and nobody could be added") as caught:
        await provider.create_group("Shy", ["15550101"])
    group = whatsapp.groups[-1]
    assert named(group) == {"Agent"}
    assert group.id in str(caught.value)
    assert "invitation" in str(caught.value)


async def test_unknown_numbers_are_looked_up_once_each_and_not_in_bulk(station: Station, whatsapp: WhatsAppStandIn, agent: Account) -> None:
    provider = await station.ready(agent, new_chats_per_day=0)
    for _ in range(2):
        with pytest.raises(NotFound):
            await provider.resolve("19999999@c.us")
    assert look_ups(whatsapp) == ["19999999@c.us"]
    with pytest.raises(Forbidden, match="20 unknown numbers were looked up"):
        await provider.create_group("Many", [str(19_990_000 + number) for number in range(30)])
    assert len(look_ups(whatsapp)) == 20
    assert whatsapp.groups == []


async def test_people_whose_number_is_hidden_are_added_and_a_group_whose_answer_is_lost_is_made_once(
    station: Station, whatsapp: WhatsAppStandIn, agent: Account, ann: Account
) -> None:
    """The library fails for hidden numbers after it has made the group, and so a second attempt would make a second one."""
    bob, carl = (whatsapp.account(number, name) for number, name in (("15550102", "Bob"), ("15550103", "Carl")))
    bob.hides_number = carl.hides_number = True
    provider = await station.ready(agent)
    made = await provider.create_group("Team", ["15550101", bob.lid])
    assert [(result.ok, result.reason) for result in made.results] == [(True, None)] * 2
    added = await provider.add_participants(made.group.id, [carl.lid])
    assert failed(added.results) == {}
    assert named(whatsapp.groups[-1]) == {"Agent", "Ann", "Bob", "Carl"}
    whatsapp.lost.add("group_create")
    lost = await provider.create_group("Lost", ["15550101"])
    assert (lost.group.id, [result.ok for result in lost.results]) == (whatsapp.groups[-1].id, [True])
    assert [group.title for group in whatsapp.groups] == ["Team", "Lost"]


async def test_a_message_in_a_known_group_asks_whatsapp_nothing(station: Station, whatsapp: WhatsAppStandIn, agent: Account, ann: Account) -> None:
    """The library fetches the whole group whenever the number of unread messages changes, and hands that to nobody here."""
    group = whatsapp.group("Friends", [ann, agent])
    await station.ready(agent)
    ann.writes(group, "one")
    await station.inbox.message("one")
    so_far = [op for op, _ in whatsapp.calls].count("group")
    for text in ("two", "three"):
        ann.writes(group, text)
        await station.inbox.message(text)
    await whatsapp.settled()
    assert [op for op, _ in whatsapp.calls].count("group") == so_far
