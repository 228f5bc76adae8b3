"""Which installation this is: all processes on one database are one. What they make elsewhere, such as containers, carries its id."""

from typing import LiteralString
from uuid import UUID

from db.database import Database

IDENTIFY: LiteralString = """
    INSERT INTO public.installation DEFAULT VALUES ON CONFLICT (singleton) DO UPDATE SET singleton = excluded.singleton RETURNING id"""


async def identify(database: Database) -> UUID:
    """Return the installation's id. It is made at the first call and stays the same, also in a copy of the database."""
    return await database.value(IDENTIFY)
