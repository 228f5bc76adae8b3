"""The state machines, packages and pictures of docs/ are those of the code."""

import itertools
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from uuid import uuid4
from xml.etree import ElementTree

import anyio
import pytest

from db import deliveries, leases, outbox
from db.database import Database
from mcp_messenger.commands.arguments import parser
from mcp_messenger.delivery.feed import Feed
from mcp_messenger.delivery.inbound import Inbound, Source
from mcp_messenger.observability.metrics import Metrics
from mcp_messenger.observability.workers import Workers
from mcp_messenger.operations.lifecycle import start_instance, stop_instance
from mcp_messenger.operations.operation import OfInstance
from mcp_messenger.security.caller import ADMIN
from providers import REGISTRY, provider_class
from providers.events import ReceiptStatus
from providers.states import InstanceState
from tests.markdown import blocks
from tests.postgres import execute
from tests.readme import DOCUMENTS, ROOT, layers, meanings
from tests.running import ready_sandbox, running_app, until_status
from tests.stored import NOON, held_instance, one, opened, queued, receipt, received, rows

ARCHITECTURE = ROOT / "docs/architecture.md"
NOTHING = "[*]"
Arrows = set[tuple[str, str]]


def drawn(name: str) -> Arrows:
    """The arrows of the state machine that is marked with that name."""
    diagram = next(block for block in blocks(ARCHITECTURE) if block.marker == f"states {name}")
    return set(re.findall(r"^ +(\S+) --> ([a-z_]+)", diagram.text, re.MULTILINE))


def states(arrows: Arrows) -> set[str]:
    return {state for arrow in arrows for state in arrow} - {NOTHING}


def allowed(url: str, table: str) -> set[str]:
    """The values that the database takes as a status."""
    checks = rows(url, f"SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = '{table}'::regclass AND contype = 'c'")
    return set(re.findall(r"'(\w+)'::text", next(check for (check,) in checks if "(status = ANY" in check)))


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with opened(database_url) as database:
        yield database


def test_the_packages_are_those_of_the_import_contract() -> None:
    listed = re.findall(r"^\| (\d+) \| `([\w.]+)` \|", ARCHITECTURE.read_text(encoding="utf-8"), re.MULTILINE)
    assert listed == [(str(number), name) for number, layer in enumerate(layers(), 1) for name in layer]


@pytest.mark.anyio
async def test_the_states_are_those_of_the_database(database: Database, database_url: str) -> None:
    assert states(drawn("message")) == allowed(database_url, "messages")
    assert states(drawn("delivery")) == allowed(database_url, "deliveries")
    assert states(drawn("instance")) == {state.value for state in InstanceState} == allowed(database_url, "message_instances")


@pytest.mark.anyio
async def test_a_message_changes_its_status_as_drawn_and_not_otherwise(database: Database, database_url: str) -> None:
    """Everything that may happen to a message happens to one in every status."""
    owner = uuid4()
    instance_id, epoch = await held_instance(database, owner)
    inbound = Inbound(database, Feed(database), Metrics(), Workers())
    source = Source(instance_id, None)
    seen: Arrows = set()

    async def claim(_: int) -> None:
        await outbox.claim(database, instance_id, epoch=epoch, in_flight=[])

    async def requeue(id: int) -> None:
        await outbox.requeue(database, id, epoch=epoch, delay=0, tried=True, error={"code": "paced", "message": "Waits."})

    async def sent(id: int) -> None:
        await outbox.sent(database, instance_id, id, platform_id=f"p{id}", sent_at=NOON, content={})

    def ended(status: str) -> Callable[[int], Awaitable[None]]:
        async def end(id: int) -> None:
            await outbox.ended(database, id, status, {"code": "x", "message": "x"})

        return end

    def booked(status: ReceiptStatus) -> Callable[[int], Awaitable[None]]:
        async def book(id: int) -> None:
            await inbound.deliver(source, [receipt(f"p{id}", status)])

        return book

    acts = [claim, requeue, sent, ended("failed"), ended("unknown"), *map(booked, ReceiptStatus)]
    for status in allowed(database_url, "messages"):
        for act in acts:
            id = await queued(database, instance_id, chat_id=f"chat {uuid4()}")
            with_id = status in {"sent", "delivered", "read"} or (status == "failed" and act != sent)
            platform_id = f"'p{id}'" if with_id else "NULL"
            execute(database_url, f"UPDATE messages SET status = '{status}', platform_id = {platform_id} WHERE id = {id}")
            if status == "received":
                execute(database_url, f"UPDATE messages SET outgoing = false, platform_id = 'p{id}' WHERE id = {id}")
            if status == "sending":
                execute(database_url, f"UPDATE outbox SET claimed_epoch = {epoch} WHERE message_id = {id}")
            elif status != "queued":
                execute(database_url, f"DELETE FROM outbox WHERE message_id = {id}")
            await act(id)
            seen.add((status, one(database_url, "SELECT status FROM messages WHERE id = %s", id)))
    assert {arrow for arrow in seen if arrow[0] != arrow[1]} == {arrow for arrow in drawn("message") if arrow[0] != NOTHING}


