"""Where instances stand: each change once, QR codes sealed and only the current one kept, refused from who has been replaced."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from db import history
from db.database import Database
from mcp_messenger.delivery.feed import Feed
from mcp_messenger.instances.states import States
from mcp_messenger.security import login_codes
from mcp_messenger.security.vault import Vault
from providers.events import Need, QrCode, StateChanged
from providers.models import Account
from providers.states import InstanceState
from tests.postgres import execute
from tests.stored import NOON, held_instance, one, opened, rows

pytestmark = pytest.mark.anyio

CODES = "SELECT sequence, outcome, sealed IS NOT NULL FROM qr_codes ORDER BY id"


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with opened(database_url) as database:
        yield database


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault.open(tmp_path, None)


class Desk:
    def __init__(self, states: States, instance_id: UUID, epoch: int) -> None:
        self.states = states
        self.instance_id = instance_id
        self.epoch = epoch

    async def tell(self, state: InstanceState, **fields: object) -> bool:
        return await self.states.write(self.instance_id, self.epoch, StateChanged.model_validate({"state": state, **fields}))


@pytest.fixture
async def desk(database: Database, vault: Vault) -> Desk:
    instance_id, epoch = await held_instance(database, uuid4())
    return Desk(States(database, Feed(database), lambda: vault), instance_id, epoch)


def qr(sequence: int, content: str = "secret") -> QrCode:
    issued = NOON + timedelta(minutes=sequence)
    return QrCode(content=f"{content} {sequence}", sequence=sequence, issued_at=issued, expires_at=issued + timedelta(seconds=60))


async def test_a_state_that_is_told_again_is_no_news(desk: Desk, database_url: str) -> None:
    account = Account(id="me", name="Robo")
    for _ in range(3):
        assert await desk.tell(InstanceState.READY, account=account)
    assert await desk.tell(InstanceState.READY)
    assert rows(database_url, "SELECT status, reason FROM status_history") == [("ready", None)]
    assert one(database_url, "SELECT count(*) FROM events") == 1
    assert await desk.tell(InstanceState.READY, account=Account(id="me", name="Robo II"))
    assert one(database_url, "SELECT account->>'name' FROM message_instances") == "Robo II"
    assert one(database_url, "SELECT count(*) FROM events") == 2
    assert one(database_url, "SELECT count(*) FROM status_history") == 1
    await desk.tell(InstanceState.DEGRADED, reason="No route.")
    for _ in range(3):
        await desk.tell(InstanceState.DEGRADED, reason="No answer.")
    await desk.tell(InstanceState.READY)
    history = rows(database_url, "SELECT status, reason FROM status_history ORDER BY id")
    assert history == [("ready", None), ("degraded", "No route."), ("degraded", "No answer."), ("ready", None)]
    assert rows(database_url, "SELECT message, count FROM instance_errors ORDER BY at") == [("No route.", 1), ("No answer.", 3)]


async def test_only_the_current_code_is_kept(desk: Desk, database: Database, database_url: str, vault: Vault) -> None:
    await desk.tell(InstanceState.QR_READY, needs=Need.QR, qr=qr(1))
    await desk.tell(InstanceState.QR_READY, needs=Need.QR, qr=qr(2))
    assert rows(database_url, CODES) == [(1, "replaced", False), (2, "current", True)]
    code = await history.current_qr(database, desk.instance_id)
    assert code is not None
    assert code.sealed is not None
    assert b"secret" not in code.sealed
    assert login_codes.unsealed(vault, desk.instance_id, code) == login_codes.Codes(qr="secret 2")
    await desk.tell(InstanceState.AUTHENTICATED)
    await desk.tell(InstanceState.READY)
    assert rows(database_url, CODES) == [(1, "replaced", False), (2, "used", False)]
    assert await history.current_qr(database, desk.instance_id) is None
    assert rows(database_url, "SELECT status FROM status_history ORDER BY id") == [("qr_ready",), ("authenticated",), ("ready",)]


async def test_a_code_that_is_shown_again_with_a_pairing_code_is_the_same(desk: Desk, database: Database, database_url: str, vault: Vault) -> None:
    await desk.tell(InstanceState.QR_READY, needs=Need.QR, qr=qr(1))
    await desk.tell(InstanceState.QR_READY, needs=Need.PAIRING_CODE, qr=qr(1), pairing_code="ABCD-EFGH")
    assert rows(database_url, CODES) == [(1, "current", True)]
    assert one(database_url, "SELECT needs FROM message_instances") == "pairing_code"
    code = await history.current_qr(database, desk.instance_id)
    assert code is not None
    assert login_codes.unsealed(vault, desk.instance_id, code) == login_codes.Codes(qr="secret 1", pairing_code="ABCD-EFGH")


async def test_the_first_code_of_the_next_run_is_another_one(desk: Desk, database_url: str) -> None:
    await desk.tell(InstanceState.QR_READY, needs=Need.QR, qr=qr(1))
    later = qr(1).model_copy(update={"issued_at": NOON + timedelta(days=1)})
    await desk.tell(InstanceState.QR_READY, needs=Need.QR, qr=later)
    assert rows(database_url, CODES) == [(1, "replaced", False), (1, "current", True)]
    await desk.tell(InstanceState.STOPPED)
    assert rows(database_url, CODES) == [(1, "replaced", False), (1, "dropped", False)]


async def test_who_has_been_replaced_changes_nothing(desk: Desk, database_url: str) -> None:
    await desk.tell(InstanceState.READY)
    execute(database_url, "UPDATE leases SET epoch = epoch + 1")
    assert not await desk.tell(InstanceState.DEGRADED, reason="late")
    assert not await desk.tell(InstanceState.QR_READY, needs=Need.QR, qr=qr(1))
    assert one(database_url, "SELECT status FROM message_instances") == "ready"
    assert one(database_url, "SELECT count(*) FROM qr_codes") == one(database_url, "SELECT count(*) FROM instance_errors") == 0
    assert one(database_url, "SELECT count(*) FROM events") == 1
    assert await desk.states.write(desk.instance_id, None, StateChanged(state=InstanceState.STOPPED))
    assert one(database_url, "SELECT status FROM message_instances") == "stopped"
