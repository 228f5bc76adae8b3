"""The modes of one messenger: a server with one instance, or the relay in an instance's container."""

from providers import REGISTRY


def mode_of(provider: str) -> str:
    return f"{provider}-api"


API_MODES = {mode_of(name): name for name in sorted(REGISTRY)} | {"whatsapp-api": "whatsappweb"}
