"""What goes wrong between us and Meta, and whether a message may have gone out all the same."""

import logging
from typing import Any

import anyio
import pytest
from pydantic import SecretStr

from providers.errors import Forbidden, InvalidRequest, LoggedOut, MessengerError, NotFound, RateLimited, Rejected, Unreachable, WindowClosed
from providers.events import Need, StateChanged
from providers.meta.connection import Timing
from providers.meta.whatsapp_official.provider import WhatsAppOfficialProvider
from providers.models import Media, MediaKind, Upload
from providers.states import InstanceState
from tests.providers.meta_station import Station
from tests.standins.graph_api import WhatsAppNumber
from tests.standins.graph_api.refusal import Refusal, no_such_object

pytestmark = pytest.mark.anyio

Numbers = Station[WhatsAppNumber]

FILE = Upload(kind=MediaKind.DOCUMENT, content=b"x", mime="text/plain", name="a.txt")


async def failure(station: Numbers, **fields: Any) -> MessengerError:
    with pytest.raises(MessengerError) as caught:
        await station.make().send(station.draft(station.account.person(), "" if "upload" in fields else "hello", **fields))
    return caught.value


async def unreachable(station: Numbers, **fields: Any) -> Unreachable:
    error = await failure(station, **fields)
    assert isinstance(error, Unreachable)
    return error


async def test_nothing_was_sent_when_nobody_listens(station: Numbers) -> None:
    await station.graph.go_down()
    error = await unreachable(station)
    assert not error.maybe_sent
    assert station.account.token not in f"{error!r} {error.__cause__!r}"


@pytest.mark.parametrize(("when", "went_out"), [("before", 0), ("after", 1)])
async def test_a_cut_connection_leaves_it_open_and_is_never_tried_again(station: Numbers, when: Any, went_out: int) -> None:
    station.account.drop_next("messages", when)
    assert (await unreachable(station)).maybe_sent
    assert len(station.account.calls_to("messages")) == 1
    assert len(station.account.sent) == went_out


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_broken_server_leaves_it_open(station: Numbers, status: int) -> None:
    station.account.garble_next("messages", status, "<html>Sorry</html>")
    assert (await unreachable(station)).maybe_sent
    assert len(station.account.calls_to("messages")) == 1


@pytest.mark.parametrize("body", ["<html>Log in to the hotel's network</html>", "", "{}", "[]", '{"messages": []}'])
async def test_a_success_without_an_id_leaves_it_open(station: Numbers, body: str) -> None:
    station.account.garble_next("messages", 200, body)
    assert (await unreachable(station)).maybe_sent


@pytest.mark.parametrize(("status", "body"), [(500, "oops"), (200, "{}"), (200, "<html>")])
async def test_a_failed_upload_has_sent_nothing(station: Numbers, status: int, body: str) -> None:
    station.account.garble_next("media", status, body)
    assert not (await unreachable(station, upload=FILE)).maybe_sent
    assert not station.account.calls_to("messages")


async def test_a_cut_upload_has_sent_nothing(station: Numbers) -> None:
    station.account.drop_next("media", "after")
    assert not (await unreachable(station, upload=FILE)).maybe_sent


@pytest.mark.parametrize(
    ("refusal", "maybe_sent"),
    [
        (Refusal(500, 1, "An unknown error occurred"), True),
        (Refusal(503, 2, "Service temporarily unavailable", is_transient=True), True),
        (Refusal(500, 131000, "(#131000) Something went wrong"), True),
        (Refusal(503, 131016, "(#131016) Service unavailable"), True),
        (Refusal(500, 131057, "(#131057) Account in maintenance mode"), False),
        (Refusal(503, 133004, "(#133004) Server temporarily unavailable"), False),
        (Refusal(500, 987654, "Something new"), True),
    ],
)
async def test_metas_own_trouble_says_whether_it_may_have_gone_out(station: Numbers, refusal: Refusal, maybe_sent: bool) -> None:
    station.account.fail_next("messages", refusal)
    assert (await unreachable(station)).maybe_sent is maybe_sent


