"""Pages on which a person adds an account or logs it in, and the settings that each messenger asks for: secrets stay out of agents' chats."""

import secrets
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import anyio
from pydantic import Field

from db import page_links
from db.page_links import PageLink
from mcp_messenger.config import NO_ADDRESS
from mcp_messenger.errors import InvalidInput, NotAvailable
from mcp_messenger.instances import classes
from mcp_messenger.operations.application import App
from mcp_messenger.operations.instance_settings import require_admin_for
from mcp_messenger.operations.operation import Input, OfInstance, Output
from mcp_messenger.security.caller import Caller, instance_of
from mcp_messenger.validation import validated_settings
from providers import REGISTRY
from providers.base import ProviderContext
from providers.errors import Unreachable
from providers.models import Account
from providers.setup import Setup, setup_of

ADD, LOGIN = "/add", "/login"
"""Under these is a page for each secret."""
MINUTES = 30
"""A page's time."""
IDENTIFY_WITHIN = 30.0


class AddAccount(Input):
    hidden = frozenset({"user_id"})

    provider: str | None = Field(default=None, max_length=64, description="the messenger; without it the person chooses")
    user_id: str | None = Field(default=None, min_length=1, max_length=128, description="whose it becomes")


class PageOfPerson(Output):
    """The address of a page for a person, who enters there what no agent should see. It opens until `expires_at`, and does its work once."""

    url: str
    expires_at: datetime


async def add_account(app: App, caller: Caller, args: AddAccount) -> PageOfPerson:
    """Return the address of a page on which a person adds an account. Raises NotAllowed, InvalidInput for an unknown messenger."""
    caller.require_owner()
    caller.require_all_instances()
    if args.provider is not None:
        require_messenger(args.provider)
    return await page_to_add(app, caller.user_id or args.user_id, args.provider)


async def page_to_add(app: App, user_id: str | None, provider: str | None) -> PageOfPerson:
    """Return the address of a page on which a person adds an account of a user; None: of the administrator."""
    link, secret = await _new_link(app, user_id=user_id)
    choice = f"?messenger={provider}" if provider else ""
    return PageOfPerson(url=f"{await app.pages.url()}{ADD}/{secret}{choice}", expires_at=link.expires_at)


async def get_login_page(app: App, caller: Caller, args: OfInstance) -> PageOfPerson:
    """Return the address of a page with the code to log in with. Raises NoSuchInstance, NotAvailable where a token logs in."""
    row = await instance_of(app.database, caller, args.instance_id)
    require_code(row.provider)
    link, secret = await _new_link(app, user_id=row.user_id, instance_id=args.instance_id)
    return PageOfPerson(url=f"{await app.pages.url()}{LOGIN}/{secret}", expires_at=link.expires_at)


async def _new_link(app: App, *, user_id: str | None, instance_id: str | None = None) -> tuple[PageLink, str]:
    await app.database.started()
    secret = secrets.token_urlsafe(24)
    of = None if instance_id is None else UUID(instance_id)
    return await page_links.create(app.database, app.vault().digest(secret), user_id=user_id, instance_id=of, minutes=MINUTES), secret


async def opened_by(app: App, secret: str) -> PageLink | None:
    """Return the page that a secret opens; None: none, or its time is over."""
    await app.database.started()
    return await page_links.get(app.database, app.vault().digests(secret[:100]))


def require_messenger(provider: str) -> None:
    """Raise InvalidInput for a messenger that is unknown."""
    if provider not in REGISTRY:
        raise InvalidInput(f"provider: no messenger {provider[:64]!r}.", hint=f"Available: {', '.join(sorted(REGISTRY))}.")


def require_code(provider: str) -> None:
    """Raise NotAvailable for a messenger that a token logs in to: it has no code to scan."""
    setup = setup_of(provider)
    if not setup.has_code:
        raise NotAvailable(
            f"{setup.title} is logged in to by a token; there is no code to scan.",
            hint="get_auth_status says whether it works. Another token is set with PUT /api/v1/instances/ID/credentials.",
        )


class SettingAsked(Output):
    """A setting that a person enters; `where` says where it is found."""

    name: str
    label: str
    where: str
    secret: bool = False
    required: bool = True
    generated: bool = False
    advanced: bool = False


class MessengerView(Output):
    """How an account of a messenger is added: `steps` on its side, then `settings`; by `login` code a phone scans a QR code, by token it does not.

    `webhook` is the address that the messenger is given to bring messages to, with {instance_id} in it; None: it needs none.
    """

    provider: str
    title: str
    needs: str
    login: str
    steps: list[str]
    settings: list[SettingAsked]
    scan: list[str]
    then: str
    webhook: str | None = None


class MessengerList(Output):
    messengers: list[MessengerView]


async def list_messengers(app: App, caller: Caller, args: Input) -> MessengerList:
    """Return every messenger with what a person needs to add an account of it."""
    return MessengerList(messengers=[_view(app, name, setup_of(name)) for name in sorted(REGISTRY)])


def webhook_of(app: App, provider: str, instance_id: str) -> str | None:
    """Return the address that a messenger is given to bring messages to; None for one that needs none."""
    return f"{app.config.public_url or NO_ADDRESS}/webhooks/{provider}/{instance_id}" if setup_of(provider).webhook else None


def _view(app: App, name: str, setup: Setup) -> MessengerView:
    asks = [
        SettingAsked(
            name=one.field,
            label=one.label,
            where=one.where,
            secret=one.secret,
            required=one.required,
            generated=one.generated,
            advanced=one.advanced,
        )
        for one in setup.asks
    ]
    return MessengerView(
        provider=name,
        title=setup.title,
        needs=setup.needs,
        login="code" if setup.has_code else "token",
        steps=list(setup.steps),
        settings=asks,
        scan=list(setup.scan),
        then=setup.then,
        webhook=webhook_of(app, name, "{instance_id}"),
    )


class CheckCredentials(Input):
    provider: str = Field(max_length=64)
    credentials: dict[str, Any] = Field(default_factory=dict, repr=False)


class CredentialCheck(Output):
    """The account whose settings these are; None: only a login tells."""

    account: dict[str, Any] | None = None


async def check_credentials(app: App, caller: Caller, args: CheckCredentials) -> CredentialCheck:
    """Return whose settings these are, by one call to the messenger. Raises InvalidInput, LoggedOut for a token that does not work."""
    caller.require_owner()
    account = await identified(app, caller, args.provider, args.credentials)
    return CredentialCheck(account=None if account is None else account.model_dump(mode="json", exclude_none=True))


async def identified(app: App, caller: Caller, provider: str, credentials: dict[str, Any]) -> Account | None:
    """Return whose settings these are; None where only a login tells. Raises what `check_credentials` raises."""
    require_messenger(provider)
    cls = await classes.load(provider)
    require_admin_for(cls.settings_type, caller, credentials)
    settings = validated_settings(cls.settings_type, provider, credentials)
    if setup_of(provider).has_code:
        return None
    id = uuid4()
    messenger = cls(settings, ProviderContext(str(id), app.tls(), app.instance_dir(id), app.config.public_url))
    try:
        with anyio.fail_after(IDENTIFY_WITHIN):
            return await messenger.identify()
    except TimeoutError:
        raise Unreachable(f"{cls.title} did not answer within {IDENTIFY_WITHIN:g} s.", maybe_sent=False, hint="Try again.") from None
    finally:
        with anyio.CancelScope(shield=True):
            await messenger.stop()
