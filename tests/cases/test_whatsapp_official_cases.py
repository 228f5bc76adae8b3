"""Meta's deliveries for a WhatsApp number, and what goes out to the Cloud API."""

from typing import Any

import pytest

from tests.cases.expectations import chats, check, heard, shows, texts
from tests.cases.loading import cases
from tests.cases.place import Place
from tests.cases.steps import Run, fed

pytestmark = pytest.mark.anyio

FILES = ("whatsapp-official-content.json", "whatsapp-official-identity.json", "whatsapp-official-notices.json", "whatsapp-official-reading.json")


async def _chats_of(run: Run) -> dict[str, str]:
    """The title of each chat, by its id."""
    return {chat["id"]: chat["title"] for chat in await chats(run)}


async def _ann_and_gus_are_apart(run: Run) -> None:
    assert await _chats_of(run) == {"15550020002": "Ann Lee", "15550020001": "Gus Hill"}
    of_ann, of_gus = await texts(run, "15550020002"), await texts(run, "15550020001")
    assert "It is Ann." in of_ann
    assert of_gus == ["Hello, who is this?", "Hi Gus"]
    assert not {"Hello, who is this?", "Hi Gus"} & set(of_ann)


async def _two_sessions(run: Run) -> None:
    """The agent's sessions: what it remembers goes by them."""
    sessions = {asked.session_id for asked in run.place.agents.runs if "who is this?" in asked.message}
    of_ann = {asked.session_id for asked in run.place.agents.runs if "It is Ann." in asked.message}
    assert heard(run)
    assert sessions
    assert of_ann
    assert not sessions & of_ann


async def _before_is_under_the_new_number(run: Run) -> None:
    assert "before" in await texts(run, "15550023002")


async def _one_chat(run: Run) -> None:
    assert len(await chats(run)) == 1


async def _receipt_names_the_chat(run: Run) -> None:
    message = (await run.call("get_message", message_id=run.sent["message_id"]))["message"]
    events = (await run.place.call("get_events", instance_id=run.instance_id, limit=500))["events"]
    assert {event["chat_id"] for event in events if event["type"] == "receipt"} == {message["chat_id"]}


async def _window_is_open(run: Run) -> None:
    assert (await run.call("check_send", to="+1 555 9123456", message="hello"))["ok"]


async def _one_chat_with_both_texts(run: Run) -> None:
    (chat,) = await chats(run)
    assert await texts(run, chat["id"]) == ["hidden", "visible"]


async def _one_chat_of_carol(run: Run) -> None:
    assert await _chats_of(run) == {"15550022003": "Carol May"}


async def _mark_read_tells_metas_words(run: Run) -> None:
    assert run.answers[-1].operation == "mark_read"
    shows(run.problem, ["valid wamid from a received message"])


STATEMENTS = {
    "list_chats has a chat of Ann at 15550020002 with “It is Ann.” and one of Gus Hill at 15550020001 with his message and ours, "
    "and neither holds a message of the other": _ann_and_gus_are_apart,
    "what the agent remembers of Ann is not taken into its run for Gus: the two runs are kept apart": _two_sessions,
    "get_messages of 15550023002 holds “before”": _before_is_under_the_new_number,
    "list_chats has one chat for both numbers": _one_chat,
    "the receipt's event names the chat that the message is in": _receipt_names_the_chat,
    "check_send to +1 555 9123456 is ok: the window is open": _window_is_open,
    "list_chats has one chat": _one_chat,
    "list_chats has one chat, which holds both texts": _one_chat_with_both_texts,
    "list_chats has one chat of Carol May, with the id 15550022003": _one_chat_of_carol,
    "mark_read answers with an error that carries Meta's words": _mark_read_tells_metas_words,
}


@pytest.mark.parametrize("case", cases(*FILES))
async def test_whatsapp_official(place: Place, case: dict[str, Any]) -> None:
    agent = True if any("agent" in words for words in case["expect"].get("also", [])) else None
    async with fed(place, case, agent=agent) as run:
        await check(run, STATEMENTS)
