"""A number on a stand-in of the Graph API."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from providers.meta.whatsapp_official.provider import WhatsAppOfficialProvider
from tests.providers.meta_station import Station, station_of
from tests.standins.graph_api import GraphStandIn, WhatsAppNumber


def own_settings(number: WhatsAppNumber) -> dict[str, Any]:
    return {"phone_number_id": number.id, "access_token": SecretStr(number.token), "business_account_id": number.business_account}


@pytest.fixture
async def station(graph: GraphStandIn, tls: ssl.SSLContext, tmp_path: Path) -> AsyncIterator[Station[WhatsAppNumber]]:
    async with station_of(WhatsAppOfficialProvider, graph, graph.add_number(), own_settings, tls, tmp_path) as station:
        yield station
