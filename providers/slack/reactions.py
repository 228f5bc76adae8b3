"""Slack reports one reaction at a time; ours are reported as a whole."""

from typing import Any

from providers.errors import MessengerError
from providers.kit.bounded import BoundedMap
from providers.slack.client import SlackClient
from providers.slack.errors import slack_errors

Json = dict[str, Any]

_MESSAGES = 2000


class Reactions:
    """Who reacted how, by message: asked for once, then kept up to date by events."""

    def __init__(self, client: SlackClient) -> None:
        self._client = client
        self._known: BoundedMap[tuple[str, str], dict[str, list[str]]] = BoundedMap(_MESSAGES)

    async def after(self, event: Json) -> list[str]:
        """The names of all that the person of this event has on the message now."""
        channel, ts, user, name = event["item"]["channel"], event["item"]["ts"], event["user"], event["reaction"]
        people = self._known.get((channel, ts))
        if people is None:
            people = await self._ask(channel, ts)
            self._known[(channel, ts)] = people
        theirs = people.setdefault(user, [])
        if event["type"] == "reaction_removed":
            theirs[:] = [one for one in theirs if one != name]
        elif name not in theirs:
            theirs.append(name)
        return theirs

    async def of(self, channel: str, ts: str, user: str) -> list[str]:
        with slack_errors():
            answer = await self._client.call("reactions.get", channel=channel, timestamp=ts, full=True)
        return [reaction["name"] for reaction in _reactions(answer) if user in reaction.get("users", [])]

    async def _ask(self, channel: str, ts: str) -> dict[str, list[str]]:
        try:
            with slack_errors():
                answer = await self._client.call("reactions.get", channel=channel, timestamp=ts, full=True)
        except MessengerError:
            # Then only reactions from now on are known.
            return {}
        people: dict[str, list[str]] = {}
        for reaction in _reactions(answer):
            for user in reaction.get("users", []):
                people.setdefault(user, []).append(reaction["name"])
        return people


def _reactions(answer: Json) -> list[Json]:
    return answer.get("message", {}).get("reactions", [])
