"""The program over stdio in environments as people have them: it works, or says what to do."""

import re
import socket
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import StdioServerParameters
from mcp.shared.exceptions import MCPError

from tests.cases.loading import cases
from tests.mcp_clients import over_stdio, text_of
from tests.postgres import put_store
from tests.program import ROOT, environment
from tests.standins.telegram_bot_api import TelegramStandIn
from tests.waiting import until_answer

pytestmark = pytest.mark.anyio

Json = dict[str, Any]

STARTS_WITHIN = 60.0
REASON_WITHIN = 10.0
"""Seconds until a state must tell its reason."""


@dataclass
class SocksProxy:
    """Takes note of how it is spoken to, and lets nobody through. It needs no rights and no names."""

    port: int = 0
    greetings: list[bytes] = field(default_factory=list[bytes])

    @property
    def was_used(self) -> bool:
        return any(greeting[:1] == b"\x05" for greeting in self.greetings)

    @property
    def was_taken_for_http(self) -> bool:
        return any(greeting[:1].isalpha() for greeting in self.greetings)


@contextmanager
def _socks_proxy() -> Generator[SocksProxy]:
    proxy = SocksProxy()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy.port = listener.getsockname()[1]

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.settimeout(5)
                    try:
                        proxy.greetings.append(connection.recv(64))
                    except OSError:
                        proxy.greetings.append(b"")

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield proxy
        finally:
            listener.shutdown(socket.SHUT_RDWR)


@dataclass
class Outcome:
    """What a person sees: whether a message went out, what was answered, and what the program wrote to its log."""

    works: bool
    told: str
    log: str
    folder: Path

    @property
    def everything(self) -> str:
        return self.told + self.log


async def _tried(folder: Path, env: dict[str, str], provider: str, credentials: Json) -> Outcome:
    """Start the program, make an instance, and send a message or learn why that cannot be."""
    folder.mkdir(exist_ok=True)
    log, told, works = folder / "log", "", False
    whole = {**environment(folder / "data"), "HOME": str(folder / "home"), **env}
    (folder / "home").mkdir(exist_ok=True)
    (folder / "work").mkdir()
    server = StdioServerParameters(command=sys.executable, args=["-m", "mcp_messenger"], env=whole | {"PYTHONPATH": str(ROOT)}, cwd=folder / "work")
    try:
        with anyio.fail_after(STARTS_WITHIN):
            async with over_stdio(server, log=log) as client:
                made = await client.call_tool("create_instance", {"provider": provider, "credentials": credentials})
                told += text_of(made)
                if not made.is_error:
                    instance_id = (made.structured_content or {})["instance_id"]
                    told += await _reason(client, instance_id)
                    sent = await client.call_tool("send_message", {"instance_id": instance_id, "to": "ann", "message": "hello"})
                    told, works = told + text_of(sent), not sent.is_error
    except* (MCPError, OSError, TimeoutError) as errors:
        told += "".join(str(error) for error in errors.exceptions)
    return Outcome(works, told, log.read_text(encoding="utf-8"), folder)


async def _reason(client: Any, instance_id: str) -> str:
    """Return the instance's state and reason once it is ready, in trouble or has a reason. Raises AssertionError where it says nothing for long."""

    async def shown() -> Json:
        return (await client.call_tool("get_instance", {"instance_id": instance_id})).structured_content["instance"]

    instance = await until_answer(shown, lambda it: bool(it["status"] in {"ready", "error", "degraded"} or it.get("status_reason")), REASON_WITHIN)
    return f" {instance['status']}: {instance.get('status_reason')}"


SANDBOX: Json = {"auto_scan": True, "page": False, "persona": "human"}


def _refuses(outcome: Outcome, *names: str) -> bool:
    return not outcome.works and all(name in outcome.everything for name in names)


async def _works_or_names(folder: Path, env: dict[str, str], *names: str) -> Outcome:
    outcome = await _tried(folder, env, "sandbox", SANDBOX)
    assert outcome.works or _refuses(outcome, *names), outcome.everything
    return outcome


async def _folder(folder: Path, case: Json, made: Path) -> None:
    """A folder with a sign in its name: it works, or the refusal shows the sign and no command line."""
    env = {name: value.replace("{temporary folder}", str(folder)) for name, value in case["input"][0]["environment"].items()}
    data_dir = Path(env["MCP_MESSENGER_DATA_DIR"])
    sign = data_dir.name.strip("abcdrolef")
    put_store(made, data_dir)
    outcome = await _works_or_names(folder, env, "MCP_MESSENGER_DATA_DIR", sign)
    assert not re.search(r"pg_ctl['\"]?,? .*-[DlowU]\b", outcome.everything), outcome.everything


