"""Drafts into calls of Discord."""

import json
import re
from datetime import datetime
from typing import Any, cast

from discord.utils import escape_markdown

from providers.discord.attachments import media_of
from providers.discord.choices import components_of
from providers.discord.client import DiscordClient
from providers.discord.errors import no_answer
from providers.discord.ids import NO_MESSAGE, message_id, message_ref
from providers.discord.voice import IS_VOICE_MESSAGE, voice_fields
from providers.errors import InvalidRequest
from providers.kit.markdown import FENCE, end_of_block
from providers.kit.parts import parts_of, texts_of
from providers.limits import Limits
from providers.models import Draft, Poll, SentMessage, TextFormat

Json = dict[str, Any]

MESSAGES = "/channels/{channel_id}/messages"

NOBODY: Json = {"parse": []}
"""Nobody is notified by a mention in the text: a model must not call a whole server by accident."""
EVERYBODY: Json = {"parse": ["everyone", "roles", "users"]}

TEXT_MAX = 2000

EMBEDS, EMBEDS_TEXT = 10, 6000
POLL_QUESTION, POLL_OPTIONS, POLL_OPTION = 300, 10, 55

_SILENT = 1 << 12

SAID_BY_DRAFT = frozenset({"content", "nonce", "enforce_nonce", "message_reference", "attachments", "poll"})
"""Fields that the draft itself has."""
TITLE = "thread_name"
OF_POST = frozenset({TITLE, "applied_tags", "auto_archive_duration"})
"""Fields of a new post in a forum."""
KNOWN_EXTRA = frozenset({"allowed_mentions", "flags", "embeds", "components", "sticker_ids", "tts"}) | OF_POST
_EVERYWHERE = frozenset({"allowed_mentions", "flags"})

_BACKTICKS = re.compile("`(?=``)|(?<=`)`(?=`)")
_APART = "`\u200b"


def rendered(text: str, format: TextFormat) -> str:
    """Return a text as Discord's Markdown."""
    match format:
        case TextFormat.PLAIN:
            return escape_markdown(text)
        case TextFormat.MARKDOWN:
            return _with_blocks_of_backticks(text)
        case TextFormat.HTML:
            raise InvalidRequest("Discord reads no HTML.", hint="Use format markdown or plain.")


def _with_blocks_of_backticks(text: str) -> str:
    """Return the text with blocks as Discord reads them: it knows no blocks of tildes, and ends a block at any three backticks."""
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


def alarms_many(allowed: object) -> bool:
    """Return whether an `allowed_mentions` lets a text alarm everybody or a role; one that is no object lets it alarm all that it names."""
    if not isinstance(allowed, dict):
        return True
    fields = cast("Json", allowed)
    kinds: list[object] = fields.get("parse") or []
    return bool(fields.get("roles")) or not {"users"}.issuperset(map(str, kinds))


def drafts_of(draft: Draft, limits: Limits) -> list[Draft]:
    """Return a draft for each message: one, or several for a long text that is to be split."""
    is_markdown = draft.format is TextFormat.MARKDOWN
    texts = texts_of(draft, limits, markdown=is_markdown, fits=lambda piece: len(rendered(piece, draft.format)) <= TEXT_MAX)
    return parts_of(draft, texts, everywhere=_EVERYWHERE)


def check_content(draft: Draft) -> None:
    """Raise InvalidRequest for embeds of another form than Discord's, and for a voice message with anything beside it."""
    given: object = draft.extra.get("embeds", [])
    embeds = cast("list[object]", given) if isinstance(given, list) else [None]
    if len(embeds) > EMBEDS or not all(isinstance(embed, dict) for embed in embeds) or sum(map(_words_in, embeds)) > EMBEDS_TEXT:
        raise InvalidRequest(
            f"extra.embeds is a list of at most {EMBEDS} embeds, with {EMBEDS_TEXT} characters in all.",
            hint='Such as [{"title": "...", "description": "...", "fields": [{"name": "...", "value": "..."}]}].',
        )
    if voice_fields(draft.upload) is not None and (draft.text or draft.choices or draft.extra.keys() & {"embeds", "components"}):
        raise InvalidRequest("Discord shows nothing beside a voice message.", hint="Send the text as a separate message, or the recording as a file.")


