"""The instance's life and login."""

from datetime import UTC, datetime

from mcp_messenger.alone import facts
from mcp_messenger.alone.program import Program
from mcp_messenger.delivery.webhook_config import WebhookConfig
from mcp_messenger.errors import NotReady
from mcp_messenger.operations import instances as asked
from mcp_messenger.operations import keys as asked_keys
from mcp_messenger.operations import login as asked_login
from mcp_messenger.operations import webhooks as asked_webhooks
from mcp_messenger.operations.operation import OfInstance
from mcp_messenger.operations.views import InstanceView
from mcp_messenger.security.caller import Caller
from providers.models import Capability, InstanceState


async def get_instance(program: Program, caller: Caller, args: OfInstance) -> asked.InstanceAnswer:
    state = program.runner.present
    settings = program.runner.settings
    public = {} if settings is None else settings.model_dump(mode="json", exclude=set(settings.secret_fields()), exclude_defaults=True)
    view = InstanceView(
        id=str(program.instance_id),
        provider=program.cls.name,
        status=state.state,
        status_reason=state.reason,
        user_id="local",
        type_instance=sorted(program.alone.types),
        runtime="process",
        needs=state.needs,
        account=None if state.account is None else state.account.model_dump(mode="json", exclude_none=True),
        settings=public,
        api_webhook_schema=await facts.webhook(program.file),
        last_activity=await program.file.read(facts.last_activity),
        created_at=program.started_at,
        updated_at=program.started_at,
    )
    return asked.InstanceAnswer(
        instance_id=view.id,
        status=view.status,
        instance=view,
        capabilities=sorted(program.cls.capabilities),
        limits=program.cls.limits,
    )


async def process_instance(program: Program, caller: Caller, args: asked.ProcessInstance) -> asked.InstanceAnswer:
    if args.force_recreate:
        caller.require_owner()
        await program.runner.forget()
    return await start_instance(program, caller, args)


async def start_instance(program: Program, caller: Caller, args: OfInstance) -> asked.InstanceAnswer:
    await program.runner.start()
    return await get_instance(program, caller, args)


async def stop_instance(program: Program, caller: Caller, args: OfInstance) -> asked.InstanceAnswer:
    await program.runner.stop()
    return await get_instance(program, caller, args)


async def restart_instance(program: Program, caller: Caller, args: OfInstance) -> asked.InstanceAnswer:
    await program.runner.stop()
    return await start_instance(program, caller, args)


async def get_qr(program: Program, caller: Caller, args: OfInstance) -> asked_login.QrAnswer:
    state = program.runner.present
    if state.qr is None or state.qr.expires_at <= datetime.now(UTC):
        raise NotReady(str(program.instance_id), state.state, f"There is no QR code now: the instance is {state.state}.")
    return asked_login.QrAnswer(
        instance_id=str(program.instance_id),
        status=state.state,
        qr=state.qr.content,
        png=asked_login.png_data_uri(state.qr.content),
        sequence=state.qr.sequence,
        issued_at=state.qr.issued_at,
        expires_at=state.qr.expires_at,
        pairing_code=state.pairing_code,
    )


async def request_pairing_code(program: Program, caller: Caller, args: asked_login.RequestPairingCode) -> asked_login.PairingCode:
    digits = "".join(character for character in args.phone if character.isdigit())
    return asked_login.PairingCode(pairing_code=await program.runner.port(Capability.PAIRING_CODE).request_pairing_code(digits))


async def get_auth_status(program: Program, caller: Caller, args: OfInstance) -> asked_login.AuthStatus:
    state = program.runner.present
    authenticated = state.state in {InstanceState.AUTHENTICATED, InstanceState.READY, InstanceState.DEGRADED}
    return asked_login.AuthStatus(
        instance_id=str(program.instance_id),
        state=state.state,
        authenticated=authenticated,
        account=state.account.model_dump(mode="json", exclude_none=True) if authenticated and state.account else None,
        needs=state.needs,
        reason=state.reason,
    )


async def get_account(program: Program, caller: Caller, args: OfInstance) -> asked_login.AccountAnswer:
    account = program.runner.present.account or program.runner.known_account
    if account is None:
        raise NotReady(str(program.instance_id), program.runner.present.state, "This instance has not been logged in yet.")
    told = account.model_dump(mode="json", exclude_none=True)
    return asked_login.AccountAnswer(instance_id=str(program.instance_id), provider=program.cls.name, account=told)


async def get_current_api_key(program: Program, caller: Caller, args: OfInstance) -> asked_keys.ApiKey:
    """Not for whoever shows the key itself: it is there for those who know the messenger's own token."""
    caller.require_owner()
    value = program.key.revealed()
    return asked_keys.ApiKey(id=str(program.instance_id), prefix=value[: asked.KEY_PREFIX_SHOWN], created_at=program.key.created_at, api_key=value)


async def get_webhook(program: Program, caller: Caller, args: OfInstance) -> asked_webhooks.WebhookAnswer:
    return asked_webhooks.WebhookAnswer.model_validate(await facts.webhook(program.file) or {})


async def set_webhook(program: Program, caller: Caller, args: asked_webhooks.SetWebhook) -> asked_webhooks.WebhookAnswer:
    config = WebhookConfig.model_validate(args.model_dump(exclude={"instance_id"}))
    await facts.set_webhook(program.file, config.public())
    return await get_webhook(program, caller, OfInstance(instance_id=args.instance_id))
