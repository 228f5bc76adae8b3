"""Instagram keeps the contract of all messengers, by either way in. Uploads are taken only through a Page."""

import pytest

from providers.capabilities import Capability
from providers.errors import InvalidRequest
from providers.models import ControlAction
from tests.providers.contract import ProviderContract
from tests.providers.harness import Harness, Running
from tests.providers.meta_messaging import MessagingHarness
from tests.providers.meta_station import Station
from tests.standins.graph_api import MessagingAccount


class TestInstagramThroughAPage(ProviderContract):
    @pytest.fixture
    def harness(self, by_page: Station[MessagingAccount]) -> MessagingHarness:
        return MessagingHarness(by_page)


class TestInstagramByLogin(ProviderContract):
    @pytest.fixture
    def harness(self, by_login: Station[MessagingAccount]) -> MessagingHarness:
        harness = MessagingHarness(by_login)
        harness.lacking = frozenset({Capability.MEDIA})
        return harness

    async def test_check_takes_and_refuses_drafts_by_what_is_declared(self, harness: Harness) -> None:
        pytest.skip("an upload is refused here; see test_instagram_sending")

    async def test_sends_and_downloads_a_file(self, running: Running) -> None:
        pytest.skip("an upload is refused here; see test_instagram_sending")

    async def test_gives_a_conversation_away_and_takes_it_back(self, running: Running) -> None:
        """It is the other app that gives it back."""
        await running.provider.set_control(running.harness.chat_id, ControlAction.PASS)
        assert not await running.harness.has_control()
        with pytest.raises(InvalidRequest) as caught:
            await running.provider.set_control(running.harness.chat_id, ControlAction.TAKE)
        assert "page_id" in (caught.value.hint or "")
