"""Messenger keeps the contract of all messengers."""

import pytest

from tests.providers.contract import ProviderContract
from tests.providers.meta_messaging import MessagingHarness
from tests.providers.meta_station import Station
from tests.standins.graph_api import MessagingAccount


@pytest.fixture
def harness(station: Station[MessagingAccount]) -> MessagingHarness:
    return MessagingHarness(station)


class TestFacebookMessenger(ProviderContract):
    pass
