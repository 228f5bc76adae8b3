"""Slack's events, interactions and commands by its webhook, and what goes out to its Web API."""

from typing import Any

import pytest

from tests.cases.expectations import chats, check, shows
from tests.cases.loading import cases
from tests.cases.place import Place
from tests.cases.steps import Run, fed

pytestmark = pytest.mark.anyio

FILES = (
    "slack-addresses.json",
    "slack-bot-content.json",
    "slack-interactive.json",
    "slack-mass-mentions.json",
    "slack-organization.json",
    "slack-people.json",
)


def _sent_to(chat_id: str) -> Any:
    async def check_chat(run: Run) -> None:
        assert run.sent["chat_id"] == chat_id

    return check_chat


async def _one_chat_with_ann(run: Run) -> None:
    assert [chat["id"] for chat in await chats(run) if chat["kind"] == "private" or chat["id"] == "U01ANN"] == ["D01ANN"]


async def _one_chat_for_the_channel(run: Run) -> None:
    assert [chat["id"] for chat in await chats(run) if "general" in {chat["title"], chat["id"].removeprefix("#")}] == ["C01GEN"]


async def _not_found_names_list_chats(run: Run) -> None:
    assert run.problem["code"] == "not_found"
    shows(run.problem, ["list_chats"])


async def _the_answer_to_the_command_goes_out(run: Run) -> None:
    assert run.sent["status"] == "sent"
    posted = [body for method, body in run.messenger.requests() if method == "chat.postMessage"]
    responded = [body for method, body in run.messenger.requests() if method == "response_url"]
    assert responded or [(body["channel"], "thread_ts" in body) for body in posted] == [("C01GEN", False)]


async def _nine_to_five_goes_out(run: Run) -> None:
    shows([body for method, body in run.messenger.requests() if method in {"chat.postMessage", "response_url"}], ["Nine to five."])
    assert run.place.rows("SELECT status FROM messages WHERE queued AND instance_id = %s", run.instance_id) == [("sent",)]


STATEMENTS = {
    "send_message answers chat_id D01ANN": _sent_to("D01ANN"),
    "send_message answers chat_id D02BOB": _sent_to("D02BOB"),
    "send_message answers chat_id C01GEN": _sent_to("C01GEN"),
    "send_message answers chat_id C02OPS": _sent_to("C02OPS"),
    "list_chats has one chat with Ann": _one_chat_with_ann,
    "list_chats has one chat for the channel": _one_chat_for_the_channel,
    "send_message answers not_found and names list_chats": _not_found_names_list_chats,
    "send_message succeeds: by chat.postMessage in C01GEN without a thread_ts, or by a post to the command's response_url": (
        _the_answer_to_the_command_goes_out
    ),
    "“Nine to five.” goes out, by chat.postMessage or by the response_url": _nine_to_five_goes_out,
}


@pytest.mark.parametrize("case", cases(*FILES))
async def test_slack(place: Place, case: dict[str, Any]) -> None:
    async with fed(place, case) as run:
        await check(run, STATEMENTS)
