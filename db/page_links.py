"""Addresses of pages on which a person adds an account or logs one in: each opens one page, for some minutes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from db.database import Database


@dataclass(frozen=True, slots=True)
class PageLink:
    """`instance_id` None: no account was added there yet. `user_id` None: the account becomes the administrator's."""

    digest: bytes
    user_id: str | None
    instance_id: UUID | None
    expires_at: datetime
    used_at: datetime | None


INSERT: LiteralString = """
    INSERT INTO public.page_links (digest, user_id, instance_id, expires_at)
    VALUES (%(digest)s, %(user_id)s, %(instance_id)s, now() + make_interval(mins => %(minutes)s))
    RETURNING digest, user_id, instance_id, expires_at, used_at"""
GET: LiteralString = """
    SELECT digest, user_id, instance_id, expires_at, used_at FROM public.page_links WHERE digest = ANY(%(digests)s) AND expires_at > now()"""
USE: LiteralString = "UPDATE public.page_links SET used_at = now() WHERE digest = %(digest)s AND used_at IS NULL AND expires_at > now()"
GIVE_BACK: LiteralString = "UPDATE public.page_links SET used_at = NULL WHERE digest = %(digest)s AND instance_id IS NULL"
ADDED: LiteralString = "UPDATE public.page_links SET instance_id = %(instance_id)s, used_at = NULL WHERE digest = %(digest)s"
FORGET: LiteralString = "DELETE FROM public.page_links WHERE expires_at < now()"


async def create(database: Database, digest: bytes, *, user_id: str | None, instance_id: UUID | None, minutes: int) -> PageLink:
    """Store the address of a page, by the digest of its secret."""
    link = await database.one(PageLink, INSERT, {"digest": digest, "user_id": user_id, "instance_id": instance_id, "minutes": minutes})
    assert link is not None
    return link


async def get(database: Database, digests: Sequence[bytes]) -> PageLink | None:
    """Return the page under an address; None: there is none, or its time is over."""
    return await database.one(PageLink, GET, {"digests": list(digests)})


async def use(database: Database, link: PageLink) -> bool:
    """Store that the page has done its work. False: it had already, or its time is over."""
    return await database.execute(USE, {"digest": link.digest}) > 0


async def give_back(database: Database, link: PageLink) -> None:
    """Let the page be used after all: no account was made."""
    await database.execute(GIVE_BACK, {"digest": link.digest})


async def added(database: Database, link: PageLink, instance_id: UUID) -> None:
    """Store the account that was added on the page, which logs it in from now on."""
    await database.execute(ADDED, {"digest": link.digest, "instance_id": instance_id})


async def forget(database: Database) -> None:
    """Delete those whose time is over."""
    await database.execute(FORGET)
