"""The stand-in is as strict as Discord, and stricter about what no program should ask."""

import json
import zlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.standins.discord_api import DiscordStandIn, StandInBot, spec
from tests.standins.discord_api.world import CONTENT, GUILDS, StoredFile

pytestmark = pytest.mark.anyio

described = pytest.mark.skipif(spec.load() is None, reason="no description of Discord's API here; MCP_MESSENGER_SPECS names its folder")


@pytest.fixture
async def discord() -> AsyncIterator[DiscordStandIn]:
    async with DiscordStandIn() as discord:
        yield discord
        discord.violations.clear()


@pytest.fixture
def bot(discord: DiscordStandIn) -> StandInBot:
    return discord.add_bot()


class Program:
    """Calls Discord by hand."""

    def __init__(self, discord: DiscordStandIn, bot: StandInBot, http: aiohttp.ClientSession) -> None:
        self.discord = discord
        self.bot = bot
        self.http = http
        self.guild = discord.world.guild("Works", bot)
        self.channel = discord.world.channel(self.guild, "general")
        self.ann = discord.world.person("Ann", self.guild)

    async def call(self, method: str, path: str, *, token: str | None = None, **options: Any) -> tuple[int, Any]:
        headers = {"Authorization": f"Bot {self.bot.token if token is None else token}"}
        async with self.http.request(method, self.discord.base_url + path, headers=headers, **options) as answer:
            return answer.status, await answer.json() if answer.status != 204 else None

    async def post(self, **body: Any) -> tuple[int, Any]:
        return await self.call("POST", f"/channels/{self.channel}/messages", json=body)


@pytest.fixture
async def program(discord: DiscordStandIn, bot: StandInBot) -> AsyncIterator[Program]:
    async with aiohttp.ClientSession() as http:
        yield Program(discord, bot, http)


