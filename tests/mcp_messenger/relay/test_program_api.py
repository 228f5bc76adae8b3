"""One messenger's own API: who gets in, what it says of itself, and what its manager may do."""

import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from pydantic import SecretStr

from mcp_messenger.operations.operation import Transport
from mcp_messenger.operations.table import OPERATIONS
from mcp_messenger.relay.operations.table import LEFT_TO_THE_MANAGER, ROWS, RUNS
from providers.models import InstanceState, MessageReceived, StateChanged
from tests.mcp_clients import call, over_http
from tests.mcp_messenger.relay.process import KEY, Managed, managed
from tests.program import ROOT, environment
from tests.providers.harness import Inbox
from tests.standins.telegram_bot_api import TelegramStandIn

pytestmark = pytest.mark.anyio

SETTINGS = {"persona": "echo", "auto_scan": True, "page": False}


@pytest.fixture(scope="module")
async def program(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Managed]:
    async with managed("sandbox", tmp_path_factory.mktemp("sandbox")) as program:
        yield program


@pytest.fixture
async def client(program: Managed) -> AsyncIterator[httpx.AsyncClient]:
    """With settings brought and the messenger ready."""
    async with program.http() as client:
        (await client.put("/port/settings", json=SETTINGS)).raise_for_status()
        await until_state(client, "ready")
        yield client
    await program.as_new()


async def until_state(client: httpx.AsyncClient, state: str) -> dict[str, Any]:
    with anyio.fail_after(20):
        while (health := (await client.get("/health")).json())["state"] != state:  # noqa: ASYNC110 - it is of another process
            await anyio.sleep(0.02)
    return health


def test_every_operation_of_an_instance_is_carried_out_or_left_to_the_manager() -> None:
    of_instance = {row.name for row in OPERATIONS if row.of_instance}
    assert of_instance == RUNS.keys() | LEFT_TO_THE_MANAGER
    assert not RUNS.keys() & LEFT_TO_THE_MANAGER
    assert {row.name for row in ROWS} == RUNS.keys()


async def test_it_waits_for_its_manager_and_says_so(tmp_path: Path) -> None:
    async with managed("sandbox", tmp_path) as program, program.http() as client:
        health = (await client.get("/health")).json()
        assert (health["status"], health["state"]) == ("healthy", "starting")
        answer = (await client.get("/events")).json()
        assert "Waits for its manager" in answer["state"]["reason"]
        refused = await client.post("/api/v1/send", json={"to": "ann", "message": "hello"})
        assert refused.json()["code"] == "not_ready"
        draft = {"client_id": "1", "chat_id": "ann", "text": "hello"}
        unsent = (await client.post("/port/send", json=draft)).json()["error"]
        assert (unsent["code"], unsent["maybe_sent"]) == ("unreachable", False)
        assert await program.stop() == 0


@pytest.mark.parametrize("key", [None, "mm_WRONG-KEY-OF-A-TEST-0123456789", KEY[:-1]])
async def test_without_the_key_nothing_but_the_health_is_told(program: Managed, client: httpx.AsyncClient, key: str | None) -> None:
    async with program.http(key) as stranger:
        answers = [
            await stranger.get("/events"),
            await stranger.get("/api/v1/events"),
            await stranger.put("/port/settings", json=SETTINGS),
            *[await stranger.post(path, json={}) for path in ("/port/stop", "/port/forget", "/port/send", "/port/list_groups", "/port/nonsense")],
            await stranger.get("/api/v1/status"),
            await stranger.post("/mcp", json={}),
        ]
        assert [answer.status_code for answer in answers] == [401] * len(answers)
        # Neither whether there was a key, nor how near it was.
        assert {answer.text for answer in answers[:8]} == {answers[0].text}
        assert (await stranger.get("/health")).status_code == 200
    assert (await client.get("/health")).json()["state"] == "ready"


