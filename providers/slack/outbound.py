"""Drafts into calls of the Web API."""

import asyncio
import time
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from providers.errors import InvalidRequest, MessengerError, Rejected, Unreachable
from providers.kit.bounded import BoundedMap
from providers.kit.parts import part_nonce, parts_of, send_parts, texts_of
from providers.models import Choice, Draft, Limits, SentMessage, TextFormat, Upload
from providers.slack.attachments import media_of
from providers.slack.client import Json, SlackClient
from providers.slack.errors import from_network, nothing_sent, slack_errors
from providers.slack.ids import is_person, message_id, place_of, time_of
from providers.slack.inbound import CHOICE, METADATA, nonce_of
from providers.slack.markup import entities, literal, to_mrkdwn

# How far back a send of unknown fate is looked for: the clocks of two machines differ.
_CLOCKS_SECONDS = 300
_LOOK_BACK = 100

SECTION_MAX = 3000
"""Characters of a text with buttons."""

SAID_BY_DRAFT = frozenset({"channel", "channel_id", "channels", "text", "initial_comment", "thread_ts", "metadata", "mrkdwn", "files", "token"})
"""Fields that the draft itself has, or that would have somebody else send it."""
_EVERYWHERE = frozenset({"reply_broadcast", "unfurl_links", "unfurl_media", "link_names", "parse", "username", "icon_emoji", "icon_url"})
KNOWN_EXTRA = _EVERYWHERE | {"blocks", "attachments"}


class Sender:
    """Sends drafts, and finds out what became of a send that got no answer."""

    def __init__(self, client: SlackClient, roots: BoundedMap[str, str], uploads: BoundedMap[str, str], pauses: Sequence[float]) -> None:
        self._client = client
        self._roots = roots
        self._uploads = uploads
        self._pauses = pauses
        """Seconds between looks at whether a file has become a message."""
        self._opened: BoundedMap[str, str] = BoundedMap(1000)

    async def send(self, draft: Draft, limits: Limits) -> SentMessage:
        with nothing_sent():
            channel = await self.channel_of(draft.chat_id)
            thread = await self._thread_of(draft)
        if draft.upload is not None:
            return await self._send_upload(draft, draft.upload, channel, thread)
        parts = drafts_of(draft, limits)

        async def send(part: Draft, number: int) -> SentMessage:
            return await self._send_text(part, channel, thread, part_nonce(draft.client_id, number, len(parts)))

        return await send_parts(parts, send)

    async def channel_of(self, chat_id: str) -> str:
        """The channel itself, or that of the direct messages with a person, which Slack opens."""
        if not is_person(chat_id):
            return chat_id
        channel = self._opened.get(chat_id)
        if channel is None:
            with slack_errors():
                answer = await self._client.call("conversations.open", users=chat_id)
            channel = str(answer["channel"]["id"])
            self._opened[chat_id] = channel
        return channel

    async def _thread_of(self, draft: Draft) -> str | None:
        """The ts of the thread's first message: Slack has no replies but those in a thread."""
        named = draft.thread_id or draft.reply_to
        if named is None:
            return None
        channel, ts = place_of(draft.chat_id, named)
        root = self._roots.get(message_id(channel, ts))
        if root is None:
            root = await self._root_of(channel, ts)
            self._roots[message_id(channel, ts)] = root
        return root

    async def _root_of(self, channel: str, ts: str) -> str:
        try:
            with slack_errors():
                answer = await self._client.call("conversations.replies", channel=channel, ts=ts, limit=1)
        except MessengerError:
            # Without the right to read, the message is taken for the first of its thread; Slack knows when it is not there.
            return ts
        return next((str(message.get("thread_ts", ts)) for message in answer.get("messages", [])), ts)

    async def _send_text(self, draft: Draft, channel: str, thread: str | None, nonce: str) -> SentMessage:
        begun = time.time()
        metadata = {"event_type": METADATA, "event_payload": {"client_id": nonce}}
        params = {
            "text": rendered(draft.text, draft.format),
            "mrkdwn": draft.format is TextFormat.MARKDOWN,
            "blocks": _choices(draft) if draft.choices else None,
            **draft.extra,
        }
        try:
            with slack_errors():
                answer = await self._client.call("chat.postMessage", channel=channel, thread_ts=thread, metadata=metadata, **params)
        except Unreachable as error:
            if error.maybe_sent and (found := await self._find(nonce, channel, thread, begun)):
                return self._sent(channel, found)
            raise
        return self._sent(str(answer["channel"]), {"ts": answer["ts"], **answer.get("message", {})})

    async def _find(self, nonce: str, channel: str, thread: str | None, begun: float) -> Json | None:
        """Return the message with this nonce; None where Slack does not show it."""
        where: dict[str, Any] = {"channel": channel, "oldest": f"{begun - _CLOCKS_SECONDS:.6f}", "limit": _LOOK_BACK, "include_all_metadata": True}
        method = "conversations.history"
        if thread is not None:
            method, where["ts"] = "conversations.replies", thread
        try:
            with slack_errors():
                answer = await self._client.call(method, **where)
        except MessengerError:
            return None
        return next((message for message in answer["messages"] if nonce_of(message) == nonce), None)

    def _sent(self, channel: str, message: Json) -> SentMessage:
        id = message_id(channel, message["ts"])
        self._roots[id] = message.get("thread_ts") or message["ts"]
        return SentMessage(id=id, at=time_of(message["ts"]), chat_id=channel, media=media_of(message), raw=message)

    async def _send_upload(self, draft: Draft, upload: Upload, channel: str, thread: str | None) -> SentMessage:
        with nothing_sent():
            file = await self._store(upload)
        self._uploads[file] = draft.client_id
        comment = rendered(draft.text, draft.format) if draft.format is TextFormat.MARKDOWN else literal(draft.text)
        files = [{"id": file, "title": upload.name}]
        params = {"channel_id": channel, "thread_ts": thread, "initial_comment": comment or None, **draft.extra}
        try:
            with slack_errors():
                await self._client.call("files.completeUploadExternal", files=files, **params)
        except Unreachable as error:
            if error.maybe_sent and (found := await self._shared(file, channel)):
                return self._sent(channel, found)
            raise
        return self._sent(channel, await self._await_share(file, channel))

    async def _store(self, upload: Upload) -> str:
        """The id of the file, which nobody sees until it is shared."""
        with slack_errors():
            place = await self._client.call("files.getUploadURLExternal", filename=upload.name, length=len(upload.content))
            status = await self._client.upload(str(place["upload_url"]), upload.content)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise from_network(OSError(f"status {status} for the file"))
        if status >= HTTPStatus.MULTIPLE_CHOICES:
            raise InvalidRequest(f"Slack did not take the file: status {status}.", hint="Send a smaller file, or a link to it.")
        return str(place["file_id"])

    async def _await_share(self, file: str, channel: str) -> Json:
        """Slack looks through a file before it shows it, and tells the message's ts only then."""
        for pause in (*self._pauses, None):
            if found := await self._shared(file, channel):
                return found
            if pause is not None:
                await asyncio.sleep(pause)
        raise Unreachable(
            "Slack took the file and has not told yet which message it became.",
            maybe_sent=True,
            hint="get_messages shows it when Slack has looked through it; the scope files:read is needed.",
        )

    async def _shared(self, file: str, channel: str) -> Json | None:
        try:
            with slack_errors():
                answer = await self._client.call("files.info", file=file)
        except Rejected:
            return None
        except Unreachable:
            return None
        shares = answer["file"].get("shares", {})
        found = [share for side in ("public", "private") for share in shares.get(side, {}).get(channel, [])]
        return {**found[0], "files": [answer["file"]]} if found else None