@pytest.mark.parametrize(
    ("refusal", "kind", "hint"),
    [
        (Refusal(401, 190, "Error validating access token: Session has expired", subcode=463), LoggedOut, "token"),
        (Refusal(401, 0, "We were unable to authenticate the app user"), LoggedOut, "token"),
        (Refusal(400, 131047, "(#131047) Re-engagement message", details="More than 24 hours have passed."), WindowClosed, "template"),
        (Refusal(400, 131026, "(#131026) Message undeliverable"), NotFound, "list_chats"),
        (Refusal(400, 131030, "(#131030) Recipient phone number not in allowed list"), Forbidden, "test number"),
        (Refusal(403, 10, "(#10) Application does not have permission for this action"), Forbidden, "permission"),
        (Refusal(403, 200, "(#200) You do not have the necessary permissions"), Forbidden, "permission"),
        (Refusal(403, 131005, "(#131005) Access denied"), Forbidden, "permission"),
        (Refusal(403, 131031, "(#131031) Account has been locked"), Forbidden, "locked or restricted"),
        (Refusal(400, 130472, "(#130472) User's number is part of an experiment"), Forbidden, "marketing"),
        (Refusal(403, 130497, "(#130497) Business account is restricted from messaging users in this country"), Forbidden, "country"),
        (Refusal(400, 131045, "(#131045) Message failed due to a phone number registration error"), Forbidden, "register"),
        (Refusal(400, 132015, "(#132015) Template is paused"), Forbidden, "paused"),
        (Refusal(400, 132016, "(#132016) Template is disabled"), Forbidden, "another one"),
        (Refusal(403, 368, "(#368) Temporarily blocked for policies violations"), Forbidden, "policies"),
        (Refusal(400, 131042, "(#131042) Business eligibility payment issue"), Forbidden, "paying"),
        (Refusal(400, 131049, "(#131049) Not delivered to maintain healthy ecosystem engagement"), Rejected, "another day"),
        (Refusal(400, 131009, "(#131009) Parameter value is not valid"), InvalidRequest, None),
        (Refusal(400, 133010, "(#133010) Phone number not registered"), Forbidden, "Register"),
        (Refusal(400, 131053, "(#131053) Media upload error"), InvalidRequest, "JPEG"),
        (Refusal(400, 131021, "(#131021) Recipient cannot be sender"), InvalidRequest, "its own number"),
        (Refusal(400, 132012, "(#132012) Template parameter format mismatch"), InvalidRequest, "list_templates"),
        (Refusal(400, 132068, "(#132068) Flow is blocked"), Forbidden, "Flow"),
        (Refusal(400, 131060, "(#131060) Message is unavailable"), NotFound, "sent again"),
        (no_such_object("7"), NotFound, None),
    ],
)
async def test_refusals_are_sorted_and_keep_metas_words(station: Numbers, refusal: Refusal, kind: type[MessengerError], hint: str | None) -> None:
    station.account.fail_next("messages", refusal)
    error = await failure(station)
    assert type(error) is kind
    assert refusal.body["error"]["message"] in error.detail
    assert f"code {refusal.body['error']['code']}" in error.detail
    if hint is not None:
        assert hint in (error.hint or "")
    assert not station.account.sent


@pytest.mark.parametrize(
    ("refusal", "headers", "wait"),
    [
        (Refusal(400, 131056, "(#131056) Pair rate limit hit"), {}, 6),
        (Refusal(400, 130429, "(#130429) Rate limit hit"), {}, 5),
        (Refusal(400, 131048, "(#131048) Spam rate limit hit"), {}, 300),
        (Refusal(400, 134101, "(#134101) Template is syncing"), {}, 600),
        (Refusal(400, 80007, "(#80007) Rate limit issues"), {}, 60),
        (Refusal(400, 80007, "x"), {"X-Business-Use-Case-Usage": '{"1": [{"estimated_time_to_regain_access": 4}]}'}, 240),
        (Refusal(400, 80007, "x"), {"X-Business-Use-Case-Usage": "no JSON"}, 60),
        (Refusal(400, 4, "(#4) Application request limit reached"), {"Retry-After": "17"}, 17),
        (Refusal(429, 987654, "Something new"), {}, 60),
    ],
)
async def test_says_how_long_to_wait(station: Numbers, refusal: Refusal, headers: dict[str, str], wait: float) -> None:
    station.account.fail_next("messages", refusal, headers)
    error = await failure(station)
    assert isinstance(error, RateLimited)
    assert error.retry_after == wait


@pytest.mark.parametrize(("status", "kind"), [(429, RateLimited), (413, InvalidRequest), (403, Rejected), (407, Rejected), (408, Unreachable)])
async def test_an_answer_of_something_in_between(station: Numbers, status: int, kind: type[MessengerError]) -> None:
    station.account.garble_next("messages", status, "<html>proxy</html>")
    assert type(await failure(station)) is kind


async def test_the_window_of_each_person_is_metas_to_know(station: Numbers) -> None:
    ann, ben = station.account.person("Ann"), station.account.person("Ben")
    station.account.close_window(ann)
    provider = station.make()
    with pytest.raises(WindowClosed, match="24 hours have passed"):
        await provider.send(station.draft(ann, "hello"))
    await provider.send(station.draft(ben, "hello"))


