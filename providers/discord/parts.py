"""A text that is too long for one message, in several."""

from providers.discord.outbound import TEXT_MAX, rendered
from providers.errors import InvalidRequest, MessengerError, Unreachable
from providers.models import Draft, SentMessage, TextFormat, TextUnit
from providers.splitting import split

# Our own word in `extra`; everything else in there is Discord's.
SPLIT = "split"

# Discord takes 5 messages in 5 s.
_PARTS_MAX = 20


def is_split(draft: Draft) -> bool:
    return bool(draft.extra.get(SPLIT)) and draft.upload is None


def parts_of(draft: Draft) -> list[Draft]:
    """One after the other they say what the draft says: the first is the reply, the last has what hangs on the text."""
    extra = {name: value for name, value in draft.extra.items() if name != SPLIT}
    texts = _pieces(draft.text, draft.format, TEXT_MAX) if is_split(draft) else []
    texts = texts or [draft.text]
    bare = {"extra": {name: extra[name] for name in ("allowed_mentions", "flags") if name in extra}, "choices": ()}
    parts = [draft.model_copy(update={"text": text, "reply_to": None, **bare}) for text in texts]
    parts[-1] = parts[-1].model_copy(update={"extra": extra, "choices": draft.choices})
    parts[0] = parts[0].model_copy(update={"reply_to": draft.reply_to})
    return parts


def check_parts(draft: Draft) -> None:
    parts = len(parts_of(draft))
    if parts > _PARTS_MAX:
        raise InvalidRequest(f"The text makes {parts} messages; at most {_PARTS_MAX} are sent.", hint="Send it as a file.")


def _pieces(text: str, format: TextFormat, limit: int) -> list[str]:
    """In a plain text the characters that are Markdown get backslashes, and then it may not fit any more."""
    fitting: list[str] = []
    for piece in split(text, limit, TextUnit.CHARACTERS):
        fitting += [piece] if len(rendered(piece, format)) <= TEXT_MAX else _pieces(piece, format, limit // 2)
    return fitting


def joined(sent: list[SentMessage]) -> SentMessage:
    return sent[0].model_copy(update={"parts": tuple(part.id for part in sent) if len(sent) > 1 else ()})


def partly_sent(sent: list[SentMessage], total: int, error: MessengerError) -> Unreachable:
    ids = ", ".join(part.id for part in sent)
    return Unreachable(
        f"{len(sent)} of {total} messages went out ({ids}), then: {error.detail}", maybe_sent=True, hint="Send only the rest of the text."
    )
