"""JSON between a relay and a manager of different versions, in either order of an upgrade.

Fields with their default are left out, so an older reader meets a new field only where it is used; a reader of this version ignores fields
that it does not know. A manager names the types of events that it reads when it brings the settings; one that names none is of the
first version, which reads FIRST_TYPES and refuses fields that it does not know.
"""

import logging
from typing import Any, cast, get_args

from pydantic import BaseModel

from providers.events import Event

log = logging.getLogger(__name__)

FIRST_TYPES = frozenset({"message", "message_edited", "message_deleted", "reaction", "receipt", "chat", "chat_migrated", "state"})
TYPES = frozenset(cast("str", cls.model_fields["type"].default) for cls in get_args(get_args(Event)[0]))
LATER_FIELDS = {
    "message": frozenset({"forwarded", "quoted", "thread_title", "standby"}),
    "chat": frozenset({"aliases"}),
    "message_edited": frozenset({"media", "location", "poll"}),
}
"""Fields that the first version does not know: of a message, of a chat, and of an edit."""


def slim(model: BaseModel) -> dict[str, Any]:
    """Return a noun as JSON without the fields that have their default. The type of an event stays: readers tell events by it."""
    shown = model.model_dump(mode="json", exclude_defaults=True)
    return {"type": kind, **shown} if (kind := getattr(model, "type", None)) is not None else shown


def is_read_by(event: Event, types: frozenset[str] | None) -> bool:
    """Return whether a manager that named these types (None: it named none) reads the event."""
    return event.type in (FIRST_TYPES if types is None else types)


def event_for(event: Event, types: frozenset[str] | None) -> dict[str, Any]:
    """Return an event as a manager reads it that named these types (None: it named none)."""
    shown = slim(event)
    if types is None:
        for part in ("message", "chat"):
            if part in shown:
                shown[part] = {name: value for name, value in shown[part].items() if name not in LATER_FIELDS[part]}
        shown = {name: value for name, value in shown.items() if name not in LATER_FIELDS.get(event.type, frozenset())}
    return shown


def readable(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the numbered events of a relay without those of types that this version does not know; they are logged."""
    known = [one for one in events if one.get("event", {}).get("type") in TYPES]
    if len(known) < len(events):
        log.warning("%d events of a newer relay are of unknown types and passed over", len(events) - len(known))
    return known
