"""The pages under /add and /login, each opened by the secret in its address: a person enters what no agent should see.

Opening one adds nothing, for programs open links that they find in a chat.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs
from uuid import UUID

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from db import instances, page_links
from db.page_links import PageLink
from mcp_messenger.api.pages.html import Html, joined, tag
from mcp_messenger.api.pages.layout import document, linked, listed, message, respond
from mcp_messenger.api.pages.login import account_page, current_code, held, unreached
from mcp_messenger.config import NO_ADDRESS
from mcp_messenger.errors import InvalidInput, ReadOnly
from mcp_messenger.operations.account_pages import LOGIN, identified, opened_by, webhook_of
from mcp_messenger.operations.application import App
from mcp_messenger.operations.instance_answers import CreatedInstance
from mcp_messenger.operations.instances import CreateInstance
from mcp_messenger.operations.login import RequestPairingCode, auth_status
from mcp_messenger.operations.operation import Transport
from mcp_messenger.operations.table import BY_NAME
from mcp_messenger.operations.validation import validated
from mcp_messenger.security.caller import Caller
from providers import REGISTRY
from providers.capabilities import Capability
from providers.errors import MessengerError
from providers.setup import Ask, setup_of
from providers.words import Words, words_for

FIELDS_MAX = 20
OWN_FIELDS = frozenset({"base_url", "gateway_url"})
"""Settings that the administrator alone may set: they say where secrets go."""


@dataclass(frozen=True)
class Visit:
    """A request to a page that is open. `secret` is in its address."""

    app: App
    request: Request
    words: Words
    link: PageLink
    secret: str

    @property
    def caller(self) -> Caller:
        """Return in whose name the page acts."""
        return Caller(user_id=self.link.user_id, client="page")


async def account_pages(app: App, request: Request) -> Response:
    """Answer under /add/SECRET and /login/SECRET."""
    words = words_for(request.headers.get("accept-language"))
    try:
        link = await opened_by(app, request.path_params["secret"])
        if link is None or (link.instance_id is None and (link.used_at is not None or request.url.path.startswith(LOGIN))):
            return _over(words)
        visit = Visit(app, request, words, link, request.path_params["secret"])
        if link.instance_id is None:
            return await (_add(visit) if request.method == "POST" else _choose(visit))
        return await _log_in(visit, link.instance_id)
    except MessengerError as error:
        return message(words, words.say("This does not work now"), error.detail, error.hint or "", status=503)


def _over(words: Words) -> Response:
    say = words.say
    ask = say(
        "Ask for a new address: your agent has add_account and get_login_page, a terminal 'mcp-messenger add' and 'mcp-messenger qr ID --link'."
    )
    return message(words, say("This page has done its work"), say("It was used already, or its time is over."), ask, status=404)


async def _choose(visit: Visit) -> Response:
    messenger = visit.request.query_params.get("messenger", "")
    if messenger in REGISTRY:
        return respond(_form(visit, messenger))
    say = visit.words.say
    # First the one that anybody can try.
    rows = [(name, setup_of(name)) for name in sorted(REGISTRY, key=lambda name: (name != "sandbox", name))]
    choices = [
        tag("li", tag("a", tag("b", setup.title), tag("span", f"{say('You need')}: {say(setup.needs)}"), href=f"?messenger={name}"))
        for name, setup in rows
    ]
    return respond(document(visit.words, say("Add an account"), tag("p", say("On which messenger?")), tag("ul", *choices, class_="choices")))


def _form(visit: Visit, messenger: str, given: Mapping[str, str] | None = None, refusal: MessengerError | None = None) -> Html:
    """Return the page that asks for the settings. Of `given` it repeats what is no secret."""
    say, setup, given = visit.words.say, setup_of(messenger), given or {}
    asks = [one for one in setup.asks if visit.link.user_id is None or one.field not in OWN_FIELDS]
    plain, advanced = [one for one in asks if not one.advanced], [one for one in asks if one.advanced]
    parts = [tag("input", type="hidden", name="messenger", value=messenger), *(_field(visit.words, one, given) for one in plain)]
    name = Ask("name", "Name", "For you and your agent, such as “Shop”. Empty: the account's own.", required=False)
    parts.append(_field(visit.words, name, given))
    if advanced:
        parts.append(tag("details", tag("summary", say("More settings")), *(_field(visit.words, one, given) for one in advanced), id="more"))
    parts.append(tag("button", say("Add the account")))
    steps = tag("div", tag("h2", say("Before")), listed(visit.words, setup.steps), class_="panel") if setup.steps else None
    said = None
    if refusal is not None:
        hint = tag("p", linked(refusal.hint)) if refusal.hint else None
        said = tag("div", tag("p", refusal.detail, class_="bad"), hint, class_="panel", role="alert")
    form = tag("form", *parts, method="post", class_="panel", autocomplete="off")
    others = tag("p", tag("a", say("Another messenger"), href="?"))
    title = say("Add an account of {0}").replace("{0}", setup.title)
    return document(visit.words, title, *(one for one in (said, steps, form, others) if one is not None))


def _field(words: Words, ask: Ask, given: Mapping[str, str]) -> Html:
    say = words.say
    id = f"field-{ask.field}"
    required = ask.required and not ask.generated
    label = tag("label", say(ask.label), "" if required else f" ({say('may be empty')})", for_=id)
    where = tag("p", linked(say(ask.where)), class_="where", id=f"{id}-where")
    field = tag(
        "input",
        id=id,
        name=ask.field,
        type="password" if ask.secret else "text",
        value=None if ask.secret else given.get(ask.field),
        required=required,
        autocomplete="off",
        spellcheck="false",
        aria_describedby=f"{id}-where",
    )
    return tag("div", label, where, field, class_="field")


async def _add(visit: Visit) -> Response:
    """Add the account of a form that was filled in. What it lacks, or the messenger refuses, is said above the form, and the page stays open."""
    given = await fields_of(visit.request, FIELDS_MAX)
    messenger = given.get("messenger", "")
    if messenger not in REGISTRY:
        return await _choose(visit)
    app, setup = visit.app, setup_of(messenger)
    made_up = {one: secrets.token_urlsafe(16) for one in setup.asks if one.generated and not given.get(one.field, "").strip()}
    values = {one.field: given[one.field].strip() for one in setup.asks if given.get(one.field, "").strip()}
    values |= {one.field: word for one, word in made_up.items()}
    try:
        if app.config.read_only:
            raise ReadOnly
        await identified(app, visit.caller, messenger, values)
        created = BY_NAME["create_instance"]
        args = validated(created, {"provider": messenger, "credentials": values, "name": given.get("name", "")[:60]})
        assert isinstance(args, CreateInstance)
        if not await page_links.use(app.database, visit.link):
            return _over(visit.words)
        try:
            made = await created.carry_out(app, visit.caller, args, transport=Transport.REST)
        except MessengerError:
            await page_links.give_back(app.database, visit.link)
            raise
    except MessengerError as refusal:
        return respond(_form(visit, messenger, given, refusal), status=422)
    assert isinstance(made, CreatedInstance)
    await page_links.added(app.database, visit.link, UUID(made.instance_id))
    if made_up:
        return respond(_handed_out(visit, webhook_of(app, messenger, made.instance_id), made_up))
    return RedirectResponse(f"{LOGIN}/{visit.secret}", status_code=303)


def _handed_out(visit: Visit, webhook: str | None, made_up: Mapping[Ask, str]) -> Html:
    """Return the page that says which words were made up. Only who has sent the form sees it: an agent may know the page's address."""
    say = visit.words.say
    facts = {say("The address of the webhook"): webhook, **{say(one.label): word for one, word in made_up.items()}}
    listed_facts = tag("dl", *(joined(tag("dt", name), tag("dd", tag("code", value))) for name, value in facts.items() if value))
    intro = tag("p", say("Give these to the messenger. They are shown this once."))
    on = tag("p", tag("a", say("Go on"), href=f"{LOGIN}/{visit.secret}", class_="button"))
    parts = [intro, listed_facts, *([tag("p", unreached(visit.words))] if webhook is not None and webhook.startswith(NO_ADDRESS) else [])]
    return document(visit.words, say("The account is added"), tag("div", *parts, class_="panel"), on)


