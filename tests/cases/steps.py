"""Feeds the steps of a case: what the platform sends, what it answers, what is asked of us, what the agent says, a restart."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.cases.loading import now
from tests.cases.messengers import Messenger, messenger_of
from tests.cases.place import ANSWER, Place, Refused
from tests.standins.faults import Script

Json = dict[str, Any]

FED = frozenset({"update", "webhook", "event", "interaction", "command", "gateway"})


@dataclass
class Answered:
    operation: str
    arguments: Json
    answer: Json | None
    problem: Json | None


@dataclass
class Run:
    """A case that was fed. `first_run` is where its runs of the agent begin."""

    place: Place
    case: Json
    messenger: Messenger
    answers: list[Answered] = field(default_factory=list[Answered])
    statuses: list[int] = field(default_factory=list[int])

    @property
    def instance_id(self) -> str:
        return self.messenger.instance_id

    async def call(self, operation: str, **arguments: Any) -> Json:
        """Raises Refused."""
        return await self.place.call(operation, instance_id=self.instance_id, **arguments)

    @property
    def sent(self) -> Json:
        """What the last send was answered with."""
        found = [one.answer for one in self.answers if one.operation.startswith("send_") and one.answer is not None]
        assert found, f"nothing was sent: {[one.problem for one in self.answers]}"
        return found[-1]

    @property
    def problem(self) -> Json:
        """How the last call was refused."""
        found = [one.problem for one in self.answers if one.problem is not None]
        assert found, "nothing was refused"
        return found[-1]


@asynccontextmanager
async def fed(place: Place, case: Json, *, agent: bool | None = None) -> AsyncGenerator[Run]:
    """The case as its steps leave the application. An agent answers where the case is about one."""
    case = now(case)
    messenger = messenger_of(case)(place, case)
    said = [words(step["agent_says"]) for step in case["input"] if "agent_says" in step]
    has_agent = bool(said) or "agent" in case["expect"] or "agent_hears_no_line" in case["expect"]
    place.agents.runs.clear()
    place.agents.answer = lambda message: said[0] if said else ANSWER
    await messenger.start(agent=has_agent if agent is None else agent)
    run = Run(place, case, messenger)
    try:
        for step in case["input"]:
            await _feed(run, step)
        await place.agents_have_decided(messenger.instance_id)
        yield run
    finally:
        await messenger.stop()


def words(text: str | Json) -> str:
    """A text, or the recipe of one."""
    if isinstance(text, str):
        return text
    (recipe,) = text.values()
    parts = recipe if isinstance(recipe[0], list) else [recipe]
    return "".join(part * times for part, times in parts)


async def _feed(run: Run, step: Json) -> None:
    ((kind, payload),) = ((kind, payload) for kind, payload in step.items() if kind != "to")
    if kind in FED:
        await run.messenger.feed(kind, payload)
        return
    match kind:
        case "answers":
            assert payload.keys() == {"method", "status", "bodies"}, payload.keys()
            run.messenger.script(payload["method"], Script(payload["status"], list(payload["bodies"])))
        case "call":
            await _call(run, payload["operation"], payload["arguments"])
        case "agent_says":
            await run.place.agents_have_decided(run.instance_id)
        case "restart":
            await run.place.stop()
            await run.place.start()
            await run.messenger.restarted()
        case "webhook_body":
            run.statuses.append(await _post(run, words(payload).encode()))
        case _:
            raise AssertionError(f"a step of an unknown kind: {kind}")


async def _call(run: Run, operation: str, arguments: Json) -> None:
    filled = {name: _filled(run, value) for name, value in arguments.items() if name != "instance_id"}
    try:
        answer = await run.call(operation, **filled)
    except Refused as refused:
        run.answers.append(Answered(operation, filled, None, refused.problem))
    else:
        run.answers.append(Answered(operation, filled, answer, None))


def _filled(run: Run, value: Any) -> Any:
    """With the id that a name in braces stands for."""
    match value:
        case "{the sent message}":
            return run.sent["message_id"]
        case "{the command}":
            return str(run.place.one("SELECT max(id) FROM messages WHERE instance_id = %s AND NOT outgoing", run.instance_id))
        case str() if value.startswith("{"):
            raise AssertionError(f"a name that stands for nothing known: {value}")
        case _:
            return value


async def _post(run: Run, body: bytes) -> int:
    account: Any = run.messenger
    signed, headers = account.account.signed(body)
    return await run.place.post(run.messenger.callback, signed, headers)
