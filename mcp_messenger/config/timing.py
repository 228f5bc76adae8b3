"""How long the application waits, in seconds, and how often it tries. Not a setting for people: tests take less."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Timing:
    operation: float = 90.0
    """After it an operation is given up, unless it is patient."""
    connection: float = 15.0
    """For a connection to the store that is free."""
    platform: float = 25.0
    """A caller waits so long for the platform's answer to a send."""
    progress: float = 5.0
    """Between two signs of life to an MCP client."""
    push: float = 2.0
    """For an MCP client to take a notification."""
    socket_send: float = 60.0
    """For the client of a WebSocket to take an event."""
    claim: float = 20.0
    """For another process to take a call on."""
    stop: float = 15.0
    """For an instance to end what is under way."""
    idle: float = 30.0
    """Between two looks for deliveries where none waits: new ones come with an event, of which the reader of the event log tells."""
    send_attempts: int = 12
    send_delay_max: float = 60.0
    """Between two attempts of a send."""
