"""The port of a messenger whose program runs elsewhere, such as in a container: its API behind the same methods."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import uuid4

from pydantic import BaseModel, SecretStr, ValidationError

from mcp_messenger.instances.program_client import Lost, ProgramClient, Refused
from mcp_messenger.relay import protocol
from mcp_messenger.relay.port import RemotePort, codec_of
from mcp_messenger.relay.protocol import Attached, Pulled
from providers.base import Deliver, Provider, ProviderContext, Settings, WebhookReply, WebhookRequest
from providers.errors import MessengerError, Unreachable
from providers.models import Chat, Contact, Draft, Event, InstanceState, SentMessage, StateChanged

log = logging.getLogger(__name__)

M = TypeVar("M", bound=BaseModel)
BATCH = 100
STOP_WITHIN = 10.0


@dataclass(frozen=True)
class Timing:
    """In seconds."""

    wait: float = 25
    """How long a question for events stays open."""
    pauses: tuple[float, ...] = (0.2, 0.5, 1, 2, 5, 10)
    """Between tries to reach the program, and to hand over what was not taken."""
    ask_again: tuple[float, ...] = (0.1, 0.3, 1, 2, 4, 8, 15)
    """Before each further question what became of a send whose answer was lost."""


class Replaced(Exception):
    """Another manager has taken the program over."""


class RemoteProvider(RemotePort, Provider):
    """`cls` is the messenger's own class, asked about everything that needs no connection; `endpoint` gives the program's address as it is now.

    The program keeps what comes while nobody pulls. What it sends is known there by its client_id, so a send whose answer was lost is
    asked for again and not made again.
    """

    def __init__(
        self,
        cls: type[Provider],
        settings: Settings,
        context: ProviderContext,
        *,
        endpoint: Callable[[], Awaitable[str]],
        api_key: SecretStr,
        timing: Timing | None = None,
    ) -> None:
        Provider.__init__(self, settings, context)
        RemotePort.__init__(self, self._call)
        # Of the class on every other provider; this one stands for any of them.
        vars(self).update(name=cls.name, title=cls.title, capabilities=cls.capabilities, limits=cls.limits, settings_type=cls.settings_type)
        self._cls = cls
        self._local = cls(settings, context)
        self._settings = settings
        self._timing = timing or Timing()
        self._manager = uuid4().hex
        self._client = ProgramClient(endpoint, api_key, context.tls)
        self._state = StateChanged(state=InstanceState.CREATED)
        self._told: StateChanged | None = None
        self._deliver: Deliver | None = None
        self._spool: str | None = None
        self._cursor: int | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def state(self) -> StateChanged:
        return self._state

    def check(self, draft: Draft) -> None:
        self._local.check(draft)

    def check_lengths(self, draft: Draft) -> None:
        self._local.check_lengths(draft)

    async def start(self, deliver: Deliver) -> None:
        await self.detach()
        self._deliver, self._told = deliver, None
        self._state = StateChanged(state=InstanceState.STARTING)
        self._task = asyncio.create_task(self._run(deliver))

    async def stop(self) -> None:
        """Disconnect the messenger there, if the program can be reached; `detach` leaves it connected."""
        was_attached = self._task is not None
        await self.detach()
        if was_attached:
            try:
                await self._client.ask("POST", protocol.STOP, params={"manager": self._manager}, seconds=STOP_WITHIN)
            except MessengerError as error:
                log.warning("the program was not told to stop: %s", error.detail, extra={"instance_id": self.context.instance_id})
        await self._client.close()

    async def detach(self) -> None:
        """Pull no more: the program stays connected and keeps what comes, for whoever starts next."""
        task, self._task, self._deliver = self._task, None, None
        self._state = StateChanged(state=InstanceState.STOPPED)
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        await self._client.close()

    async def forget(self) -> None:
        """Throw the login away: the program begins anew, with a new QR code where the messenger has one. Raises Unreachable."""
        await self._client.ask("POST", protocol.FORGET, params={"manager": self._manager})

    async def send(self, draft: Draft) -> SentMessage:
        body = draft.model_dump_json().encode()
        lost: Lost | None = None
        for pause in (0.0, *self._timing.ask_again):
            await asyncio.sleep(pause)
            # Only after the first question: until then no program can know of it.
            params = {"spool": self._spool} if lost is not None and self._spool is not None else {}
            try:
                answer = await self._client.ask("POST", protocol.SEND, params=params, body=body)
            except Lost as error:
                if not error.maybe_sent and lost is None:
                    raise
                lost = error
            else:
                return _read(SentMessage, answer)
        detail = f"The program did not say what became of this send. {lost.detail if lost else ''}".strip()
        raise Unreachable(detail, maybe_sent=True, hint="Look before sending it again.")

    async def list_chats(self) -> Sequence[Chat]:
        return await self._call("list_chats", {})

    async def list_contacts(self) -> Sequence[Contact]:
        return await self._call("list_contacts", {})

    async def logout(self) -> None:
        await self._call("logout", {})

    async def receive_webhook(self, request: WebhookRequest) -> WebhookReply:
        return await self._call("receive_webhook", {"request": request})

    async def _call(self, method: str, arguments: dict[str, Any]) -> Any:
        if getattr(self._cls, method) is getattr(Provider, method):
            return await vars(Provider)[method](self, **arguments)
        codec = codec_of(method)
        body = codec.arguments(**arguments).model_dump_json().encode()
        answer = await self._client.ask("POST", protocol.METHOD.format(method=method), body=body)
        try:
            return codec.answer.validate_json(json.dumps(answer))
        except ValidationError as error:
            raise _garbage() from error

    async def _run(self, deliver: Deliver) -> None:
        """Until cancelled, or until another manager has taken over."""
        failures = 0
        while True:
            try:
                await self._tell(deliver, self._state)
                await self._attach()
                wait = 0.0
                while True:
                    pulled = await self._pull(wait)
                    if not pulled.attached:
                        await self._attach()
                    await self._take(deliver, pulled)
                    failures = 0
                    wait = self._timing.wait
            except Replaced:
                reason = "Another manager has taken this program over."
                await self._say(deliver, StateChanged(state=InstanceState.DEGRADED, reason=reason, account=self._state.account))
                return
            except MessengerError as error:
                state = self._out_of_reach(error)
                if state != self._state:
                    log.warning("the program cannot be used: %s", error.detail, extra={"instance_id": self.context.instance_id})
                self._state = state
            except Exception:
                # A store that is away for a while must not end the receiving; nothing was confirmed.
                log.exception("events were not taken; they are asked for again", extra={"instance_id": self.context.instance_id})
            await asyncio.sleep(self._timing.pauses[min(failures, len(self._timing.pauses) - 1)])
            failures += 1

    def _out_of_reach(self, error: MessengerError) -> StateChanged:
        reason = f"{error.detail} {error.hint or ''}".strip()
        return StateChanged(state=InstanceState.DEGRADED, reason=reason, account=self._state.account)

    async def _attach(self) -> None:
        params = {"manager": self._manager}
        if self.context.public_url is not None:
            params["public_url"] = self.context.public_url
        answer = await self._client.ask("PUT", protocol.SETTINGS, params=params, body=_revealed(self._settings))
        self._note(_read(Attached, answer).spool)

    async def _pull(self, wait: float) -> Pulled:
        params: dict[str, Any] = {"limit": BATCH, "wait": wait, "manager": self._manager}
        if self._cursor is not None:
            params |= {"after": self._cursor, "spool": self._spool}
        try:
            answer = await self._client.ask("GET", protocol.EVENTS, params=params, seconds=wait + 15)
        except Refused as error:
            raise Replaced from error
        return _read(Pulled, answer)

    def _note(self, spool: str) -> None:
        """The numbers of another spool are not this one's."""
        if spool != self._spool:
            self._spool, self._cursor = spool, None

    async def _take(self, deliver: Deliver, pulled: Pulled) -> None:
        """Hand over what has come. Only what was taken is confirmed, by the next question."""
        self._note(pulled.spool)
        events = [one.event for one in pulled.events]
        if events:
            await self._hand_over(deliver, events)
            self._cursor = pulled.events[-1].seq
        else:
            await self._tell(deliver, pulled.state)

    async def _hand_over(self, deliver: Deliver, events: Sequence[Event]) -> None:
        news: list[Event] = []
        told = self._told
        for event in events:
            if not isinstance(event, StateChanged):
                news.append(event)
            elif event != told:
                news.append(event)
                told = event
        if told is not None:
            self._state = told
        if news:
            await deliver(news)
        self._told = told

    async def _tell(self, deliver: Deliver, state: StateChanged) -> None:
        self._state = state
        if state != self._told:
            await deliver([state])
            self._told = state

    async def _say(self, deliver: Deliver, state: StateChanged) -> None:
        try:
            await self._tell(deliver, state)
        except Exception:
            log.exception("the state was not taken", extra={"instance_id": self.context.instance_id})


def _revealed(settings: Settings) -> bytes:
    """For the program alone, which keeps them in memory."""
    plain = settings.model_dump(mode="json", exclude=set(settings.secret_fields()))
    secrets = {name: getattr(settings, name) for name in settings.secret_fields()}
    shown = {name: value.get_secret_value() if isinstance(value, SecretStr) else value for name, value in secrets.items()}
    return json.dumps({**plain, **shown}).encode()


def _read(model: type[M], answer: Any) -> M:
    try:
        return model.model_validate_json(json.dumps(answer))
    except ValidationError as error:
        raise _garbage() from error


def _garbage() -> Lost:
    return Lost("What answers there is no program of this version.", maybe_sent=True, hint="Look at its address and its version.")
