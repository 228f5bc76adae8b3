"""What a message holds, as policy judges it and as an approval binds it."""

import hashlib
import json
from collections.abc import Iterator
from typing import cast
from uuid import UUID

from mcp_messenger.policy.decide import Content, File
from providers.drafts import fingerprint_of, stored_draft
from providers.models import Draft

UNFETCHED = "unfetched "
"""Stands before the digest of a message that was asked about before its file was fetched: what binds is the address, which was shown."""


def rest_of(instance_id: UUID, draft: Draft) -> str:
    """Return the digest of all of a message but its text."""
    stored = stored_draft(draft.model_copy(update={"text": ""}))
    return hashlib.sha256(f"{instance_id} {draft.chat_id} {fingerprint_of(stored, draft.upload)}".encode()).hexdigest()


def text_of(draft: Draft) -> str:
    """Return all words of a message."""
    parts: list[str] = [draft.text]
    if draft.poll is not None:
        parts += [draft.poll.question, *draft.poll.options]
    if draft.contact is not None:
        parts += [draft.contact.name, draft.contact.phone or ""]
    if draft.location is not None:
        parts.append(json.dumps(draft.location.model_dump(exclude_none=True)))
    if draft.template is not None:
        parts += [draft.template.name, *draft.template.parameters]
    for choice in draft.choices:
        parts += [choice.title, choice.description or ""]
    return "\n".join(part for part in parts if part)


FILE_FIELDS = ("image", "audio", "video", "document", "sticker", "attachment")
"""Fields of a messenger's own that bring a file: by its address, or by the messenger's id of it."""


def content_of(draft: Draft, file: File | None) -> Content:
    """Return what policy has to know of a message; `extra` can hold words, addresses and files as well."""
    texts = list(_texts_in(draft.extra))
    brought = [draft.extra[name] for name in FILE_FIELDS if name in draft.extra]
    if file is None and brought:
        # By its id it may be any file that the account has seen.
        file = File(0, is_received=any("id" in key for one in brought for key in _keys_in(one)))
    return Content(
        "\n".join([text_of(draft), *texts]),
        file,
        draft.mass_mentions,
        of_chat=None if draft.forward is None else draft.forward.chat_id,
        is_fetched=any("://" in text for text in texts),
    )


def _texts_in(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in cast("dict[str, object]", value).values():
            yield from _texts_in(one)
    elif isinstance(value, list):
        for one in cast("list[object]", value):
            yield from _texts_in(one)


def _keys_in(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, one in cast("dict[str, object]", value).items():
            yield key
            yield from _keys_in(one)
