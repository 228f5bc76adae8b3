"""Tells how many chats with strangers may be opened, and how fast sends go out."""

from datetime import datetime

from mcp_messenger.instances import classes
from mcp_messenger.operations.application import App
from mcp_messenger.operations.operation import OfInstance, Output
from mcp_messenger.operations.port import port
from mcp_messenger.security.caller import Caller, instance_of
from providers.capabilities import Capability
from providers.limits import Limits, Rate, SendingBudget


class SendingBudgetAnswer(Output):
    """Chats with people who never wrote: those `begun` in 24 hours and those `allowed`; `next_at` none: now. Answers are not counted.

    `pace` and `pace_in_chat` are the most sends in so many seconds.
    """

    begun: int
    allowed: int
    allowed_after_warm_up: int
    warm_up_until: datetime | None = None
    locked_until: datetime | None = None
    next_at: datetime | None = None
    pace: Rate | None = None
    pace_in_chat: Rate | None = None


def budget_answer(budget: SendingBudget, limits: Limits) -> SendingBudgetAnswer:
    """Return a sending budget as callers see it."""
    return SendingBudgetAnswer(**budget.model_dump(), pace=limits.overall_rate, pace_in_chat=limits.chat_rate)


async def get_sending_budget(app: App, caller: Caller, args: OfInstance) -> SendingBudgetAnswer:
    """Return how many new chats may be opened. Raises Unsupported, NotReady."""
    row = await instance_of(app.database, caller, args.instance_id)
    budget = await (await port(app, row, Capability.SENDING_BUDGET)).sending_budget()
    return budget_answer(budget, (await classes.load(row.provider)).limits)
