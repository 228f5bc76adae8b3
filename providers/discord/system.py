"""What Discord reports into a channel (joins, boosts, pins), as plain sentences."""

from typing import Any

Json = dict[str, Any]

# Message types that somebody wrote: ordinary, reply, and the answers of commands.
WRITTEN = frozenset({0, 19, 20, 23})

_SENTENCES = {
    1: "{who} added somebody to the group.",
    2: "{who} removed somebody from the group.",
    3: "{who} started a call.",
    4: "{who} changed the name of the channel.",
    5: "{who} changed the picture of the channel.",
    6: "{who} pinned a message.",
    7: "{who} joined the server.",
    8: "{who} boosted the server.",
    9: "{who} boosted the server; it reached level 1.",
    10: "{who} boosted the server; it reached level 2.",
    11: "{who} boosted the server; it reached level 3.",
    12: "{who} lets the channel follow another.",
    18: "{who} started a thread.",
    21: "The thread begins with an older message.",
    24: "A message was held back by the server's rules.",
    27: "{who} started a stage.",
    28: "{who} ended a stage.",
    46: "A poll has ended.",
}


def sentence(message: Json, who: str) -> str | None:
    """What happened, when the message is a report of Discord's; None for what somebody wrote."""
    if message["type"] in WRITTEN:
        return None
    return _SENTENCES.get(message["type"], "Something happened in the channel.").format(who=who or "Somebody")
