"""How a person adds a Discord bot."""

from providers.setup import Ask, Setup

SETUP = Setup(
    title="Discord",
    needs="a bot's token",
    steps=(
        "Open https://discord.com/developers/applications, New Application, then Bot.",
        "Press Reset Token and copy the token: it is shown once.",
        "On the same page turn on Message Content Intent.",
    ),
    asks=(
        Ask("bot_token", "Token of the bot", "The page Bot of the application. It is no client secret and no password.", secret=True),
        Ask("guild_id", "Server id", "Only to see one server and no other. Right-click the server, Copy Server ID.", required=False, advanced=True),
        Ask("base_url", "Address of Discord's API", "Only behind a proxy of your own. It receives the token.", required=False, advanced=True),
        Ask("gateway_url", "Address of Discord's gateway", "Only behind a proxy of your own. It receives the token.", required=False, advanced=True),
    ),
    then="Invite the bot to a server: its link is shown here while it is in none.",
)
