"""What tests of several messengers share."""

import ssl
from collections.abc import AsyncIterator

import pytest
from hypothesis import settings

from tests.standins.graph_api import GraphStandIn

pytest.register_assert_rewrite("tests.providers.contract", "tests.providers.harness")

settings.register_profile("busy machine", deadline=None)
settings.load_profile("busy machine")


@pytest.fixture(scope="session")
def tls() -> ssl.SSLContext:
    return ssl.create_default_context()


@pytest.fixture
async def graph() -> AsyncIterator[GraphStandIn]:
    async with GraphStandIn() as graph:
        yield graph