async def test_a_wrong_token_becomes_a_state_with_metas_words(station: Numbers) -> None:
    provider = await station.start(access_token=SecretStr("fake-and-wrong"))
    state = await station.inbox.state(InstanceState.ERROR)
    assert state.needs is Need.TOKEN
    assert "whatsapp_business_messaging" in (state.reason or "")
    assert "Invalid OAuth access token" in (state.reason or "")
    assert provider.state == state
    assert "fake-and-wrong" not in state.model_dump_json()


async def test_a_token_without_the_permission_says_which_is_missing(station: Numbers) -> None:
    station.account.fail_next(station.account.id, Refusal(403, 200, "(#200) Requires whatsapp_business_management permission"))
    await station.start()
    state = await station.inbox.state(InstanceState.ERROR)
    assert state.needs is Need.NOTHING
    assert "The token needs whatsapp_business_messaging" in (state.reason or "")
    assert "(#200) Requires" in (state.reason or "")


async def test_another_number_id_is_an_error(station: Numbers) -> None:
    await station.start(phone_number_id="YOUR_PHONE_NUMBER_ID")
    state = await station.inbox.state(InstanceState.ERROR)
    assert "YOUR_PHONE_NUMBER_ID" in (state.reason or "")


async def test_a_token_that_was_revoked_is_noticed_by_the_next_send(station: Numbers) -> None:
    provider = await station.ready()
    station.account.token_works = False
    with pytest.raises(LoggedOut):
        await provider.send(station.draft(station.account.person(), "hello"))
    assert (await station.inbox.state(InstanceState.ERROR)).needs is Need.TOKEN


async def test_a_token_that_was_revoked_is_noticed_without_a_send(station: Numbers) -> None:
    await station.ready(timing=Timing(pauses=(0.01,), check_seconds=0.02))
    station.account.token_works = False
    assert (await station.inbox.state(InstanceState.ERROR)).needs is Need.TOKEN


async def test_a_single_hiccup_of_a_token_that_worked_is_no_news(station: Numbers) -> None:
    await station.ready(timing=Timing(pauses=(0.01,), check_seconds=0.02))
    station.account.garble_next(station.account.id, 502, "oops")
    with anyio.fail_after(15):
        await station.graph.until(lambda: not station.account.faults)
        checks = len(station.account.calls)
        await station.graph.until(lambda: len(station.account.calls) > checks + 1)
    assert station.inbox.states() == [InstanceState.STARTING, InstanceState.READY]


async def test_a_slow_answer_leaves_it_open(station: Numbers) -> None:
    hold = station.account.hold_next("messages")
    with pytest.raises(Unreachable) as caught:
        await station.make(timing=Timing(answer_seconds=0.2)).send(station.draft(station.account.person(), "hello"))
    assert caught.value.maybe_sent
    hold.let_go.set()


async def test_an_outage_at_the_start_is_told_and_ends(station: Numbers) -> None:
    await station.graph.go_down()
    await station.start()
    state = await station.inbox.state(InstanceState.DEGRADED)
    assert "cannot be reached" in (state.reason or "")
    await station.graph.come_back()
    assert (await station.inbox.state(InstanceState.READY)).account is not None


async def test_a_state_that_could_not_be_stored_is_told_again(station: Numbers) -> None:
    station.inbox.refuse(2, StateChanged)
    await station.start()
    await station.inbox.state(InstanceState.READY)
    assert len(station.inbox.refused) == 2


async def test_neither_token_nor_text_is_logged(station: Numbers, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    provider = await station.ready()
    await provider.send(station.draft(station.account.person(), "a private word"))
    text = "\n".join(record.getMessage() for record in caplog.records if record.levelno >= logging.INFO)
    assert "private word" not in text
    assert station.account.token not in "\n".join(record.getMessage() for record in caplog.records)


async def test_a_download_may_be_tried_again(station: Numbers) -> None:
    await station.graph.go_down()
    with pytest.raises(Unreachable) as caught:
        await station.make().download(Media(kind=MediaKind.IMAGE, ref="x"))
    assert not caught.value.maybe_sent


class SmallDownloads(WhatsAppOfficialProvider):
    limits = WhatsAppOfficialProvider.limits.model_copy(update={"max_download": 99})


async def test_a_file_that_grows_over_the_limit_is_let_go(station: Numbers) -> None:
    file = station.account.store(b"x" * 100, "a.txt", "text/plain")
    with pytest.raises(InvalidRequest, match="more than 99 bytes"):
        await station.make(SmallDownloads).download(Media(kind=MediaKind.DOCUMENT, ref=file.id))


@pytest.mark.parametrize("id", ["../me", "1/2", "a?b", "", "x" * 65, ".."])
async def test_ids_do_not_become_other_paths(station: Numbers, id: str) -> None:
    with pytest.raises(ValueError, match="phone_number_id"):
        station.settings(phone_number_id=id)
