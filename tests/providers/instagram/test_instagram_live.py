"""Against Meta itself, where a token is given."""

import os
import ssl
from pathlib import Path

import pytest
from pydantic import SecretStr

from providers.base import ProviderContext
from providers.meta.instagram import InstagramProvider, InstagramSettings
from providers.models import Draft
from providers.states import InstanceState
from tests.providers.harness import Inbox

TOKEN = os.environ.get("INSTAGRAM_ACCESS_TOKEN", "")
ID = os.environ.get("INSTAGRAM_USER_ID", "")
TO = os.environ.get("INSTAGRAM_IGSID", "")

needed = pytest.mark.skipif(not (TOKEN and ID), reason="INSTAGRAM_ACCESS_TOKEN and INSTAGRAM_USER_ID are not set")
pytestmark = [pytest.mark.anyio, needed]


async def test_says_who_it_is_and_writes(tls: ssl.SSLContext, tmp_path: Path) -> None:
    unused = SecretStr("unused")
    settings = InstagramSettings(ig_user_id=ID, access_token=SecretStr(TOKEN), app_secret=unused, webhook_verify_token=unused)
    provider = InstagramProvider(settings, ProviderContext("live", tls, tmp_path))
    inbox = Inbox()
    await provider.start(inbox.deliver)
    try:
        assert (await inbox.state(InstanceState.READY)).account is not None
        if TO:
            sent = await provider.send(Draft(client_id="live", chat_id=TO, text="Hello from a test."))
            assert sent.id in {message.id for message in await provider.history(TO, before=None, limit=5)}
    finally:
        await provider.stop()
