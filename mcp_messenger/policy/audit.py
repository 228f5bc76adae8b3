"""The audit log of the application: makes its rows, seals them into a chain of hashes, and verifies the chain.

A row is proven twice. Until it is sealed, by a MAC of what its process knew; from then on by the chain: `digest` is sha256 of whom and what
it is about, `hash` is sha256 of the hash before, of the rest of the row and of `digest`, and the end of the chain is signed. Both keys derive
from the secret key, which is not in the database. The chain itself needs no key, so it is as good after the secret key was changed.
"""

import functools
import hashlib
import json
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from uuid import UUID

import anyio

from db import audit as store
from db.audit import AuditRow, Entry, Head, Seal
from db.database import Database
from mcp_messenger.errors import VaultError
from mcp_messenger.security.caller import Caller
from mcp_messenger.security.vault import Vault

FIRST_HASH = bytes(32)
"""Stands before the first row."""
BATCH = 500
SEAL_AFTER = 0.5
"""Seconds in which rows gather that are sealed together."""
SEAL_EVERY = 30.0
"""Seconds after which it is looked for rows of processes that died."""
PAGE = 2000
FAULTS_MAX = 100
ROW, HEAD = "audit row", "audit head"
APPLICATION = "application"
"""The caller where the application itself acts."""
PROVEN = (
    "id", "at", "caller", "key_id", "session", "client", "operation", "instance_id", "chat_id", "target", "outcome", "rule", "decided_by",
    "approval_id", "code", "content",
)  # fmt: skip
"""Fields that the MAC covers: those that a process knows before the row is stored."""
ABOUT = ("salt", "chat_id", "target", "content")
"""Fields that may be erased."""
KEPT = (*(name for name in PROVEN if name not in ABOUT), "user_id", "message_id", "details", "mac", "position", "is_genuine")


@dataclass(frozen=True)
class Fault:
    """What is wrong with a row, or with `count` of them from a position on.

    `fault`: changed; removed; inserted, by something else than this program, or after an end of the chain that it did not sign; emptied, by
    something else than an erasure; head: the end of the chain is not the one that was signed, or that was known before.
    """

    fault: str
    position: int
    id: UUID | None = None
    count: int = 1


@dataclass(frozen=True)
class Verified:
    """`position` and `hash` are the end of the chain; whoever keeps them elsewhere finds out when the whole log is set back."""

    rows: int
    to_seal: int
    position: int
    hash: str
    faults: Sequence[Fault]
    is_signed: bool | None
    """None: with a key that is not here."""


