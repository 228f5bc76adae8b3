"""Whatever a client reads names tools that it has, or says why it lacks them and who can give them."""

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType

import pytest

from mcp_messenger import errors
from mcp_messenger.api.mcp.identity import INSTRUCTIONS
from mcp_messenger.api.mcp.next_steps import explained, named_in
from mcp_messenger.api.mcp.server import selected, tool
from mcp_messenger.config import Config
from mcp_messenger.config.toolsets import Toolset
from mcp_messenger.errors import ApplicationError, ApprovalRequired, NotReady
from mcp_messenger.operations import approvals, login, queueing
from mcp_messenger.operations.application import App
from mcp_messenger.operations.operation import Effect
from mcp_messenger.operations.table import BY_NAME
from mcp_messenger.security.caller import Caller, Scope
from providers.states import InstanceState
from tests.mcp_clients import call, in_memory, refused
from tests.running import ready_sandbox, running_app, sandbox_of, until_status

pytestmark = pytest.mark.anyio
SETTINGS = [("default",), ("all",), *((toolset,) for toolset in Toolset), ("default", "groups")]
ROOT = Path(inspect.getfile(errors)).parent.parent
HINT = re.compile(r"(?:hint|next_step|detail)\s*=\s*f?\"([^\"]*)\"|raise \w+\(\s*f?\"([^\"]*)\"", re.DOTALL)


def texts() -> Iterator[str]:
    """Every state's next step, every error's words, and every hint in the source of the application and of the messengers."""
    yield from (NotReady("1", state).hint or "" for state in InstanceState)
    yield from login.STEPS.values()
    yield login.SETTING
    yield from approvals.NEXT_STEPS.values()
    yield queueing.SAID_BEFORE
    yield str(ApprovalRequired("1", "It needs the owner's word.").hint)
    yield from (cls.next_step or "" for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, ApplicationError))
    for folder in ("mcp_messenger", "providers"):
        for path in (ROOT / folder).rglob("*.py"):
            for found in HINT.finditer(path.read_text(encoding="utf-8")):
                yield found[1] or found[2]


@pytest.mark.parametrize("toolsets", SETTINGS, ids="+".join)
@pytest.mark.parametrize("read_only", [False, True])
def test_every_tool_that_a_text_names_is_shown_or_explained(toolsets: tuple[str, ...], read_only: bool) -> None:
    config = Config(data_dir=Path(), toolsets=toolsets, read_only=read_only)
    shown = {row.name: row for row in selected(config)}
    for text in texts():
        said = explained(text, shown, config, None)
        for name in named_in(text):
            remark = re.search(rf"\b{name}\b[\w ]* not among your tools: ([^;)]+)", said)
            assert (name in shown) == (remark is None), said
            if remark is not None and not read_only and "/api/v1" not in remark[1]:
                assert f"'{BY_NAME[name].toolset}' is off" in remark[1]
        assert said == text or " not among your tools: " in said


def test_what_an_agent_needs_in_every_state_is_among_the_default_tools() -> None:
    config = Config(data_dir=Path())
    shown = {row.name for row in selected(config)}
    for text in (*login.STEPS.values(), *(NotReady("1", state).hint or "" for state in InstanceState), INSTRUCTIONS):
        assert set(named_in(text)) <= shown, text


def test_a_key_that_lacks_the_scope_is_told_of_it() -> None:
    config = Config(data_dir=Path())
    shown = {row.name for row in selected(config)}
    reader = Caller(user_id="ann", scopes=frozenset({Scope.READ}))
    assert "lacks the scope 'send'" in explained("Try send_message.", shown, config, reader)
    assert explained("Try send_message.", shown, config, Caller(user_id="ann")) == "Try send_message."


def test_words_that_are_no_names_of_tools_are_left_alone() -> None:
    config = Config(data_dir=Path(), toolsets=("reading",))
    for text in ("People react, approve and deny.", "The login is over.", "login", "see get_messages_later"):
        assert explained(text, {"get_messages"}, config, None) == text
    assert "login is not among your tools" in explained("Call login.", {"get_messages"}, config, None)