async def test_settings_start_it_once_and_again_only_when_they_change(client: httpx.AsyncClient) -> None:
    async def starts() -> int:
        history = (await client.get("/api/v1/status-history", params={"limit": 500})).json()["history"]
        return [entry["status"] for entry in history].count("starting")

    before = await starts()
    for _ in range(3):
        assert (await client.put("/port/settings", json=SETTINGS)).json()["state"]["state"] == "ready"
    assert await starts() == before
    (await client.put("/port/settings", json={**SETTINGS, "account_name": "Another"})).raise_for_status()
    await until_state(client, "ready")
    assert await starts() == before + 1
    assert (await client.get("/api/v1/account")).json()["account"]["name"] == "Another"


async def test_settings_that_do_not_fit_are_refused_without_their_values(client: httpx.AsyncClient) -> None:
    refused = await client.put("/port/settings", json={"access_code": ["SECRET-VALUE"]})
    assert refused.status_code == 422
    assert "access_code" in refused.text
    assert "SECRET-VALUE" not in refused.text
    assert (await client.put("/port/settings", content=b"garbage")).status_code == 422
    assert (await client.get("/health")).json()["state"] == "ready"


async def test_a_draft_is_sent_once_however_often_it_is_asked_for(client: httpx.AsyncClient) -> None:
    draft = {"client_id": "77", "chat_id": "bob", "text": "only once"}
    answers: list[Any] = []

    async def ask() -> None:
        answers.append((await client.post("/port/send", json=draft)).json()["result"])

    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(ask)
    await ask()
    assert all(answer == answers[0] for answer in answers)
    messages = (await client.get("/api/v1/messages/bob")).json()["messages"]
    assert [message["text"] for message in messages if message["from"] == "me"] == ["only once"]
    other = (await client.post("/port/send", json={**draft, "text": "something else"})).json()["error"]
    assert other["code"] == "invalid_request"


async def test_what_it_sends_for_others_is_told_to_the_manager_once(client: httpx.AsyncClient) -> None:
    send = {"to": "carol", "message": "from its own API", "idempotency_key": "k1"}
    first = (await client.post("/api/v1/send", json=send)).json()
    again = (await client.post("/api/v1/send", json=send)).json()
    assert again["message_id"] == first["message_id"]
    assert (await client.post("/api/v1/send", json={**send, "message": "other"})).json()["code"] == "idempotency_conflict"
    events = [one["event"] for one in (await client.get("/events", params={"limit": 500})).json()["events"]]
    told = [event["message"]["id"] for event in events if event["type"] == "message" and event["message"]["text"] == "from its own API"]
    assert told == [first["platform_id"]]


async def test_an_echo_settles_a_send_of_unknown_fate(client: httpx.AsyncClient) -> None:
    """The sandbox's Molly takes a message, does not answer, and shows it a moment later."""
    from providers.sandbox.people import MAYBE_SENT

    draft = {"client_id": "88", "chat_id": MAYBE_SENT, "text": "did it go?"}
    first = (await client.post("/port/send", json=draft)).json()
    if "error" in first:
        assert first["error"]["maybe_sent"]
    with anyio.fail_after(20):
        while "error" in (settled := (await client.post("/port/send", json=draft)).json()):  # noqa: ASYNC110 - of another process
            await anyio.sleep(0.05)
    assert settled["result"]["chat_id"] == MAYBE_SENT


async def test_forgetting_throws_the_login_away(program: Managed, client: httpx.AsyncClient) -> None:
    asked = datetime.now(UTC)
    assert (await client.post("/port/forget")).status_code == 200
    with anyio.fail_after(20):
        while datetime.fromisoformat((await client.get("/api/v1/qr-history")).json()["history"][0]["issued_at"]) < asked:  # noqa: ASYNC110 - elsewhere
            await anyio.sleep(0.02)
    await until_state(client, "ready")


