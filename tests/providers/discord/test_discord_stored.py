"""Discord under the application: what its echo settles, and what is in the store after a restart."""

import os
from collections.abc import AsyncGenerator
from pathlib import Path
from uuid import UUID

import pytest
from pydantic import SecretStr

from db import instances
from mcp_messenger.operations.application import App
from mcp_messenger.operations.instances import CreateInstance, create_instance
from mcp_messenger.operations.sending import SendMessage, send_message
from mcp_messenger.security.caller import ADMIN
from tests.providers.discord.conftest import Station
from tests.running import running_app, until_status
from tests.stored import rows
from tests.waiting import until

pytestmark = pytest.mark.anyio

KEY = SecretStr(os.urandom(32).hex())


@pytest.fixture
async def app(database_url: str, tmp_path: Path) -> AsyncGenerator[App]:
    async with running_app(database_url, tmp_path / "one") as app:
        yield app


async def ready(app: App, station: Station) -> str:
    credentials = {"bot_token": station.bot.token, "base_url": station.discord.base_url}
    made = await create_instance(app, ADMIN, CreateInstance.model_validate({"provider": "discord", "credentials": credentials}))
    await until_status(app, made.instance_id, "ready")
    return made.instance_id


def stored(database_url: str) -> list[tuple[str, str, bool]]:
    return rows(database_url, "SELECT body, status, outgoing FROM messages ORDER BY id")


async def test_the_echo_tells_the_fate_of_a_send_whose_every_answer_was_lost(app: App, database_url: str, station: Station) -> None:
    instance_id = await ready(app, station)
    station.discord.faults.drop_next("create_message", "after")
    for _ in range(3):
        station.discord.faults.drop_next("create_message", "before")
    sent = await send_message(app, ADMIN, SendMessage(instance_id=instance_id, to=station.general, message="did it go out?"))
    assert sent.status == "sent"
    assert stored(database_url) == [("did it go out?", "sent", True)]
    assert len(station.world.messages[station.general]) == 1


@pytest.mark.parametrize("successor", ["one", "another machine"])
async def test_a_message_written_while_the_program_was_away_is_stored_once(
    database_url: str, tmp_path: Path, station: Station, successor: str
) -> None:
    async with running_app(database_url, tmp_path / "one", secret_key=KEY) as app:
        instance_id = await ready(app, station)
        station.world.write(station.general, station.ann, "before")
        await until(lambda: len(stored(database_url)) == 1)
    station.world.write(station.general, station.ann, "meanwhile")
    async with running_app(database_url, tmp_path / successor, secret_key=KEY) as app:
        await until(lambda: len(stored(database_url)) == 2)
        station.world.write(station.general, station.ann, "after")
        await until(lambda: len(stored(database_url)) == 3)
        row = await instances.get(app.database, UUID(instance_id))
        assert row is not None
        assert row.status == "ready"
    assert [body for body, _, _ in stored(database_url)] == ["before", "meanwhile", "after"]


@pytest.mark.parametrize("flags", [0, 1 << 19])
async def test_the_channels_are_listed_as_soon_as_it_is_ready(app: App, database_url: str, station: Station, flags: int) -> None:
    station.bot.application["flags"] = flags
    credentials = {"bot_token": station.bot.token, "base_url": station.discord.base_url}
    await create_instance(app, ADMIN, CreateInstance.model_validate({"provider": "discord", "credentials": credentials}))
    await until(lambda: rows(database_url, "SELECT title FROM chats") == [("#general (Works)",)])


async def test_a_private_chat_is_one_chat_in_both_directions(app: App, database_url: str, station: Station) -> None:
    instance_id = await ready(app, station)
    sent = await send_message(app, ADMIN, SendMessage(instance_id=instance_id, to=f"<@{station.ann}>", message="hi Ann"))
    assert sent.status == "sent"
    station.world.write(station.world.private(station.bot, station.ann), station.ann, "hi robot")
    await until(lambda: len(stored(database_url)) == 2)
    assert rows(database_url, "SELECT DISTINCT chat_id FROM messages") == [(f"user:{station.ann}",)]