@pytest.mark.anyio
async def test_a_message_comes_into_being_as_drawn(database: Database, database_url: str) -> None:
    instance_id, _ = await held_instance(database, uuid4())
    await queued(database, instance_id)
    inbound = Inbound(database, Feed(database), Metrics(), Workers())
    async with anyio.create_task_group() as writing:
        writing.start_soon(inbound.run)
        await inbound.deliver(Source(instance_id, None), [received("from them"), received("from our phone", outgoing=True)])
        writing.cancel_scope.cancel()
    made = {status for (status,) in rows(database_url, "SELECT DISTINCT status FROM messages")}
    assert {(NOTHING, status) for status in made} == {arrow for arrow in drawn("message") if arrow[0] == NOTHING}


@pytest.mark.anyio
async def test_a_delivery_changes_its_status_as_drawn_and_not_otherwise(database: Database, database_url: str) -> None:
    instance_id, _ = await held_instance(database, uuid4())
    seen: Arrows = set()

    def settle(status: str) -> Callable[[int], Awaitable[object]]:
        async def act(id: int) -> object:
            lease = one(database_url, "SELECT lease_until FROM deliveries WHERE id = %s", id) or NOON
            return await deliveries.settle(database, "webhook", [deliveries.DeliveryOutcome(id, lease, status)], working=[])

        return act

    async def retry(id: int) -> object:
        return await deliveries.retry(database, instance_id, id)

    async def give_up(id: int) -> object:
        execute(database_url, f"UPDATE deliveries SET created_at = now() - interval '9 days', lease_until = NULL WHERE id = {id}")
        return await deliveries.tidy(database, wait=60, done=1e9, dead=1e9)

    for status in allowed(database_url, "deliveries"):
        for act in (settle("pending"), settle("done"), settle("dead"), retry, give_up):
            # Only what is pending is claimed, and only what is claimed is settled.
            lease = "now() + interval '1 minute'" if status == "pending" else "NULL"
            id = one(
                database_url,
                "INSERT INTO deliveries (event_id, instance_id, target, status, lease_until) "
                f"VALUES (1, '{instance_id}', 'webhook', '{status}', {lease}) RETURNING id",
            )
            await act(id)
            seen.add((status, one(database_url, "SELECT status FROM deliveries WHERE id = %s", id)))
    assert seen - {("done", "done"), ("dead", "dead")} == {arrow for arrow in drawn("delivery") if arrow[0] != NOTHING}


