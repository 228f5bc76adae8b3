"""From an instance's row to the provider that acts for it."""

from db.instances import InstanceRow
from mcp_messenger.app import App
from mcp_messenger.errors import NotReady
from mcp_messenger.instances import classes
from mcp_messenger.instances.held import states_for
from mcp_messenger.instances.remote import RemotePort
from providers.base import Provider
from providers.errors import Unsupported
from providers.models import Capability, InstanceState


async def port(app: App, row: InstanceRow, capability: Capability) -> Provider | RemotePort:
    """Here or in the process that runs the instance. Raises Unsupported before NotReady: what can never work is said first."""
    cls = await classes.load(row.provider)
    if capability not in cls.capabilities:
        raise Unsupported(row.provider, capability)
    held = app.supervisor.get(row.id)
    state = InstanceState(row.status) if held is None else held.provider.state.state
    if state not in states_for(capability):
        raise NotReady(str(row.id), state)
    return RemotePort(app.calls.asker(row.id)) if held is None else held.provider
