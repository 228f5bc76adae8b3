"""Our nonce in what Meta shows us again of our own messages."""

_PROGRAM = "mcp-messenger"


def marked(instance_id: str, client_id: str) -> str:
    """What goes out with a message, for `nonce_in` to find."""
    return f"{_PROGRAM}:{instance_id}:{client_id}"


def nonce_in(mark: object, instance_id: str) -> str | None:
    """The client id; None for what another program or instance has sent."""
    prefix = f"{_PROGRAM}:{instance_id}:"
    return mark.removeprefix(prefix) if isinstance(mark, str) and mark.startswith(prefix) else None
