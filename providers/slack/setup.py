"""How a person adds a Slack app."""

from providers.setup import Ask, Setup

SETUP = Setup(
    title="Slack",
    needs="an app in a workspace",
    steps=(
        "Open https://api.slack.com/apps, Create New App, From scratch, and choose the workspace.",
        "OAuth & Permissions: add the bot scopes chat:write, im:write, users:read, reactions:read, reactions:write, files:read and files:write, "
        "and of channels, groups, im and mpim each :read and :history. Then Install to Workspace.",
        "Socket Mode: turn it on. Basic Information, App-Level Tokens: generate one with the scope connections:write.",
        "Event Subscriptions: turn them on, and add the bot events message.channels, message.groups, message.im and message.mpim.",
    ),
    asks=(
        Ask("bot_token", "Bot token", "OAuth & Permissions, Bot User OAuth Token. It begins with xoxb-.", secret=True),
        Ask("app_token", "App-level token", "Basic Information, App-Level Tokens. It begins with xapp-.", secret=True, required=False),
        Ask(
            "signing_secret",
            "Signing secret",
            "Basic Information. Only where events come by webhook, not by Socket Mode.",
            secret=True,
            required=False,
            advanced=True,
        ),
        Ask("base_url", "Address of Slack's API", "Only behind a proxy of your own. It receives the tokens.", required=False, advanced=True),
    ),
    then="Invite the app to a channel with /invite and its name, or write to it.",
)
