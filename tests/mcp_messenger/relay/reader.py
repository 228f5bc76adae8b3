"""A manager as a process of its own: what it takes goes into a file, one line a message. It can be made to die while it takes something.

python -m tests.mcp_messenger.relay.reader ADDRESS TOKEN BOT-API FILE [before|after]
"""

import os
import signal
import ssl
import sys
from collections.abc import Sequence
from pathlib import Path

import anyio
from pydantic import SecretStr

from mcp_messenger.instances.remote_provider import RemoteProvider
from providers.base import ProviderContext
from providers.events import Event, MessageReceived
from providers.telegram.provider import TelegramProvider
from providers.telegram.settings import TelegramSettings
from tests.mcp_messenger.relay.process import KEY, QUICK


async def main(address: str, token: str, bot_api: str, file: str, dies: str) -> None:
    async def endpoint() -> str:
        return address

    async def deliver(events: Sequence[Event]) -> None:
        taken = [event.message.text for event in events if isinstance(event, MessageReceived)]
        if taken and dies == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        with Path(file).open("a", encoding="utf-8") as kept:
            kept.writelines(f"{text}\n" for text in taken)
            kept.flush()
            os.fsync(kept.fileno())
        if taken and dies == "after":
            os.kill(os.getpid(), signal.SIGKILL)

    settings = TelegramSettings(token=SecretStr(token), base_url=bot_api)
    context = ProviderContext("reader", ssl.create_default_context(), Path("nowhere"))
    remote = RemoteProvider(TelegramProvider, settings, context, endpoint=endpoint, key=SecretStr(KEY), timing=QUICK)
    await remote.start(deliver)
    await anyio.sleep_forever()


if __name__ == "__main__":
    where, bot, api, store, *point = sys.argv[1:]
    anyio.run(main, where, bot, api, store, "".join(point))
