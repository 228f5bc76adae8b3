"""Positions in lists that are ordered by time and id, as short opaque text."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from mcp_messenger.errors import InvalidInput

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def encode(at: datetime | None, id: object) -> str:
    """Return a cursor for the row at this time with this id."""
    micros = "" if at is None else f"{(at - _EPOCH) // timedelta(microseconds=1):x}"
    return f"{micros}.{id}"


def decode(cursor: str | None) -> tuple[datetime | None, str] | None:
    """Return the position that a cursor names. Raises InvalidInput for a cursor that is none of ours."""
    if cursor is None:
        return None
    micros, dot, id = cursor.partition(".")
    try:
        if not dot or not id:
            raise ValueError
        return (_EPOCH + timedelta(microseconds=int(micros, 16)) if micros else None), id
    except (ValueError, OverflowError):
        raise InvalidInput("This cursor is not one of ours.", hint="Give the next_cursor of the page before, or none.") from None


def decode_message(cursor: str | None) -> tuple[datetime, int] | None:
    """Return the position in a list of messages, whose ids are numbers. Raises InvalidInput for a cursor that is none of ours."""
    position = decode(cursor)
    if position is None:
        return None
    at, id = position
    if at is None or not id.isdecimal() or int(id) >= 2**63:
        raise InvalidInput("This cursor is not one of ours.", hint="Give the next_cursor of the page before, or none.")
    return at, int(id)


def instance_id_of(position: str) -> UUID:
    """Return the id of an instance at a position that `decode` gave. Raises InvalidInput."""
    try:
        return UUID(position)
    except ValueError:
        raise InvalidInput("This cursor is not one of ours.", hint="Give the next_cursor of the page before, or none.") from None
