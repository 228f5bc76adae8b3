"""Meta's deliveries for a Facebook Page and for an Instagram account."""

from typing import Any

import pytest

from tests.cases.expectations import chats, check, plain, stored, text_of
from tests.cases.loading import cases
from tests.cases.place import Place
from tests.cases.steps import Run, fed

pytestmark = pytest.mark.anyio

FILES = ("meta-messaging.json", "meta-notices.json")


async def _another_app_is_told(run: Run) -> None:
    message = await run.call("get_message", message_id=str(stored(run)[-1]["id"]))
    told = text_of([message, await chats(run)])
    assert plain("another app") in told or plain("standby") in told or plain("other app") in told, told


STATEMENTS = {"something in the message or the chat tells that another app holds the thread": _another_app_is_told}


@pytest.mark.parametrize("case", cases(*FILES))
async def test_meta_messaging(place: Place, case: dict[str, Any]) -> None:
    async with fed(place, case) as run:
        await check(run, STATEMENTS)
