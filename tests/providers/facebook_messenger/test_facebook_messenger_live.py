"""Against Meta itself, where a token is given."""

import os
import ssl
from pathlib import Path

import pytest
from pydantic import SecretStr

from providers.base import ProviderContext
from providers.meta.facebook_messenger import FacebookMessengerProvider, FacebookMessengerSettings
from providers.models import Draft
from providers.states import InstanceState
from tests.providers.harness import Inbox

TOKEN = os.environ.get("FACEBOOK_PAGE_ACCESS_TOKEN", "")
ID = os.environ.get("FACEBOOK_PAGE_ID", "")
TO = os.environ.get("FACEBOOK_PSID", "")

needed = pytest.mark.skipif(not (TOKEN and ID), reason="FACEBOOK_PAGE_ACCESS_TOKEN and FACEBOOK_PAGE_ID are not set")
pytestmark = [pytest.mark.anyio, needed]


async def test_says_who_it_is_and_writes(tls: ssl.SSLContext, tmp_path: Path) -> None:
    unused = SecretStr("unused")
    settings = FacebookMessengerSettings(page_id=ID, page_access_token=SecretStr(TOKEN), app_secret=unused, webhook_verify_token=unused)
    provider = FacebookMessengerProvider(settings, ProviderContext("live", tls, tmp_path))
    inbox = Inbox()
    await provider.start(inbox.deliver)
    try:
        assert (await inbox.state(InstanceState.READY)).account is not None
        if TO:
            sent = await provider.send(Draft(client_id="live", chat_id=TO, text="Hello from a test."))
            assert sent.id in {message.id for message in await provider.history(TO, before=None, limit=5)}
    finally:
        await provider.stop()
