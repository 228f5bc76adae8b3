"""Relays and managers that die at the worst moment: nothing is lost, nothing is sent twice, unknown only where it may have gone."""

import signal
import ssl
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from pydantic import SecretStr

from mcp_messenger.instances.remote_provider import RemoteProvider
from mcp_messenger.relay.serve import LET_GO
from providers.errors import Unreachable
from providers.events import MessageReceived, StateChanged
from providers.models import Draft, SentMessage
from providers.states import InstanceState
from providers.telegram.settings import TelegramSettings
from tests.mcp_messenger.relay.process import RelayProcess, running_relay
from tests.program import ROOT
from tests.providers.harness import Inbox
from tests.standins.telegram_bot_api import StandInBot, TelegramStandIn
from tests.waiting import until, until_answer

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")]


@pytest.fixture
async def telegram() -> AsyncIterator[TelegramStandIn]:
    async with TelegramStandIn() as telegram:
        yield telegram


class Account:
    """A bot, somebody who has written to it, and what a manager needs."""

    def __init__(self, telegram: TelegramStandIn, tls: ssl.SSLContext) -> None:
        self.telegram = telegram
        self.bot: StandInBot = telegram.add_bot()
        self.ann = self.bot.person("Ann")
        self._settings = TelegramSettings(token=SecretStr(self.bot.token), base_url=telegram.url)
        self._tls = tls

    def remote(self, relay: RelayProcess) -> RemoteProvider:
        return relay.remote(self._settings, self._tls)

    async def ready(self, relay: RelayProcess, inbox: Inbox) -> RemoteProvider:
        remote = self.remote(relay)
        await remote.start(inbox.deliver)
        await inbox.state(InstanceState.READY)
        return remote

    def draft(self, text: str, client_id: str = "1") -> Draft:
        return Draft(client_id=client_id, chat_id=str(self.ann), text=text)

    def texts(self) -> list[str]:
        return [call.params["text"] for call in self.bot.sent]


@pytest.fixture
def account(telegram: TelegramStandIn, tls: ssl.SSLContext) -> Account:
    return Account(telegram, tls)


def received(*inboxes: Inbox) -> list[str]:
    """What a store that takes each message once holds."""
    taken = {event.message.id: event.message.text for inbox in inboxes for event in inbox.events if isinstance(event, MessageReceived)}
    return sorted(taken.values())


def delivered(inbox: Inbox) -> list[str]:
    return [event.message.text for event in inbox.events if isinstance(event, MessageReceived)]


@pytest.mark.parametrize(
    ("point", "outcome", "gone"),
    [
        ("before it is begun", "sent", 1),
        ("after it is begun", "unknown", 0),
        ("after the platform", "unknown", 1),
        ("after it is settled", "sent", 1),
    ],
)
async def test_a_kill_while_sending(point: str, outcome: str, gone: int, account: Account, tmp_path: Path) -> None:
    """The manager asks again until the restarted relay knows the outcome."""
    async with running_relay("telegram", tmp_path, dies=point) as relay:
        remote = await account.ready(relay, Inbox())
        answers: list[Any] = []

        async def send() -> None:
            try:
                answers.append(await remote.send(account.draft("hello")))
            except Unreachable as error:
                answers.append(error)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send)
            assert await relay.ended() == -signal.SIGKILL
            await relay.start()
        if point == "before it is begun" and isinstance(answers[0], Unreachable):
            # It asked while nothing was running yet, and was told the truth; its outbox tries again.
            answers[0] = await _again(account, remote)
        if outcome == "sent":
            assert isinstance(answers[0], SentMessage)
        else:
            assert isinstance(answers[0], Unreachable)
            assert answers[0].maybe_sent
        assert account.texts() == ["hello"] * gone
        for _ in range(2):
            if outcome == "sent":
                assert await remote.send(account.draft("hello")) == answers[0]
            else:
                with pytest.raises(Unreachable) as caught:
                    await remote.send(account.draft("hello"))
                assert caught.value.maybe_sent
        assert account.texts() == ["hello"] * gone
        await remote.detach()


async def _again(account: Account, remote: RemoteProvider) -> SentMessage:
    async def sent() -> SentMessage | None:
        try:
            return await remote.send(account.draft("hello"))
        except Unreachable as error:
            if error.maybe_sent:
                raise
            return None

    answer = await until(sent, 20)
    assert answer is not None
    return answer


async def test_a_kill_while_the_platform_works_on_it(account: Account, tmp_path: Path) -> None:
    async with running_relay("telegram", tmp_path) as relay:
        inbox = Inbox()
        remote = await account.ready(relay, inbox)
        hold = account.bot.hold_next("sendMessage")
        async with anyio.create_task_group() as tasks:

            async def send() -> None:
                with pytest.raises(Unreachable) as caught:
                    await remote.send(account.draft("hello"))
                assert caught.value.maybe_sent

            tasks.start_soon(send)
            await hold.arrived.wait()
            await relay.kill()
            hold.let_go.set()
            await relay.start()
        assert account.texts() in ([], ["hello"])
        before = account.texts()
        with pytest.raises(Unreachable):
            await remote.send(account.draft("hello"))
        assert account.texts() == before
        await remote.detach()


