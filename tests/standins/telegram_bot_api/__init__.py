"""A local Telegram Bot API: strict about what it is asked, and with Telegram's own words when it refuses.

    async with TelegramStandIn() as telegram:
        bot = telegram.add_bot()
        ann = bot.person("Ann")
        bot.user_writes(ann, "hello")

`python -m tests.standins.telegram_bot_api --port 8081` runs it as a process; see `__main__`.
"""

from tests.standins.telegram_bot_api.bot import StandInBot
from tests.standins.telegram_bot_api.server import TelegramStandIn

__all__ = ["StandInBot", "TelegramStandIn"]
