"""Sending. Nothing is queued here: a send goes out now, or is refused."""

from typing import Any

import anyio

from mcp_messenger.alone import own, shelf
from mcp_messenger.alone.operations.reading import known_message
from mcp_messenger.alone.program import Program
from mcp_messenger.errors import NotReady
from mcp_messenger.net.network_policy import NetworkPolicy
from mcp_messenger.net.uploads import MediaPolicy, load_upload
from mcp_messenger.operations import groups as asked_groups
from mcp_messenger.operations import sending as asked
from mcp_messenger.operations.messages import platform_id_of
from mcp_messenger.operations.operation import OfInstance
from mcp_messenger.security.caller import Caller
from providers.base import Provider
from providers.drafts import fingerprint_of, stored_draft
from providers.errors import MessengerError, RateLimited, Unsupported
from providers.models import Capability, ChatKind, Contact, Draft, Location, Poll, TemplateUse
from providers.states import COMING, WORKING


async def send_message(program: Program, caller: Caller, args: asked.SendMessage) -> asked.SendAnswer:
    return await _send(program, args, text=args.message, format=args.format, split=args.split)


async def send_media(program: Program, caller: Caller, args: asked.SendMedia) -> asked.SendAnswer:
    if Capability.MEDIA not in program.cls.capabilities:
        raise Unsupported(program.cls.name, Capability.MEDIA)
    limit = program.cls.limits.max_upload or asked.DEFAULT_UPLOAD_MAX
    upload = await load_upload(args.source, policy=_media_policy(program), max_bytes=limit, name=args.name, mime=args.mime, kind=args.kind)
    return await _send(program, args, text=args.caption, format=args.format, upload=upload)


def _media_policy(program: Program) -> MediaPolicy:
    roots = program.config.media_roots or (program.folder / "media",)
    network = NetworkPolicy(allowed_networks=program.config.allowed_networks)
    return MediaPolicy(roots=(*roots, program.downloads_dir), network=network, tls=program.tls())


async def send_poll(program: Program, caller: Caller, args: asked.SendPoll) -> asked.SendAnswer:
    return await _send(program, args, poll=Poll(question=args.question, options=tuple(args.options), multiple=args.multiple))


async def send_location(program: Program, caller: Caller, args: asked.SendLocation) -> asked.SendAnswer:
    return await _send(program, args, location=Location(latitude=args.latitude, longitude=args.longitude, name=args.name))


async def send_contact(program: Program, caller: Caller, args: asked.SendContact) -> asked.SendAnswer:
    return await _send(program, args, contact=Contact(id=args.contact_id, name=args.name, phone=args.phone))


async def send_choices(program: Program, caller: Caller, args: asked.SendChoices) -> asked.SendAnswer:
    return await _send(program, args, text=args.message, choices=tuple(args.choices))


async def send_template(program: Program, caller: Caller, args: asked.SendTemplate) -> asked.SendAnswer:
    return await _send(program, args, template=TemplateUse(name=args.template, language=args.language, parameters=tuple(args.parameters)))


async def send_to_group(program: Program, caller: Caller, args: asked_groups.SendToGroup) -> asked.SendAnswer:
    send = asked.SendMessage(instance_id=args.instance_id, to=args.group_id, message=args.message, idempotency_key=args.idempotency_key)
    return await send_message(program, caller, send)


async def list_templates(program: Program, caller: Caller, args: OfInstance) -> asked.TemplateList:
    return asked.TemplateList(templates=list(await program.runner.port(Capability.TEMPLATES).list_templates()))


async def get_sending_budget(program: Program, caller: Caller, args: OfInstance) -> asked.SendingBudgetAnswer:
    return asked.budget_answer(await program.runner.port(Capability.SENDING_BUDGET).sending_budget(), program.cls.limits)


async def _send(program: Program, args: asked.Send, *, split: bool = False, **content: Any) -> asked.SendAnswer:
    """`content` is of Draft's fields."""
    chat_id, kind = await chat_of(program, args.to)
    draft = Draft(
        client_id="0",
        chat_id=chat_id,
        reply_to=None if args.reply_to is None else platform_id_of(await known_message(program, args.reply_to)),
        thread_id=args.thread_id,
        silent=args.silent,
        extra={**args.extra, "split": True} if split else args.extra,
        **content,
    )
    fingerprint = fingerprint_of(stored_draft(draft), draft.upload)
    known = await own.known(program.file, args.idempotency_key, fingerprint)
    if known is None or known.may_go:
        checker(program).check(draft)
        await _sendable(program)
        await _paced(program, chat_id, kind)
        number = await program.file.write(lambda db: own.begin(db, draft, kind, args.idempotency_key, fingerprint))
        try:
            await own.send(program, draft, number)
        except RateLimited as error:
            program.pacing.block(error.retry_after)
            raise
    else:
        number = known.number
    return asked.answer(await known_message(program, str(number)))


async def chat_of(program: Program, to: str) -> tuple[str, ChatKind]:
    """The chat's id by now, and its kind. A chat that we never saw is the platform's to know."""
    to = program.cls.address(to)
    chat = await program.file.read(lambda db: shelf.chat(db, to))
    return (to, ChatKind.UNKNOWN) if chat is None else (chat.id, ChatKind(chat.kind))


def checker(program: Program) -> Provider:
    """A provider to ask what the platform would refuse; it need not run. Raises NotReady while there are no settings for any."""
    provider = program.runner.checker()
    if provider is None:
        raise NotReady(str(program.instance_id), program.runner.present.state)
    return provider


async def _sendable(program: Program) -> None:
    """Wait a while for a messenger that is just connecting. Raises NotReady."""
    with anyio.move_on_after(asked.WAIT_FOR_PLATFORM):
        while program.runner.is_running and program.runner.present.state in COMING:
            growth = program.spool.growth()
            with anyio.move_on_after(1.0):
                await growth.wait()
    state = program.runner.present.state
    if state not in WORKING:
        raise NotReady(str(program.instance_id), state)


async def _paced(program: Program, chat_id: str, kind: ChatKind) -> None:
    """Raises RateLimited where the platform's own limit would keep it for longer than a caller waits."""
    while (delay := program.pacing.delay(chat_id, kind)) > 0:
        if delay > asked.WAIT_FOR_PLATFORM:
            raise RateLimited(delay)
        await anyio.sleep(delay)


async def check_send(program: Program, caller: Caller, args: asked.CheckSend) -> asked.SendCheck:
    chat_id, kind = await chat_of(program, args.to)
    problem: MessengerError | None = None
    try:
        provider = checker(program)
        provider.check(Draft(client_id="0", chat_id=chat_id, text=args.message, format=args.format))
        if program.runner.present.state not in WORKING | COMING:
            raise NotReady(str(program.instance_id), program.runner.present.state)
        asked.require_open_window(provider, await program.file.read(lambda db: shelf.chat(db, chat_id)))
    except MessengerError as error:
        problem = error
    limits = program.cls.limits
    return asked.SendCheck(
        ok=problem is None,
        refusal=problem and problem.code,
        reason=problem and problem.detail,
        instead=problem and problem.hint,
        length=limits.text_unit.length(args.message),
        max_length=limits.max_text,
        length_unit=limits.text_unit,
        wait_seconds=round(program.pacing.wait(chat_id, kind), 3),
    )
