"""mcp-messenger purge: removes what a removed instance has left, or lists what there is."""

from mcp_messenger.commands.server import Server
from mcp_messenger.commands.terminal import say, table
from mcp_messenger.config import Config

HEAD = ("ID", "MESSENGER", "USER", "REMOVED", "CHATS")


async def purge(config: Config, url: str | None, instance_id: str | None) -> None:
    """Ask a running server. An instance that is there is not touched. Raises what the server refuses."""
    async with Server.at(url, config) as server:
        left = (await server.get("/removed-instances", limit=100))["removed"]
        if instance_id is not None and any(one["instance_id"] == instance_id.lower() for one in left):
            await server.delete(f"/instances/{instance_id}", purge="true")
            say(f"Nothing is left of {instance_id}.")
            return
    if not left:
        say("Removed instances have left nothing.")
        return
    if instance_id is not None:
        say(f"{instance_id} is no removed instance. These have left something:")
    say(table(HEAD, [(one["instance_id"], one["provider"], one["user_id"], (one["removed_at"] or "")[:16], one["chats"]) for one in left]))
