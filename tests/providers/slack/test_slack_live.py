"""Against Slack itself, where a bot's token is given; SLACK_CHANNEL to write in, SLACK_APP_TOKEN for the events."""

import os
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from pydantic import SecretStr

from providers.base import ProviderContext
from providers.models import Draft, TextFormat
from providers.slack.provider import SlackProvider
from providers.slack.settings import SlackSettings
from providers.states import InstanceState
from tests.providers.harness import PICTURE, PNG, Inbox

TOKEN, CHANNEL, APP_TOKEN = (os.environ.get(name) for name in ("SLACK_BOT_TOKEN", "SLACK_CHANNEL", "SLACK_APP_TOKEN"))

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not TOKEN, reason="SLACK_BOT_TOKEN is not set"),
]
writes = pytest.mark.skipif(not CHANNEL, reason="SLACK_CHANNEL is not set")


@pytest.fixture
async def provider(tmp_path: Path) -> AsyncIterator[SlackProvider]:
    secret = {"app_token": SecretStr(APP_TOKEN)} if APP_TOKEN else {"signing_secret": SecretStr("unused")}
    settings = SlackSettings.model_validate({"bot_token": SecretStr(TOKEN or ""), **secret})
    provider = SlackProvider(settings, ProviderContext("live", ssl.create_default_context(), tmp_path))
    yield provider
    await provider.stop()


def draft(text: str, **fields: object) -> Draft:
    return Draft.model_validate({"client_id": str(uuid4().int % 2**62), "chat_id": CHANNEL, "text": text, **fields})


async def test_says_who_it_is(provider: SlackProvider) -> None:
    inbox = Inbox()
    await provider.start(inbox.deliver)
    assert (await inbox.state(InstanceState.READY)).account is not None


@writes
async def test_sends_edits_reacts_and_deletes(provider: SlackProvider) -> None:
    sent = await provider.send(draft("**A test** of a program", format=TextFormat.MARKDOWN))
    answer = await provider.send(draft("in its thread", reply_to=sent.id))
    await provider.edit(sent.chat_id, sent.id, "An edited test", TextFormat.PLAIN)
    await provider.react(sent.chat_id, sent.id, "👍")
    await provider.react(sent.chat_id, sent.id, None)
    for id in (answer.id, sent.id):
        await provider.delete(sent.chat_id, id)


@writes
async def test_a_file_there_and_back(provider: SlackProvider) -> None:
    sent = await provider.send(draft("a dot", upload=PICTURE))
    assert (await provider.download(sent.media[0])).content == PNG
    await provider.delete(sent.chat_id, sent.id)


@writes
@pytest.mark.skipif(not APP_TOKEN, reason="SLACK_APP_TOKEN is not set")
async def test_hears_its_own_message_with_the_nonce_of_its_send(provider: SlackProvider) -> None:
    inbox = Inbox()
    await provider.start(inbox.deliver)
    await inbox.state(InstanceState.READY)
    given = draft(f"an echo {uuid4().hex}")
    sent = await provider.send(given)
    echo = await inbox.message(given.text)
    assert (echo.message.id, echo.message.outgoing, echo.client_id) == (sent.id, True, given.client_id)
    await provider.delete(sent.chat_id, sent.id)
