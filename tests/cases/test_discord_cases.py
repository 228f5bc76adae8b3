"""Discord's gateway events, and what goes out to its REST API."""

from typing import Any

import pytest

from tests.cases.expectations import chats, check, plain, text_of
from tests.cases.loading import cases
from tests.cases.messengers import Discord
from tests.cases.place import Place
from tests.cases.steps import Run, fed

pytestmark = pytest.mark.anyio

FILES = ("discord-bot-content.json", "discord-interactions.json", "discord-mentions.json", "discord-threads.json")


async def _one_chat_for_general(run: Run) -> None:
    found = await chats(run)
    assert [chat["id"] for chat in found if chat["id"] in {Discord.general, "900000000000000301"}] == [Discord.general]
    assert all(chat["title"] for chat in found)


async def _check_send_is_not_ok(run: Run) -> None:
    (checked,) = [one.answer for one in run.answers if one.operation == "check_send"]
    assert checked is not None
    assert checked["ok"] is False


async def _the_error_tells_of_titles_and_posts(run: Run) -> None:
    told = text_of(run.problem)
    assert plain("forum") in told
    assert plain("title") in told or plain("in a post") in told, told


async def _any_argument_will_do(run: Run) -> None:
    """Nothing more to check: the title went out, however it was given."""


STATEMENTS = {
    "list_chats has one chat for general and its thread, none without a title": _one_chat_for_general,
    "check_send answers ok: false": _check_send_is_not_ok,
    "send_message's error says that a forum takes posts with a title, or answers in a post": _the_error_tells_of_titles_and_posts,
    "the title may be an argument of its own instead of extra": _any_argument_will_do,
}


@pytest.mark.parametrize("case", cases(*FILES))
async def test_discord(place: Place, case: dict[str, Any]) -> None:
    async with fed(place, case) as run:
        await check(run, STATEMENTS)
