"""The capabilities that an instance cannot use now: a changed page of WhatsApp Web lacks what they need, or the settings keep them back."""

from collections.abc import Mapping, Sequence

from providers.capabilities import Capability
from providers.whatsappweb.settings import WhatsAppWebSettings

_UPGRADE = "Upgrade the bridge, or set web_version to an earlier one."
_NAMES = frozenset(str(one) for one in Capability)


def capabilities_lacking(settings: WhatsAppWebSettings, lost: Mapping[str, Sequence[str]], obstacle: str | None) -> dict[Capability, str]:
    """Return each capability that cannot be used, with what it needs.

    `lost` has the missing parts of the page by capability, as the bridge names them. `obstacle` is why no number may be looked up now.
    """
    found: dict[Capability, str] = {}
    if not settings.stories:
        found[Capability.STORIES] = "The owner can allow stories with the setting `stories`."
    if obstacle is not None:
        found[Capability.LOOK_UP] = obstacle
    for name, parts in lost.items():
        if name in _NAMES:
            found[Capability(name)] = f"WhatsApp Web has changed and lacks {', '.join(parts)}. {_UPGRADE}"
    return found
