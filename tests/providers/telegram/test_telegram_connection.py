"""How the connection begins, breaks and heals, and when an update is confirmed."""

import json
import logging
from collections.abc import Sequence

import anyio
import httpx
import pytest
from pydantic import SecretStr

from providers.events import Event, MessageReceived, Need, StateChanged
from providers.models import Media, MediaKind
from providers.states import InstanceState
from providers.telegram.connection import Timing
from providers.telegram.inbound import ALLOWED_UPDATES
from tests.providers.harness import Inbox
from tests.providers.telegram.conftest import Station
from tests.standins.faults import Script
from tests.standins.telegram_bot_api import TelegramStandIn
from tests.standins.telegram_bot_api.server import calls_of
from tests.waiting import PATIENCE

pytestmark = pytest.mark.anyio


async def reason(inbox: Inbox, words: str, state: InstanceState = InstanceState.DEGRADED) -> StateChanged:
    return await inbox.wait(StateChanged, lambda event: event.state is state and words in (event.reason or ""))


async def healed(inbox: Inbox) -> None:
    """READY is the last word again."""
    await inbox.wait(StateChanged, lambda _: inbox.states()[-1] is InstanceState.READY)


async def ask(station: Station, method: str, **params: object) -> httpx.Response:
    """Another program with the same token."""
    async with httpx.AsyncClient(timeout=PATIENCE) as other:
        return await other.post(f"{station.telegram.url}/bot{station.bot.token}/{method}", json=params)


async def test_start_returns_before_telegram_answers(station: Station) -> None:
    hold = station.bot.hold_next("getMe")
    provider = await station.start()
    await hold.arrived.wait()
    assert provider.state.state is InstanceState.STARTING
    hold.let_go.set()
    ready = await station.inbox.state(InstanceState.READY)
    assert ready.account is not None
    assert (ready.account.id, ready.account.name, ready.account.username) == (str(station.bot.id), "Robo", "robo_bot")
    assert await provider.account() == ready.account


@pytest.mark.parametrize(("token", "words"), [("1234567:WRONG-TOKEN-OF-A-TEST", "Unauthorized"), ("test-token", "Not Found"), ("", "Not Found")])
async def test_a_wrong_token_is_an_error_in_telegrams_words(station: Station, token: str, words: str) -> None:
    provider = await station.start(token=SecretStr(token))
    event = await reason(station.inbox, words, InstanceState.ERROR)
    assert (event.needs, event.account) == (Need.TOKEN, None)
    assert "@BotFather" in (event.reason or "")
    assert provider.state == event


async def test_a_token_revoked_on_the_way_is_an_error(station: Station) -> None:
    provider = await station.ready()
    del station.telegram.bots[station.bot.token]
    station.bot.user_writes(station.bot.person(), "the last update")
    assert (await reason(station.inbox, "Unauthorized", InstanceState.ERROR)).needs is Need.TOKEN
    with anyio.fail_after(PATIENCE):
        await provider._background.ended()


async def test_asks_for_every_kind_of_update_by_name(station: Station) -> None:
    await station.ready()
    call = await station.telegram.until_called(station.bot, "getUpdates")
    assert {"message_reaction", "edited_message", "channel_post", "my_chat_member", "callback_query"} <= set(ALLOWED_UPDATES)
    assert station.bot.allowed_updates == set(ALLOWED_UPDATES)
    assert call.params["timeout"] == "1"


