"""WhatsApp Web keeps the contract of all messengers, with the real library in a real Chromium."""

from tests.providers.contract import ProviderContract


class TestWhatsAppWeb(ProviderContract):
    """The fixture `harness` is in conftest."""
