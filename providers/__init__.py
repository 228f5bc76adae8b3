"""Every messenger by its one name. Classes are imported when first needed: an SDK costs up to 0.9 s and 50 MB."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from providers.base import Provider

REGISTRY = {
    "sandbox": "providers.sandbox.provider:SandboxProvider",
    "telegram": "providers.telegram.provider:TelegramProvider",
    "whatsappweb": "providers.whatsappweb.provider:WhatsAppWebProvider",
}


def provider_class(name: str) -> "type[Provider]":
    """The class behind a messenger's name. Raises KeyError for a name that is not in REGISTRY."""
    module, _, cls = REGISTRY[name].partition(":")
    return getattr(import_module(module), cls)
