"""How long things may take."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """In seconds."""

    pulse: float = 10
    """Between two signs of life of the page."""
    silence: float = 60
    """Without any, it is dead."""
    loading: float = 120
    """Until a code or a login is there, and from the login until it is ready."""
    fresh: float = 60
    """A login that ends so soon after the page was ready may have been ended by WhatsApp itself."""
    answer: float = 30
    """For WhatsApp's answer to a send."""
    call: float = 60
    """For anything else, of the bridge."""
    logout: float = 20
    """Until the page and its browser have ended after a logout."""
    echo: float = 30
    """Until the page shows what it has sent."""
    offline: float = 30
    """Without a connection that is only a hiccup."""
    pauses: tuple[float, ...] = (1, 5, 15, 60)
    """Before each further start after trouble."""
    read_again: float = 60
    """Before messages that could not be read back are tried again."""
    restarts: int = 5
    """So many within `restart_window`; then a person has to look."""
    restart_window: float = 900
    jitter: float = 1.5
    """At most so long a send waits for no reason, as a person does."""
    old: float = 24 * 3600
    """Missed messages older than this are kept, and not announced as new."""
    minute: float = 60
    """Of the settings that count in minutes."""
    linger: float = 120
    """So long a browser that was woken on schedule stays, unless it is used."""
    wake: float = 50
    """A call waits so long for a suspended browser."""
    phone: float = 8
    """The phone gets so long to hand over older messages of a chat."""
