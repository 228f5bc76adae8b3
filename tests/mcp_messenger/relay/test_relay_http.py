"""The relay's HTTP interface: who gets in, and what its manager may do."""

import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Generator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from pydantic import SecretStr

from mcp_messenger.relay import protocol
from providers.errors import Unreachable
from providers.events import MessageReceived, StateChanged
from providers.models import Draft
from providers.sandbox.people import MAYBE_SENT
from providers.states import InstanceState
from providers.telegram.settings import TelegramSettings
from tests.mcp_messenger.relay.process import KEY, RelayProcess, running_relay
from tests.program import ROOT, environment
from tests.providers.harness import Inbox
from tests.standins.telegram_bot_api import TelegramStandIn
from tests.waiting import until_answer

pytestmark = pytest.mark.anyio

SETTINGS = {"persona": "echo", "auto_scan": True, "page": False}


@pytest.fixture(scope="module")
async def relay(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RelayProcess]:
    async with running_relay("sandbox", tmp_path_factory.mktemp("sandbox")) as relay:
        yield relay


@pytest.fixture
async def client(relay: RelayProcess) -> AsyncIterator[httpx.AsyncClient]:
    """A manager that has brought the settings; the instance is ready."""
    async with relay.http() as client:
        (await client.put(protocol.SETTINGS, json=SETTINGS)).raise_for_status()
        await until_state(client, "ready")
        yield client
    await relay.as_new()


async def until_state(client: httpx.AsyncClient, state: str) -> dict[str, Any]:
    """Wait for the state in what a manager pulls."""

    async def pulled() -> dict[str, Any]:
        return (await client.get(protocol.EVENTS)).json()["state"]

    return await until_answer(pulled, lambda pulled: pulled["state"] == state, 20)


