"""An Instagram account on a stand-in of the Graph API: by Instagram Login, and through a linked Page."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from providers.meta.instagram import InstagramProvider
from tests.providers.meta_station import Station, station_of
from tests.standins.graph_api import GraphStandIn, MessagingAccount


def own_settings(account: MessagingAccount) -> dict[str, Any]:
    page = {} if account.path_id == account.id else {"page_id": account.path_id}
    return {"ig_user_id": account.id, "access_token": SecretStr(account.token), **page}


@pytest.fixture
async def by_login(graph: GraphStandIn, tls: ssl.SSLContext, tmp_path: Path) -> AsyncIterator[Station[MessagingAccount]]:
    async with station_of(InstagramProvider, graph, graph.add_instagram(), own_settings, tls, tmp_path) as station:
        yield station


@pytest.fixture
async def by_page(graph: GraphStandIn, tls: ssl.SSLContext, tmp_path: Path) -> AsyncIterator[Station[MessagingAccount]]:
    async with station_of(InstagramProvider, graph, graph.add_instagram(page=True), own_settings, tls, tmp_path) as station:
        yield station
