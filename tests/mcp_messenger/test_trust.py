"""Who is believed to be whom, and what a user's token reaches beyond that user's instances."""

import os
import socket
import stat
from collections.abc import AsyncIterator
from functools import partial
from ipaddress import IPv4Network
from pathlib import Path

import anyio
import httpx
import pytest
import uvicorn
from pydantic import SecretStr
from starlette.types import Receive, Scope, Send

from mcp_messenger.agents.agent import Question
from mcp_messenger.agents.agno import AgentOs
from mcp_messenger.api.mcp.server import selected
from mcp_messenger.app import stored
from mcp_messenger.checks.finding import Verdict
from mcp_messenger.checks.folder import check_folder
from mcp_messenger.config import LEAST_TOKEN, Config
from mcp_messenger.config.environment import from_environment
from mcp_messenger.errors import AgentFailed, InvalidInput, NotAllowed
from mcp_messenger.net.network_policy import NetworkPolicy
from mcp_messenger.net.server import run_server
from mcp_messenger.net.uploads import MediaPolicy, load_upload
from mcp_messenger.operations.application import App
from mcp_messenger.operations.instances import CreateInstance, UpdateInstance, create_instance, update_instance
from mcp_messenger.security.caller import ADMIN, Caller
from tests.running import running_app, serving

pytestmark = pytest.mark.anyio

ANN = Caller(user_id="ann")
FORGED = {"X-Forwarded-For": "203.0.113.7", "Forwarded": "for=203.0.113.7"}


async def _whose(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["client"][0].encode()})


@pytest.mark.parametrize(
    ("proxies", "caller"), [((), "127.0.0.1"), ((IPv4Network("10.0.0.0/8"),), "127.0.0.1"), ((IPv4Network("127.0.0.1"),), "203.0.113.7")]
)
async def test_only_a_trusted_proxy_says_whose_request_it_is(proxies: tuple[IPv4Network, ...], caller: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")
    servers: list[uvicorn.Server] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(run_server, _whose, listener, begins=servers.append, proxies=proxies))
            async with httpx.AsyncClient(trust_env=False) as client:
                assert (await client.get(f"http://127.0.0.1:{listener.getsockname()[1]}/", headers=FORGED)).text == caller
            servers[0].should_exit = True


def test_behind_a_proxy_nobody_is_the_administrator_without_a_token(tmp_path: Path) -> None:
    config = from_environment(
        {"MCP_MESSENGER_TRUSTED_PROXIES": "10.0.0.2", "MCP_MESSENGER_TRUST_GATEWAY": "1", "MCP_MESSENGER_DATA_DIR": str(tmp_path)}
    )
    with pytest.raises(InvalidInput, match="no admin token"):
        config.check()


@pytest.mark.parametrize("reached", [{"host": "0.0.0.0"}, {"public_url": "https://bot.example"}, {"allowed_hosts": ("nas.local",)}])
def test_an_admin_token_that_others_can_guess_is_refused(tmp_path: Path, reached: dict[str, object]) -> None:
    short = Config(data_dir=tmp_path, admin_token=SecretStr("x" * (LEAST_TOKEN - 1)), **reached)  # pyright: ignore[reportArgumentType] - several types
    with pytest.raises(InvalidInput, match="guess") as refused:
        short.check()
    assert "xxx" not in str(refused.value)
    Config(data_dir=tmp_path, admin_token=SecretStr("x")).check()


@pytest.mark.skipif(os.name != "posix", reason="permissions are those of POSIX")
async def test_the_data_folder_is_closed_to_others(tmp_path: Path, database_url: str) -> None:
    folder = tmp_path / "new" / "data"
    async with stored(Config(data_dir=folder, database_url=SecretStr(database_url))):
        assert stat.S_IMODE(folder.stat().st_mode) & 0o066 == 0
    folder.chmod(0o755)
    (found,) = check_folder(Config(data_dir=folder))
    assert (found.verdict, "chmod" in (found.hint or "")) == (Verdict.WARNING, True)


@pytest.fixture
async def app(database_url: str, tmp_path: Path) -> AsyncIterator[App]:
    async with running_app(database_url, tmp_path, agno_agents=("helper", "ann:sales"), admin_token=SecretStr("a-fake-admin-token")) as app:
        yield app


def wanted(agent_id: str) -> CreateInstance:
    return CreateInstance(provider="sandbox", agent_id=agent_id)


async def test_a_user_chooses_among_the_agents_that_the_operator_lists(app: App) -> None:
    for agent_id in ("helper", "sales"):
        made = await create_instance(app, ANN, wanted(agent_id))
        with pytest.raises(NotAllowed, match="agent"):
            await update_instance(app, ANN, UpdateInstance(instance_id=made.instance_id, agent_id="accounting"))
        assert (await update_instance(app, ANN, UpdateInstance(instance_id=made.instance_id, agent_id=agent_id, stream=True))).instance.stream
    for user, agent_id in (("ann", "accounting"), ("bob", "sales")):
        with pytest.raises(NotAllowed, match="agent"):
            await create_instance(app, Caller(user_id=user), wanted(agent_id))
    assert (await create_instance(app, ADMIN, wanted("accounting"))).instance.agent_id == "accounting"


async def test_an_agents_id_leads_to_no_other_path(app: App) -> None:
    for agent_id in ("..", ".", "a/../../config", "%2e%2e", "a?b", "a#b", "a\nb"):
        with pytest.raises(ValueError, match="agent_id"):
            wanted(agent_id)
    for agent_id in ("..", ". ."):
        with pytest.raises(AgentFailed, match="no agent"):
            await AgentOs("http://127.0.0.1:9").run(Question(agent_id=agent_id, session="s", key="k", text="hello"), print)


async def test_figures_are_not_kept_by_caches(app: App) -> None:
    async with (
        serving(app) as url,
        httpx.AsyncClient(base_url=url, trust_env=False, headers={"Authorization": "Bearer a-fake-admin-token"}) as client,
    ):
        for path in ("/metrics", "/health", "/api/v1/instances", "/nowhere"):
            assert (await client.get(path)).headers["cache-control"] == "no-store", path
        assert "cache-control" not in (await client.get("/openapi.json")).headers


def test_an_instances_own_mcp_cannot_take_the_instance_away(tmp_path: Path) -> None:
    config = Config(data_dir=tmp_path, toolsets=("all",))
    assert "delete_instance" in {row.name for row in selected(config)}
    assert not any("purge" in row.input.model_fields or row.name == "delete_instance" for row in selected(config, one_instance=True))


async def test_a_users_folder_of_media_is_not_another_users(app: App, tmp_path: Path) -> None:
    users = tmp_path / "media" / "users"
    for name in ("ann", "bob"):
        (users / name).mkdir(parents=True)
        (users / name / "card.txt").write_text(f"the card of {name}")
    (tmp_path / "media" / "logo.txt").write_text("of everybody")
    policy = MediaPolicy(roots=(tmp_path / "media", users / "ann"), closed=users, network=NetworkPolicy(), tls=app.tls())
    for source in ("logo.txt", "card.txt", str(users / "ann" / "card.txt")):
        assert (await load_upload(source, policy=policy, max_bytes=100)).content
    for source in (str(users / "bob" / "card.txt"), "users/bob/card.txt", "../bob/card.txt"):
        with pytest.raises((NotAllowed, InvalidInput)):
            await load_upload(source, policy=policy, max_bytes=100)
