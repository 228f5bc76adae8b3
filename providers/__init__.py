"""Every messenger by its one name. Classes are imported when first needed: an SDK costs up to 0.9 s and 50 MB."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from providers.base import Provider

REGISTRY = {
    "discord": "providers.discord.provider:DiscordProvider",
    "facebook-messenger": "providers.meta.facebook_messenger:FacebookMessengerProvider",
    "instagram": "providers.meta.instagram:InstagramProvider",
    "sandbox": "providers.sandbox.provider:SandboxProvider",
    "slack": "providers.slack.provider:SlackProvider",
    "telegram": "providers.telegram.provider:TelegramProvider",
    "whatsapp-official": "providers.meta.whatsapp_official.provider:WhatsAppOfficialProvider",
    "whatsappweb": "providers.whatsappweb.provider:WhatsAppWebProvider",
}

SETUPS = {
    "discord": "providers.discord.setup:SETUP",
    "facebook-messenger": "providers.meta.setup:FACEBOOK_MESSENGER",
    "instagram": "providers.meta.setup:INSTAGRAM",
    "sandbox": "providers.sandbox.setup:SETUP",
    "slack": "providers.slack.setup:SETUP",
    "telegram": "providers.telegram.setup:SETUP",
    "whatsapp-official": "providers.meta.setup:WHATSAPP_OFFICIAL",
    "whatsappweb": "providers.whatsappweb.setup:SETUP",
}
"""How a person adds an account, by messenger: see providers/setup.py."""

REHEARSAL = {
    "sandbox": frozenset({"ann", "bob", "carol", "team", "rate-limited", "blocked", "window-closed", "unreachable", "maybe-sent", "lost", "failing"}),
}
"""Chats by messenger whose other side is a part of this program: what is said there are no stranger's words."""


def provider_class(name: str) -> "type[Provider]":
    """The class behind a messenger's name. Raises KeyError for a name that is not in REGISTRY."""
    module, _, cls = REGISTRY[name].partition(":")
    return getattr(import_module(module), cls)
