"""What goes wrong between us and Discord, and whether a message may have gone out all the same."""

import anyio
import pytest

from providers.discord.client import WrongCalls
from providers.discord.connection import Timing
from providers.errors import Forbidden, InvalidRequest, LoggedOut, MessengerError, NotFound, RateLimited, Unreachable
from providers.events import StateChanged
from providers.models import Draft, Media, MediaKind, TextFormat
from providers.states import InstanceState
from tests.providers.discord.conftest import QUICK, Station
from tests.providers.harness import PICTURE
from tests.standins.discord_api import DiscordStandIn

pytestmark = pytest.mark.anyio


def draft(station: Station, client_id: str = "1") -> Draft:
    return Draft(client_id=client_id, chat_id=station.general, text="hello")


async def failure(station: Station) -> MessengerError:
    with pytest.raises(MessengerError) as caught:
        await station.make().send(draft(station))
    return caught.value


def held(station: Station) -> int:
    return len(station.world.messages[station.general])


async def test_nothing_was_sent_when_nobody_listens(station: Station) -> None:
    await station.discord.go_down()
    error = await failure(station)
    assert isinstance(error, Unreachable)
    assert not error.maybe_sent
    assert "Nothing was sent" in (error.hint or "")
    assert station.bot.token not in f"{error!r} {error.__cause__!r}"


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_cut_connection_is_tried_again_under_the_same_nonce_and_makes_one_message(station: Station, when: str) -> None:
    station.discord.faults.drop_next("create_message", "before" if when == "before" else "after")
    sent = await station.make().send(draft(station))
    assert held(station) == 1
    assert sent.id == f"{station.general}:{next(iter(station.world.messages[station.general]))}"
    assert len({call.body["nonce"] for call in station.discord.calls_of("create_message")}) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_broken_server_is_tried_again_under_the_same_nonce(station: Station, status: int) -> None:
    station.discord.faults.fail_next("create_message", status, "<html>Internal Server Error</html>")
    await station.make().send(draft(station))
    assert held(station) == 1
    assert len({call.body["nonce"] for call in station.discord.calls_of("create_message")}) == 1


async def test_a_file_whose_answer_was_lost_goes_out_once(station: Station) -> None:
    station.discord.faults.drop_next("create_message", "after")
    await station.make().send(draft(station).model_copy(update={"upload": PICTURE}))
    assert held(station) == 1


async def test_a_server_that_stays_broken_leaves_it_open(station: Station) -> None:
    for _ in range(3):
        station.discord.faults.fail_next("create_message", 500)
    error = await failure(station)
    assert isinstance(error, Unreachable)
    assert error.maybe_sent
    assert len(station.discord.calls_of("create_message")) == 3


@pytest.mark.parametrize("body", ["<html>Log in to the hotel's network</html>", ""])
async def test_an_answer_that_is_none_is_tried_again(station: Station, body: str) -> None:
    station.discord.faults.fail_next("create_message", 200, body)
    await station.make().send(draft(station))
    assert held(station) == 1


async def test_a_later_refusal_does_not_hide_that_it_may_have_gone_out(station: Station) -> None:
    station.discord.faults.drop_next("create_message", "after")
    station.discord.faults.flood_next("create_message", 60)
    error = await failure(station)
    assert isinstance(error, Unreachable)
    assert error.maybe_sent
    assert held(station) == 1


async def test_going_down_after_a_doubtful_try_does_not_hide_it_either(station: Station) -> None:
    hold = station.discord.faults.hold_next("create_message")
    provider = station.make(timing=Timing(resend_pauses=(0.01,)))
    caught: list[BaseException] = []

    async def send() -> None:
        try:
            await provider.send(draft(station))
        except Unreachable as error:
            caught.append(error)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(send)
        await hold.arrived.wait()
        await station.discord.go_down()
    (error,) = caught
    assert isinstance(error, Unreachable)
    assert error.maybe_sent


