"""One application for the cases of a file."""

from collections.abc import AsyncIterator, Iterator

import pytest

from db.embedded import EmbeddedPostgres
from tests.cases.place import Place, placed
from tests.postgres import fresh_database

pytest.register_assert_rewrite("tests.cases.expectations", "tests.cases.steps")


@pytest.fixture(scope="module")
def cases_database_url(embedded: EmbeddedPostgres) -> Iterator[str]:
    with fresh_database(embedded.url) as url:
        yield url


@pytest.fixture(scope="module")
async def place(cases_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    async with placed(cases_database_url, tmp_path_factory.mktemp("cases")) as place:
        yield place