async def _log_in(visit: Visit, instance_id: UUID) -> Response:
    app, refusal = visit.app, None
    row = await instances.get(app.database, instance_id)
    if row is None:
        return _over(visit.words)
    takes_phone = Capability.PAIRING_CODE in await _capabilities(row.provider)
    if visit.request.method == "POST":
        refusal = await _ask_for_pairing_code(visit, instance_id)
        if refusal is None:
            return RedirectResponse(f"{LOGIN}/{visit.secret}", status_code=303)
    is_used = visit.link.used_at is not None
    webhook = webhook_of(app, row.provider, str(row.id))

    async def render() -> tuple[Html, str]:
        nonlocal is_used
        now = await instances.get(app.database, instance_id)
        if now is None:
            raise InvalidInput("The account was removed meanwhile.")
        if auth_status(now).authenticated and not is_used:
            await page_links.use(app.database, visit.link)
            is_used = True
        code = None if is_used else await current_code(app, visit.caller, now)
        return account_page(visit.words, now, code, takes_phone=takes_phone, refusal=refusal, webhook=webhook)

    if is_used and not auth_status(row).authenticated:
        return _over(visit.words)
    if visit.request.method == "POST":
        page, mark = await render()
        return respond(page, status=422, mark=mark)
    return await held(app, visit.request, instance_id, render)


async def _ask_for_pairing_code(visit: Visit, instance_id: UUID) -> str | None:
    """Return why none could be had; None: it will be shown."""
    row, given = BY_NAME["request_pairing_code"], await fields_of(visit.request, FIELDS_MAX)
    try:
        args = validated(row, {"instance_id": str(instance_id), "phone": given.get("phone", "")})
        assert isinstance(args, RequestPairingCode)
        await row.carry_out(visit.app, visit.caller, args, transport=Transport.REST)
    except MessengerError as error:
        return f"{error.detail} {error.hint or ''}".strip()
    return None


async def _capabilities(provider: str) -> frozenset[Capability]:
    from mcp_messenger.instances import classes

    return (await classes.load(provider)).capabilities


async def fields_of(request: Request, most: int) -> dict[str, str]:
    """Return the fields of a form. Raises InvalidInput for more than it has: to read them all would hold the server up."""
    body = (await request.body()).decode(errors="replace")
    try:
        return {name: values[0] for name, values in parse_qs(body, max_num_fields=most, keep_blank_values=True).items()}
    except ValueError:
        raise InvalidInput("This is not the form of the page.", hint="Open the page again.") from None