async def _tilde(folder: Path, case: Json, made: Path) -> None:
    put_store(made, folder / "home" / "chat-data")
    outcome = await _works_or_names(folder, case["input"][0]["environment"], "MCP_MESSENGER_DATA_DIR", "~")
    assert not (outcome.folder / "work" / "~").exists()
    assert not outcome.works or (outcome.folder / "home" / "chat-data" / "secret.key").is_file()


async def _unexpanded(folder: Path, case: Json) -> None:
    outcome = await _tried(folder, case["input"][0]["environment"], "sandbox", SANDBOX)
    assert _refuses(outcome, "MCP_MESSENGER_DATA_DIR", "%APPDATA%"), outcome.everything


async def _pgservice(folder: Path, case: Json, made: Path) -> None:
    put_store(made, folder / "data")
    outcome = await _tried(folder, case["input"][0]["environment"], "sandbox", SANDBOX)
    assert outcome.works, outcome.everything


async def _pgbouncer(folder: Path, case: Json) -> None:
    """Nobody listens there, so that it is enough that the parameter is named, or that the trouble is the connection's."""
    outcome = await _tried(folder, case["input"][0]["environment"], "sandbox", SANDBOX)
    assert "secret" not in outcome.everything.replace("secret_", "").replace("SECRET_", "")
    assert "pgbouncer" in outcome.everything or "refused" in outcome.everything.casefold(), outcome.everything


async def _no_proxy(folder: Path, case: Json) -> None:
    with socket.create_server(("127.0.0.1", 0)) as dead:
        port = str(dead.getsockname()[1])
    env = {name: value.replace("{dead port}", port) for name, value in case["input"][0]["environment"].items()}
    async with TelegramStandIn() as telegram:
        bot = telegram.add_bot()
        bot.chats[1001] = {"id": 1001, "type": "private", "first_name": "Ann", "username": "ann"}
        outcome = await _tried(folder, env, "telegram", {"token": bot.token, "base_url": telegram.url})
        assert " ready" in outcome.told, outcome.everything
        assert bot.calls


_TOKENS: dict[str, Json] = {
    "telegram": {"token": "777000111:FAKE-TOKEN-OF-A-STAND-IN", "base_url": "https://telegram.invalid"},
    "discord": {"bot_token": "FAKE-TOKEN-OF-A-STAND-IN.1", "base_url": "https://discord.invalid/api/v10"},
    "slack": {"bot_token": "xoxb-FAKE-TOKEN-OF-A-STAND-IN", "signing_secret": "fake-signing-secret", "base_url": "https://slack.invalid/api"},
}
"""At addresses that no name server knows: only a proxy could find them."""


async def _socks(folder: Path, case: Json) -> None:
    (step,) = case["input"]
    with _socks_proxy() as proxy:
        env = {name: value.replace("{port}", str(proxy.port)) for name, value in step["environment"].items()}
        outcome = await _tried(folder, env, step["instance"], _TOKENS[step["instance"]])
    assert proxy.was_used or "socks" in outcome.told.casefold(), (proxy.greetings, outcome.told)
    assert not proxy.was_taken_for_http


_CHECKS: tuple[tuple[str, Callable[..., Any]], ...] = (
    ("env-socks-", _socks),
    ("env-no-proxy", _no_proxy),
    ("env-pgservice", _pgservice),
    ("env-pgbouncer", _pgbouncer),
    ("env-tilde", _tilde),
    ("env-unexpanded-windows", _unexpanded),
    ("env-folder-", _folder),
)


@pytest.mark.skipif(sys.platform == "win32", reason="the names of folders are those of POSIX")
@pytest.mark.parametrize("case", cases("proxies-and-paths.json"))
async def test_environment(tmp_path: Path, case: Json, database_url: str, migrated_store: Path) -> None:
    assert case["expect"].keys() <= {"works", "never"}
    assert [step.keys() - {"environment", "instance"} for step in case["input"]] == [set()]
    (check,) = [check for start, check in _CHECKS if case["id"].startswith(start)]
    if check in {_socks, _no_proxy}:
        # Proxies have nothing to do with the embedded store, which takes seconds to make.
        (step,) = case["input"]
        case = {**case, "input": [{**step, "environment": {**step["environment"], "DATABASE_URL": database_url}}]}
    elif check in {_folder, _tilde, _pgservice}:
        check = partial(check, made=migrated_store)
    await check(tmp_path / "case", case)