def _words_in(part: object) -> int:
    """Return the characters of the texts that Discord counts in an embed."""
    if isinstance(part, list):
        return sum(map(_words_in, cast("list[object]", part)))
    if not isinstance(part, dict):
        return 0
    fields = cast("Json", part)
    own = sum(len(text) for name in ("title", "description", "name", "value", "text") if isinstance(text := fields.get(name), str))
    return own + sum(_words_in(fields.get(name)) for name in ("author", "footer", "fields"))


async def send_draft(client: DiscordClient, channel: str, draft: Draft, nonce: str) -> Json:
    """Return the message that the draft became. With the same nonce it is one message, for a few minutes, however often this is called."""
    payload = {**_payload(draft), "nonce": nonce, "enforce_nonce": True}
    replied = NO_MESSAGE if draft.reply_to is None else message_ref(draft.reply_to).message
    if replied != NO_MESSAGE:
        payload["message_reference"] = {"message_id": replied, "fail_if_not_exists": True}
    return await _post(client, MESSAGES, channel, draft, payload, payload)


async def create_post(client: DiscordClient, forum: str, draft: Draft, post: Json) -> Json:
    """Return the new post with its first message in `message`. Discord takes no nonce here: call it once. `post` holds title and tags."""
    message = {name: value for name, value in _payload(draft).items() if name != "tts"}
    return await _post(client, "/channels/{channel_id}/threads", forum, draft, {**post, "message": message}, message)


async def _post(client: DiscordClient, path: str, channel: str, draft: Draft, body: Json, message: Json) -> Json:
    """Post `body`, of which `message` is the part that names its file."""
    upload = draft.upload
    if upload is None:
        answer: Json | str = await client.call("POST", path, channel_id=channel, json=body)
    else:
        voice = voice_fields(upload)
        message["attachments"] = [{"id": "0", "filename": upload.name, **(voice or {})}]
        if voice is not None:
            message["flags"] = message.get("flags", 0) | IS_VOICE_MESSAGE
        form = [
            {"name": "payload_json", "value": json.dumps(body), "content_type": "application/json"},
            {"name": "files[0]", "value": upload.content, "filename": upload.name, "content_type": upload.mime},
        ]
        answer = await client.call("POST", path, channel_id=channel, form=form)
    if isinstance(answer, str):
        raise no_answer("something that is not JSON.")
    return answer


def permission_for(draft: Draft, *, in_thread: bool, is_post: bool = False) -> str:
    """Return the names of the permissions that a send needs, as Discord's settings call them."""
    needed = ["View Channel", "Create Posts" if is_post else "Send Messages in Threads" if in_thread else "Send Messages"]
    needed += ["Attach Files"] if draft.upload is not None else []
    needed += ["Send Voice Messages"] if voice_fields(draft.upload) is not None else []
    needed += ["Create Polls"] if draft.poll is not None else []
    needed += ["Read Message History"] if draft.reply_to is not None else []
    needed += ["Embed Links"] if draft.extra.get("embeds") else []
    return ", ".join(needed)


def _payload(draft: Draft) -> Json:
    """Return the message itself. A reply notifies the person who is answered, as a person's reply does."""
    allowed = EVERYBODY if draft.mass_mentions else NOBODY
    if draft.reply_to is not None:
        allowed = {**allowed, "replied_user": True}
    payload: Json = {"allowed_mentions": allowed, **draft.extra}
    if draft.text:
        payload["content"] = rendered(draft.text, draft.format)
    if draft.choices:
        payload["components"] = [*components_of(draft.choices), *payload.get("components", [])]
    if draft.poll is not None:
        payload["poll"] = _poll(draft.poll)
    if draft.silent:
        payload["flags"] = payload.get("flags", 0) | _SILENT
    return payload


def _poll(poll: Poll) -> Json:
    """Return a poll, open for a day as Discord has it where nothing is said."""
    return {
        "question": {"text": poll.question},
        "answers": [{"poll_media": {"text": option}} for option in poll.options],
        "allow_multiselect": poll.multiple,
    }


def sent_message(message: Json, chat_id: str, thread_id: str | None) -> SentMessage:
    """Return a message that Discord made, as a send of ours."""
    return SentMessage(
        id=message_id(message["channel_id"], message["id"]),
        at=datetime.fromisoformat(message["timestamp"]),
        chat_id=chat_id,
        thread_id=thread_id,
        media=media_of(message),
        raw=message,
    )