class Wire:
    """One connection to the gateway, by hand."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self._stream = zlib.decompressobj()

    async def next(self) -> dict[str, Any]:
        return json.loads(self._stream.decompress(await self.socket.receive_bytes(timeout=15)))

    async def say(self, op: int, data: Any) -> None:
        await self.socket.send_str(json.dumps({"op": op, "d": data}))

    async def close_code(self) -> int | None:
        while not self.socket.closed:
            await self.socket.receive(timeout=15)
        return self.socket.close_code


async def dial(program: Program, query: str = "v=10&encoding=json&compress=zlib-stream") -> Wire:
    return Wire(await program.http.ws_connect(f"ws://127.0.0.1:{program.discord.port}/gateway?{query}"))


def identity(token: str, intents: int = GUILDS) -> dict[str, Any]:
    return {"token": token, "intents": intents, "properties": {"os": "linux", "browser": "test", "device": "test"}}


@pytest.mark.parametrize("token", ["", "nonsense", "FAKE-TOKEN-OF-A-STAND-IN.99"])
async def test_refuses_a_token_it_does_not_know(program: Program, token: str) -> None:
    assert await program.call("GET", "/users/@me", token=token) == (401, {"message": "401: Unauthorized", "code": 0})


async def test_answers_json_of_exactly_that_type_with_the_state_of_the_bucket(program: Program) -> None:
    headers = {"Authorization": f"Bot {program.bot.token}"}
    async with program.http.get(f"{program.discord.base_url}/users/@me", headers=headers) as answer:
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.headers["X-RateLimit-Bucket"] == "bucket-of-get_my_user"
        assert int(answer.headers["X-RateLimit-Remaining"]) < int(answer.headers["X-RateLimit-Limit"])


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [({"content": "x" * 2001}, 400, 50035), ({"content": " "}, 400, 50006), ({"content": "x", "nonce": "n" * 26}, 400, 50035)],
)
async def test_refuses_what_discord_refuses(program: Program, body: dict[str, Any], status: int, code: int) -> None:
    answered, words = await program.post(**body)
    assert (answered, words["code"]) == (status, code)


async def test_knows_channels_messages_and_who_may_see_them(program: Program) -> None:
    hidden = program.discord.world.channel(program.discord.world.guild("Elsewhere"), "secret")
    for path, code in {"1": 10003, hidden: 50001, "x": 50035}.items():
        assert (await program.call("GET", f"/channels/{path}"))[1]["code"] == code
    assert (await program.call("GET", f"/channels/{program.channel}/messages/1"))[1]["code"] == 10008
    program.discord.world.denied.add((program.channel, "create_message"))
    assert (await program.post(content="x"))[1]["code"] == 50013


async def test_one_nonce_is_one_message(program: Program) -> None:
    first, second = [await program.post(content="x", nonce="1", enforce_nonce=True) for _ in range(2)]
    assert first[1]["id"] == second[1]["id"]
    third = await program.post(content="x", nonce="1")
    assert third[1]["id"] != first[1]["id"]


async def test_refuses_calls_beyond_the_limit(program: Program) -> None:
    program.discord.limits["get_my_user"] = (1, 60)
    assert (await program.call("GET", "/users/@me"))[0] == 200
    status, body = await program.call("GET", "/users/@me")
    assert (status, body["global"]) == (429, False)
    assert 0 < body["retry_after"] <= 60


async def test_an_unknown_call_is_remembered(program: Program) -> None:
    assert (await program.call("GET", "/users/@me/secrets"))[0] == 404
    assert "secrets" in program.discord.violations[0]


@described
@pytest.mark.parametrize(
    "body", [{"content": "x", "colour": 5, "attachments": [{"id": 0}]}, {"content": "x", "flags": "4"}, {"content": "x", "poll": {"question": {}}}]
)
async def test_a_call_of_another_form_than_described_is_remembered(program: Program, body: dict[str, Any]) -> None:
    assert (await program.post(**body))[0] == 400
    assert "create_message" in program.discord.violations[0]


@described
async def test_every_call_it_knows_is_described(discord: DiscordStandIn) -> None:
    from tests.standins.discord_api.rest import CALLS

    described_api = spec.load()
    assert described_api is not None
    for name, (method, path, _) in CALLS.items():
        assert described_api.operations[name][:2] == (method, path)


async def test_a_token_shown_to_the_file_server_is_remembered(program: Program) -> None:
    attachment = program.discord.world.attach(StoredFile("a", "text/plain", b"x"), "0")
    async with program.http.get(attachment["url"]) as answer:
        assert await answer.read() == b"x"
    assert not program.discord.violations
    async with program.http.get(attachment["url"], headers={"Authorization": "Bot x"}):
        assert program.discord.violations


@pytest.mark.parametrize(
    ("op", "data", "code"),
    [
        (2, identity("nonsense"), 4004),
        (2, identity("", 1 << 30), 4004),
        (6, {"token": "nonsense", "session_id": "x", "seq": 1}, 4004),
        (3, {}, 4003),
    ],
)
async def test_closes_on_what_may_not_come_first(program: Program, op: int, data: dict[str, Any], code: int) -> None:
    wire = await dial(program)
    assert (await wire.next())["op"] == 10
    await wire.say(op, data)
    assert await wire.close_code() == code


@pytest.mark.parametrize(("intents", "code"), [(1 << 30, 4013), (1 << 8, 4014), (1 << 1, 4014), (CONTENT, 4014)])
async def test_closes_on_intents_that_are_wrong_or_not_allowed(program: Program, intents: int, code: int) -> None:
    program.bot.application["flags"] = 0
    wire = await dial(program)
    await wire.say(2, identity(program.bot.token, intents))
    assert await wire.close_code() == code


@pytest.mark.parametrize("query", ["v=9&encoding=json&compress=zlib-stream", "v=10&encoding=etf&compress=zlib-stream", "v=10&encoding=json"])
async def test_closes_on_a_gateway_address_of_another_kind(program: Program, query: str) -> None:
    assert await (await dial(program, query)).close_code() in {4012, 4002}


async def test_a_session_is_resumed_with_what_was_missed_and_never_beyond(program: Program) -> None:
    wire = await dial(program)
    await wire.next()
    await wire.say(2, identity(program.bot.token, GUILDS | 1 << 9 | CONTENT))
    ready, guild = await wire.next(), await wire.next()
    assert (ready["t"], guild["t"], guild["s"]) == ("READY", "GUILD_CREATE", 2)
    await wire.say(1, 2)
    assert (await wire.next())["op"] == 11
    await wire.say(2, identity(program.bot.token))
    assert await wire.close_code() == 4005
    program.discord.world.write(program.channel, program.ann, "missed")
    resume = {"token": program.bot.token, "session_id": ready["d"]["session_id"], "seq": 2}
    again = await dial(program)
    await again.next()
    await again.say(6, resume)
    missed, resumed = await again.next(), await again.next()
    assert (missed["d"]["content"], missed["s"], resumed["t"]) == ("missed", 3, "RESUMED")
    beyond = await dial(program)
    await beyond.say(6, {**resume, "seq": 99})
    assert await beyond.close_code() == 4007
    program.discord.gateway.forget(program.bot)
    lost = await dial(program)
    await lost.next()
    await lost.say(6, resume)
    assert await lost.next() == {"op": 9, "d": False}


async def test_content_is_hidden_from_who_did_not_ask_for_it(program: Program) -> None:
    wire = await dial(program)
    await wire.next()
    await wire.say(2, identity(program.bot.token, GUILDS | 1 << 9))
    await wire.next()
    await wire.next()
    program.discord.world.write(program.channel, program.ann, "secret")
    assert (await wire.next())["d"]["content"] == ""


async def test_a_nonce_is_shown_to_its_author_alone(program: Program) -> None:
    other = program.discord.add_bot("Other")
    program.discord.world.guilds[program.guild]["people"].append(other.id)
    wires: list[Wire] = []
    for token in (program.bot.token, other.token):
        wire = await dial(program)
        await wire.next()
        await wire.say(2, identity(token, GUILDS | 1 << 9))
        await wire.next()
        await wire.next()
        wires.append(wire)
    await program.post(content="x", nonce="17")
    assert [(await wire.next())["d"].get("nonce") for wire in wires] == ["17", None]
