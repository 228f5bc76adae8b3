"""mcp-messenger purge: removes what a removed instance has left, or lists what there is."""

import json
from uuid import UUID

from mcp_messenger.commands.server import Refused, Server
from mcp_messenger.commands.terminal import say, table
from mcp_messenger.config import Config
from mcp_messenger.errors import InvalidInput, NoSuchInstance, quoted

HEAD = ("ID", "MESSENGER", "USER", "REMOVED", "CHATS")
LIST = "'mcp-messenger purge' lists what removed instances have left, with their whole ids."


async def purge(config: Config, url: str | None, instance_id: str | None, as_json: bool = False) -> None:
    """Ask a running server. An instance that is there is not touched. Raises InvalidInput for an unknown id, and what the server refuses."""
    async with Server.at(url, config) as server:
        if instance_id is not None:
            id = await _purge(server, instance_id)
            say(json.dumps({"purged": id}) if as_json else f"Nothing is left of {id}.")
            return
        left = await server.every("/removed-instances", "removed")
    if as_json:
        say(json.dumps(left, indent=2))
        return
    if not left:
        say("Removed instances have left nothing.")
        return
    say(table(HEAD, [(one["instance_id"], one["provider"], one["user_id"], (one["removed_at"] or "")[:16], one["chats"]) for one in left]))


async def _purge(server: Server, given: str) -> str:
    try:
        id = str(UUID(given))
    except ValueError:
        raise InvalidInput(f"No removed instance has the id {quoted(given)}.", hint=LIST) from None
    # The call below would remove an instance that is there. The id of one that is not never comes back.
    if any(one["id"] == id for one in await server.instances()):
        raise InvalidInput(f"{id} is no removed instance.", hint=LIST)
    try:
        await server.delete(f"/instances/{id}", purge="true")
    except Refused as error:
        if error.problem != NoSuchInstance.code:
            raise
        raise InvalidInput(f"No removed instance has the id {quoted(given)}.", hint=LIST) from error
    return id
