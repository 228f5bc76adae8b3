"""Looks for messages from the newest era back, within a limit of work: a hard search gives what it has found, and where it goes on."""

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from db import search
from db.database import Database
from db.search import Era, Hit, Position, Span

WIDER = 4
MOST_ERAS = 16
"""That one statement looks into."""


@dataclass(frozen=True)
class Effort:
    """`first_look`: messages whose eras are looked into in any case; each further look is WIDER.

    `within`: seconds after which no further eras are looked into, where what was found fits into the answer.
    """

    first_look: int = 16_384
    within: float = 0.008


EFFORT = Effort()


@dataclass(frozen=True)
class Found:
    """The newest first, of the eras that were looked into.

    `before` and `era`: the places among messages and eras from which the search goes on; both None where it has come to its end.
    `looked_to`: all messages of the span that are newer were looked at; None where all were.
    """

    hits: list[Hit]
    before: Position | None = None
    era: Position | None = None
    looked_to: datetime | None = None


async def find(database: Database, expression: str, instance_ids: Sequence[UUID] | None, span: Span, *, limit: int, effort: Effort = EFFORT) -> Found:
    """Return up to `limit` messages of these instances (None: of all) for which the expression holds."""
    began = time.perf_counter()
    ahead = await search.eras(database, instance_ids, span)
    hits: list[Hit] = []
    look = effort.first_look
    while ahead and not _is_enough(hits, ahead[0], limit):
        if look > effort.first_look and len(hits) <= limit and time.perf_counter() - began > effort.within:
            return Found(hits, span.before, (ahead[0].newest, ahead[0].id), ahead[0].newest)
        size = _size(ahead, look)
        more, looked = await search.hits(database, expression, ahead[:size], span, limit=limit + 1)
        hits, ahead = [*hits, *more], ahead[looked:]
        hits = sorted(hits, key=lambda hit: (hit.sent_at, hit.message_id), reverse=True)[: limit + 1]
        look *= WIDER
    if len(hits) <= limit:
        return Found(hits)
    last = hits[limit - 1]
    return Found(hits[:limit], (last.sent_at, last.message_id), span.era)


def _is_enough(hits: Sequence[Hit], next_era: Era, limit: int) -> bool:
    return len(hits) > limit and hits[-1].sent_at > next_era.newest


def _size(ahead: Sequence[Era], messages: int) -> int:
    """Return how many of the eras to look into for about so many messages."""
    sums = itertools.accumulate(era.messages for era in ahead[:MOST_ERAS])
    return max(1, sum(total <= messages for total in sums))
