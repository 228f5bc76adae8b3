"""A text that is too long for one message, in several."""

from providers.errors import InvalidRequest, MessengerError, Unreachable
from providers.models import Draft, Limits
from providers.splitting import split

# Our own word in `extra`; everything else in there is Meta's.
SPLIT = "split"

# WhatsApp takes about ten messages a minute to one person.
_PARTS_MAX = 10


def is_split(draft: Draft) -> bool:
    return bool(draft.extra.get(SPLIT)) and draft.upload is None and not draft.choices


def texts_of(draft: Draft, limits: Limits) -> list[str]:
    """One text for each message, at least one."""
    texts = split(draft.text, limits.max_text, limits.text_unit) if is_split(draft) else []
    return texts or [draft.text]


def check_parts(draft: Draft, limits: Limits) -> None:
    parts = len(texts_of(draft, limits))
    if parts > _PARTS_MAX:
        raise InvalidRequest(f"The text makes {parts} messages; at most {_PARTS_MAX} are sent.", hint="Send it as a file.")


def partly_sent(ids: list[str], total: int, error: MessengerError) -> Unreachable:
    return Unreachable(
        f"{len(ids)} of {total} messages went out ({', '.join(ids)}), then: {error.detail}", maybe_sent=True, hint="Send only the rest."
    )