@pytest.mark.parametrize("call", ["get_my_user", "create_dm"])
async def test_what_fails_before_the_message_surely_sent_nothing(station: Station, call: str) -> None:
    station.discord.faults.fail_next(call, 500)
    with pytest.raises(Unreachable) as caught:
        await station.make().send(Draft(client_id="1", chat_id=f"user:{station.ann}", text="hello"))
    assert not caught.value.maybe_sent


async def test_says_how_long_to_wait(station: Station) -> None:
    station.discord.faults.flood_next("create_message", 17.5)
    error = await failure(station)
    assert isinstance(error, RateLimited)
    assert error.retry_after == 17.5
    assert held(station) == 0


async def test_a_short_wait_is_sat_out(station: Station) -> None:
    for _ in range(3):
        station.discord.faults.flood_next("create_message", 0.05, "shared")
    await station.make().send(draft(station))
    assert len(station.discord.calls_of("create_message")) == 4


async def test_being_shut_out_says_how_long_to_wait(station: Station) -> None:
    station.discord.faults.shut_out_next("create_message", 900)
    error = await failure(station)
    assert isinstance(error, RateLimited)
    assert (error.retry_after, error.detail) == (900, "429 Too Many Requests")


async def test_a_storm_of_sends_keeps_to_the_bucket_and_is_never_refused(station: Station) -> None:
    station.discord.limits["create_message"] = (5, 0.3)
    provider = station.make()
    async with anyio.create_task_group() as tasks:
        for number in range(12):
            tasks.start_soon(provider.send, draft(station, f"{number}"))
    assert held(station) == 12
    assert len(station.discord.calls_of("create_message")) == 12


async def test_too_many_refusals_stop_the_calls_and_are_a_state(station: Station) -> None:
    provider = await station.ready(wrong_calls=WrongCalls(limit=3, seconds=600))
    station.world.denied.add((station.general, "create_message"))
    for number in range(3):
        with pytest.raises(Forbidden):
            await provider.send(draft(station, f"{number}"))
    calls = len(station.discord.calls)
    with pytest.raises(RateLimited, match="permissions") as caught:
        await provider.send(draft(station, "4"))
    assert 590 < caught.value.retry_after <= 600
    assert len(station.discord.calls) == calls
    station.world.write(station.general, station.ann, "the gateway goes on")
    await station.inbox.message("the gateway goes on")
    await station.inbox.wait(StateChanged, lambda event: event.state is InstanceState.DEGRADED and "permissions" in (event.reason or ""))


async def test_calls_go_on_when_the_time_is_over(station: Station) -> None:
    wrong_calls = WrongCalls(limit=1)
    provider = await station.ready(wrong_calls=wrong_calls)
    station.world.denied.add((station.general, "create_message"))
    with pytest.raises(Forbidden):
        await provider.send(draft(station))
    station.world.write(station.general, station.ann, "hello")
    await station.inbox.state(InstanceState.DEGRADED)
    wrong_calls._times[0] -= 601
    station.world.denied.clear()
    await provider.send(draft(station))
    await station.inbox.wait(StateChanged, lambda _: station.inbox.states()[-1] is InstanceState.READY)


async def test_a_wrong_token_is_logged_out(station: Station) -> None:
    token = station.bot.token
    provider = station.make()
    del station.world.bots[token]
    for _ in range(2):
        with pytest.raises(LoggedOut) as caught:
            await provider.send(draft(station))
        assert "developers/applications" in (caught.value.hint or "")
        assert token not in f"{caught.value!r} {caught.value.__cause__!r}"
    assert len(station.discord.calls) == 1