async def events(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    return [one["event"] for one in (await client.get(protocol.EVENTS, params={"limit": 500})).json()["events"]]


async def until_events(client: httpx.AsyncClient, is_enough: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
    """Pull and confirm until there are enough."""
    found: list[dict[str, Any]] = []
    params: dict[str, Any] = {"wait": 10}
    with anyio.fail_after(20):
        while not is_enough(found):
            if page := (await client.get(protocol.EVENTS, params=params)).raise_for_status().json()["events"]:
                found += [one["event"] for one in page]
                params["after"] = page[-1]["seq"]
    return found


def texts(found: list[dict[str, Any]]) -> list[str]:
    return [event["message"]["text"] for event in found if event["type"] == "message"]


def codes(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [event["qr"] for event in found if event["type"] == "state" and "qr" in event]


async def test_it_waits_for_its_manager_and_says_so(tmp_path: Path) -> None:
    async with running_relay("sandbox", tmp_path) as relay, relay.http() as client:
        health = (await client.get(protocol.HEALTH)).json()
        assert (health["status"], health["state"]) == ("healthy", "starting")
        answer = (await client.get(protocol.EVENTS)).json()
        assert "Waits for its manager" in answer["state"]["reason"]
        draft = {"client_id": "1", "chat_id": "ann", "text": "hello"}
        unsent = (await client.post(protocol.SEND, json=draft)).json()["error"]
        assert (unsent["code"], unsent["maybe_sent"]) == ("unreachable", False)
        refused = (await client.post("/port/list_groups")).json()["error"]
        assert (refused["code"], refused["state"], "Waits for its manager" in refused["detail"]) == ("not_ready", "starting", True)
        assert await relay.stop() == 0


@pytest.mark.parametrize("key", [None, "mm_WRONG-KEY-OF-A-TEST-0123456789", KEY[:-1], ""])
async def test_without_the_key_nothing_but_the_health_is_shown(relay: RelayProcess, client: httpx.AsyncClient, key: str | None) -> None:
    async with relay.http(key) as stranger:
        answers = [
            await stranger.get(protocol.EVENTS),
            await stranger.put(protocol.SETTINGS, json=SETTINGS),
            *[await stranger.post(path, json={}) for path in ("/port/stop", "/port/forget", "/port/send", "/port/list_groups", "/port/nonsense")],
        ]
        assert [answer.status_code for answer in answers] == [401] * len(answers)
        # Neither whether there was a key, nor how near it was.
        assert {answer.text for answer in answers} == {answers[0].text}
        assert (await stranger.get(protocol.HEALTH)).status_code == 200
    assert (await client.get(protocol.HEALTH)).json()["state"] == "ready"


async def test_it_has_nothing_for_people(client: httpx.AsyncClient) -> None:
    paths = ("/", "/docs", "/openapi.json", "/mcp", "/api/v1/status", "/api/v1/chats", "/api/v1/current-api-key", "/webhooks/sandbox/1")
    assert {path: (await client.get(path)).status_code for path in paths} == dict.fromkeys(paths, 404)


async def test_settings_start_it_once_and_again_only_when_they_change(client: httpx.AsyncClient) -> None:
    async def starts() -> int:
        return [event["state"] for event in await events(client) if event["type"] == "state"].count("ready")

    before = await starts()
    for _ in range(3):
        assert (await client.put(protocol.SETTINGS, json=SETTINGS)).json()["state"]["state"] == "ready"
    assert await starts() == before
    (await client.put(protocol.SETTINGS, json={**SETTINGS, "account_name": "Another"})).raise_for_status()
    await until_state(client, "ready")
    assert await starts() == before + 1
    assert (await until_state(client, "ready"))["account"]["name"] == "Another"


async def test_settings_that_do_not_fit_are_refused_without_their_values(client: httpx.AsyncClient) -> None:
    refused = await client.put(protocol.SETTINGS, json={"access_code": ["SECRET-VALUE"]})
    assert refused.status_code == 422
    assert "access_code" in refused.text
    assert "SECRET-VALUE" not in refused.text
    assert (await client.put(protocol.SETTINGS, content=b"garbage")).status_code == 422
    assert (await client.get(protocol.HEALTH)).json()["state"] == "ready"


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
    found = await until_events(client, lambda found: "echo: only once" in texts(found))
    assert texts(found).count("echo: only once") == 1
    other = (await client.post("/port/send", json={**draft, "text": "something else"})).json()["error"]
    assert other["code"] == "invalid_request"


async def test_an_echo_settles_a_send_of_unknown_fate(client: httpx.AsyncClient) -> None:
    """The sandbox's Molly takes a message, does not answer, and shows it a moment later."""
    draft = {"client_id": "88", "chat_id": MAYBE_SENT, "text": "did it go?"}
    first = (await client.post("/port/send", json=draft)).json()
    if "error" in first:
        assert first["error"]["maybe_sent"]

    async def again() -> dict[str, Any]:
        return (await client.post("/port/send", json=draft)).json()

    settled = await until_answer(again, lambda answer: "error" not in answer, 20)
    assert settled["result"]["chat_id"] == MAYBE_SENT


async def test_forgetting_throws_the_login_away(client: httpx.AsyncClient) -> None:
    before = len(codes(await events(client)))
    assert (await client.post(protocol.FORGET)).status_code == 200
    await until_events(client, lambda found: len(codes(found)) > before)
    await until_state(client, "ready")


async def test_a_webhook_that_the_manager_passes_on_becomes_an_event(tmp_path: Path) -> None:
    async with TelegramStandIn() as telegram, running_relay("telegram", tmp_path) as relay, relay.http() as client:
        bot = telegram.add_bot()
        settings = {"token": bot.token, "base_url": telegram.url, "mode": "webhook"}
        answer = await client.put(protocol.SETTINGS, params={"public_url": "https://manager.example"}, json=settings)
        assert answer.status_code == 200
        await until_state(client, "ready")
        call = {"method": "POST", "headers": {}, "query": {}, "body": ""}
        refused = await client.post("/port/receive_webhook", json={"request": call})
        assert refused.json()["result"]["status"] == 401
        assert bot.token not in relay.log()
        assert KEY not in relay.log()


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({}, "MCP_MESSENGER_API_KEY_SHA256"),
        ({"MCP_MESSENGER_API_KEY_SHA256": "short"}, "MCP_MESSENGER_API_KEY_SHA256"),
        ({"MCP_MESSENGER_API_KEY_SHA256": "a" * 64}, "MCP_MESSENGER_INSTANCE_ID"),
        ({"MCP_MESSENGER_API_KEY_SHA256": "a" * 64, "MCP_MESSENGER_INSTANCE_ID": "seven"}, "MCP_MESSENGER_INSTANCE_ID"),
        (
            {
                "MCP_MESSENGER_API_KEY_SHA256": "a" * 64,
                "MCP_MESSENGER_INSTANCE_ID": "00000000-0000-4000-8000-000000000000",
                "MCP_MESSENGER_SPOOL_EVENTS": "0",
            },
            "MCP_MESSENGER_SPOOL_EVENTS",
        ),
    ],
)
def test_a_setup_that_cannot_be_is_refused(variables: dict[str, str], said: str, tmp_path: Path) -> None:
    env = environment(tmp_path / "data", MCP_MESSENGER_MANAGED="1", **variables)
    command = [sys.executable, "-m", "mcp_messenger", "--mode", "sandbox-api", "--host", "0.0.0.0", "--api-port", "0"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data").exists()


def test_it_imports_no_store_and_no_application() -> None:
    code = "import sys, mcp_messenger.relay.serve, mcp_messenger.cli; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout.split()
    assert {"psycopg", "docker", "telegram", "db", "fastapi", "mcp", "cryptography", "mcp_messenger.operations"} & set(loaded) == set()


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
    async with TelegramStandIn() as telegram, running_relay("telegram", tmp_path) as relay:
        bot = telegram.add_bot()
        ann = bot.person("Ann")
        inbox = Inbox()
        remote = relay.remote(TelegramSettings(token=SecretStr(bot.token), base_url=telegram.url), tls)
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
        async with relay.http() as client:
            health = (await client.get(protocol.HEALTH)).json()
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