class Store(Inbox):
    """Writes down each call of deliver, and can be slow."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[list[str]] = []
        self.is_writing = anyio.Event()
        self.may_finish = anyio.Event()

    async def deliver(self, events: Sequence[Event]) -> None:
        texts = [event.message.text for event in events if isinstance(event, MessageReceived)]
        if texts:
            self.batches.append(texts)
            self.is_writing.set()
            await self.may_finish.wait()
        await super().deliver(events)


async def test_confirms_an_update_only_when_it_was_delivered(station: Station) -> None:
    store = station.inbox = Store()
    await station.ready()
    station.bot.user_writes(station.bot.person(), "precious")
    await store.is_writing.wait()
    polls = len(calls_of(station.bot, "getUpdates"))
    assert len(station.bot.pending) == 1
    store.may_finish.set()
    await station.telegram.until_called(station.bot, "getUpdates", polls + 1)
    await station.telegram.until(lambda: not station.bot.pending)


async def test_an_update_whose_delivery_was_cut_short_comes_again(station: Station) -> None:
    store = station.inbox = Store()
    provider = await station.ready()
    station.bot.user_writes(station.bot.person(), "precious")
    await store.is_writing.wait()
    await provider.stop()
    station.inbox = Inbox()
    await station.ready()
    await station.inbox.message("precious")


async def test_one_page_of_updates_is_one_delivery(station: Station) -> None:
    store = station.inbox = Store()
    store.may_finish.set()
    ann = station.bot.person()
    for text in ("one", "two", "three"):
        station.bot.user_writes(ann, text)
    await station.ready()
    await store.message("three")
    assert store.batches == [["one", "two", "three"]]


async def test_an_update_that_cannot_be_read_does_not_keep_back_the_others(station: Station, caplog: pytest.LogCaptureFixture) -> None:
    station.bot.pending += [{"update_id": 1, "message": {"nonsense": True}}, {"update_id": 2, "message": []}, {"update_id": 3, "unheard_of": {}}]
    station.bot.user_writes(station.bot.person(), "still here")
    await station.ready()
    await station.inbox.message("still here")
    assert "Update 1 is not of Telegram's form" in caplog.text


async def test_tells_of_another_poller_and_recovers_when_it_is_gone(station: Station) -> None:
    await station.ready()
    async with anyio.create_task_group() as tasks:
        poll = len(calls_of(station.bot, "getUpdates"))
        await station.telegram.until(lambda: station.bot.poll is not None)
        tasks.start_soon(lambda: ask(station, "getUpdates", timeout=5))
        degraded = await reason(station.inbox, "terminated by other getUpdates request; make sure that only one bot instance is running")
        assert degraded.account is not None
        await station.telegram.until_called(station.bot, "getUpdates", poll + 2)
    await healed(station.inbox)


async def test_tells_of_a_webhook_set_elsewhere_and_recovers(station: Station) -> None:
    await station.ready()
    await ask(station, "setWebhook", url="https://elsewhere.example/hook")
    await reason(station.inbox, "webhook is active")
    await ask(station, "deleteWebhook")
    await healed(station.inbox)


async def test_polling_takes_the_bot_back_from_a_webhook_and_keeps_what_waited(station: Station) -> None:
    await ask(station, "setWebhook", url="https://elsewhere.example/hook")
    station.bot.user_writes(station.bot.person(), "waiting")
    await station.ready()
    await station.inbox.message("waiting")
    assert station.bot.webhook is None


async def test_an_outage_is_a_state_and_heals(station: Station) -> None:
    await station.ready(timing=Timing(pauses=(0.01,), poll_seconds=50))
    await station.telegram.go_down()
    await reason(station.inbox, "")
    await station.telegram.come_back()
    await healed(station.inbox)


async def test_what_was_written_during_an_outage_arrives(station: Station) -> None:
    await station.ready()
    await station.telegram.go_down()
    station.bot.user_writes(station.bot.person(), "written meanwhile")
    await station.telegram.come_back()
    await station.inbox.message("written meanwhile")


async def test_starts_during_an_outage(station: Station) -> None:
    await station.telegram.go_down()
    await station.start()
    degraded = await reason(station.inbox, "Connect")
    assert degraded.account is None
    await station.telegram.come_back()
    await healed(station.inbox)


async def test_one_dropped_poll_is_no_news(station: Station) -> None:
    await station.ready()
    await station.telegram.until(lambda: station.bot.poll is not None)
    station.bot.drop_next("getUpdates", "before")
    ann = station.bot.person()
    station.bot.user_writes(ann, "first")
    await station.inbox.message("first")
    station.bot.user_writes(ann, "second")
    await station.inbox.message("second")
    assert not station.bot.faults
    assert station.inbox.states() == [InstanceState.STARTING, InstanceState.READY]


@pytest.mark.parametrize("body", ["<html>502 Bad Gateway</html>" * 100, ""])
async def test_nonsense_from_a_proxy_is_trouble_and_heals(station: Station, body: str) -> None:
    for _ in range(3):
        station.bot.garble_next("getUpdates", 502, body)
    await station.ready()
    degraded = await reason(station.inbox, "Bad Gateway (502)")
    assert len(degraded.reason or "") <= 256
    await healed(station.inbox)


@pytest.mark.parametrize(("method", "result"), [("getMe", {}), ("getMe", []), ("getUpdates", None), ("getUpdates", {"0": 1}), ("getUpdates", [5])])
async def test_an_answer_of_another_form_is_trouble_and_heals(station: Station, method: str, result: object) -> None:
    for _ in range(3):
        station.bot.garble_next(method, 200, json.dumps({"ok": True, "result": result}))
    await station.start()
    await reason(station.inbox, "could not be read")
    await healed(station.inbox)


@pytest.mark.parametrize("result", [[], [{"update_id": 5, "message": None}]], ids=["empty", "the same again"])
async def test_a_server_that_answers_at_once_is_not_asked_in_a_busy_loop(station: Station, result: object) -> None:
    station.bot.scripts["getupdates"] = Script(200, [{"ok": True, "result": result}])
    await station.ready(timing=Timing(pauses=(0.01,), idle_seconds=0.2))
    await station.telegram.until_called(station.bot, "getUpdates", 2)
    begun = anyio.current_time()
    await station.telegram.until_called(station.bot, "getUpdates", 5)
    assert anyio.current_time() - begun >= 0.4
    assert station.inbox.states() == [InstanceState.STARTING, InstanceState.READY]


async def test_waits_as_long_as_telegram_asks(station: Station) -> None:
    station.bot.flood_next("getMe", 1)
    begun = anyio.current_time()
    await station.start()
    await reason(station.inbox, "Flood control exceeded")
    await healed(station.inbox)
    assert anyio.current_time() - begun >= 1


async def test_waits_longer_after_each_failure(station: Station) -> None:
    for _ in range(3):
        station.bot.fail_next("getMe")
    begun = anyio.current_time()
    await station.ready(timing=Timing(pauses=(0.1, 0.2, 0.4), poll_seconds=1))
    assert anyio.current_time() - begun >= (0.1 + 0.2 + 0.4) / 2


async def test_stop_ends_the_polling(station: Station) -> None:
    provider = await station.ready()
    await station.telegram.until_called(station.bot, "getUpdates")
    await provider.stop()
    polls = len(calls_of(station.bot, "getUpdates"))
    station.bot.user_writes(station.bot.person(), "nobody takes this")
    await ask(station, "getMe")
    assert len(calls_of(station.bot, "getUpdates")) == polls
    assert len(station.bot.pending) == 1


async def test_goes_through_the_proxy_of_the_environment(station: Station, telegram: TelegramStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", telegram.url.removeprefix("http://"))
    await station.ready(base_url="http://telegram.example/")
    assert station.bot.calls


async def test_goes_past_the_proxy_where_the_environment_says_so(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    await station.ready()


async def test_the_token_is_in_no_log(station: Station, telegram: TelegramStandIn, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    provider = await station.ready()
    file = station.bot.store(b"content", "a.txt")
    await provider.download(Media(kind=MediaKind.DOCUMENT, ref=file.id))
    station.bot.fail_next("getUpdates")
    station.bot.user_writes(station.bot.person(), "hello")
    await station.inbox.message("hello")
    await telegram.go_down()
    await reason(station.inbox, "")
    assert "getMe" in caplog.text
    assert station.bot.token not in caplog.text
    assert station.bot.token.partition(":")[2] not in f"{station.inbox.events}"