async def test_it_serves_mcp_with_the_same_tools(program: Managed, client: httpx.AsyncClient) -> None:
    async with over_http(f"{program.url}/mcp", token=KEY) as mcp:
        tools = {tool.name: tool for tool in (await mcp.list_tools()).tools}
        assert {"send_message", "wait_for_reply", "list_chats"} <= tools.keys()
        assert not tools.keys() & {"create_instance", "list_instances", "delete_instance"}
        assert "instance_id" not in tools["send_message"].input_schema["properties"]
        sent = await call(mcp, "send_message", to="ann", message="over MCP")
        reply = await call(mcp, "wait_for_reply", message_id=sent["message_id"], timeout=20)
        assert [one["text"] for one in reply["replies"]] == ["echo: over MCP"]
        found = await call(mcp, "wait_for_messages", cursor="0", timeout=0)
        assert "echo: over MCP" in [message["text"] for message in found["messages"]]


async def test_every_row_answers_over_rest(client: httpx.AsyncClient) -> None:
    """With whatever it is given: no row falls over, and none is missing."""
    document = (await client.get("/openapi.json")).json()
    operations = {one["operationId"] for methods in document["paths"].values() for one in methods.values()}
    assert {row.name for row in ROWS if Transport.REST in row.transports and row.name != "get_instance"} <= operations
    (await client.post("/api/v1/send", json={"to": "ann", "message": "hello"})).raise_for_status()
    answers: dict[str, int] = {}
    for row in ROWS:
        path = row.path.replace("/instances/{instance_id}", "/api/v1").replace("{message_id}", "1").replace("{chat_id}", "ann")
        path = path.replace("{group_id}", "team").replace("{participant}", "bob")
        if row.name in {"get_instance", "stop_instance", "restart_instance", "process_instance", "leave_group"}:
            continue
        answer = await client.request(row.method, path, json={} if row.method in {"POST", "PUT", "PATCH"} else None)
        answers[row.name] = answer.status_code
    assert {name: status for name, status in answers.items() if status >= 500} == {}


async def test_the_bots_token_opens_its_api_and_not_the_managers(tmp_path: Path) -> None:
    async with TelegramStandIn() as telegram, managed("telegram", tmp_path) as program, program.http() as client:
        bot = telegram.add_bot()
        (await client.put("/port/settings", json={"token": bot.token, "base_url": telegram.url})).raise_for_status()
        await until_state(client, "ready")
        async with program.http(bot.token) as owner:
            assert (await owner.get("/api/v1/telegram/me")).status_code == 200
            assert (await owner.get("/events")).status_code == 401
            assert (await owner.post("/port/stop")).status_code == 401
        assert bot.token not in program.log()
        assert KEY not in program.log()
        assert (await client.get("/api/v1/current-api-key")).status_code == 403


async def test_the_platform_posts_to_it_what_it_signs(tmp_path: Path) -> None:
    async with TelegramStandIn() as telegram, managed("telegram", tmp_path) as program, program.http(None) as platform, program.http() as client:
        bot = telegram.add_bot()
        settings = {"token": bot.token, "base_url": telegram.url, "mode": "webhook"}
        answer = await client.put("/port/settings", params={"public_url": program.url}, json=settings)
        assert answer.status_code == 200
        await until_state(client, "ready")
        path = f"/webhooks/telegram/{program.instance_id}"
        assert (await platform.post(path, json={})).status_code == 401
        assert (await platform.post("/webhooks/telegram/another", json={})).status_code == 404
        bot.user_writes(bot.person("Ann"), "by webhook")
        with anyio.fail_after(20):
            while "by webhook" not in (await client.get("/events")).text:  # noqa: ASYNC110 - it is of another process
                await anyio.sleep(0.05)


