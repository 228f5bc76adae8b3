"""The fields of `Draft.extra`: the platform's own, passed on with a message."""

from collections.abc import Collection

from providers.errors import InvalidRequest
from providers.kit.parts import SPLIT
from providers.models import Draft


def check_extra(draft: Draft, title: str, *, reserved: Collection[str] = (), known: Collection[str] = ()) -> None:
    """Raise InvalidRequest for fields that the draft itself has (`reserved`), and for those that the messenger does not know.

    A reserved field could turn a message into one that was not checked; an unknown one would be ignored without a word.
    """
    if said_twice := sorted(draft.extra.keys() & set(reserved)):
        raise InvalidRequest(f"extra may not hold {', '.join(said_twice)}.", hint="Use the fields of the message itself.")
    if unknown := sorted(draft.extra.keys() - set(known) - {SPLIT}):
        takes = f"It takes {', '.join(sorted(known))}." if known else "It takes none."
        raise InvalidRequest(f"{title} has no field {', '.join(unknown)} for extra.", hint=takes)
