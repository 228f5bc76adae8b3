"""A text that is too long for one message, sent as several: `split` in `Draft.extra`."""

from collections.abc import Awaitable, Callable, Collection, Sequence

from providers.errors import InvalidRequest, MessengerError, Unreachable
from providers.kit.splitting import split
from providers.limits import Limits
from providers.models import Draft, SentMessage
from providers.text import clean_line

SPLIT = "split"
"""The only field of `extra` that is ours."""

SPLIT_HINT = 'Send it in several messages, or with extra {"split": true}.'

_EXCERPT = 60
_PART_MARK = "+"


def is_split(draft: Draft) -> bool:
    """Return whether the draft is to be sent as several messages where it is too long; a caption never is."""
    return bool(draft.extra.get(SPLIT)) and draft.upload is None


def texts_of(draft: Draft, limits: Limits, *, markdown: bool, fits: Callable[[str], bool] | None = None) -> list[str]:
    """Return the text of each message, at least one; see `split`."""
    texts = split(draft.text, limits.max_text, limits.text_unit, markdown=markdown, fits=fits) if is_split(draft) else []
    return texts or [draft.text]


def parts_of(draft: Draft, texts: Sequence[str], *, everywhere: Collection[str] = ()) -> list[Draft]:
    """Return a draft for each text. All keep reply, thread and the fields of extra named `everywhere`; the last one has the rest.

    Buttons and other fields hang on the whole text, so they come under its end.
    """
    extra = {name: value for name, value in draft.extra.items() if name != SPLIT}
    shared = {name: value for name, value in extra.items() if name in everywhere}
    parts = [draft.model_copy(update={"text": text, "extra": shared, "choices": ()}) for text in texts]
    parts[-1] = parts[-1].model_copy(update={"extra": extra, "choices": draft.choices})
    return parts


def check_parts(texts: Sequence[str], most: int) -> None:
    """Raise InvalidRequest where there are more than `most` texts."""
    if len(texts) > most:
        raise InvalidRequest(f"The text makes {len(texts)} messages; at most {most} are sent.", hint="Send it as a file.")


async def send_parts(parts: Sequence[Draft], send: Callable[[Draft, int], Awaitable[SentMessage]]) -> SentMessage:
    """Send one part after the other by `send(part, number)`, and return them as one message, whose id is the first one's.

    Raises what `send` raises where nothing went out, else Unreachable with the ids of those that did and where the rest begins:
    such a message is never sent again by itself.
    """
    sent: list[SentMessage] = []
    for number, part in enumerate(parts):
        try:
            sent.append(await send(part, number))
        except MessengerError as error:
            if not sent:
                raise
            raise _partly_sent(sent, parts, error) from error
    ids = tuple(part.id for part in sent)
    return sent[0].model_copy(update={"parts": ids if len(ids) > 1 else ()})


def _partly_sent(sent: Sequence[SentMessage], parts: Sequence[Draft], error: MessengerError) -> Unreachable:
    ids = ", ".join(part.id for part in sent)
    is_doubtful = isinstance(error, Unreachable) and error.maybe_sent
    rest = clean_line(parts[len(sent)].text[:_EXCERPT])
    outcome = "The next one may have gone out, too; it begins" if is_doubtful else "The rest was not sent; it begins"
    return Unreachable(
        f"{len(sent)} of {len(parts)} messages went out ({ids}), then: {error.detail} {outcome} with “{rest}”.",
        maybe_sent=True,
        hint="Send only the rest of the text.",
    )


def part_nonce(client_id: str, number: int, total: int) -> str:
    """Return the nonce of the message `number` (from 0) of `total`: the send's own where it is the only one.

    No echo of a part settles a send: it does not say that the others went out.
    """
    return client_id if total == 1 else f"{client_id}{_PART_MARK}{number}"


def is_part(nonce: str | None) -> bool:
    """Return whether a nonce is that of a part: its send tells of all of them, so an echo of it is no news."""
    return nonce is not None and _PART_MARK in nonce