@pytest.mark.parametrize(
    ("arguments", "variables", "said"),
    [
        ((), {"MCP_MESSENGER_MANAGED": "1"}, "no API key"),
        (("--host", "0.0.0.0"), {}, "Listening on 0.0.0.0"),
        ((), {"MCP_MESSENGER_API_KEY_SHA256": "short"}, "MCP_MESSENGER_API_KEY_SHA256"),
        ((), {"MCP_MESSENGER_INSTANCE_ID": "seven"}, "MCP_MESSENGER_INSTANCE_ID"),
        ((), {"MCP_MESSENGER_INSTANCE_TYPES": "api,fax"}, "MCP_MESSENGER_INSTANCE_TYPES"),
        ((), {"MCP_MESSENGER_SPOOL_EVENTS": "0"}, "MCP_MESSENGER_SPOOL_EVENTS"),
        ((), {"MCP_MESSENGER_CREDENTIALS": "not JSON, a FAKE-SECRET"}, "MCP_MESSENGER_CREDENTIALS"),
        ((), {"MCP_MESSENGER_CREDENTIALS": '{"persona": "FAKE-SECRET"}'}, "persona"),
    ],
)
def test_a_setup_that_cannot_be_is_refused(arguments: tuple[str, ...], variables: dict[str, str], said: str, tmp_path: Path) -> None:
    env = environment(tmp_path / "data", **variables)
    command = [sys.executable, "-m", "mcp_messenger", "--mode", "sandbox-api", "--api-port", "0", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert said in done.stderr
    assert "FAKE-SECRET" not in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data").exists()


def test_it_imports_no_database_driver() -> None:
    code = "import sys, mcp_messenger.relay.serve; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout.split()
    assert {"psycopg", "psycopg_pool", "docker", "telegram", "db.embedded"} & set(loaded) == set()


@pytest.fixture
def small_disk(tmp_path: Path) -> Generator[Path]:
    folder = tmp_path / "data"
    folder.mkdir()
    mounted = shutil.which("mount") and subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, check=False)
    if not mounted or mounted.returncode != 0:
        pytest.skip("needs the right to mount a small disk")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


async def test_a_full_disk_is_a_state_and_it_goes_on_when_there_is_room(small_disk: Path, tmp_path: Path, tls: ssl.SSLContext) -> None:
    """Telegram keeps what cannot be taken; nothing crashes, nothing is lost, and nothing goes out that could not be written down."""
    from providers.errors import Unreachable
    from providers.models import Draft
    from providers.telegram.settings import TelegramSettings

    async with TelegramStandIn() as telegram, managed("telegram", tmp_path) as program:
        bot = telegram.add_bot()
        ann = bot.person("Ann")
        inbox = Inbox()
        remote = program.remote(TelegramSettings(token=SecretStr(bot.token), base_url=telegram.url), tls)
        await remote.start(inbox.deliver)
        await inbox.state(InstanceState.READY)
        fill(small_disk / "filler")
        for number in range(3):
            bot.user_writes(ann, f"{number} " + "x" * 4000)
        degraded = await inbox.wait(StateChanged, lambda state: "spool cannot be written" in (state.reason or ""))
        assert degraded.state is InstanceState.DEGRADED
        with pytest.raises(Unreachable) as caught:
            await remote.send(Draft(client_id="refused", chat_id=str(ann), text="does it go?" + "y" * 3000))
        assert not caught.value.maybe_sent
        assert bot.sent == []
        async with program.http() as client:
            health = (await client.get("/health")).json()
            assert (health["status"], health["state"]) == ("healthy", "degraded")
        (small_disk / "filler").unlink()
        await inbox.wait(StateChanged, lambda state: state.state is InstanceState.READY and state is not inbox.events[0])
        await inbox.wait(MessageReceived, lambda event: event.message.text.startswith("2"))
        assert [event.message.text[0] for event in inbox.events if isinstance(event, MessageReceived)] == ["0", "1", "2"]
        assert (await remote.send(Draft(client_id="last", chat_id=str(ann), text="now"))).id
        await remote.stop()


def fill(path: Path) -> None:
    """Until nothing more goes on the disk."""
    with path.open("wb", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while True:
                    os.write(file.fileno(), b"\0" * size)
            except OSError:
                continue
