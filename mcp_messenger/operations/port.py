"""Finds the provider that acts for an instance."""

from db.instances import InstanceRow
from mcp_messenger.errors import NotReady
from mcp_messenger.instances import classes
from mcp_messenger.operations.application import App
from mcp_messenger.relay.port import RemotePort
from providers.base import Provider
from providers.capabilities import Capability
from providers.errors import Unsupported
from providers.states import WORKING, InstanceState, states_for


async def port(app: App, row: InstanceRow, capability: Capability) -> Provider | RemotePort:
    """Return the provider, here or in the process that runs the instance.

    Raises Unsupported before NotReady: what can never work is said first.
    """
    cls = await classes.load(row.provider)
    if capability not in cls.capabilities:
        raise Unsupported(row.provider, capability)
    return _in_state(app, row, states_for(capability))


def connected_port(app: App, row: InstanceRow) -> Provider | RemotePort:
    """Return the provider for a question that every messenger answers. Raises NotReady."""
    return _in_state(app, row, WORKING)


def _in_state(app: App, row: InstanceRow, states: frozenset[InstanceState]) -> Provider | RemotePort:
    owned = app.supervisor.get(row.id)
    state = InstanceState(row.status) if owned is None else owned.provider.state.state
    if state not in states:
        raise NotReady(str(row.id), state, reason=row.status_reason if owned is None else owned.provider.state.reason)
    return RemotePort(app.calls.asker(row.id)) if owned is None else owned.provider
