"""How a person adds a Telegram bot."""

from providers.setup import Ask, Setup

SETUP = Setup(
    title="Telegram",
    needs="a bot's token",
    steps=(
        "In Telegram open @BotFather (https://t.me/BotFather) and send /newbot.",
        "Choose a name, and a user name that ends in “bot”.",
        "Copy the token that @BotFather answers with.",
        "To let the bot read everything in groups, send /setprivacy, choose the bot, and press Disable.",
    ),
    asks=(
        Ask("token", "Token of the bot", "@BotFather shows it, such as 1234567890:AAE…; /mybots, API Token shows it again.", secret=True),
        Ask(
            "base_url",
            "Address of your Bot API server",
            "Only for a Bot API server of your own. It receives the token.",
            required=False,
            advanced=True,
        ),
    ),
    then="Write to the bot in Telegram: a bot cannot write first.",
)
