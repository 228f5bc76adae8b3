"""Drafts into calls of the Web API."""

import asyncio
import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, cast

from providers.errors import InvalidRequest, MessengerError, RateLimited, Rejected, Unreachable
from providers.kit.bounded import BoundedMap
from providers.kit.parts import part_nonce, parts_of, send_parts, texts_of
from providers.limits import Limits
from providers.models import Choice, Draft, SentMessage, TextFormat, Upload
from providers.slack.attachments import media_of
from providers.slack.blocks import CHOICE
from providers.slack.client import Json, SlackClient
from providers.slack.errors import from_network, nothing_sent, slack_errors
from providers.slack.ids import act_id, is_act, is_person, message_id, place_of, time_of
from providers.slack.inbound import METADATA, nonce_of
from providers.slack.markup import entities, inert, literal, to_mrkdwn
from providers.slack.responses import Responses
from providers.slack.streams import Streams

logger = logging.getLogger(__name__)

# How far back a send of unknown fate is looked for: the clocks of two machines differ.
_CLOCKS_SECONDS = 300
_LOOK_BACK = 100

_THINKING = "is thinking…"
_MORE = " …"
"""Stands behind the part of an answer that is shown so far, where Slack makes no growing message."""
AGENT_SCOPE = "assistant:write"
"""The scope of an app that is declared as an agent."""
SECTION_MAX = 3000
"""Characters of a text with buttons."""

EDIT_MAX = 4000
"""Characters that chat.update takes: less than a new message may have."""

SAID_BY_DRAFT = frozenset({"channel", "channel_id", "channels", "text", "initial_comment", "thread_ts", "metadata", "mrkdwn", "files", "token"})
"""Fields that the draft itself has, or that would have somebody else send it."""
_EVERYWHERE = frozenset({"reply_broadcast", "unfurl_links", "unfurl_media", "link_names", "parse", "username", "icon_emoji", "icon_url"})
KNOWN_EXTRA = _EVERYWHERE | {"blocks", "attachments"}
ALARMING_EXTRA = frozenset({"link_names", "parse"})
"""Fields that turn bare words such as `@channel` into mentions."""

# Where the bot is not: a command can be used there all the same.
_NOT_THERE = ("not_in_channel", "channel_not_found")


