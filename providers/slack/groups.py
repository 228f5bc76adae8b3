"""Private channels and group messages as groups. Slack knows no administrators in them, only who made them."""

import re
from collections.abc import Sequence
from typing import Any

from providers.errors import Rejected
from providers.groups import Group, GroupChange, ParticipantResult
from providers.models import Contact
from providers.slack.client import SlackClient, in_each_workspace, pages
from providers.slack.directory import Directory
from providers.slack.errors import slack_errors

Json = dict[str, Any]

_NAME_MAX = 80


class Groups:
    def __init__(self, client: SlackClient, directory: Directory) -> None:
        self._client = client
        self._directory = directory

    async def list(self, me: str) -> list[Group]:
        channels = await in_each_workspace(self._client, "users.conversations", "channels", types="private_channel,mpim", exclude_archived=True)
        return [await self._group(channel, me) for channel in channels]

    async def create(self, title: str, participants: Sequence[str], me: str) -> GroupChange:
        with slack_errors():
            team = (await self._client.workspaces())[0]
            made = await self._client.call("conversations.create", name=channel_name(title), is_private=True, team_id=team)
        return await self.add(made["channel"]["id"], participants, me)

    async def add(self, channel: str, participants: Sequence[str], me: str) -> GroupChange:
        """One by one: Slack takes or refuses a list as a whole."""
        results = [await self._change("conversations.invite", channel, person, users=person) for person in participants]
        return await self._changed(channel, results, me)

    async def remove(self, channel: str, participants: Sequence[str], me: str) -> GroupChange:
        results = [await self._change("conversations.kick", channel, person, user=person) for person in participants]
        return await self._changed(channel, results, me)

    async def _change(self, method: str, channel: str, person: str, **params: str) -> ParticipantResult:
        """What is refused for one person does not stop the others; what concerns the group or the connection is raised."""
        try:
            with slack_errors():
                await self._client.call(method, channel=channel, **params)
        except Rejected as error:
            if any(word in error.detail for word in ("missing_scope", "channel_not_found", "is_archived")):
                raise
            return ParticipantResult(id=person, ok="already_in_channel" in error.detail, reason=error.detail)
        return ParticipantResult(id=person, ok=True)

    async def _changed(self, channel: str, results: Sequence[ParticipantResult], me: str) -> GroupChange:
        with slack_errors():
            answer = await self._client.call("conversations.info", channel=channel)
        return GroupChange(group=await self._group(answer["channel"], me), results=tuple(results))

    async def _group(self, channel: Json, me: str) -> Group:
        members = await pages(self._client, "conversations.members", "members", channel=channel["id"])
        creator = channel.get("creator")
        return Group(
            id=channel["id"],
            title=channel.get("name", ""),
            participants=tuple(self._known(person) for person in members if person != me),
            admins=(creator,) if creator else (),
            description=channel.get("purpose", {}).get("value") or None,
        )

    def _known(self, person: str) -> Contact:
        """Names are not asked for: a large group would cost a call for each."""
        return self._directory.known_person(person)


def channel_name(title: str) -> str:
    """Slack's channels have names in lower case without spaces."""
    return re.sub(r"[^\w-]+", "-", title.casefold()).strip("-")[:_NAME_MAX]
