"""The states of an instance, and what can be done in which."""

from enum import StrEnum

from providers.capabilities import Capability


class InstanceState(StrEnum):
    """The state of an instance."""

    CREATED = "created"
    PROCESSING = "processing"
    STARTING = "starting"
    QR_READY = "qr_ready"
    AUTHENTICATED = "authenticated"
    READY = "ready"
    DEGRADED = "degraded"
    STOPPED = "stopped"
    ERROR = "error"
    LOGGED_OUT = "logged_out"


WORKING = frozenset({InstanceState.READY, InstanceState.DEGRADED})
"""States in which a send is tried."""
COMING = frozenset({InstanceState.PROCESSING, InstanceState.STARTING, InstanceState.AUTHENTICATED})
"""States in which a send is kept until the instance is ready."""
LOGGING_IN = frozenset({InstanceState.QR_READY})
"""States in which a person can log in by a code."""
TROUBLE = frozenset({InstanceState.ERROR, InstanceState.DEGRADED, InstanceState.LOGGED_OUT})
"""States in which somebody should look at the instance."""


def states_for(capability: Capability) -> frozenset[InstanceState]:
    """Return the states in which the platform can be asked for a capability."""
    return LOGGING_IN if capability is Capability.PAIRING_CODE else WORKING
