"""A store that was away for long is found again soon."""

import anyio
import pytest

from db.errors import StoreUnavailable
from tests.proxy import proxied
from tests.stored import opened

pytestmark = pytest.mark.anyio

OUTAGE = 4.2


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
                await anyio.sleep(0.1)

        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(ask)
            await anyio.sleep(0.5)
            await proxy.go_down()
            await anyio.sleep(OUTAGE)
            before = answers
            await proxy.come_back()
            with anyio.fail_after(2):
                while answers == before:  # noqa: ASYNC110 - that it answers again is all there is to see
                    await anyio.sleep(0.01)
            tasks.cancel_scope.cancel()
