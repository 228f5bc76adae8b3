"""From an instance's row to the provider that acts for it."""

from db.instances import InstanceRow
from mcp_messenger.app import App
from mcp_messenger.errors import Conflict, NotReady
from mcp_messenger.instances import classes
from mcp_messenger.instances.held import WORKING
from providers.base import Provider
from providers.errors import Unsupported
from providers.models import Capability, InstanceState


async def port(app: App, row: InstanceRow, capability: Capability) -> Provider:
    """Raises Unsupported first: what can never work. Then NotReady, or Conflict where another process of this server runs the instance."""
    cls = await classes.load(row.provider)
    if capability not in cls.capabilities:
        raise Unsupported(row.provider, capability)
    held = app.supervisor.get(row.id)
    if held is None and row.status in WORKING:
        raise Conflict(
            "Another process of this server runs the instance; reading and sending work from here, this call does not.",
            hint="Make the call there, or stop that process: this one takes over within 15 s.",
        )
    if held is None or held.provider.state.state not in WORKING:
        state = InstanceState(row.status) if held is None else held.provider.state.state
        raise NotReady(str(row.id), state)
    return held.provider
