"""The figures that monitoring is shown: for the administrator alone."""

import json
import re
import shutil
import subprocess
from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from pydantic import SecretStr

from mcp_messenger.operations.application import App
from mcp_messenger.operations.keys import CreateToken, create_user_token
from mcp_messenger.operations.removal import DeleteInstance, delete_instance
from mcp_messenger.operations.sending import SendMessage, send_message
from mcp_messenger.operations.waiting import WaitForReply, wait_for_reply
from mcp_messenger.operations.warnings import PARTS
from mcp_messenger.security.caller import ADMIN
from providers.errors import Forbidden
from providers.states import InstanceState
from tests.program import ROOT
from tests.running import ready_sandbox, running_app, serving
from tests.waiting import until

pytestmark = pytest.mark.anyio
ADMIN_TOKEN = "the-administrator-of-a-test"


@pytest.fixture
async def app(database_url: str, tmp_path: Path) -> AsyncGenerator[App]:
    async with running_app(database_url, tmp_path, admin_token=SecretStr(ADMIN_TOKEN)) as app:
        yield app


async def scraped(url: str, token: str = ADMIN_TOKEN) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.get(f"{url}/metrics", headers={"Authorization": f"Bearer {token}"})


async def samples(url: str) -> list[Sample]:
    """All that is shown."""
    return [sample for family in text_string_to_metric_families((await scraped(url)).text) for sample in family.samples]


async def figures(url: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """By name and labels, without the ids of instances."""
    return {
        (sample.name.removeprefix("mcp_messenger_"), frozenset((k, v) for k, v in sample.labels.items() if k != "instance_id")): sample.value
        for sample in await samples(url)
    }


def of(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset({"provider": "sandbox", **labels}.items())


async def test_what_is_sent_and_received_is_counted_by_provider_and_instance(app: App) -> None:
    instance_id = await ready_sandbox(app)
    sent = await send_message(app, ADMIN, SendMessage(instance_id=instance_id, to="ann", message="hello"))
    assert (await wait_for_reply(app, ADMIN, WaitForReply(instance_id=instance_id, message_id=sent.message_id, timeout=20))).replies
    with pytest.raises(Forbidden):
        await send_message(app, ADMIN, SendMessage(instance_id=instance_id, to="blocked", message="hello"))
    async with serving(app) as url:
        found = await figures(url)
        assert instance_id in (await scraped(url)).text
        assert "hello" not in (await scraped(url)).text
    assert found[of("messages_total", outcome="sent")] == 1
    assert found[of("messages_total", outcome="failed")] == 1
    assert found[of("messages_total", outcome="received")] >= 1
    assert found[of("send_seconds_count")] == found[of("send_seconds_bucket", le="+Inf")] == 1
    assert found[of("queue_depth")] == 0
    assert found[of("instance_leased")] == 1
    assert found[of("instance_state", state="ready")] == 1
    assert found["store_up", frozenset()] == found["instances_held", frozenset()] == 1


async def test_the_figures_of_an_instance_go_with_it(app: App) -> None:
    instance_id = await ready_sandbox(app)
    await send_message(app, ADMIN, SendMessage(instance_id=instance_id, to="ann", message="hello"))
    await delete_instance(app, ADMIN, DeleteInstance(instance_id=instance_id))
    await until(lambda: not app.supervisor.owned)
    async with serving(app) as url:
        assert "send_seconds_count" not in {name for name, _ in await figures(url)}


async def test_only_the_administrator_sees_them(app: App) -> None:
    token = (await create_user_token(app, ADMIN, CreateToken(user_id="alice"))).token
    async with serving(app) as url:
        assert (await scraped(url, token)).json()["code"] == "forbidden"
        assert (await scraped(url, "nonsense")).status_code == 401


MONITORING = ROOT / "examples" / "monitoring"
PROMTOOL = shutil.which("promtool")


def expressions() -> list[str]:
    rules = yaml.safe_load((MONITORING / "rules.yml").read_text())
    board = json.loads((MONITORING / "dashboard.json").read_text())
    return [
        *(rule["expr"] for group in rules["groups"] for rule in group["rules"]),
        *(target["expr"] for panel in board["panels"] for target in panel["targets"]),
    ]


async def test_the_alerts_and_the_dashboard_use_figures_and_labels_that_there_are(app: App) -> None:
    instance_id = await ready_sandbox(app)
    await send_message(app, ADMIN, SendMessage(instance_id=instance_id, to="ann", message="hello"))
    async with serving(app) as url:
        text = (await scraped(url)).text
    shown = list(text_string_to_metric_families(text))
    types = {family.name + ("_total" if family.type == "counter" else "") for family in shown}
    labels = {label for family in shown for sample in family.samples for label in sample.labels}
    labels |= {"worker", "kind", "target", "outcome", "job", "instance", "__name__"}
    for expression in expressions():
        for name in re.findall(r"mcp_messenger_\w+", expression):
            assert name in types or name.removesuffix("_bucket") in types, (name, expression)
        of_sums = [label.strip() for found in re.findall(r"(?:by|on) \(([^)]*)\)", expression) for label in found.split(",")]
        for label in [*of_sums, *re.findall(r"(\w+)=~?\"", expression)]:
            assert label in labels, (label, expression)
    states = {state.value for state in InstanceState}
    named = {state for expression in expressions() for found in re.findall(r"state=~?\"([^\"]+)\"", expression) for state in found.split("|")}
    assert named <= states


@pytest.mark.skipif(PROMTOOL is None, reason="needs promtool, of the package prometheus")
def test_prometheus_takes_the_rules_and_they_fire_when_they_should(tmp_path: Path) -> None:
    assert PROMTOOL is not None
    for command in (["check", "rules", "rules.yml"], ["check", "config", "--syntax-only", "prometheus.yml"]):
        checked = subprocess.run([PROMTOOL, *command], cwd=MONITORING, capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stdout + checked.stderr
    tests = {"rule_files": [str(MONITORING / "rules.yml")], **yaml.safe_load((ROOT / "tests" / "monitoring_rules.yml").read_text())}
    (tmp_path / "tests.yml").write_text(yaml.safe_dump(tests))
    fired = subprocess.run([PROMTOOL, "test", "rules", str(tmp_path / "tests.yml")], capture_output=True, text=True, check=False)
    assert fired.returncode == 0, fired.stdout + fired.stderr


def test_the_alerts_that_an_operator_counts_on_are_there() -> None:
    rules = {rule["alert"]: rule["expr"] for group in yaml.safe_load((MONITORING / "rules.yml").read_text())["groups"] for rule in group["rules"]}
    needed = {"MessengerSilent", "MessengerSendsWait", "MessengerDeliveriesDie", "MessengerAgentsSilent", "MessengerDiskFull"}
    assert needed <= rules.keys()
    for part in re.findall(r'part="(\w+)"', str(rules)):
        assert part in PARTS