def new_id() -> UUID:
    """Return a UUID of version 7: a later one sorts after an earlier one."""
    number = (time.time_ns() // 1_000_000 << 80) | secrets.randbits(80)
    return UUID(int=number & ~(0xF << 76) & ~(0x3 << 62) | 0x7 << 76 | 0x2 << 62)


def content_digest(id: UUID, *content: object) -> bytes:
    """Return sha256 of a row's id and of what was sent or asked for, as JSON: the same words have another digest in each row."""
    return hashlib.sha256(id.bytes + json.dumps(content, default=str, sort_keys=True).encode(errors="replace")).digest()


@dataclass
class Audit:
    """Adds to the log, and seals what was added."""

    database: Database
    vault: Callable[[], Vault]
    _news: anyio.Event = field(default_factory=anyio.Event)

    def entry(
        self,
        caller: Caller | None,
        operation: str,
        outcome: str,
        *,
        id: UUID | None = None,
        name: str | None = None,
        user_id: str | None = None,
        instance_id: UUID | None = None,
        chat_id: str | None = None,
        target: str | None = None,
        rule: str | None = None,
        decided_by: str | None = None,
        approval_id: UUID | None = None,
        code: str | None = None,
        content: bytes | None = None,
    ) -> Entry:
        """Return a row for the log. `caller` None: the application itself; `name` where the caller's own says less."""
        entry = Entry(
            id=id or new_id(),
            at=datetime.now(UTC),
            user_id=user_id or (None if caller is None else caller.user_id),
            caller=_without_chat(name) or (APPLICATION if caller is None else str(caller)),
            key_id=None if caller is None else caller.key_id,
            session=None if caller is None else caller.session,
            client=None if caller is None else caller.client,
            operation=operation,
            instance_id=instance_id,
            chat_id=chat_id,
            target=target,
            outcome=outcome,
            rule=rule,
            decided_by=_without_chat(decided_by),
            approval_id=approval_id,
            code=code,
            content=content,
            salt=secrets.token_bytes(16),
            mac=None,
        )
        try:
            mac = self.vault().sign(_canonical(entry, PROVEN), purpose=ROW)
        except VaultError:
            # Nothing can be proven without a key; the row counts as one that somebody else wrote.
            mac = None
        self._news.set()
        return replace(entry, mac=mac)

    async def add(self, entry: Entry) -> None:
        """Store a row. Raises StoreUnavailable."""
        await store.add(self.database, entry)

    async def wait(self) -> None:
        """Return a moment after something was added here, or now and then."""
        with anyio.move_on_after(SEAL_EVERY):
            await self._news.wait()
            await anyio.sleep(SEAL_AFTER)

    async def seal(self) -> int:
        """Seal what is not sealed yet, and what was sealed under a former key; return how many rows. Without a key it waits for one."""
        self._news = anyio.Event()
        total = 0
        while True:
            try:
                vault = self.vault()
            except VaultError:
                return total
            sealed = await store.seal(self.database, functools.partial(sealed_rows, vault), limit=BATCH)
            total += sealed
            if sealed < BATCH:
                return total

    async def retire(self, seconds: float) -> int:
        """Remove sealed rows of more than so many seconds ago, the oldest first, a batch of them; return how many."""
        return await store.retire(self.database, self.entry(None, store.RETIRED, "done"), seconds=seconds, batch=PAGE)

    async def verify(self, known: tuple[int, str] | None = None) -> Verified:
        """Check the whole log. `known`: position and hash of an end of the chain that was seen before."""
        await self.seal()
        return await _Check(self.database, self.vault()).run(known)


def _without_chat(name: str | None) -> str | None:
    """Return the name of an owner's chat, or of an agent in a chat, without the chat: names are not erased."""
    return ":".join(name.split(":")[:2]) if name and name.startswith(("owner:", "agent:")) else name


def sealed_rows(vault: Vault, head: Head | None, rows: Sequence[AuditRow]) -> tuple[list[Seal], Head | None]:
    """Return the seals of rows that follow the head, and the head after them; None: the chain stays as it is.

    What follows an end that we did not sign is marked as inserted: a chain that somebody has made is not signed by going on.
    """
    last, before, is_proven = 0, FIRST_HASH, True
    if head is not None:
        last, before = head.last, head.hash
        is_proven = head.last == head.position and vault.is_signed(_signed(head.position, head.hash), head.signature, purpose=HEAD) is True
        if not rows and (not is_proven or head.signature.startswith(vault.current_key_id)):
            return [], None
    elif not rows:
        return [], None
    seals: list[Seal] = []
    for position, row in enumerate(rows, last + 1):
        sealed = replace(row, position=position, is_genuine=is_genuine(vault, row) and (is_proven or bool(seals)))
        before, digest = hash_of(sealed, before), digest_of(sealed)
        seals.append(Seal(row.id, position, bool(sealed.is_genuine), digest, before))
    position = last + len(seals)
    return seals, Head(position, before, vault.sign(_signed(position, before), purpose=HEAD), position)


def is_genuine(vault: Vault, row: AuditRow) -> bool:
    """Return whether a process with our key wrote a row. Of one that was emptied before it was sealed, the row that emptied it tells."""
    if row.erased_at is not None:
        return row.mac is not None
    return row.mac is not None and vault.is_signed(_canonical(row, PROVEN), row.mac, purpose=ROW) is True


def digest_of(row: AuditRow) -> bytes:
    """Return sha256 of whom and what a row is about; of a row that was emptied, as it was stored."""
    return bytes(row.digest or b"") if row.erased_at is not None and row.digest else hashlib.sha256(_canonical(row, ABOUT)).digest()


def hash_of(row: AuditRow, before: bytes) -> bytes:
    """Return the hash of a row in the chain after the hash `before`."""
    return hashlib.sha256(before + hashlib.sha256(_canonical(row, KEPT)).digest() + digest_of(row)).digest()


def _canonical(row: Entry | AuditRow, fields: Sequence[str]) -> bytes:
    return _ENCODER.encode([getattr(row, name) for name in fields]).encode()


def _plain(value: object) -> str:
    """Return what JSON has no form for."""
    match value:
        case bytes():
            return value.hex()
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="microseconds")
        case UUID():
            return str(value)
        case _:
            raise TypeError(f"The audit log has no form for {type(value).__name__}.")


