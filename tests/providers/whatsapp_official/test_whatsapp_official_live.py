"""Against Meta itself, where a number's token is given."""

import os
import ssl
from pathlib import Path

import pytest
from pydantic import SecretStr

from providers.base import ProviderContext
from providers.meta.whatsapp_official.provider import WhatsAppOfficialProvider
from providers.meta.whatsapp_official.settings import WhatsAppOfficialSettings
from providers.models import Draft
from providers.states import InstanceState
from providers.templates import TemplateUse
from tests.providers.harness import Inbox

TOKEN = os.environ.get("WHATSAPP_ACCESS_TOKEN", "")
NUMBER = os.environ.get("WHATSAPP_PHONE_NUMBER_ID", "")
TO = os.environ.get("WHATSAPP_TO", "")

needed = pytest.mark.skipif(not (TOKEN and NUMBER), reason="WHATSAPP_ACCESS_TOKEN and WHATSAPP_PHONE_NUMBER_ID are not set")
pytestmark = [pytest.mark.anyio, needed]


async def test_says_who_it_is_and_sends_the_template_of_every_new_account(tls: ssl.SSLContext, tmp_path: Path) -> None:
    settings = WhatsAppOfficialSettings(phone_number_id=NUMBER, access_token=SecretStr(TOKEN), webhook_verify_token=SecretStr("unused"))
    provider = WhatsAppOfficialProvider(settings, ProviderContext("live", tls, tmp_path))
    inbox = Inbox()
    await provider.start(inbox.deliver)
    try:
        assert (await inbox.state(InstanceState.DEGRADED)).account is not None
        if TO:
            sent = await provider.send(Draft(client_id="live", chat_id=TO, template=TemplateUse(name="hello_world", language="en_US")))
            assert sent.id.startswith("wamid.")
    finally:
        await provider.stop()
