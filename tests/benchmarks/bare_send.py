"""The bare provider call: sends one text to each chat, and prints the CPU milliseconds of one.

python -m tests.benchmarks.bare_send URL TOKEN CHAT...
"""

import asyncio
import ssl
import sys
import tempfile
import time
from pathlib import Path

from pydantic import SecretStr

from providers import provider_class
from providers.base import Provider, ProviderContext
from providers.models import Draft

WARM_UP = 5
PAUSE = 0.034
"""Seconds between two: Telegram takes 30 in a second, and the product keeps to that too."""


async def send(provider: Provider, chats: list[str]) -> None:
    for number, chat in enumerate(chats):
        await provider.send(Draft(client_id=str(number), chat_id=chat, text="hello"))
        await asyncio.sleep(PAUSE)


async def main() -> None:
    url, token, *chats = sys.argv[1:]
    cls = provider_class("telegram")
    settings = cls.settings_type.model_validate({"token": SecretStr(token), "base_url": url})
    with tempfile.TemporaryDirectory() as folder:
        provider = cls(settings, ProviderContext("bare", ssl.create_default_context(), Path(folder)))
        await send(provider, chats[:WARM_UP])
        begun = time.process_time()
        await send(provider, chats)
        print((time.process_time() - begun) / len(chats) * 1000)
        await provider.stop()


if __name__ == "__main__":
    asyncio.run(main())