def rendered(text: str, format: TextFormat) -> str:
    """The text as it goes out; a plain one goes with mrkdwn switched off."""
    return to_mrkdwn(text) if format is TextFormat.MARKDOWN else entities(text)


def drafts_of(draft: Draft, limits: Limits) -> list[Draft]:
    """Return a draft for each message: one, or several for a long text that is to be split."""
    limit = SECTION_MAX if draft.choices else limits.max_text
    texts = texts_of(
        draft,
        limits.model_copy(update={"max_text": limit}),
        markdown=draft.format is TextFormat.MARKDOWN,
        fits=lambda text: written_length(draft.model_copy(update={"text": text})) <= limit,
    )
    return parts_of(draft, texts, everywhere=_EVERYWHERE)


def written_length(draft: Draft) -> int:
    """Return the characters of a text with its markup, as Slack counts them: `&` is five."""
    return len(text_over_buttons(draft) if draft.choices else rendered(draft.text, draft.format))


def text_over_buttons(draft: Draft) -> str:
    """The text, and what is said about single choices."""
    explained = [f"• *{entities(choice.title)}*: {entities(choice.description)}" for choice in draft.choices if choice.description]
    return "\n".join([to_mrkdwn(draft.text) if draft.format is TextFormat.MARKDOWN else literal(draft.text), *explained])


def _choices(draft: Draft) -> list[Json]:
    return [
        {"type": "section", "text": {"type": "mrkdwn", "text": text_over_buttons(draft)}},
        {"type": "actions", "elements": [_button(number, choice) for number, choice in enumerate(draft.choices)]},
    ]


def _button(number: int, choice: Choice) -> Json:
    title = {"type": "plain_text", "text": choice.title, "emoji": True}
    return {"type": "button", "action_id": f"{CHOICE}{number}", "value": choice.id, "text": title}
