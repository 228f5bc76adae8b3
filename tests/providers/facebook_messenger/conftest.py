"""A Page on a stand-in of the Graph API."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from providers.meta.facebook_messenger import FacebookMessengerProvider
from tests.providers.meta_station import Station, station_of
from tests.standins.graph_api import GraphStandIn, MessagingAccount


def own_settings(page: MessagingAccount) -> dict[str, Any]:
    return {"page_id": page.id, "page_access_token": SecretStr(page.token)}


@pytest.fixture
async def station(graph: GraphStandIn, tls: ssl.SSLContext, tmp_path: Path) -> AsyncIterator[Station[MessagingAccount]]:
    async with station_of(FacebookMessengerProvider, graph, graph.add_page(), own_settings, tls, tmp_path) as station:
        yield station
