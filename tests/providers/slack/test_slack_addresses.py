"""Where a message to an address as people write it will lie."""

import pytest

from providers.errors import Forbidden, InvalidRequest, NotFound
from providers.models import ChatKind
from providers.slack.provider import SlackProvider
from tests.providers.slack.conftest import Station

pytestmark = pytest.mark.anyio

LINK = "https://team.slack.com"


@pytest.mark.parametrize(
    ("to", "address"),
    [
        ("C1", "C1"),
        (" C1 ", "C1"),
        ("#C1", "C1"),
        ("@U1", "U1"),
        ("<#C1|ops>", "C1"),
        ("<@U1>", "U1"),
        (f"{LINK}/archives/C1", "C1"),
        ("https://app.slack.com/client/T1/C1", "C1"),
        ("#ops", "#ops"),
        (f"{LINK}/archives/C1/p1700000000000100", f"{LINK}/archives/C1/p1700000000000100"),
        ("https://slack.com.evil.example/archives/C1", "https://slack.com.evil.example/archives/C1"),
    ],
)
def test_an_address_that_names_an_id_is_that_id(to: str, address: str) -> None:
    assert SlackProvider.address(to) == address


@pytest.mark.parametrize(("to", "asked"), [("C1", False), ("D1", False), ("G1", False), ("U1", True), ("#ops", True), ("ops", True), ("@ann", True)])
def test_slack_is_asked_for_names_and_people(to: str, asked: bool) -> None:
    assert SlackProvider.must_resolve(to) is asked


async def test_a_persons_chat_is_their_direct_messages(station: Station) -> None:
    address = await station.make().resolve(station.ann)
    assert (address.chat_id, address.kind, address.lasting) == (station.dm, ChatKind.PRIVATE, True)


@pytest.mark.parametrize("name", ["@ann", "@Ann", "@ANN"])
async def test_a_person_is_found_by_name_for_this_time(station: Station, name: str) -> None:
    address = await station.make().resolve(name)
    assert (address.chat_id, address.lasting) == (station.dm, False)


async def test_a_name_that_two_have_is_nobodys(station: Station) -> None:
    other = station.slack.person("Ann")
    with pytest.raises(InvalidRequest) as caught:
        await station.make().resolve("@ann")
    assert other in (caught.value.hint or "")
    station.slack.users[other]["deleted"] = True
    assert (await station.make().resolve("@ann")).chat_id == station.dm


@pytest.mark.parametrize("name", ["#team", "team", "#TEAM"])
async def test_a_channel_is_found_by_name_for_this_time(station: Station, name: str) -> None:
    team = station.slack.channel("team", station.ann, kind="group")
    address = await station.make().resolve(name)
    assert (address.chat_id, address.kind, address.lasting) == (team, ChatKind.GROUP, False)


@pytest.mark.parametrize("name", ["#nowhere", "@nobody"])
async def test_a_name_that_nothing_has_says_where_to_look(station: Station, name: str) -> None:
    station.slack.channel("nowhere", station.ann, with_bot=False)
    with pytest.raises(NotFound) as caught:
        await station.make().resolve(name)
    assert "list_" in (caught.value.hint or "")


async def test_names_without_the_scope_to_read_them_name_it(station: Station) -> None:
    station.slack.scopes.discard("users:read")
    with pytest.raises(Forbidden, match="users:read"):
        await station.make().resolve("@ann")


@pytest.mark.parametrize(
    ("path", "thread"),
    [("C1/p1700000000000100", "C1:1700000000.000100"), ("C1/p1700000009000100?thread_ts=1700000000.000100&cid=C1", "C1:1700000000.000100")],
)
async def test_a_link_to_a_message_leads_into_its_thread(station: Station, path: str, thread: str) -> None:
    address = await station.make().resolve(f"{LINK}/archives/{path}")
    assert (address.chat_id, address.thread_id) == ("C1", thread)
