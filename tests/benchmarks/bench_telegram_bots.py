"""Many Telegram bots polling in one process, over TLS, against the stand-in in another process.

python -m tests.benchmarks.bench_telegram_bots [--bots 1000] [--plain]
"""

import argparse
import asyncio
import contextlib
import gc
import ssl
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import httpx
import psutil
import trustme
from pydantic import SecretStr

from providers import provider_class
from providers.base import Provider, ProviderContext
from providers.events import Event, MessageReceived, StateChanged
from providers.states import InstanceState

ROOT = Path(__file__).parents[2]


class Count:
    """What all the bots delivered."""

    def __init__(self) -> None:
        self.ready = 0
        self.trouble = 0
        self.messages = 0
        self.news = asyncio.Event()

    async def deliver(self, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, StateChanged):
                self.ready += event.state is InstanceState.READY
                self.trouble += event.state in {InstanceState.DEGRADED, InstanceState.ERROR}
            self.messages += isinstance(event, MessageReceived)
        self.news.set()

    async def until(self, number: int, *, messages: bool = False) -> None:
        while (self.messages if messages else self.ready) < number:
            self.news.clear()
            await self.news.wait()


def allow_many_sockets(bots: int) -> None:
    with contextlib.suppress(ImportError):
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = bots * 2 + 256
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


def megabytes() -> float:
    gc.collect()
    return psutil.Process().memory_info().rss / 1e6


async def measure(bots: int, tls: ssl.SSLContext, certificate: Path | None, folder: Path) -> None:
    arguments = ["-m", "tests.standins.telegram_bot_api", "--bots", str(bots), *(["--certificate", str(certificate)] if certificate else [])]
    stand_in = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE, cwd=ROOT)
    assert stand_in.stdout is not None
    lines = [(await stand_in.stdout.readline()).decode().strip() for _ in range(bots + 1)]
    url, tokens = lines[0], lines[1:]
    provider = provider_class("telegram")
    count = Count()
    try:
        async with httpx.AsyncClient(base_url=url, verify=tls, timeout=60) as hand:
            chats = [(await hand.post(f"/stand-in/bots/{token}/people", json={})).json() for token in tokens]
            base, cpu, begun = megabytes(), time.process_time(), time.perf_counter()
            running: list[Provider] = []
            for number, token in enumerate(tokens):
                settings = provider.settings_type.model_validate({"token": SecretStr(token), "base_url": url})
                running.append(provider(settings, ProviderContext(f"inst-{number}", tls, folder)))
                await running[-1].start(count.deliver)
            await count.until(bots)
            seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
            print(f"{bots} bots ready after {seconds:.1f} s, {cpu:.1f} s of CPU, {count.trouble} in trouble")
            begun = time.perf_counter()
            for token, chat in zip(tokens, chats, strict=True):
                await hand.post(f"/stand-in/bots/{token}/messages", json={"chat_id": chat, "text": "hello"})
            await count.until(bots, messages=True)
            print(f"one message to each received within {time.perf_counter() - begun:.1f} s")
            grown = megabytes() - base
            print(f"RSS {base:.0f} MB before, {base + grown:.0f} MB polling: {grown:.0f} MB over base, {grown * 1000 / bots:.0f} KB a bot")
            cpu = time.process_time()
            await asyncio.sleep(10)
            print(f"CPU while idle: {(time.process_time() - cpu) * 10:.1f} % of one core")
            begun = time.perf_counter()
            await asyncio.gather(*(one.stop() for one in running))
            print(f"stopped after {time.perf_counter() - begun:.1f} s")
    finally:
        stand_in.terminate()
        await stand_in.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bots", type=int, default=1000)
    parser.add_argument("--plain", action="store_true", help="HTTP instead of HTTPS")
    options = parser.parse_args()
    allow_many_sockets(options.bots)
    tls, authority = ssl.create_default_context(), trustme.CA()
    authority.configure_trust(tls)
    with tempfile.TemporaryDirectory() as folder:
        certificate = Path(folder) / "server.pem"
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(certificate))
        asyncio.run(measure(options.bots, tls, None if options.plain else certificate, Path(folder)))


if __name__ == "__main__":
    main()