class Sender:
    """Sends drafts, and finds out what became of a send that got no answer."""

    def __init__(
        self,
        client: SlackClient,
        roots: BoundedMap[str, str],
        uploads: BoundedMap[str, str],
        responses: Responses,
        streams: Streams,
        pauses: Sequence[float],
    ) -> None:
        self._client = client
        self._streams = streams
        self._responses = responses
        self._roots = roots
        self._uploads = uploads
        self._pauses = pauses
        """Seconds between looks at whether a file has become a message."""
        self._opened: BoundedMap[str, str] = BoundedMap(1000)
        self._thinking: BoundedMap[str, str] = BoundedMap(1000)
        """The threads in which the app is shown as thinking, by channel."""
        self._has_sessions = True
        self._buttons: BoundedMap[str, list[Json]] = BoundedMap(1000)
        """Of messages of ours, by their ids."""

    async def set_thinking(self, chat_id: str, message_id: str, *, thinking: bool) -> None:
        """Show or hide that the app is thinking about a message."""
        channel, ts = place_of(chat_id, message_id)
        thread = self._roots.get(message_id) or ts
        await self._set_status(channel, thread, thinking=thinking)
        if thinking:
            self._thinking[channel] = thread
        else:
            self._thinking.pop(channel)

    async def _set_status(self, channel: str, thread: str, *, thinking: bool) -> None:
        """Show or hide the sign. That of an agent's session has a button to stop it; Slack has it for apps that are declared as agents."""
        if self._has_sessions and AGENT_SCOPE in self._client.scopes:
            try:
                with slack_errors():
                    status = "processing" if thinking else "active"
                    await self._client.call("agents.sessions.setStatus", channel_id=channel, thread_ts=thread, status=status)
            except Rejected as refusal:
                logger.info("Slack shows no stop button: %s", refusal.detail)
                self._has_sessions = False
            else:
                return
        with slack_errors():
            await self._client.call("assistant.threads.setStatus", channel_id=channel, thread_ts=thread, status=_THINKING if thinking else "")

    async def stopped(self, channel: str, thread: str) -> None:
        """Take the sign away where a person pressed its stop button: Slack leaves that to the app."""
        self._thinking.pop(channel)
        try:
            await self._set_status(channel, thread, thinking=False)
        except MessengerError as error:
            logger.info("The sign that the app is thinking stays: %s", error.detail)

    async def _answered(self, channel: str) -> None:
        """Slack hides the sign with an answer in the thread; an answer beside it leaves it."""
        if thread := self._thinking.pop(channel):
            try:
                await self._set_status(channel, thread, thinking=False)
            except MessengerError as error:
                logger.info("The sign that the app is thinking stays for two minutes: %s", error.detail)

    async def send(self, draft: Draft, limits: Limits) -> SentMessage:
        """Send a draft. Raises MessengerError."""
        sent = await self._send(draft, limits)
        await self._answered(sent.chat_id)
        return sent

    async def _send(self, draft: Draft, limits: Limits) -> SentMessage:
        with nothing_sent():
            channel = await self.channel_of(draft.chat_id)
            thread = await self._thread_of(draft)
        if draft.upload is not None:
            return await self._send_upload(draft, draft.upload, channel, thread)
        parts = drafts_of(draft, limits)

        async def send(part: Draft, number: int) -> SentMessage:
            nonce = part_nonce(draft.client_id, number, len(parts))
            if draft.reply_to is not None and (answered := await self._respond(part, channel, self._responses.to_act(draft.reply_to), nonce)):
                return answered
            try:
                return await self._send_text(part, channel, thread, nonce)
            except Rejected as refusal:
                if not any(word in refusal.detail for word in _NOT_THERE):
                    raise
                answered = await self._respond(part, channel, self._responses.in_channel(channel), nonce)
                if answered is None:
                    raise
                return answered

        return await send_parts(parts, send)

    async def _respond(self, draft: Draft, channel: str, url: str | None, nonce: str) -> SentMessage | None:
        """Answer a command or a form at its own address: the person who used it alone sees the answer. None where that is over."""
        if url is None or not self._client.is_own(url):
            return None
        params = {name: value for name, value in _content(draft).items() if value is not None}
        with slack_errors():
            status = await self._client.respond(url, {**params, "response_type": "ephemeral", "replace_original": False})
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise Unreachable(
                f"Slack gave no proper answer: status {status}", maybe_sent=True, hint="It may have arrived; ask before sending it again."
            )
        if status >= HTTPStatus.MULTIPLE_CHOICES:
            return None
        return SentMessage(id=act_id(channel, f"answer.{nonce}.{time.time_ns()}"), at=datetime.now(UTC), chat_id=channel)

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
        if named is None or is_act(named):
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
        if draft.growing and (begun := await self._streams.start(channel, thread, draft.text)) is not None:
            return self._sent(channel, begun if thread is None else {**begun, "thread_ts": thread})
        if draft.growing:
            draft = draft.model_copy(update={"text": draft.text + _MORE})
        started = time.time()
        metadata = {"event_type": METADATA, "event_payload": {"client_id": nonce}}
        try:
            with slack_errors():
                answer = await self._client.call("chat.postMessage", channel=channel, thread_ts=thread, metadata=metadata, **_content(draft))
        except RateLimited as error:
            # Slack counts messages by channel: the others need not wait.
            raise RateLimited(error.retry_after, error.detail, of_chat=True) from None
        except Unreachable as error:
            if error.maybe_sent and (found := await self._find(nonce, channel, thread, started)):
                return self._sent(channel, found)
            raise
        sent = self._sent(str(answer["channel"]), {"ts": answer["ts"], **answer.get("message", {})})
        if draft.choices:
            self._buttons[sent.id] = _choices(draft)[1:]
        return sent

    async def _find(self, nonce: str, channel: str, thread: str | None, started: float) -> Json | None:
        """Return the message with this nonce; None where Slack does not show it."""
        where: dict[str, Any] = {"channel": channel, "oldest": f"{started - _CLOCKS_SECONDS:.6f}", "limit": _LOOK_BACK, "include_all_metadata": True}
        method = "conversations.history"
        if thread is not None:
            method, where["ts"] = "conversations.replies", thread
        try:
            with slack_errors():
                answer = await self._client.call(method, **where)
        except MessengerError:
            return None
        return next((message for message in answer["messages"] if nonce_of(message) == nonce), None)

    async def grow(self, draft: Draft, message_id: str, *, is_whole: bool) -> None:
        """Add to a growing message of ours, or replace its text where it does not grow. Raises InvalidRequest."""
        channel, ts = place_of(draft.chat_id, message_id)
        if not await self._streams.grow(channel, ts, draft.text, is_whole=is_whole):
            await self.edit(draft if is_whole else draft.model_copy(update={"text": draft.text + _MORE}), message_id)

    async def edit(self, draft: Draft, message_id: str) -> None:
        """Replace the text of a message of ours by the draft's, and keep its buttons where they are known. Raises InvalidRequest."""
        channel, ts = place_of(draft.chat_id, message_id)
        text = rendered(draft)
        if len(text) > EDIT_MAX:
            raise InvalidRequest(
                f"The text has {len(text)} characters with its markup; Slack takes {EDIT_MAX} in an edit.",
                hint="Send the rest as a separate message.",
            )
        # Slack keeps the blocks that an edit does not name, and shows them in place of the text.
        buttons = self._buttons.get(f"{channel}:{ts}")
        shown = text if draft.format is TextFormat.MARKDOWN else literal(draft.text)
        blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": shown}}, *buttons] if buttons and len(shown) <= SECTION_MAX else []
        try:
            with slack_errors():
                await self._client.call("chat.update", channel=channel, ts=ts, text=text, blocks=blocks)
        except Rejected as refusal:
            if "streaming_state_conflict" not in refusal.detail:
                raise
            await self._streams.close(channel, ts)
            with slack_errors():
                await self._client.call("chat.update", channel=channel, ts=ts, text=text, blocks=blocks)

    def _sent(self, channel: str, message: Json) -> SentMessage:
        id = message_id(channel, message["ts"])
        self._roots[id] = message.get("thread_ts") or message["ts"]
        return SentMessage(id=id, at=time_of(message["ts"]), chat_id=channel, media=media_of(message), raw=message)

    async def _send_upload(self, draft: Draft, upload: Upload, channel: str, thread: str | None) -> SentMessage:
        with nothing_sent():
            file = await self._store(upload)
        self._uploads[file] = draft.client_id
        comment = rendered(draft) if draft.format is TextFormat.MARKDOWN else literal(draft.text)
        files = [{"id": file, "title": upload.name}]
        extra = draft.extra if draft.mass_mentions else quiet(draft.extra)
        params = {"channel_id": channel, "thread_ts": thread, "initial_comment": comment or None, **extra}
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
            "Slack took the file and has not said yet which message it became.",
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


