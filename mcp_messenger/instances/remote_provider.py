"""The provider of an instance whose relay runs elsewhere, such as in a container."""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import uuid4

from pydantic import BaseModel, SecretStr, ValidationError

from mcp_messenger.instances.relay_client import Lost, Refused, RelayClient
from mcp_messenger.relay import protocol
from mcp_messenger.relay.port import RemotePort, codec_of
from mcp_messenger.relay.protocol import Attached, Pull, Pulled
from mcp_messenger.relay.versions import TYPES, readable
from providers.base import Deliver, Provider, ProviderContext, Settings, WebhookReply, WebhookRequest
from providers.errors import MessengerError, Unreachable
from providers.events import Event, StateChanged
from providers.models import Chat, Contact, Draft, SentMessage
from providers.states import InstanceState

log = logging.getLogger(__name__)

M = TypeVar("M", bound=BaseModel)
BATCH = 100
STOP_WITHIN = 10.0


@dataclass(frozen=True)
class Timing:
    """In seconds."""

    wait: float = 25
    """How long a request for events stays open."""
    pauses: tuple[float, ...] = (0.2, 0.5, 1, 2, 5, 10)
    """Between attempts to reach the relay, and to deliver events that were not taken."""
    ask_again: tuple[float, ...] = (0.1, 0.3, 1, 2, 4, 8, 15)
    """Before each further request for the outcome of a send whose answer was lost."""


class Replaced(Exception):
    """Another manager has taken the relay over."""


