"""The database, for commands that work beside the server or without one."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from mcp_messenger.config import Config


@asynccontextmanager
async def database_url(config: Config) -> AsyncGenerator[str]:
    """Give the URL of the database past its pooler; the embedded server runs meanwhile where there is none."""
    url = config.direct_database_url or config.database_url
    if url is not None:
        yield url.get_secret_value()
        return
    from db.embedded import start_embedded

    config.make_data_dir()
    server = await start_embedded(config.data_dir / "postgres")
    try:
        yield server.url
    finally:
        await server.stop()