_ENCODER = json.JSONEncoder(separators=(",", ":"), sort_keys=True, default=_plain)


def _signed(position: int, hash: bytes) -> bytes:
    return position.to_bytes(8, "big") + hash


class _Check:
    """One walk along the chain."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault
        self._faults: list[Fault] = []
        self._rows = 0
        self._emptied: dict[int, list[tuple[int, UUID]]] = {}
        """Rows that say nothing any more, by their moment in microseconds."""
        self._erased: dict[int, int] = {}
        """How many rows erasures say that they emptied, by the same."""

    async def run(self, known: tuple[int, str] | None) -> Verified:
        """Return what was found."""
        end = await store.end(self._database)
        retired = await store.last_retired(self._database)
        through, signed_hash = end.position or 0, bytes(end.hash or FIRST_HASH)
        position, before = _start(retired)
        is_met = known is None or known[0] <= position
        while rows := await store.chain(self._database, after=position, through=through, limit=PAGE):
            for row in rows:
                position, before = self._step(row, position, before)
                is_met = is_met or known == (position, before.hex())
        if position < through:
            self._add(Fault("removed", position + 1, count=through - position))
        is_signed = self._vault.is_signed(_signed(through, signed_hash), end.signature, purpose=HEAD) if end.signature else end.last is None
        if is_signed is False or not is_met or (position == through and before != signed_hash):
            self._add(Fault("head", through))
        if end.last is not None and end.last > through:
            self._add(Fault("inserted", through + 1, count=end.last - through))
        for moment, emptied in self._emptied.items():
            if len(emptied) > self._erased.get(moment, 0):
                for place, id in emptied:
                    self._add(Fault("emptied", place, id))
        return Verified(self._rows, end.to_seal, through, signed_hash.hex(), self._faults, is_signed)

    def _step(self, row: AuditRow, position: int, before: bytes) -> tuple[int, bytes]:
        """Check one row; return its position and its hash, by which the next one is checked."""
        assert row.position is not None
        self._rows += 1
        has_gap = row.position != position + 1
        if has_gap:
            self._add(Fault("removed", position + 1, count=row.position - position - 1))
        follows = has_gap or hash_of(row, before) == bytes(row.hash or b"")
        if not follows or not self._is_as_written(row):
            self._add(Fault("changed", row.position, row.id))
        elif not row.is_genuine:
            self._add(Fault("inserted", row.position, row.id))
        if row.erased_at is not None:
            self._emptied.setdefault(round(row.erased_at.timestamp() * 1_000_000), []).append((row.position, row.id))
        if row.operation == store.ERASED and row.is_genuine and row.details:
            self._erased[int(row.details["at"])] = int(row.details["erased"])
        return row.position, bytes(row.hash or b"")

    def _is_as_written(self, row: AuditRow) -> bool:
        if row.erased_at is not None:
            return True
        is_proven = not row.is_genuine or row.mac is None or self._vault.is_signed(_canonical(row, PROVEN), row.mac, purpose=ROW) is not False
        return digest_of(row) == bytes(row.digest or b"") and is_proven

    def _add(self, fault: Fault) -> None:
        if len(self._faults) < FAULTS_MAX:
            self._faults.append(fault)


def _start(retired: AuditRow | None) -> tuple[int, bytes]:
    """Return the place and the hash before the first row that is there, as the newest row tells by which some were removed."""
    if retired is None or not retired.is_genuine or not retired.details:
        return 0, FIRST_HASH
    return int(retired.details["through"]), bytes.fromhex(retired.details["hash"])
