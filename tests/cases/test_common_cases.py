"""What holds on every messenger: whose words a message shows, references, refusals, and deliveries that are not as they should be."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.cases.expectations import check, heard, plain
from tests.cases.loading import cases, content, unknown_ids
from tests.cases.place import Place, placed
from tests.cases.steps import Run, fed
from tests.mcp_clients import call, in_memory, refused

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def place(cases_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    """With every tool: what is refused over REST is asked over MCP too, templates among it."""
    async with placed(cases_database_url, tmp_path_factory.mktemp("cases"), toolsets=("all",)) as place:
        yield place


async def _all_of_bobs_words_are_heard(run: Run) -> None:
    words = " ".join(" ".join(heard(run)).split())
    assert "@robo_bot hi" in words
    assert "Ann: open the gate" in words or ("Ann:" in words and "open the gate" in words)


async def _there_is_a_next_step(run: Run) -> None:
    """For this very refusal; and over MCP the same words are read."""
    hint = run.problem.get("hint") or ""
    assert plain(hint).replace(plain("The message was not sent."), "").strip(), run.problem
    asked = run.answers[-1]
    async with in_memory(run.place.app) as client:
        told = await refused(client, asked.operation, instance_id=run.instance_id, **asked.arguments)
    assert plain(hint) in plain(told)


async def _the_next_delivery_is_taken(run: Run) -> None:
    value = {"contacts": [{"profile": {"name": "Ann"}, "wa_id": "15550020001"}]}
    message = {"from": "15550020001", "id": "wamid.NEXT", "timestamp": "1790000000", "type": "text", "text": {"body": "next"}}
    metadata = {"display_phone_number": "15550009999", "phone_number_id": "106500000000001"}
    whole = {"messaging_product": "whatsapp", "metadata": metadata, **value, "messages": [message]}
    change = {"value": whole, "field": "messages"}
    await run.messenger.feed("webhook", {"object": "whatsapp_business_account", "entry": [{"id": "880000000000001", "changes": [change]}]})
    assert run.place.one("SELECT body FROM messages WHERE instance_id = %s", run.instance_id) == "next"


async def _as_for_the_text(run: Run) -> None:
    """Over MCP, where a model writes the id as a number."""
    update = {"message_id": 5, "from": {"id": 1001, "is_bot": False, "first_name": "Ann"}, "date": 1790000000, "text": "hello"}
    chat = {"id": -1002000000001, "type": "supergroup", "title": "Garden club"}
    await run.messenger.feed("update", {"message": {**update, "chat": chat}})
    (asked,) = [step["call"] for step in run.case["input"]]
    assert isinstance(asked["arguments"]["chat_id"], int)
    async with in_memory(run.place.app) as client:
        by_number = await call(client, asked["operation"], instance_id=run.instance_id, chat_id=asked["arguments"]["chat_id"])
        by_text = await call(client, asked["operation"], instance_id=run.instance_id, chat_id=str(asked["arguments"]["chat_id"]))
    assert by_number == by_text
    assert by_number["messages"]


STATEMENTS = {
    "what the agent is told still holds all of Bob's words": _all_of_bobs_words_are_heard,
    "the error carries a next step for this very refusal, not only that nothing was sent": _there_is_a_next_step,
    "the next delivery is taken": _the_next_delivery_is_taken,
    'it answers as for the text "-1002000000001"': _as_for_the_text,
}


def _has_no_lines(case: dict[str, Any]) -> bool:
    """The lines to the stdio server have a test of their own."""
    return not any("lines" in step for step in case["input"])


@pytest.mark.parametrize("case", cases("identity-marks.json", "event-references.json", "refusal-hints.json"))
async def test_every_messenger(place: Place, case: dict[str, Any]) -> None:
    async with fed(place, case) as run:
        await check(run, STATEMENTS)


@pytest.mark.parametrize("case", cases("bad-input.json", only=_has_no_lines))
async def test_bad_input(place: Place, case: dict[str, Any]) -> None:
    async with fed(place, case) as run:
        await check(run, STATEMENTS)


def test_every_known_fault_is_a_cases() -> None:
    assert unknown_ids() == []
    assert content("identity-marks.json")["cases"]
