"""Changes which application answers in a conversation that several applications of one account share."""

from pydantic import Field

from mcp_messenger.operations.addresses import recipient
from mcp_messenger.operations.application import App
from mcp_messenger.operations.operation import Nothing, OfInstance, PlatformId
from mcp_messenger.operations.port import port
from mcp_messenger.security.caller import Caller, instance_of
from providers.capabilities import Capability
from providers.models import ControlAction


class SetThreadControl(OfInstance):
    chat_id: PlatformId
    action: ControlAction = Field(description="take it, pass it to app_id (none: people's inbox), release it to nobody, or request it")
    app_id: str | None = Field(default=None, min_length=1, max_length=64)
    note: str | None = Field(default=None, max_length=1000, description="handed to the other application")


async def set_thread_control(app: App, caller: Caller, args: SetThreadControl) -> Nothing:
    """Take, pass, release or request a conversation. Raises Unsupported, NotReady, and Forbidden where the platform does not allow it."""
    row = await instance_of(app.database, caller, args.instance_id)
    to = await recipient(app, row, args.chat_id)
    await (await port(app, row, Capability.THREAD_CONTROL)).set_control(to.chat_id, args.action, args.app_id, args.note)
    return Nothing()