@pytest.mark.parametrize("point", ["before the spool", "after the spool"])
async def test_a_kill_while_receiving(point: str, account: Account, tmp_path: Path) -> None:
    async with running_relay("telegram", tmp_path, dies=point) as relay:
        inbox = Inbox()
        remote = await account.ready(relay, inbox)
        account.bot.user_writes(account.ann, "hello")
        assert await relay.ended() == -signal.SIGKILL
        await inbox.wait(StateChanged, lambda state: state.state is InstanceState.DEGRADED)
        account.bot.user_writes(account.ann, "are you there?")
        await relay.start()
        await inbox.message("are you there?")
        assert delivered(inbox) == ["hello", "are you there?"]
        assert remote.state.state is not InstanceState.ERROR
        await remote.detach()


async def test_events_wait_for_a_manager_that_died(account: Account, tmp_path: Path) -> None:
    """What the first took and never confirmed comes again; what nobody took waits, through a kill of the relay too."""
    async with running_relay("telegram", tmp_path) as relay:
        first = Inbox()
        remote = await account.ready(relay, first)
        account.bot.user_writes(account.ann, "one")
        await first.message("one")
        await _confirmed(relay)
        await remote.detach()
        for text in ("two", "three"):
            account.bot.user_writes(account.ann, text)
        await account.telegram.until(lambda: not account.bot.pending)
        await relay.kill()
        account.bot.user_writes(account.ann, "four")
        await relay.start()
        second = Inbox()
        again = await account.ready(relay, second)
        await second.message("four")
        assert delivered(second) == ["two", "three", "four"]
        assert received(first, second) == ["four", "one", "three", "two"]
        await again.detach()


@pytest.mark.parametrize(("dies", "taken_by_the_first"), [("before", 0), ("after", 1)])
async def test_a_manager_that_is_killed_while_it_takes_something(dies: str, taken_by_the_first: int, account: Account, tmp_path: Path) -> None:
    """What it had stored and not confirmed comes a second time, for a store that knows it; what it had not stored comes for the first."""
    async with running_relay("telegram", tmp_path) as relay:
        store = tmp_path / "store.txt"
        store.touch()
        command = [sys.executable, "-m", "tests.mcp_messenger.relay.reader", relay.url, account.bot.token, account.telegram.url, str(store)]
        async with await anyio.open_process([*command, dies], cwd=ROOT) as doomed:
            await account.telegram.until_called(account.bot, "getUpdates")
            account.bot.user_writes(account.ann, "first")
            with anyio.fail_after(30):
                assert await doomed.wait() == -signal.SIGKILL
        assert store.read_text().splitlines() == ["first"] * taken_by_the_first
        account.bot.user_writes(account.ann, "second")
        async with await anyio.open_process(command, cwd=ROOT) as successor:
            await until(lambda: "second" in store.read_text(), 30)
            successor.kill()
        assert store.read_text().splitlines() == ["first"] * taken_by_the_first + ["first", "second"]


async def _confirmed(relay: RelayProcess) -> None:
    """The answer that a manager has taken everything comes with its next question."""
    async with relay.http() as client:

        async def kept() -> list[str]:
            return [one["event"]["type"] for one in (await client.get("/events")).json()["events"]]

        await until_answer(kept, lambda types: "message" not in types, 20)


async def test_two_managers_that_pull_lose_nothing_and_the_older_one_is_told(account: Account, tmp_path: Path) -> None:
    async with running_relay("telegram", tmp_path) as relay:
        old, new = Inbox(), Inbox()
        older = await account.ready(relay, old)
        for number in range(10):
            account.bot.user_writes(account.ann, f"{number:02}")
        newer = await account.ready(relay, new)
        await old.wait(StateChanged, lambda state: "Another manager" in (state.reason or ""))
        for number in range(10, 20):
            account.bot.user_writes(account.ann, f"{number:02}")
        await new.message("19")
        assert received(old, new) == [f"{number:02}" for number in range(20)]
        assert len(delivered(new)) == len(set(delivered(new)))
        await older.stop()
        account.bot.user_writes(account.ann, "still connected")
        await new.message("still connected")
        await newer.stop()
        assert newer.state.state is InstanceState.STOPPED


async def test_a_manager_whose_store_is_away_gets_everything_once_it_is_back(account: Account, tmp_path: Path) -> None:
    async with running_relay("telegram", tmp_path) as relay:
        inbox = Inbox()
        remote = await account.ready(relay, inbox)
        inbox.refuse(3)
        for number in range(5):
            account.bot.user_writes(account.ann, str(number))
        await inbox.message("4")
        assert delivered(inbox) == [str(number) for number in range(5)]
        assert len(inbox.refused) >= 3
        await remote.stop()


async def test_where_another_node_may_take_the_account_a_relay_without_a_manager_lets_go_of_it(account: Account, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text('{"MCP_MESSENGER_FENCE": "1"}')
    async with running_relay("telegram", tmp_path, MCP_MESSENGER_SECRET_FILE=str(secret)) as relay:
        remote = await account.ready(relay, Inbox())
        # As a manager that is cut off: it asks for nothing any more.
        await remote.detach()
        assert await relay.ended() == LET_GO
        assert "the account is let go of" in relay.log()
        account.bot.user_writes(account.ann, "is somebody there?")
        await relay.start()
        inbox = Inbox()
        again = await account.ready(relay, inbox)
        await inbox.message("is somebody there?")
        await again.stop()
