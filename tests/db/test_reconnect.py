"""A store that was away for long is found again soon."""

import anyio
import anyio.lowlevel
import pytest

from db.errors import StoreUnavailable
from tests.proxy import proxied
from tests.stored import opened
from tests.waiting import until

pytestmark = pytest.mark.anyio

ATTEMPTS = 4
"""To connect, during the outage: if the pauses between them doubled for ever, the next one would be 8 seconds after these."""


async def test_the_end_of_an_outage_is_noticed_within_two_seconds(database_url: str) -> None:
    async with proxied(database_url) as proxy, opened(proxy.url) as database:
        answers = 0

        async def ask() -> None:
            nonlocal answers
            while True:
                try:
                    answers += await database.value("SELECT 1")
                except StoreUnavailable:
                    continue
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(ask)
            await until(lambda: answers)
            proxy.refuse()
            await until(lambda: (proxy.refused or 0) >= ATTEMPTS)
            before, taken = answers, proxy.taken
            proxy.accept()
            await until(lambda: proxy.taken > taken, within=2)
            await until(lambda: answers > before)
            tasks.cancel_scope.cancel()
