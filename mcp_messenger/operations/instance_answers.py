"""Answers about an instance: what it is, what it can do now and what it lacks."""

import logging

import anyio
from pydantic import Field

from db import addresses, batches, retention
from db.instances import InstanceRow
from mcp_messenger.config.retention import Retained
from mcp_messenger.instances import classes
from mcp_messenger.operations.application import App
from mcp_messenger.operations.operation import Output
from mcp_messenger.operations.port import connected_port
from mcp_messenger.operations.views import InstanceView, instance_view
from providers import REGISTRY
from providers.errors import MessengerError
from providers.limits import Limits

log = logging.getLogger(__name__)

LACKING_WITHIN = 2.0
"""Seconds for the question what an instance lacks, which another process may have to answer."""


class InstanceAnswer(Output):
    """`address` is the instance's own: its API is under /api/v1 there, without its id."""

    hidden = frozenset({"address", "retention"})

    instance_id: str
    address: str | None = None
    status: str
    instance: InstanceView
    capabilities: list[str] = []
    lacking: dict[str, str] = Field(default={}, description="capabilities that it cannot use now, with what each needs")
    limits: Limits | None = None
    retention: dict[str, str] = Field(default={}, description="rules of its own, where they are not the server's")


class UpdatedInstance(InstanceAnswer):
    """`webhook_secret` is there when it was made by this call, and never again."""

    hidden = InstanceAnswer.hidden | {"webhook_secret"}

    webhook_secret: str | None = Field(default=None, repr=False)


class CreatedInstance(UpdatedInstance):
    hidden = UpdatedInstance.hidden | {"api_key", "capabilities", "limits"}

    api_key: str | None = Field(default=None, repr=False)


async def instance_answer(app: App, row: InstanceRow) -> InstanceAnswer:
    """Return an instance as callers see it."""
    app.memory.load(row)
    own = (await addresses.of_instances(app.database, [row.id])).get(row.id)
    cls = await classes.load(row.provider) if row.provider in REGISTRY else None
    return InstanceAnswer(
        instance_id=str(row.id),
        status=row.status,
        instance=instance_view(row, app.container(row.id), own, await agent_trouble(app, row)),
        address=None if own is None or own.tcp_port is None else app.config.address(own.tcp_port),
        capabilities=sorted(cls.capabilities) if cls else [],
        lacking=await _lacking(app, row) if cls else {},
        limits=cls.limits if cls else None,
        retention={kind: str(Retained(rule.seconds, rule.newest)) for kind, rule in (await retention.rules_of(app.database, row.id)).items()},
    )


async def agent_trouble(app: App, row: InstanceRow) -> str | None:
    """Return why nobody answers for the instance: its agent is not known here, or has failed and is tried again."""
    trouble = app.agents.directory.trouble(row)
    if trouble is not None or not row.agno_enable:
        return trouble
    failure = await batches.failing(app.database, row.id)
    return None if failure is None else f"Its agent gives no answer, and is asked again: {failure}"


async def _lacking(app: App, row: InstanceRow) -> dict[str, str]:
    """Return what the instance cannot do now; nothing while it does not run, or does not say so soon."""
    with anyio.move_on_after(LACKING_WITHIN):
        try:
            return {str(one): needed for one, needed in (await connected_port(app, row).lacking()).items()}
        except MessengerError as error:
            log.debug("an instance does not say what it lacks: %s", error.detail, extra={"instance_id": str(row.id)})
    return {}
