"""Lists and sends the templates that a platform has approved."""

from pydantic import Field

from mcp_messenger.instances import classes
from mcp_messenger.operations.application import App
from mcp_messenger.operations.operation import OfInstance, Output
from mcp_messenger.operations.port import port
from mcp_messenger.operations.queueing import Send, SendAnswer, queue_send, require_sendable
from mcp_messenger.operations.uploading import require_capability, send_file
from mcp_messenger.security.caller import Caller, instance_of
from providers.capabilities import Capability
from providers.templates import Template, TemplateButton, TemplateUse


class SendTemplate(Send):
    operation = "send_template"

    template: str = Field(min_length=1, max_length=512, description="name, from list_templates")
    language: str = Field(min_length=2, max_length=16)
    parameters: list[str] = Field(default=[], max_length=50, description="for its placeholders, in order")
    named: dict[str, str] = Field(default={}, description="for its placeholders, where they have names")
    header: str | None = Field(default=None, max_length=1000, description="for the placeholder in a header of text")
    header_source: str | None = Field(default=None, max_length=90_000_000, description="the header's file: URL, path in a media folder, data: URI")
    buttons: list[TemplateButton] = Field(default=[], max_length=10, description="variable parts of its buttons")


async def send_template(app: App, caller: Caller, args: SendTemplate) -> SendAnswer:
    """Send a template that the platform has approved. Raises what `queue_send` raises."""
    use = TemplateUse(
        name=args.template,
        language=args.language,
        parameters=tuple(args.parameters),
        named=args.named,
        header=args.header,
        buttons=tuple(args.buttons),
    )
    if args.header_source is None:
        return await queue_send(app, caller, args, template=use)
    row = await instance_of(app.database, caller, args.instance_id)
    require_capability(await classes.load(row.provider), Capability.TEMPLATES)
    require_sendable(app, row)
    return await send_file(app, caller, args, args.header_source, (None, None, None), template=use)


class TemplateList(Output):
    templates: list[Template]


async def list_templates(app: App, caller: Caller, args: OfInstance) -> TemplateList:
    """Ask the platform for its approved templates. Raises Unsupported, NotReady."""
    row = await instance_of(app.database, caller, args.instance_id)
    return TemplateList(templates=list(await (await port(app, row, Capability.TEMPLATES)).list_templates()))
