"""The provider classes, loaded off the event loop: an SDK takes up to a second to import."""

import sys

import anyio.to_thread

from mcp_messenger.errors import InvalidInput
from providers import REGISTRY, provider_class
from providers.base import Provider


async def load(provider: str) -> type[Provider]:
    """Raises InvalidInput for a messenger that is unknown."""
    available = f"Available: {', '.join(sorted(REGISTRY))}."
    if provider not in REGISTRY:
        raise InvalidInput(f"provider: no messenger {provider[:64]!r}.", hint=available)
    if REGISTRY[provider].partition(":")[0] in sys.modules:
        return provider_class(provider)
    return await anyio.to_thread.run_sync(provider_class, provider)
