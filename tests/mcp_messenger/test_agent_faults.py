"""Processes that die while an agent answers: a new one answers each question, once."""

import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio
import pytest

from mcp_messenger.agents.text import MARK
from tests.peer import Peer, peer
from tests.postgres import execute
from tests.standins.agent_os import AgentOsStandIn, agent_os
from tests.standins.telegram_bot_api import StandInBot, TelegramStandIn
from tests.stored import one, rows
from tests.waiting import until, until_answer

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL and SIGSTOP")]

TIME_PASSES = (
    "UPDATE leases SET expires_at = now() - interval '1 second'",
    "UPDATE deliveries SET lease_until = now() - interval '1 second' WHERE lease_until IS NOT NULL",
)
"""What time would do after a kill."""


BEGINNING = "Once upon a time there was a fox."
STORY = f"{BEGINNING} It lived in a wood, and there it stayed."
HALF = len(BEGINNING.split())


@dataclass
class Scene:
    """Ann's chat with a bot whose agent answers, and the processes that come and go."""

    database_url: str
    folder: Path
    bot: StandInBot
    ann: int
    telegram: TelegramStandIn
    agents: AgentOsStandIn
    instance_id: str = ""

    def peer(self, dies: str = "", lease: str = "") -> AbstractAsyncContextManager[Peer]:
        return peer(self.database_url, self.folder, dies=dies, agno_url=self.agents.url, lease=lease)

    async def begin(self, process: Peer, *, stream: bool = False) -> None:
        """Have the agent answer by messages that are edited: a draft of Telegram's leaves nothing behind that could be doubled."""
        self.bot.takes_drafts = False
        credentials = {"token": self.bot.token, "base_url": self.telegram.url}
        made = await process.call("create_instance", provider="telegram", credentials=credentials, agno_enable=True, agent_id="helper", stream=stream)
        self.instance_id = made["instance_id"]
        await process.until_ready(self.instance_id)
        await self.telegram.until_called(self.bot, "getUpdates")

    def write(self, text: str) -> None:
        self.bot.user_writes(self.ann, text)

    def sees(self) -> list[str]:
        """What stands in the chat now of what the bot wrote."""
        posts = [message for (chat, _), message in sorted(self.bot.messages.items()) if chat == self.ann]
        return [message["text"] for message in posts if message["from"]["id"] == self.bot.id]

    async def until_begun(self) -> None:
        """The beginning of an answer stands there, and the store knows it."""
        await until(lambda: self.sees() == [BEGINNING + MARK])
        await until(lambda: one(self.database_url, "SELECT status FROM messages WHERE queued") == "sent")

    async def until_answered(self) -> None:
        await until(lambda: one(self.database_url, "SELECT count(*) > 0 AND bool_and(status = 'done') FROM deliveries WHERE target = 'agno'"))


@pytest.fixture
async def scene(database_url: str, tmp_path: Path) -> AsyncIterator[Scene]:
    async with TelegramStandIn() as telegram, agent_os() as agents:
        bot = telegram.add_bot()
        # Without the remarks on a stranger, which stand before the words.
        agents.answer = lambda message: f"agent: {message.splitlines()[-1]}"
        yield Scene(database_url, tmp_path, bot, bot.person("Ann"), telegram, agents)


async def succeeded(scene: Scene, *answers: str, runs: int) -> None:
    """A successor sees to it that these stand there, and goes on to answer the next question."""
    execute(scene.database_url, *TIME_PASSES)
    async with scene.peer() as successor:
        await successor.until_ready(scene.instance_id)
        await scene.until_answered()
        await until(lambda: scene.sees() == [*answers])
        assert len(scene.agents.runs) == runs
        scene.write("and now?")
        await until(lambda: len(scene.agents.runs) == runs + 1)
        await scene.until_answered()
        await until(lambda: len(scene.sees()) == len(answers) + 1)
        await until(lambda: not rows(scene.database_url, "SELECT 1 FROM outbox"))
    assert scene.sees()[:-1] == [*answers]
    assert len(scene.bot.sent) == len(answers) + 1


@pytest.mark.parametrize(("point", "runs"), [("after the question's claim", 1), ("after the run", 2), ("after the queue", 1)])
async def test_a_kill_while_an_agent_answers(point: str, runs: int, scene: Scene) -> None:
    async with scene.peer(point) as doomed:
        await scene.begin(doomed)
        scene.write("hello")
        assert await doomed.ended() == -signal.SIGKILL
    await succeeded(scene, "agent: hello", runs=runs)


async def test_a_kill_while_the_agent_thinks(scene: Scene) -> None:
    scene.agents.gate = anyio.Event()
    async with scene.peer() as doomed:
        await scene.begin(doomed)
        scene.write("hello")
        await until(lambda: scene.agents.runs)
        doomed.signal(signal.SIGKILL)
        await doomed.ended()
    scene.agents.gate = None
    await succeeded(scene, "agent: hello", runs=2)


