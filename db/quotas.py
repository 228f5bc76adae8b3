"""How much users may have, where that is not as the server's settings say."""

from collections.abc import Mapping
from typing import LiteralString

from db.database import Database

OF_USER: LiteralString = "SELECT kind, most FROM public.user_quotas WHERE user_id = %(user_id)s"
SET: LiteralString = """
    INSERT INTO public.user_quotas (user_id, kind, most, set_by) VALUES (%(user_id)s, %(kind)s, %(most)s, %(by)s)
    ON CONFLICT (user_id, kind) DO UPDATE SET most = excluded.most, set_at = now(), set_by = excluded.set_by"""
UNSET: LiteralString = "DELETE FROM public.user_quotas WHERE user_id = %(user_id)s AND kind = ANY(%(kinds)s)"


async def of_user(database: Database, user_id: str) -> dict[str, int | None]:
    """Return a user's own limits by kind. None: without a limit."""
    return {row[0]: row[1] for row in await database.rows(OF_USER, {"user_id": user_id})}


async def set_limits(database: Database, user_id: str, limits: Mapping[str, int | None], unset: list[str], *, by: str) -> None:
    """Give a user limits by kind (None: without), and take back those of the kinds in `unset`."""
    for kind, most in limits.items():
        await database.execute(SET, {"user_id": user_id, "kind": kind, "most": most, "by": by})
    if unset:
        await database.execute(UNSET, {"user_id": user_id, "kinds": unset})
