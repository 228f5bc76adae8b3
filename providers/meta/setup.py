"""How a person adds an account of Meta's messengers."""

from providers.setup import Ask, Setup

_VERIFY = Ask(
    "webhook_verify_token",
    "Verify token of the webhook",
    "A word of your own, which Meta repeats once. Leave it empty to have one made.",
    secret=True,
    generated=True,
)
_BASIC = "App settings, Basic shows the App secret: press Show."
_BASE_URL = Ask("base_url", "Address of Meta's API", "Only behind a proxy of your own. It receives the token.", required=False, advanced=True)
_THEN = "Give Meta the address of the webhook: app dashboard, Webhooks, and subscribe to messages. Then have somebody write to the account."

WHATSAPP_OFFICIAL = Setup(
    title="WhatsApp Cloud API",
    needs="a business number at Meta",
    steps=(
        "At https://developers.facebook.com make an app of type Business and add the product WhatsApp.",
        "WhatsApp, API Setup shows the Phone number ID and the WhatsApp Business Account ID.",
        "At https://business.facebook.com/settings, System users, make one, assign it the app and the account, and press Generate token with "
        "whatsapp_business_messaging and whatsapp_business_management.",
    ),
    asks=(
        Ask("phone_number_id", "Phone number ID", "WhatsApp, API Setup. It is not the number itself."),
        Ask("access_token", "Access token", "Of the system user. A token of the dashboard lives for a day.", secret=True),
        Ask("app_secret", "App secret", _BASIC, secret=True, required=False),
        Ask("business_account_id", "WhatsApp Business Account ID", "WhatsApp, API Setup. Templates are kept there.", required=False),
        _VERIFY,
        _BASE_URL,
    ),
    then=_THEN,
    webhook=True,
)
FACEBOOK_MESSENGER = Setup(
    title="Facebook Messenger",
    needs="a Page and a Meta app",
    steps=(
        "At https://developers.facebook.com make an app of type Business and add the product Messenger.",
        "Messenger, API settings: connect your Page and press Generate. The token is the Page's.",
    ),
    asks=(
        Ask("page_id", "Page ID", "The Page's About, Page transparency."),
        Ask("page_access_token", "Access token of the Page", "Messenger, API settings, Generate.", secret=True),
        Ask("app_secret", "App secret", _BASIC, secret=True),
        _VERIFY,
        _BASE_URL,
    ),
    then=_THEN,
    webhook=True,
)
INSTAGRAM = Setup(
    title="Instagram",
    needs="a professional account and a Meta app",
    steps=(
        "Make the account professional: Instagram app, Settings, Account type and tools.",
        "At https://developers.facebook.com make an app of type Business and add the product Instagram.",
        "API setup with Instagram login: add the account and generate its token.",
    ),
    asks=(
        Ask("ig_user_id", "Instagram user ID", "API setup with Instagram login shows it beside the account. It is not the user name."),
        Ask("access_token", "Access token", "API setup with Instagram login, Generate token.", secret=True),
        Ask("app_secret", "Instagram app secret", "On the same page. It is not the Meta app's.", secret=True),
        _VERIFY,
        Ask("page_id", "Page ID", "Only to go through the linked Facebook Page, with the Page's token.", required=False, advanced=True),
        _BASE_URL,
    ),
    then=_THEN,
    webhook=True,
)
