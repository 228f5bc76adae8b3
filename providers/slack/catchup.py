"""Reads back what was written while nobody listened: Slack does not bring it again."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from providers.errors import Forbidden, NotFound, RateLimited
from providers.events import Event
from providers.kit.unread import NOT_OF_ITS_FORM, unread
from providers.slack.client import SlackClient, in_each_workspace
from providers.slack.errors import slack_errors
from providers.slack.inbound import Translator

logger = logging.getLogger(__name__)

Json = dict[str, Any]

_PAGE = 200
# Of a channel, and of a thread. What is older is left out, and said.
_PAGES = 10
_KINDS = "public_channel,private_channel,mpim,im"
_KIND_OF = {"is_im": "im", "is_mpim": "mpim", "is_private": "group"}
_MOST_WAITS = 20


@dataclass(frozen=True)
class CatchUp:
    client: SlackClient
    translator: Translator
    deliver: Callable[[Sequence[Event]], Awaitable[None]]

    async def run(self, since: float) -> str | None:
        """Everything since then, channel by channel, each in its order. Returns what could not be read, None when nothing."""
        left_out: set[str] = set()
        channels = await in_each_workspace(self.client, "users.conversations", "channels", types=_KINDS, exclude_archived=True)
        for channel in channels:
            try:
                if not await self._channel(channel, since):
                    left_out.add(f"older messages of {channel.get('name') or channel['id']}")
            except (Forbidden, NotFound) as error:
                left_out.add(error.detail)
        return "; ".join(sorted(left_out)) or None

    async def _channel(self, channel: Json, since: float) -> bool:
        """False when there was more than is read. One page further back there are threads that were answered meanwhile."""
        kind = next((kind for flag, kind in _KIND_OF.items() if channel.get(flag)), "channel")
        found, complete = await self._read(since, "conversations.history", channel=channel["id"])
        answered = [message["ts"] for message in found if float(message.get("latest_reply", 0)) > since]
        for root in answered:
            replies, all_replies = await self._read(since, "conversations.replies", channel=channel["id"], ts=root)
            found += [reply for reply in replies if reply["ts"] != root]
            complete = complete and all_replies
        for message in sorted(found, key=lambda message: float(message["ts"])):
            await self._take(message, channel["id"], kind, since)
        return complete

    async def _take(self, message: Json, channel: str, kind: str, since: float) -> None:
        try:
            events: list[Event] = []
            if float(message["ts"]) > since:
                events.append(await self.translator.received(message, channel, kind))
            if float(message.get("edited", {}).get("ts", 0)) > since:
                # It may have been reported before it was edited.
                events.append(await self.translator.edited(message, channel))
        except NOT_OF_ITS_FORM as error:
            logger.warning("A message of the history is not of Slack's form and was left out: %s", type(error).__name__)
            events = [unread("Slack", "message", error)]
        if events:
            await self.deliver(events)

    async def _read(self, since: float, method: str, **params: str) -> tuple[list[Json], bool]:
        """Pages until one reaches back to `since`. A page of replies begins with the oldest, and is read to the end."""
        found: list[Json] = []
        cursor: str | None = None
        oldest = f"{since:.6f}" if method == "conversations.replies" else None
        for _ in range(_PAGES):
            answer = await self._patiently(method, limit=_PAGE, cursor=cursor, oldest=oldest, include_all_metadata=True, **params)
            found += answer["messages"]
            cursor = answer.get("response_metadata", {}).get("next_cursor") or None
            if cursor is None or (oldest is None and found and float(found[-1]["ts"]) <= since):
                return found, True
        return found, False

    async def _patiently(self, method: str, **params: object) -> Json:
        for _ in range(_MOST_WAITS):
            try:
                with slack_errors():
                    return await self.client.call(method, **params)
            except RateLimited as error:
                await asyncio.sleep(error.retry_after)
        raise NotFound(f"Slack let too few calls of {method} through.")