def rendered(draft: Draft) -> str:
    """Return the text as it goes out; a plain one goes with mrkdwn switched off."""
    return to_mrkdwn(draft.text, mass_mentions=draft.mass_mentions) if draft.format is TextFormat.MARKDOWN else entities(draft.text)


def _content(draft: Draft) -> Json:
    """The fields of a call that say what a draft says."""
    return {
        "text": rendered(draft),
        "mrkdwn": draft.format is TextFormat.MARKDOWN,
        "blocks": _choices(draft) if draft.choices else None,
        **(draft.extra if draft.mass_mentions else quiet(draft.extra)),
    }


def quiet(value: Any) -> Any:
    """Return blocks and attachments that call neither a whole channel nor a group; of all else, a copy."""
    if isinstance(value, str):
        return inert(value)
    if isinstance(value, list):
        return [quiet(item) for item in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    fields = cast("Json", value)
    match fields.get("type"):
        case "broadcast":
            return {"type": "text", "text": f"@{fields.get('range', 'channel')}"}
        case "usergroup":
            return {"type": "text", "text": f"@{fields.get('usergroup_id', 'group')}"}
        case _:
            return {name: quiet(inner) for name, inner in fields.items()}


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
    return len(text_over_buttons(draft) if draft.choices else rendered(draft))


def text_over_buttons(draft: Draft) -> str:
    """The text, and what is said about single choices."""
    explained = [f"• *{entities(choice.title)}*: {entities(choice.description)}" for choice in draft.choices if choice.description]
    return "\n".join([rendered(draft) if draft.format is TextFormat.MARKDOWN else literal(draft.text), *explained])


def _choices(draft: Draft) -> list[Json]:
    return [
        {"type": "section", "text": {"type": "mrkdwn", "text": text_over_buttons(draft)}},
        {"type": "actions", "elements": [_button(number, choice) for number, choice in enumerate(draft.choices)]},
    ]


def _button(number: int, choice: Choice) -> Json:
    title = {"type": "plain_text", "text": choice.title, "emoji": True}
    return {"type": "button", "action_id": f"{CHOICE}{number}", "value": choice.id, "text": title}
