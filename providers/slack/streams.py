"""Answers that grow: a message to which Slack lets an app add, and which the person can stop (chat.startStream and the like).

Source: https://docs.slack.dev/reference/methods/chat.startStream. Such a message is for one person, and in a direct message in a thread.
"""

import logging
import re
from typing import Any

from providers.errors import MessengerError, RateLimited, Rejected
from providers.kit.bounded import BoundedMap
from providers.slack.client import Json, SlackClient
from providers.slack.errors import slack_errors
from providers.slack.ids import message_id

logger = logging.getLogger(__name__)

_CHUNK_MAX = 12_000
"""Characters that Slack takes at once."""
_DIRECT = "D"
"""What the ids of direct messages begin with."""
_ENDED = ("message_not_in_streaming_state", "stopped_by_user")
# A mention in what is added one part after the other: the zero-width space keeps Slack from reading it as one.
_ALARM = re.compile(r"<!(?=channel|here|everyone|group|subteam)")


class Streams:
    """The growing messages of this process; after a restart a message that was left in the middle is closed and edited."""

    def __init__(self, client: SlackClient) -> None:
        self._client = client
        self._shown: BoundedMap[str, str] = BoundedMap(1000)
        """What was added to each so far, by message id."""
        self._writers: BoundedMap[str, tuple[str, str]] = BoundedMap(10_000)
        """Who wrote last in a thread, with their workspace, by the id of its first message; beside threads, by the channel."""

    def wrote(self, channel: str, thread: str | None, first: str, person: str, team: str) -> None:
        """Note who wrote in a channel: the answer is for them. `first` begins the thread of an answer to it, `thread` is that it is in."""
        self._writers[message_id(channel, first)] = (person, team)
        if thread is None:
            self._writers[channel] = (person, team)

    async def start(self, channel: str, thread: str | None, text: str) -> Json | None:
        """Begin a message, and return Slack's answer; None where Slack makes none there: then it is sent as any other.

        Raises RateLimited and Unreachable.
        """
        writer = self._writers.get(channel if thread is None else message_id(channel, thread))
        if writer is None or (thread is None and channel.startswith(_DIRECT)):
            return None
        person, team = writer
        shown = streamed(text)
        if len(shown) > _CHUNK_MAX:
            return None
        where = {"channel": channel, "thread_ts": thread, "recipient_user_id": person, "recipient_team_id": team}
        try:
            with slack_errors():
                answer = await self._client.call("chat.startStream", markdown_text=shown, **where)
        except Rejected as refusal:
            logger.info("An answer does not grow by itself: %s", refusal.detail)
            return None
        self._shown[message_id(channel, str(answer["ts"]))] = shown
        return answer

    async def grow(self, channel: str, ts: str, text: str, *, is_whole: bool) -> bool:
        """Add what the text has more than what is there; False where that cannot be done, and the message is to be edited.

        Raises RateLimited and Unreachable.
        """
        id, shown = message_id(channel, ts), streamed(text)
        so_far = self._shown.get(id)
        if so_far is None:
            return False
        fits = shown.startswith(so_far)
        try:
            if fits or is_whole:
                await self._add(channel, ts, shown[len(so_far) :] if fits else "", is_whole=is_whole)
        except Rejected as refusal:
            self._shown.pop(id)
            if any(word in refusal.detail for word in _ENDED):
                return False
            raise
        if is_whole:
            self._shown.pop(id)
        elif fits:
            self._shown[id] = shown
        return fits or not is_whole

    async def _add(self, channel: str, ts: str, more: str, *, is_whole: bool) -> None:
        pieces = [more[at : at + _CHUNK_MAX] for at in range(0, len(more), _CHUNK_MAX)]
        last = pieces.pop() if is_whole and pieces else None
        with slack_errors():
            for piece in pieces:
                await self._client.call("chat.appendStream", channel=channel, ts=ts, markdown_text=piece)
            if is_whole:
                await self._client.call("chat.stopStream", channel=channel, ts=ts, markdown_text=last)

    async def close(self, channel: str, ts: str) -> None:
        """End a message that still grows, so that it can be edited."""
        self._shown.pop(message_id(channel, ts))
        try:
            with slack_errors():
                await self._client.call("chat.stopStream", channel=channel, ts=ts)
        except RateLimited:
            raise
        except MessengerError as error:
            logger.info("A growing answer was not closed: %s", error.detail)


def streamed(markdown: str) -> str:
    """Return Markdown as it is added: nobody is alarmed by it. What a text begins with is shown the same when it goes on."""
    return _ALARM.sub("<\u200b!", markdown)


def is_growing(message: Any) -> bool:
    """Whether a message of Slack is one to which an app still adds."""
    return message.get("streaming_state") in {"in_progress", "streaming"}