@pytest.mark.parametrize(
    ("status", "code", "words", "kind", "hint"),
    [
        (403, 50001, "Missing Access", Forbidden, "View Channel"),
        (403, 50013, "Missing Permissions", Forbidden, "Send Messages"),
        (403, 50007, "Cannot send messages to this user", Forbidden, "share a server"),
        (400, 50083, "Thread is archived", Forbidden, "open it again"),
        (400, 160002, "Cannot reply without permission to read message history", Forbidden, "Read Message History"),
        (404, 10003, "Unknown Channel", NotFound, "list_chats"),
        (404, 99999, "Unknown Something", NotFound, None),
        (403, 99999, "Something forbidden", Forbidden, None),
        (400, 50006, "Cannot send an empty message", InvalidRequest, None),
        (409, 99999, "Something quite new", InvalidRequest, None),
        (418, 99999, "Something stranger", InvalidRequest, None),
        (413, 40005, "Request entity too large", InvalidRequest, "10 MB"),
    ],
)
async def test_refusals_are_sorted_and_keep_discords_words(
    station: Station, status: int, code: int, words: str, kind: type[MessengerError], hint: str | None
) -> None:
    station.discord.faults.fail_next("create_message", status, {"message": words, "code": code})
    error = await failure(station)
    assert type(error) is kind
    assert error.detail == words
    if hint is not None:
        assert hint in (error.hint or "")
    assert held(station) == 0


async def test_what_is_wrong_with_a_form_is_named(station: Station) -> None:
    with pytest.raises(InvalidRequest, match="In content: Must be 2000 or fewer"):
        await station.make().send(draft(station).model_copy(update={"text": "x" * 2001}))


async def test_what_cannot_be_changed_says_why(station: Station) -> None:
    provider = station.make()
    theirs = f"{station.general}:{station.world.write(station.general, station.ann, 'mine')['id']}"
    with pytest.raises(Forbidden, match="authored by another user") as caught:
        await provider.edit(station.general, theirs, "yours", TextFormat.PLAIN)
    assert "its own" in (caught.value.hint or "")
    with pytest.raises(Forbidden, match="Missing Permissions"):
        await provider.delete(station.general, theirs)
    for call in (
        provider.edit(station.general, f"{station.general}:1", "x", TextFormat.PLAIN),
        provider.delete(station.general, f"{station.general}:1"),
    ):
        with pytest.raises(NotFound, match="Unknown Message"):
            await call
    for call in (provider.react(station.general, "7", "👍"), provider.delete(station.general, "1:2:3:4")):
        with pytest.raises(NotFound, match="no id of a Discord message"):
            await call


async def test_a_file_too_large_to_download_is_refused(station: Station) -> None:
    message = station.world.write(station.general, station.ann, "")
    message["attachments"] = [{"id": "5", "filename": "a", "size": 2**40, "url": "http://127.0.0.1/"}]
    with pytest.raises(InvalidRequest, match="1099511627776 bytes"):
        await station.make().download(Media(kind=MediaKind.DOCUMENT, ref=f"{station.general}:{message['id']}:5"))


async def test_a_file_on_a_strange_server_is_not_fetched(station: Station) -> None:
    message = station.world.write(station.general, station.ann, "")
    message["attachments"] = [{"id": "5", "filename": "a", "size": 1, "url": "http://169.254.169.254/latest"}]
    with pytest.raises(InvalidRequest, match="not on Discord's servers"):
        await station.make().download(Media(kind=MediaKind.DOCUMENT, ref=f"{station.general}:{message['id']}:5"))


async def test_a_file_that_is_gone_is_not_found(station: Station, discord: DiscordStandIn) -> None:
    message = station.world.write(station.general, station.ann, "")
    message["attachments"] = [{"id": "5", "filename": "a", "size": 1, "url": f"{discord.url}/files/999"}]
    provider = station.make()
    for attachment in ("5", "6"):
        with pytest.raises(NotFound):
            await provider.download(Media(kind=MediaKind.DOCUMENT, ref=f"{station.general}:{message['id']}:{attachment}"))


async def test_a_send_while_discord_is_slow_to_begin_is_still_one_login(station: Station) -> None:
    provider = station.make(timing=QUICK)
    async with anyio.create_task_group() as tasks:
        for number in range(5):
            tasks.start_soon(provider.send, draft(station, f"{number}"))
    assert len(station.discord.calls_of("get_my_user")) == 1
