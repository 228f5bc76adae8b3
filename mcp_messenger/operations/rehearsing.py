"""Says what policy would do with a call, and does nothing."""

from typing import Any

from pydantic import Field

from mcp_messenger.errors import InvalidInput, quoted
from mcp_messenger.operations.application import App
from mcp_messenger.operations.operation import Input, Output
from mcp_messenger.operations.validation import validated
from mcp_messenger.policy.decide import NO_RULE
from mcp_messenger.policy.judging import current
from mcp_messenger.security.caller import Caller


class CheckCall(Input):
    operation: str = Field(max_length=64, description="a tool's name")
    arguments: dict[str, Any] = Field(default={}, description="as for that tool")


class CallCheck(Output):
    """`policy` allow, ask (it would wait for the owner) or deny; `rule` is the part of the policy that decides."""

    policy: str
    rule: str | None = None
    policy_words: str | None = None

    def shown(self) -> dict[str, Any]:
        return {"policy": self.policy, **super().shown()}


async def check_call(app: App, caller: Caller, args: CheckCall) -> CallCheck:
    """Return what policy would do with a call. Raises what the call itself would raise before it does anything, and InvalidInput."""
    from mcp_messenger.operations.table import BY_NAME

    operation = BY_NAME.get(args.operation)
    if operation is None:
        raise InvalidInput(f"operation: there is no {quoted(args.operation)}.", hint="Give a tool's name, such as send_message.")
    judging = current.get()
    decision = await operation.rehearse(app, caller, validated(operation, args.arguments), by_agent=judging is not None and judging.by_agent)
    return CallCheck(policy=decision.outcome, rule=None if decision.rule == NO_RULE else decision.rule, policy_words=decision.words or None)
