"""The clients in examples/clients are those that the OpenAPI document makes, and they work."""

import importlib.util
import json
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType

import anyio.to_thread
import pytest
from pydantic import SecretStr

from mcp_messenger.operations.application import App
from tests import clients
from tests.running import ready_sandbox, running_app, serving
from tests.waiting import PATIENCE

ADMIN_TOKEN = "a-fake-admin-token-for-tests"
COMPILER = "typescript@5"
TALK = """
import {{ Messenger, Problem }} from './out/messenger.js';
const messenger = new Messenger('{url}', '{key}');
const {{ message_id }} = await messenger.send_message('{instance_id}', {{ to: 'ann', message: 'from TypeScript' }});
const {{ replies }} = await messenger.wait_for_reply('{instance_id}', message_id, {{ timeout: 30 }});
const refused = await new Messenger('{url}', 'a-fake-key').list_instances().catch((error) => error);
console.log(JSON.stringify([replies[0].text, refused instanceof Problem, refused.code, refused.status]));
"""


@pytest.fixture
async def app(database_url: str, tmp_path: Path) -> AsyncIterator[App]:
    async with running_app(database_url, tmp_path / "data", admin_token=SecretStr(ADMIN_TOKEN)) as app:
        yield app


@pytest.fixture
async def url(app: App) -> AsyncIterator[str]:
    async with serving(app) as url:
        yield url


def test_they_are_what_the_document_makes() -> None:
    made = clients.files()
    there = {path for folder in ("python", "typescript", "bruno") for path in (clients.CLIENTS / folder).rglob("*.*") if path.suffix != ".pyc"}
    assert there - {path for path in there if path.is_dir()} == made.keys(), "run: make readme"
    assert [str(path) for path, text in made.items() if path.read_text(encoding="utf-8") != text] == [], "run: make readme"


def test_the_collection_names_nothing_that_its_environment_has_not() -> None:
    files = clients.bruno(clients.document())
    known = set(re.findall(r"^  (\w+)", files["environments/local.bru"], re.MULTILINE))
    for path, text in files.items():
        assert set(re.findall(r"{{(\w+)}}", text)) <= known, path
        body = re.search(r"^body:json {\n(.*?)^}", text, re.MULTILINE | re.DOTALL)
        if body is not None:
            json.loads(body[1])


def client() -> ModuleType:
    spec = importlib.util.spec_from_file_location("messenger_client", clients.CLIENTS / "python" / "messenger.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.anyio
async def test_the_python_client_talks_to_a_server(app: App, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    instance_id, module = await ready_sandbox(app), client()

    def talk() -> None:
        with module.Messenger(url, ADMIN_TOKEN) as messenger:
            sent = messenger.send_message(instance_id, to="ann", message="from Python", idempotency_key="once")
            assert messenger.send_message(instance_id, to="ann", message="from Python", idempotency_key="once")["message_id"] == sent["message_id"]
            replies = messenger.wait_for_reply(instance_id, sent["message_id"], timeout=PATIENCE)["replies"]
            assert replies[0]["text"] == "echo: from Python"
            seen = next(event for event in messenger.events() if "from Python" in str(event.get("message")))
            assert seen["instance_id"] == instance_id
            hook = messenger.create_webhook(instance_id, url="https://example.com/hook", events=["notice"])
            assert [one["webhook_id"] for one in messenger.list_webhooks(instance_id)["webhooks"]] == [hook["webhook_id"]]
            archive = messenger.export_instance(instance_id)
            assert archive[:2] == b"PK"
            assert messenger.import_data(archive)
        with module.Messenger(url, "a-fake-key") as stranger, pytest.raises(module.Problem) as refused:
            stranger.list_instances()
        assert (refused.value.status, refused.value.code) == (401, "unauthenticated")

    await anyio.to_thread.run_sync(talk)


@pytest.mark.anyio
async def test_the_typescript_client_compiles_and_talks_to_a_server(app: App, url: str, tmp_path: Path) -> None:
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        pytest.skip("needs npm and node on the PATH")
    made = await anyio.run_process([npm, "install", "--silent", "--no-fund", "--no-audit", "--prefix", str(tmp_path), COMPILER], check=False)
    if made.returncode != 0:
        pytest.skip("npm could not install the compiler: " + made.stderr.decode(errors="replace")[-200:])
    source = str(clients.CLIENTS / "typescript" / "messenger.ts")
    options = ["--strict", "--target", "es2022", "--module", "es2022", "--lib", "es2022,dom,dom.iterable", "--outDir", str(tmp_path / "out")]
    compiled = await anyio.run_process([node, str(tmp_path / "node_modules/typescript/bin/tsc"), *options, source], check=False)
    assert compiled.returncode == 0, compiled.stdout.decode()
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "talk.mjs").write_text(TALK.format(url=url, key=ADMIN_TOKEN, instance_id=await ready_sandbox(app)))
    talked = await anyio.run_process([node, str(tmp_path / "talk.mjs")], check=False, stderr=subprocess.PIPE)
    assert talked.returncode == 0, talked.stderr.decode()
    assert json.loads(talked.stdout) == ["echo: from TypeScript", True, "unauthenticated", 401]
