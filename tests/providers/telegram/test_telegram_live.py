"""Against Telegram itself, where a bot's token is given."""

import os
import ssl
from pathlib import Path

import pytest
from pydantic import SecretStr

from providers.base import ProviderContext
from providers.models import Draft, TextFormat
from providers.states import InstanceState
from providers.telegram.provider import TelegramProvider
from providers.telegram.settings import TelegramSettings
from tests.providers.harness import Inbox

TOKEN = os.environ.get("TELEGRAM_BOT_TOKEN", "")
CHAT = os.environ.get("TELEGRAM_CHAT_ID", "")

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(not TOKEN, reason="TELEGRAM_BOT_TOKEN is not set")]


async def test_says_who_it_is_and_writes(tls: ssl.SSLContext, tmp_path: Path) -> None:
    provider = TelegramProvider(TelegramSettings(token=SecretStr(TOKEN)), ProviderContext("live", tls, tmp_path))
    inbox = Inbox()
    await provider.start(inbox.deliver)
    try:
        assert (await inbox.state(InstanceState.READY)).account is not None
        if CHAT:
            sent = await provider.send(Draft(client_id="live", chat_id=CHAT, text="**Hello** from a test.", format=TextFormat.MARKDOWN))
            await provider.edit(sent.chat_id, sent.id, "Hello again.", TextFormat.PLAIN)
            await provider.delete(sent.chat_id, sent.id)
    finally:
        await provider.stop()