def test_what_a_default_tool_says_of_itself_names_default_tools() -> None:
    config = Config(data_dir=Path())
    rows = selected(config)
    for row in rows:
        wire = json.dumps(tool(row, "lines", without_instance=False).model_dump(mode="json"))
        assert set(named_in(wire)) <= {row.name for row in rows}, row.name


async def test_a_client_reads_the_remark_in_errors_in_answers_and_for_a_tool_that_is_off(database_url: str, tmp_path: Path) -> None:
    async with running_app(database_url, tmp_path, toolsets=("reading", "sending")) as app:
        instance_id = await ready_sandbox(app)
        async with in_memory(app) as client:
            sent = await refused(client, "send_message", instance_id=str(app.started), to="ann", message="Hello")
            assert "list_instances is not among your tools: the toolset 'instances' is off" in sent
            assert "not among" not in await refused(client, "send_message", instance_id=instance_id, to="blocked", message="Hello")
            with pytest.raises(Exception, match="restart_instance is not among your tools: the toolset 'extras' is off") as unknown:
                await client.call_tool("restart_instance", {"instance_id": instance_id})
            assert "MCP_MESSENGER_TOOLSETS=default,extras" in str(unknown.value)
    async with running_app(database_url, tmp_path, read_only=True) as app, in_memory(app) as client:
        status = await call(client, "get_auth_status", instance_id=instance_id)
        assert status["authenticated"]
        assert {row.name for row in selected(app.config) if row.effect is not Effect.READ} == set()


async def test_login_ends_in_the_final_state(database_url: str, tmp_path: Path) -> None:
    """A code is shown once; a wait ends with the scan; a logged-out account gets a new code; a wrong code says what is missing."""
    async with running_app(database_url, tmp_path) as app, in_memory(app) as client:
        made = await call(client, "create_instance", provider="sandbox")
        of = MappingProxyType({"instance_id": made["instance_id"]})
        answer = await client.call_tool("login", dict(of))
        shown = answer.structured_content or {}
        assert (shown["state"], shown["needs"], shown["authenticated"]) == ("qr_ready", "qr", False)
        assert [block.type for block in answer.content] == ["text", "image"]
        assert "Then call login with wait" in shown["next_step"]
        assert shown["link"].startswith("http://127.0.0.1:")
        unscanned = await call(client, "login", **of, wait=0.2)
        assert "Nobody has scanned the code yet" in unscanned["next_step"]
        await _scan(app, made["instance_id"])
        done = await call(client, "login", **of, wait=60)
        assert (done["state"], done["authenticated"], done["account"]["name"]) == ("ready", True, "Sandbox Agent")
        assert "next_step" not in done
        await call(client, "stop_instance", **of)
        assert (await call(client, "login", **of))["state"] == "ready"
        await _unlink(app, made["instance_id"])
        status = await call(client, "get_auth_status", **of)
        assert (status["authenticated"], status["needs"]) == (False, "login")
        assert status["next_step"].startswith("Call login")
        assert (await call(client, "login", **of))["state"] == "qr_ready"
        wrong = await call(client, "create_instance", provider="sandbox", credentials={"access_code": "abc"})
        told = await call(client, "login", instance_id=wrong["instance_id"])
        assert (told["state"], told["authenticated"], told["needs"]) == ("error", False, "token")
        assert f"/api/v1/instances/{wrong['instance_id']}/credentials" in told["next_step"]
        assert "does not begin with" in told["reason"]


async def _scan(app: App, instance_id: str) -> None:
    sandbox_of(app, instance_id).login.scan()


async def _unlink(app: App, instance_id: str) -> None:
    sandbox_of(app, instance_id).login.unlink("Removed on the phone.")
    await until_status(app, instance_id, "logged_out")