class RemoteProvider(RemotePort, Provider):
    """Asks the relay for everything that needs a connection, and an unconnected provider of the messenger's class for the rest.

    The relay keeps the events while nobody pulls. It knows each send by its client_id, so a send whose answer was lost is asked for again
    and not made again.
    """

    def __init__(
        self,
        cls: type[Provider],
        settings: Settings,
        context: ProviderContext,
        *,
        endpoint: Callable[[], Awaitable[str]],
        key: SecretStr,
        timing: Timing | None = None,
    ) -> None:
        """`endpoint` returns the relay's present address; `key` is the relay's own."""
        Provider.__init__(self, settings, context)
        RemotePort.__init__(self, self._call)
        # Attributes of the class on every other provider; this one acts for any of them.
        vars(self).update(name=cls.name, title=cls.title, capabilities=cls.capabilities, limits=cls.limits, settings_type=cls.settings_type)
        vars(self).update(has_address_book=cls.has_address_book)
        self._cls = cls
        self._local = cls(settings, context)
        self._settings = settings
        self._timing = timing or Timing()
        self._manager = uuid4().hex
        self._client = RelayClient(endpoint, key, context.tls)
        self._state = StateChanged(state=InstanceState.CREATED)
        self._delivered: StateChanged | None = None
        self._spool: str | None = None
        self._cursor: int | None = None
        self._task: asyncio.Task[None] | None = None
        self.heard_at: float | None = None
        """When the relay took the settings or answered a request for events last, by the monotonic clock."""

    @property
    def state(self) -> StateChanged:
        return self._state

    def check(self, draft: Draft) -> None:
        self._local.check(draft)

    def check_lengths(self, draft: Draft) -> None:
        self._local.check_lengths(draft)

    async def start(self, deliver: Deliver) -> None:
        await self.detach()
        self._delivered = None
        self._state = StateChanged(state=InstanceState.STARTING)
        self._task = asyncio.create_task(self._run(deliver))

    async def stop(self) -> None:
        """Disconnect the messenger if the relay can be reached; `detach` leaves it connected."""
        was_attached = self._task is not None
        await self.detach()
        if was_attached:
            try:
                await self._client.ask("POST", protocol.STOP, params={"manager": self._manager}, seconds=STOP_WITHIN)
            except MessengerError as error:
                log.warning("the relay was not asked to stop: %s", error.detail, extra={"instance_id": self.context.instance_id})
        await self._client.close()

    async def detach(self) -> None:
        """Pull no more. The relay stays connected and keeps the events for the next manager."""
        task, self._task = self._task, None
        self._state = StateChanged(state=InstanceState.STOPPED)
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        await self._client.close()

    async def forget(self) -> None:
        """Throw the login away; the provider starts again, with a new QR code where the messenger has one. Raises Unreachable."""
        await self._client.ask("POST", protocol.FORGET, params={"manager": self._manager})

    async def send(self, draft: Draft) -> SentMessage:
        body = draft.model_dump_json(exclude_defaults=True).encode()
        lost: Lost | None = None
        for pause in (0.0, *self._timing.ask_again):
            await asyncio.sleep(pause)
            # From the second request on: no relay can know of the send before the first.
            params = {"spool": self._spool} if lost is not None and self._spool is not None else {}
            try:
                answer = await self._client.ask("POST", protocol.SEND, params=params, body=body)
            except Lost as error:
                if not error.maybe_sent and lost is None:
                    raise
                lost = error
            else:
                return _read(SentMessage, answer)
        detail = f"The relay did not give the outcome of this send. {lost.detail if lost else ''}".strip()
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
            return codec.answer.validate_json(json.dumps(answer), extra="ignore")
        except ValidationError as error:
            raise _garbage() from error

    async def _run(self, deliver: Deliver) -> None:
        """Pull until cancelled, or until another manager has taken the relay over."""
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
                    # Events come before the state, which may have changed with them: until it is known nothing is waited for.
                    wait = 0.0 if self._delivered is None else self._timing.wait
            except Replaced:
                reason = "Another manager has taken this relay over."
                await self._try_to_tell(deliver, StateChanged(state=InstanceState.DEGRADED, reason=reason, account=self._state.account))
                return
            except MessengerError as error:
                state = self._out_of_reach(error)
                if state != self._state:
                    log.warning("the relay cannot be used: %s", error.detail, extra={"instance_id": self.context.instance_id})
                self._state = state
            except Exception:  # a store that is away for a while must not end the pulling; nothing was confirmed
                log.exception("events were not taken; they are pulled again", extra={"instance_id": self.context.instance_id})
            await asyncio.sleep(self._timing.pauses[min(failures, len(self._timing.pauses) - 1)])
            failures += 1

    def _out_of_reach(self, error: MessengerError) -> StateChanged:
        reason = f"{error.detail} {error.hint or ''}".strip()
        return StateChanged(state=InstanceState.DEGRADED, reason=reason, account=self._state.account)

    async def _attach(self) -> None:
        params = {"manager": self._manager, "events": ",".join(sorted(TYPES))}
        if self.context.public_url is not None:
            params["public_url"] = self.context.public_url
        answer = await self._client.ask("PUT", protocol.SETTINGS, params=params, body=_revealed(self._settings))
        self.heard_at = time.monotonic()
        self._note(_read(Attached, answer).spool)

    async def _pull(self, wait: float) -> Pulled:
        spool = None if self._cursor is None else self._spool
        pull = Pull(after=self._cursor, spool=spool, manager=self._manager, limit=BATCH, wait=wait)
        try:
            answer = await self._client.ask("GET", protocol.EVENTS, params=pull.model_dump(exclude_none=True), seconds=wait + 15)
        except Refused as error:
            raise Replaced from error
        self.heard_at = time.monotonic()
        try:
            answer["events"] = readable(answer["events"])
        except (KeyError, TypeError, AttributeError) as error:
            raise _garbage() from error
        return _read(Pulled, answer)

    def _note(self, spool: str) -> None:
        """Forget the cursor if this is another spool: its numbers mean something else."""
        if spool != self._spool:
            self._spool, self._cursor = spool, None

    async def _take(self, deliver: Deliver, pulled: Pulled) -> None:
        """Deliver the events. The next pull confirms those that were taken, and no others."""
        self._note(pulled.spool)
        events = [one.event for one in pulled.events]
        if events:
            await self._deliver_new(deliver, events)
            self._cursor = pulled.events[-1].seq
        else:
            await self._tell(deliver, pulled.state)

    async def _deliver_new(self, deliver: Deliver, events: Sequence[Event]) -> None:
        news: list[Event] = []
        last = self._delivered
        for event in events:
            if not isinstance(event, StateChanged):
                news.append(event)
            elif event != last:
                news.append(event)
                last = event
        if last is not None:
            self._state = last
        if news:
            await deliver(news)
        self._delivered = last

    async def _tell(self, deliver: Deliver, state: StateChanged) -> None:
        self._state = state
        if state != self._delivered:
            await deliver([state])
            self._delivered = state

    async def _try_to_tell(self, deliver: Deliver, state: StateChanged) -> None:
        try:
            await self._tell(deliver, state)
        except MessengerError:
            log.exception("the state was not taken", extra={"instance_id": self.context.instance_id})


def _revealed(settings: Settings) -> bytes:
    """Return the settings with their secrets, for the relay, which keeps them in memory."""
    plain = settings.model_dump(mode="json", exclude=set(settings.secret_fields()))
    secrets = {name: getattr(settings, name) for name in settings.secret_fields()}
    shown = {name: value.get_secret_value() if isinstance(value, SecretStr) else value for name, value in secrets.items()}
    return json.dumps({**plain, **shown}).encode()


def _read(model: type[M], answer: Any) -> M:
    try:
        return model.model_validate_json(json.dumps(answer), extra="ignore")
    except ValidationError as error:
        raise _garbage() from error


def _garbage() -> Lost:
    return Lost("The server there is no relay of this version.", maybe_sent=True, hint="Look at its address and its version.")
