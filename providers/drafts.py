"""Drafts as they are stored, compared and described."""

import hashlib
import json
from typing import Any

from providers.models import Draft, MessageKind, Upload


def stored_draft(draft: Draft) -> dict[str, Any]:
    """Return the draft as JSON without its nonce and its file, as it waits in the store."""
    return draft.model_dump(mode="json", exclude={"client_id", "upload"}, exclude_defaults=True)


def fingerprint_of(stored: dict[str, Any], upload: Upload | None) -> str:
    """Return 32 hexadecimal digits, the same for two drafts with the same content. `stored` is from `stored_draft`."""
    digest = hashlib.sha256(json.dumps(stored, sort_keys=True).encode())
    if upload is not None:
        digest.update(upload.content)
    return digest.hexdigest()[:32]


def kind_of(draft: Draft) -> MessageKind:
    """Return the kind of the message that the draft becomes."""
    if draft.poll is not None:
        return MessageKind.POLL
    if draft.location is not None:
        return MessageKind.LOCATION
    if draft.contact is not None:
        return MessageKind.CONTACT
    return MessageKind.MEDIA if draft.upload is not None else MessageKind.TEXT
