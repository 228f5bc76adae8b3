"""Telegram's updates as they come, and what goes out to its Bot API."""

from typing import Any

import pytest

from tests.cases.expectations import check
from tests.cases.loading import cases
from tests.cases.place import Place
from tests.cases.steps import Run, fed

pytestmark = pytest.mark.anyio

FILES = ("telegram-context.json", "telegram-conversation.json", "telegram-notices.json", "telegram-unknown-content.json")


async def _votes_are_asked_for(run: Run) -> None:
    asked = [body["allowed_updates"] for method, body in run.messenger.requests() if method.lower() == "getupdates"]
    assert asked
    assert all("poll_answer" in wanted for wanted in asked)


STATEMENTS = {"poll_answer is among the allowed_updates that are asked for": _votes_are_asked_for}


@pytest.mark.parametrize("case", cases(*FILES))
async def test_telegram(place: Place, case: dict[str, Any]) -> None:
    async with fed(place, case) as run:
        await check(run, STATEMENTS)
