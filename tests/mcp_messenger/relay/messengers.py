"""Settings of every messenger with a platform where nothing listens: enough to come up, and to say that nobody answers."""

from typing import Any

NOBODY = "http://127.0.0.1:9"
META = {"webhook_verify_token": "fake-verify-token", "app_secret": "fake-app-secret", "base_url": NOBODY}

SETTINGS: dict[str, dict[str, Any]] = {
    "discord": {"bot_token": "fake-bot-token", "base_url": NOBODY, "gateway_url": "ws://127.0.0.1:9"},
    "facebook-messenger": {"page_id": "1", "page_access_token": "fake-page-token", **META},
    "instagram": {"ig_user_id": "1", "access_token": "fake-token", **META},
    "sandbox": {"access_code": "sandbox-fake-access-code", "page": False},
    "slack": {"bot_token": "xoxb-fake-bot-token", "app_token": "xapp-fake-app-token", "base_url": NOBODY},
    "telegram": {"token": "123456789:FAKE-TOKEN-OF-A-TEST", "base_url": NOBODY},
    "whatsapp-official": {"phone_number_id": "1", "access_token": "fake-token", **META},
}
