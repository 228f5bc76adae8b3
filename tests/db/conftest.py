from collections.abc import AsyncIterator

import pytest

from db.database import Database
from tests.stored import opened


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """The store at work."""
    async with opened(database_url) as database:
        yield database