@pytest.mark.anyio
async def test_a_lease_changes_as_drawn(database: Database, database_url: str) -> None:
    instance_id, epoch = await held_instance(database, uuid4())
    seen: Arrows = {(NOTHING, lease_state(database_url))}

    async def then(act: Awaitable[object]) -> None:
        before = lease_state(database_url)
        await act
        seen.add((before, lease_state(database_url)))

    async def expire() -> None:
        execute(database_url, "UPDATE leases SET expires_at = now() - interval '1 second'")

    async def acquire(then_epoch: int) -> None:
        assert await leases.acquire(database, uuid4(), ["process"]) == {instance_id: then_epoch}

    await then(leases.renew(database, {instance_id: epoch}))
    await then(expire())
    await then(leases.renew(database, {instance_id: epoch}))
    await then(expire())
    await then(acquire(epoch + 1))
    await then(leases.release(database, instance_id, epoch + 1))
    assert (await leases.renew(database, {instance_id: epoch + 1}))[0] == set()
    await then(acquire(epoch + 2))
    assert seen == drawn("lease")


def lease_state(url: str) -> str:
    return one(url, "SELECT CASE WHEN expires_at = '-infinity' THEN 'free' WHEN expires_at < now() THEN 'expired' ELSE 'owned' END FROM leases")


@pytest.mark.anyio
async def test_an_instance_goes_the_ways_that_are_drawn(database_url: str, tmp_path: Path) -> None:
    """From its making to its stop and a new start; the drawing has more, which other messengers go."""
    async with running_app(database_url, tmp_path) as app:
        id = await ready_sandbox(app)
        await stop_instance(app, ADMIN, OfInstance(instance_id=id))
        await until_status(app, id, "stopped")
        await start_instance(app, ADMIN, OfInstance(instance_id=id))
        await until_status(app, id, "ready")
    went = ["created", *(status for (status,) in rows(database_url, "SELECT status FROM status_history ORDER BY id"))]
    steps = {(a, b) for a, b in itertools.pairwise(went) if a != b}
    assert len(steps) >= 4
    assert steps <= drawn("instance")


def test_every_command_has_its_line() -> None:
    listed = re.findall(r"^\| `([a-z]+)[ `]", (ROOT / "docs/commands.md").read_text(encoding="utf-8"), re.MULTILINE)
    commands = re.findall(r"^    ([a-z]+)(?: |$)", parser().format_help(), re.MULTILINE)
    assert "serve" in commands
    assert sorted(listed) == sorted(commands)


def test_every_setting_of_a_messenger_has_a_meaning() -> None:
    for name in REGISTRY:
        cls = provider_class(name).settings_type
        assert set(cls.model_fields) - set(meanings(cls)) == set(), name


def test_every_messenger_has_a_page_with_all_its_parts() -> None:
    parts = {"Set up", "Settings", "What it can do", "What arrives, and as what", "Limits", "What cannot be known"}
    for name in REGISTRY:
        headings = set(re.findall(r"^## (.+)$", (ROOT / f"docs/messengers/{name}.md").read_text(encoding="utf-8"), re.MULTILINE))
        assert parts <= headings or name == "sandbox", name


def test_the_pictures_are_pictures_and_are_shown() -> None:
    pictures = sorted((ROOT / "docs/pictures").iterdir())
    shown = {match for path in DOCUMENTS for match in re.findall(r"pictures/([\w.]+)\)", path.read_text(encoding="utf-8"))}
    assert {picture.name for picture in pictures} == shown
    for picture in pictures:
        content = picture.read_bytes()
        assert len(content) < 200_000
        assert content.startswith(b"\x89PNG") or ElementTree.fromstring(content).tag.endswith("svg")


def test_the_pictured_demo_is_what_the_demo_says() -> None:
    """Its sentences are in the source; make pictures draws it again."""
    source = (ROOT / "mcp_messenger/commands/demo.py").read_text(encoding="utf-8")
    root = ElementTree.parse(ROOT / "docs/pictures/demo.svg").getroot()
    lines = [node.text or "" for node in root.iter() if node.tag.endswith("text")]
    said = [line.strip() for line in lines if re.match(r"\d\. |Reply received", line)]
    assert len(said) == 5
    assert [line for line in said if line.partition(" ")[2].split(";")[0] not in source and line not in source] == []