@pytest.mark.parametrize(
    ("point", "runs", "answers"),
    [
        ("before it is shown", 2, (STORY,)),
        ("after the queue", 2, (STORY,)),
        # The beginning may have gone, and nobody can know where it stands: the answer is sent whole.
        ("after the claim", 2, (STORY,)),
        ("after the platform", 2, (BEGINNING + MARK, STORY)),
        ("after the settling", 2, (STORY,)),
        ("after an edit", 2, (STORY,)),
    ],
)
async def test_a_kill_while_an_answer_grows(point: str, runs: int, answers: tuple[str, ...], scene: Scene) -> None:
    scene.agents.answer = lambda message: STORY
    scene.agents.pauses = {HALF: anyio.Event(), HALF + 3: anyio.Event()}
    async with scene.peer(point) as doomed:
        await scene.begin(doomed, stream=True)
        scene.write("a story")
        if point == "after an edit":
            await until(lambda: scene.sees() == [BEGINNING + MARK])
            scene.agents.pauses[HALF].set()
        assert await doomed.ended() == -signal.SIGKILL
    scene.agents.pauses = {}
    await succeeded(scene, *answers, runs=runs)


@pytest.mark.parametrize(("point", "runs"), [("after the run", 2), ("before an edit", 1), ("after an edit", 1), ("before the question's end", 1)])
async def test_a_kill_when_an_answer_has_grown(point: str, runs: int, scene: Scene) -> None:
    """Before and after its last edit; once it is kept, the agent is not asked again."""
    scene.agents.answer = lambda message: STORY
    scene.agents.pauses = {HALF: anyio.Event()}
    async with scene.peer(point) as doomed:
        await scene.begin(doomed, stream=True)
        scene.write("a story")
        await scene.until_begun()
        scene.agents.pauses[HALF].set()
        assert await doomed.ended() == -signal.SIGKILL
    scene.agents.pauses = {}
    await succeeded(scene, STORY, runs=runs)


async def test_an_edit_that_fails_is_made_again_without_another_run(scene: Scene) -> None:
    scene.agents.answer = lambda message: STORY
    scene.agents.pauses = {HALF: anyio.Event()}
    async with scene.peer() as process:
        await scene.begin(process, stream=True)
        scene.write("a story")
        await scene.until_begun()
        scene.bot.fail_next("editMessageText")
        scene.bot.flood_next("editMessageText", retry_after=1)
        scene.agents.pauses[HALF].set()
        await until(lambda: one(scene.database_url, "SELECT answer IS NOT NULL AND lease_until IS NULL FROM deliveries"))
        assert scene.sees() == [BEGINNING + MARK]
        execute(scene.database_url, "UPDATE deliveries SET run_at = now() WHERE status = 'pending'")
        await scene.until_answered()
    assert (scene.sees(), len(scene.agents.runs), scene.bot.faults) == ([STORY], 1, [])


async def test_an_answer_grows_where_another_process_runs_the_instance(scene: Scene) -> None:
    scene.agents.answer = lambda message: STORY
    scene.agents.pauses = {HALF: anyio.Event(), HALF + 3: anyio.Event()}
    async with peer(scene.database_url, scene.folder) as runs_it:
        await scene.begin(runs_it, stream=True)
        async with scene.peer() as asks_the_agent:
            assert await asks_the_agent.call("held") == []
            scene.write("a story")
            await scene.until_begun()
            scene.agents.pauses[HALF].set()
            await until(lambda: scene.sees() == [f"{BEGINNING} It lived in{MARK}"])
            scene.agents.pauses[HALF + 3].set()
            await scene.until_answered()
            assert scene.sees() == [STORY]


LEASE = 2


async def test_a_run_that_takes_longer_than_its_lease_stays_with_its_process(scene: Scene) -> None:
    scene.agents.gate = anyio.Event()
    async with scene.peer(lease=str(LEASE)) as first, scene.peer(lease=str(LEASE)):
        await scene.begin(first)
        scene.write("hello")
        await until(lambda: scene.agents.runs)
        leased = one(scene.database_url, "SELECT lease_until FROM deliveries")
        await until(lambda: rows(scene.database_url, "SELECT 1 FROM deliveries WHERE now() > %s + make_interval(secs => %s)", leased, 2 * LEASE))
        scene.agents.gate.set()
        await scene.until_answered()
        await until(lambda: scene.sees() == ["agent: hello"])
    assert len(scene.agents.runs) == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_who_comes_back_after_another_has_answered_is_silent(stream: bool, scene: Scene) -> None:
    scene.agents.answer = lambda message: f"{STORY} That was version {len(scene.agents.runs)}."
    gate = anyio.Event()
    scene.agents.pauses = {HALF: gate}
    async with scene.peer(lease=str(LEASE)) as sleeper:
        await scene.begin(sleeper, stream=stream)
        scene.write("a story")
        await until(lambda: scene.agents.runs)
        if stream:
            await scene.until_begun()
        sleeper.signal(signal.SIGSTOP)
        scene.agents.pauses = {}
        gate.set()
        execute(scene.database_url, *TIME_PASSES)
        async with scene.peer(lease=str(LEASE)) as successor:
            await successor.until_ready(scene.instance_id)
            await scene.until_answered()
            second = f"{STORY} That was version 2."
            await until(lambda: scene.sees() == [second])
            sleeper.signal(signal.SIGCONT)
            logs = partial(sleeper.call, "get_logs", instance_id=scene.instance_id)
            await until_answer(logs, lambda found: "another process answers" in str(found))
            assert scene.sees() == [second]
    assert len(scene.agents.runs) == 2
