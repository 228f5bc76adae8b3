"""Drafts into calls of Discord."""

import json
import re
from datetime import datetime
from typing import Any

from discord.utils import escape_markdown

from providers.discord.attachments import media_of
from providers.discord.choices import components_of
from providers.discord.client import DiscordClient
from providers.discord.errors import no_answer
from providers.discord.ids import message_id, message_ref
from providers.errors import InvalidRequest
from providers.kit.markdown import FENCE, end_of_block
from providers.kit.parts import parts_of, texts_of
from providers.models import Draft, Limits, Poll, SentMessage, TextFormat

Json = dict[str, Any]

MESSAGES = "/channels/{channel_id}/messages"

NOBODY: Json = {"parse": []}
"""What a model writes must not call a whole server; `extra` may allow it."""

TEXT_MAX = 2000

POLL_QUESTION, POLL_OPTIONS, POLL_OPTION = 300, 10, 55

_SILENT = 1 << 12

SAID_BY_DRAFT = frozenset({"content", "nonce", "enforce_nonce", "message_reference", "attachments", "poll"})
"""Fields that the draft itself has."""
KNOWN_EXTRA = frozenset({"allowed_mentions", "flags", "embeds", "components", "sticker_ids", "tts"})
_EVERYWHERE = frozenset({"allowed_mentions", "flags"})

_BACKTICKS = re.compile("`(?=``)|(?<=`)`(?=`)")
_APART = "`\u200b"


def rendered(text: str, format: TextFormat) -> str:
    """As Discord's Markdown."""
    match format:
        case TextFormat.PLAIN:
            return escape_markdown(text)
        case TextFormat.MARKDOWN:
            return _with_blocks_of_backticks(text)
        case TextFormat.HTML:
            raise InvalidRequest("Discord reads no HTML.", hint="Use format markdown or plain.")


def _with_blocks_of_backticks(text: str) -> str:
    """Discord knows no blocks of tildes, and ends a block at any three backticks."""
    done: list[str] = []
    lines = text.split("\n")
    at = 0
    while at < len(lines):
        fence = FENCE.match(lines[at])
        if fence is None:
            done.append(lines[at])
            at += 1
            continue
        end = end_of_block(lines, at + 1, fence["mark"])
        code = [_BACKTICKS.sub(_APART, line) for line in lines[at + 1 : end]]
        done += [f"```{fence['language']}", *code, *(["```"] if end < len(lines) else [])]
        at = end + 1
    return "\n".join(done)


def drafts_of(draft: Draft, limits: Limits) -> list[Draft]:
    """Return a draft for each message: one, or several for a long text that is to be split."""
    is_markdown = draft.format is TextFormat.MARKDOWN
    texts = texts_of(draft, limits, markdown=is_markdown, fits=lambda piece: len(rendered(piece, draft.format)) <= TEXT_MAX)
    return parts_of(draft, texts, everywhere=_EVERYWHERE)


async def send_draft(client: DiscordClient, channel: str, draft: Draft, nonce: str) -> SentMessage:
    """The same draft with the same nonce is one message, for a few minutes, however often this is called."""
    payload, upload = _payload(draft, nonce), draft.upload
    if upload is None:
        message: Json | str = await client.call("POST", MESSAGES, channel_id=channel, json=payload)
    else:
        payload["attachments"] = [{"id": "0", "filename": upload.name}]
        form = [
            {"name": "payload_json", "value": json.dumps(payload), "content_type": "application/json"},
            {"name": "files[0]", "value": upload.content, "filename": upload.name, "content_type": upload.mime},
        ]
        message = await client.call("POST", MESSAGES, channel_id=channel, form=form)
    if isinstance(message, str):
        raise no_answer("something that is not JSON.")
    return _sent(draft, message)


def _payload(draft: Draft, nonce: str) -> Json:
    payload: Json = {"allowed_mentions": NOBODY, **draft.extra, "nonce": nonce, "enforce_nonce": True}
    if draft.text:
        payload["content"] = rendered(draft.text, draft.format)
    if draft.reply_to is not None:
        payload["message_reference"] = {"message_id": message_ref(draft.reply_to).message, "fail_if_not_exists": True}
    if draft.choices:
        payload["components"] = [*components_of(draft.choices), *payload.get("components", [])]
    if draft.poll is not None:
        payload["poll"] = _poll(draft.poll)
    if draft.silent:
        payload["flags"] = payload.get("flags", 0) | _SILENT
    return payload


def _poll(poll: Poll) -> Json:
    """Open for a day, as Discord has it where nothing is said."""
    return {
        "question": {"text": poll.question},
        "answers": [{"poll_media": {"text": option}} for option in poll.options],
        "allow_multiselect": poll.multiple,
    }


def _sent(draft: Draft, message: Json) -> SentMessage:
    return SentMessage(
        id=message_id(message["channel_id"], message["id"]),
        at=datetime.fromisoformat(message["timestamp"]),
        chat_id=draft.chat_id,
        media=media_of(message),
        raw=message,
    )
