"""The secret key: lost, replaced and changed while secrets are stored under it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from pydantic import SecretStr

from mcp_messenger.api.authentication import known
from mcp_messenger.api.rest.streams import current_health
from mcp_messenger.app import running
from mcp_messenger.commands.reencrypt import reencrypt
from mcp_messenger.config import Config
from mcp_messenger.errors import NoSuchApproval, VaultError
from mcp_messenger.operations import instance_answers, instances, keys
from mcp_messenger.operations.application import App
from mcp_messenger.operations.approvals import ListApprovals, list_approvals
from mcp_messenger.operations.deciding import by_page
from mcp_messenger.operations.operation import OfInstance, Transport
from mcp_messenger.operations.table import BY_NAME
from mcp_messenger.operations.validation import validated
from mcp_messenger.security import credentials
from mcp_messenger.security.caller import ADMIN, instance_of
from mcp_messenger.security.vault import Vault
from tests.program import environment
from tests.running import running_app
from tests.stored import rows

pytestmark = pytest.mark.anyio

CODE = "sandbox-fake-code-of-a-test"


async def new_instance(app: App) -> instance_answers.CreatedInstance:
    return await instances.create_instance(app, ADMIN, instances.CreateInstance(provider="sandbox", credentials={"access_code": CODE}))


async def code_of(app: App, instance_id: str) -> str:
    row = await instance_of(app.database, ADMIN, instance_id)
    return (await credentials.revealed(app.database, app.vault(), row.id))["access_code"]


async def api_key_of(app: App, instance_id: str) -> str:
    return (await keys.get_current_api_key(app, ADMIN, OfInstance(instance_id=instance_id))).api_key


async def test_calls_that_come_before_the_store_is_up_wait_for_the_first_key(database_url: str, tmp_path: Path) -> None:
    async def open_page(app: App) -> None:
        with pytest.raises(NoSuchApproval):
            await by_page(app, "a-fake-secret-of-a-page")

    async with running(Config(data_dir=tmp_path, database_url=SecretStr(database_url))) as app, anyio.create_task_group() as tasks:
        tasks.start_soon(new_instance, app)
        tasks.start_soon(keys.create_user_token, app, ADMIN, keys.CreateToken(user_id="ann"))
        tasks.start_soon(open_page, app)


async def test_no_key_is_made_over_stored_secrets_and_the_lost_one_works_when_it_is_back(database_url: str, tmp_path: Path) -> None:
    file, kept = tmp_path / "secret.key", tmp_path / "kept"
    async with running_app(database_url, tmp_path) as app:
        made = await new_instance(app)
        file.rename(kept)
        assert await api_key_of(app, made.instance_id) == made.api_key, "a server that has read the key goes on"
        assert "still has the key" in (await current_health(app)).checks["secrets"]
    async with running_app(database_url, tmp_path) as app:
        with pytest.raises(VaultError, match=r"secret\.key is missing") as lost:
            await new_instance(app)
        assert "Restore secret.key from a backup" in (lost.value.hint or "")
        health = await current_health(app)
        assert (health.status, "is missing" in health.checks["secrets"]) == ("unhealthy", True)
        assert not file.exists()
        kept.rename(file)
        assert (await current_health(app)).status == "healthy"
        assert await api_key_of(app, made.instance_id) == made.api_key


async def test_another_key_in_place_of_the_one_that_is_in_use_is_not_taken(database_url: str, tmp_path: Path) -> None:
    file = tmp_path / "secret.key"
    async with running_app(database_url, tmp_path) as app:
        made = await new_instance(app)
        file.write_text(os.urandom(32).hex())
        second = await new_instance(app)
        assert "does not hold the key" in (await current_health(app)).checks["secrets"]
        assert await code_of(app, made.instance_id) == await code_of(app, second.instance_id) == CODE
    async with running_app(database_url, tmp_path) as app:
        assert "under a key that is not here" in (await current_health(app)).checks["secrets"]


async def test_everything_comes_under_the_new_key_beside_a_server_that_runs(database_url: str, tmp_path: Path) -> None:
    config = Config(data_dir=tmp_path, database_url=SecretStr(database_url))
    async with running_app(database_url, tmp_path) as app:
        made = await new_instance(app)
        token = (await keys.create_user_token(app, ADMIN, keys.CreateToken(user_id="ann"))).token
        question = validated(BY_NAME["ask_owner"], {"instance_id": made.instance_id, "question": "Tea?"})
        await BY_NAME["ask_owner"].carry_out(app, ADMIN, question, transport=Transport.REST)
        assert (await app.judge.audit.verify()).is_signed
        former = app.vault()
        assert await reencrypt(config, new_key=True, drop_former=False) == 0
        after = await new_instance(app)
        assert app.vault().has_key_of(former)
        assert not former.has_key_of(app.vault())
        caller = await known(app, token)
        assert caller is not None
        assert await reencrypt(config, new_key=False, drop_former=True) == 0
        for one in (made, after):
            assert await code_of(app, one.instance_id) == CODE
            found = await known(app, one.api_key or "")
            assert found is not None
            assert str(found.instance_id) == one.instance_id
        assert await known(app, token) is not None
        waiting = await list_approvals(app, ADMIN, ListApprovals())
        assert [one.content for one in waiting.approvals] == ["Tea?"]
        checked = await app.judge.audit.verify()
        assert (checked.rows, checked.is_signed, list(checked.faults)) == (1, True, [])
    only = Vault.existing(tmp_path / "secret.key")
    assert len(only.key_ids) == 1
    stored = rows(database_url, "SELECT sealed FROM instance_secrets UNION ALL SELECT sealed FROM api_keys")
    assert [only.is_stale(bytes(sealed)) for (sealed,) in stored] == [False] * 4


async def test_a_killed_reencryption_is_finished_by_the_next(database_url: str, tmp_path: Path) -> None:
    async with running_app(database_url, tmp_path) as app:
        made = await new_instance(app)
        row = await instance_of(app.database, ADMIN, made.instance_id)
        await credentials.store(app.database, app.vault(), row.id, {f"field-{number}": f"secret-{number}" for number in range(1000)})
    command = [sys.executable, "-m", "mcp_messenger", "reencrypt", "--new-key"]
    with subprocess.Popen(command, env=environment(tmp_path, database_url), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    assert await reencrypt(Config(data_dir=tmp_path, database_url=SecretStr(database_url)), new_key=False, drop_former=True) == 0
    async with running_app(database_url, tmp_path) as app:
        values = await credentials.revealed(app.database, app.vault(), row.id)
        assert {values[f"field-{number}"] for number in range(1000)} == {f"secret-{number}" for number in range(1000)}


def test_keys_are_derived_as_rfc_5869_says() -> None:
    key = bytes(range(32))
    assert Vault([key]).current_key_id == HKDFExpand(SHA256(), 8, b"mcp-messenger id").derive(key)
