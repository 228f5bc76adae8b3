"""What can be done in which state of an instance."""

from providers.models import Capability, InstanceState

WORKING = frozenset({InstanceState.READY, InstanceState.DEGRADED})
"""States in which a send is tried."""
COMING = frozenset({InstanceState.PROCESSING, InstanceState.STARTING, InstanceState.AUTHENTICATED})
"""States in which a send is kept until the instance is ready."""
LOGGING_IN = frozenset({InstanceState.QR_READY})
TROUBLE = frozenset({InstanceState.ERROR, InstanceState.DEGRADED, InstanceState.LOGGED_OUT})


def states_for(capability: Capability) -> frozenset[InstanceState]:
    """Those in which the platform can be asked for it."""
    return LOGGING_IN if capability is Capability.PAIRING_CODE else WORKING
