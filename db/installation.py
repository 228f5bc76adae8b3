"""Which installation this is: all processes on one database are one. What they make elsewhere, such as containers, carries its id."""

from typing import LiteralString
from uuid import UUID

from db.database import Database

OURSELVES = UUID(int=0)
"""The instance that stands for the installation in the table of leases: held for ever, by whoever uses the database."""

IDENTIFY: LiteralString = """
    INSERT INTO leases (instance_id, owner, expires_at) VALUES (%(ourselves)s, gen_random_uuid(), 'infinity')
    ON CONFLICT (instance_id) DO UPDATE SET expires_at = 'infinity'
    RETURNING owner"""


async def identify(database: Database) -> UUID:
    """Made at the first call; the same for ever, also in a copy of the database."""
    return await database.value(IDENTIFY, {"ourselves": OURSELVES})
