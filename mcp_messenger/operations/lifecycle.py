"""Starts and stops instances, and throws their logins away."""

import shutil
from pathlib import Path
from uuid import UUID

import anyio
import anyio.to_thread
from pydantic import Field

from db import instances
from db.instances import InstanceRow
from mcp_messenger.config.quotas import Quota
from mcp_messenger.errors import NotAvailable
from mcp_messenger.instances import classes
from mcp_messenger.operations.application import App
from mcp_messenger.operations.instance_answers import InstanceAnswer, instance_answer
from mcp_messenger.operations.operation import OfInstance
from mcp_messenger.operations.port import port
from mcp_messenger.security.caller import Caller, instance_of
from providers.capabilities import Capability
from providers.errors import Unsupported
from providers.states import WORKING, InstanceState

SETTLE_SECONDS = 20.0
"""The longest that a stop is waited for."""


async def require_memory(app: App, caller: Caller, user_id: str, *, but: UUID | None = None) -> None:
    """Raise QuotaExceeded where one more of a user's instances in a container would take more memory than the user may have."""
    memory = app.config.containers.memory
    await app.quotas.require(caller, Quota.MEMORY, await instances.contained_of_user(app.database, user_id, but=but) * memory, memory)


async def discard_login(app: App, row: InstanceRow) -> None:
    """Throw its login away, wherever it is kept."""
    await anyio.to_thread.run_sync(remove_folder, app.instance_dir(row.id))
    await app.supervisor.runtime(row).discard(row.id)


def remove_folder(folder: Path) -> None:
    """Remove a folder and everything in it, where it exists."""
    shutil.rmtree(folder, ignore_errors=True)


class ProcessInstance(OfInstance):
    force_recreate: bool = Field(default=False, description="throw the login away: a new QR")


async def process_instance(app: App, caller: Caller, args: ProcessInstance) -> InstanceAnswer:
    """Start an instance; with `force_recreate` throw its login away first."""
    caller.require_owner()
    row = await instance_of(app.database, caller, args.instance_id)
    if args.force_recreate:
        await halt(app, row)
        await discard_login(app, row)
    return await _launch(app, caller, row)


async def start_instance(app: App, caller: Caller, args: OfInstance) -> InstanceAnswer:
    """Start an instance; one that runs goes on running."""
    return await _launch(app, caller, await instance_of(app.database, caller, args.instance_id))


async def stop_instance(app: App, caller: Caller, args: OfInstance) -> InstanceAnswer:
    """Stop an instance and wait until it has stopped; the login stays."""
    return await instance_answer(app, await halt(app, await instance_of(app.database, caller, args.instance_id)))


async def restart_instance(app: App, caller: Caller, args: OfInstance) -> InstanceAnswer:
    """Stop an instance, then start it."""
    return await _launch(app, caller, await halt(app, await instance_of(app.database, caller, args.instance_id)))


async def log_out(app: App, caller: Caller, args: OfInstance) -> InstanceAnswer:
    """End the login on both sides; the instance stays, and can log in again. Raises NotReady, and Unsupported where the login is a token."""
    caller.require_owner()
    row = await instance_of(app.database, caller, args.instance_id)
    if Capability.LOGOUT not in (await classes.load(row.provider)).capabilities:
        hint = "Its login is a token: stop_instance stops it, delete_instance removes the token here, and a person revokes it at the messenger."
        raise Unsupported(row.provider, Capability.LOGOUT, hint=hint)
    await (await port(app, row, Capability.LOGOUT)).logout()
    with anyio.move_on_after(SETTLE_SECONDS):
        while row.status in WORKING:
            async with app.feed.waiter(row.id) as grown:
                row = await instance_of(app.database, caller, args.instance_id)
                if row.status in WORKING:
                    await grown.wait()
    return await instance_answer(app, row)


async def _launch(app: App, caller: Caller, row: InstanceRow) -> InstanceAnswer:
    """Idempotent: what runs goes on running; what has given up starts again. Raises QuotaExceeded."""
    await classes.load(row.provider)
    if row.runtime == "docker":
        await require_memory(app, caller, row.user_id, but=row.id)
    if row.desired == "running" and row.status in {InstanceState.ERROR, InstanceState.LOGGED_OUT}:
        row = await halt(app, row)
    if row.desired == "stopped" and await app.supervisor.nobody_runs(row.id):
        await app.supervisor.announce(row, InstanceState.PROCESSING)
    started = await instances.set_desired(app.database, row.id, "running")
    app.supervisor.wake()
    return await instance_answer(app, started or row)


async def halt(app: App, row: InstanceRow) -> InstanceRow:
    """Stop it, wherever it runs, and wait until that is done, or until somebody starts it again."""
    if row.desired == "stopped" and row.status == "stopped":
        return row
    await instances.set_desired(app.database, row.id, "stopped")
    app.supervisor.wake()
    deadline = anyio.current_time() + SETTLE_SECONDS
    while True:
        async with app.feed.waiter(row.id) as grown:
            now = await instances.get(app.database, row.id)
            if now is None or now.desired == "running":
                return now or row
            if await app.supervisor.nobody_runs(row.id):
                if now.status == InstanceState.STOPPED:
                    return now
                await app.supervisor.announce(row, InstanceState.STOPPED)
                continue
            if anyio.current_time() > deadline:
                raise NotAvailable(f"The instance did not stop within {SETTLE_SECONDS:g} s.", hint="Try again; get_logs says what it does.")
            # Its process gives it up right after it has written that it stopped; of that no event tells.
            with anyio.move_on_after(0.02 if now.status == InstanceState.STOPPED else 0.5):
                await grown.wait()
