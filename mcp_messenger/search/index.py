"""Keeps the index of words: in the background, and before a search for what has just come in."""

import itertools
import time
from collections.abc import Sequence
from typing import Any

import anyio
import anyio.to_thread

from db import search
from db.database import Database
from db.search import Unindexed
from mcp_messenger.observability.workers import Workers
from mcp_messenger.search.words import FORM, marks, vector

BATCH = 100
"""Messages in one transaction."""
POLL = 5.0
GATHER = 2.0
"""Seconds in which new messages gather: a search stores the words that it lacks by itself."""
LEAVE = 1.0
"""Pauses between two batches of former messages, in the time that a batch takes: others have the machine as well."""


class SearchIndex:
    """Stores the words of messages. Any number of processes may do so on one database."""

    def __init__(self, database: Database, workers: Workers) -> None:
        self._database = database
        self._worker = workers.worker("search index", vital=False)
        self._grown = anyio.Event()

    def wake(self) -> None:
        """Look for messages without words soon."""
        self._grown.set()

    async def run(self) -> None:
        """Store the words of new messages as they come, and of those that were there before, until it is cancelled."""
        await self._worker.keep(self._all, self._wait)

    async def _wait(self) -> None:
        with anyio.move_on_after(POLL):
            await self._grown.wait()
            await anyio.sleep(GATHER)
        self._grown = anyio.Event()

    async def _all(self) -> None:
        while True:
            begun = time.monotonic()
            new, former = await search.lacking(self._database)
            taken = await search.index(self._database, _words, form=FORM, limit=BATCH, former=former) if new or former else 0
            # What comes meanwhile gathers again: in a steady stream each batch would hold one or two.
            if not taken or (not former and taken < BATCH):
                return
            if not new:
                await anyio.sleep(LEAVE * (time.monotonic() - begun))

    async def catch_up(self) -> bool:
        """Store the words of the newest messages that lack them, if that can be done; return whether words of older ones are missing still."""
        new, former = await search.lacking(self._database)
        if new:
            with self._worker.contained():
                await search.index(self._database, _words, form=FORM, limit=BATCH, former=False)
        return former


async def _words(messages: Sequence[Unindexed]) -> Sequence[str]:
    return await anyio.to_thread.run_sync(lambda: [of_message(message) for message in messages])


def of_message(message: Unindexed) -> str:
    """Return what is stored of a message: its texts, names of files, and marks of chat, sender and the like."""
    media: list[dict[str, Any]] = message.content.get("media", [])
    return vector(
        itertools.chain([message.body], _texts(message.content, media)),
        marks(
            chat_id=message.chat_id,
            outgoing=message.outgoing,
            sender_id=message.sender_id,
            sender_name=message.sender_name,
            kind=message.kind,
            media=media,
        ),
    )


def _texts(content: dict[str, Any], media: Sequence[dict[str, Any]]) -> list[str]:
    """Return the texts beside the body: of a poll, a contact card, a place, buttons, and the names of files."""
    poll: dict[str, Any] = content.get("poll") or {}
    contact: dict[str, Any] = content.get("contact") or {}
    location: dict[str, Any] = content.get("location") or {}
    choices: list[dict[str, Any]] = content.get("choices") or []
    found: list[Any] = [
        *(one.get("name") for one in media),
        *(one.get("text") for one in content.get("transcripts", {}).values()),
        poll.get("question"),
        *(poll.get("options") or ()),
        *(contact.get(field) for field in ("name", "phone")),
        *(location.get(field) for field in ("name", "address")),
        *(one.get("title") or one.get("text") for one in choices),
    ]
    return [text for text in found if isinstance(text, str) and text]
