"""Against Discord itself, where a bot's token is given."""

import os
import ssl
from pathlib import Path

import pytest
from pydantic import SecretStr

from providers.base import ProviderContext
from providers.discord.provider import DiscordProvider
from providers.discord.settings import DiscordSettings
from providers.events import MessageReceived, StateChanged
from providers.models import Draft, TextFormat
from providers.states import InstanceState
from tests.providers.harness import PICTURE, Inbox

TOKEN = os.environ.get("DISCORD_BOT_TOKEN", "")
CHANNEL = os.environ.get("DISCORD_CHANNEL_ID", "")

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(not TOKEN, reason="DISCORD_BOT_TOKEN is not set")]


async def test_says_who_it_is_and_writes(tls: ssl.SSLContext, tmp_path: Path) -> None:
    provider = DiscordProvider(DiscordSettings(bot_token=SecretStr(TOKEN)), ProviderContext("live", tls, tmp_path))
    inbox = Inbox()
    await provider.start(inbox.deliver)
    try:
        live = await inbox.wait(StateChanged, lambda event: event.state in {InstanceState.READY, InstanceState.DEGRADED})
        assert live.account is not None
        if CHANNEL:
            draft = Draft(client_id=os.urandom(8).hex(), chat_id=CHANNEL, text="**Hello** from a test.", format=TextFormat.MARKDOWN)
            sent = await provider.send(draft)
            assert (await provider.send(draft)).id == sent.id, "the nonce makes one message of two sends"
            echo = await inbox.wait(MessageReceived, lambda event: event.message.id == sent.id)
            assert echo.client_id == draft.client_id
            await provider.edit(sent.chat_id, sent.id, "Hello again.", TextFormat.PLAIN)
            await provider.delete(sent.chat_id, sent.id)
            picture = await provider.send(Draft(client_id=os.urandom(8).hex(), chat_id=CHANNEL, upload=PICTURE))
            assert (await provider.download(picture.media[0])).content == PICTURE.content
            await provider.delete(picture.chat_id, picture.id)
    finally:
        await provider.stop()
