"""Runs the stand-in until it is stopped. Prints its address as the first line, then a token for each bot.

python -m tests.standins.telegram_bot_api --port 8081 --bots 2
"""

import argparse
import asyncio
import ssl
import sys
from pathlib import Path

from tests.standins.telegram_bot_api.server import TelegramStandIn


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--bots", type=int, default=1, help="how many bots to begin with")
    parser.add_argument("--certificate", type=Path, help="a PEM file with certificate and key: serve HTTPS")
    options = parser.parse_args()
    tls = None
    if options.certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(options.certificate)
    async with TelegramStandIn(port=options.port, tls=tls) as telegram:
        lines = [telegram.url, *(telegram.add_bot().token for _ in range(options.bots))]
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        sys.exit(0)
