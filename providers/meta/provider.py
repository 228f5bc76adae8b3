"""What the three providers do alike: the token is watched, deliveries are verified, and files are fetched with the token."""

from abc import abstractmethod
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import ClassVar

from pydantic import SecretStr

from providers.base import Deliver, ProviderContext, WebhookReply, WebhookRequest
from providers.capabilities import Capability
from providers.errors import LoggedOut
from providers.events import Event
from providers.kit.background import ConnectedProvider
from providers.kit.json import Json
from providers.kit.parts import check_parts, is_split, texts_of
from providers.meta.client import GraphClient
from providers.meta.connection import Connection, Timing
from providers.meta.settings import MetaSettings
from providers.meta.webhook import NO_SECRET, TEST_ENTRY, Webhook, as_test, entries_of, readable
from providers.models import Account, Draft

# WhatsApp takes about ten messages a minute to one person.
_PARTS_MAX = 10


class MetaProvider(ConnectedProvider[Connection]):
    webhook_object: ClassVar[str]
    """What Meta calls it in `object` of a delivery."""
    remedy: ClassVar[str]
    """What the token needs, for who has to set another one."""

    def __init__(
        self, settings: MetaSettings, context: ProviderContext, *, token: SecretStr, app_secret: SecretStr | None, timing: Timing | None
    ) -> None:
        super().__init__(settings, context)
        self._base = settings
        self._token = token
        self._webhook = Webhook(settings.webhook_verify_token, app_secret)
        self._shortcoming = NO_SECRET if app_secret is None else None
        self._timing = timing or Timing()
        self._client: GraphClient | None = None

    @property
    def _graph(self) -> GraphClient:
        """Sending needs no start, only the token."""
        if self._client is None:
            self._client = GraphClient(
                self._token, self._base.address, self._base.api_version, self.context.tls, answer_seconds=self._timing.answer_seconds
            )
        return self._client

    async def identify(self) -> Account:
        return await self._identify()

    def _connect(self, deliver: Deliver) -> Connection:
        _ = self._graph  # says so at once where the network's proxy cannot be used
        return Connection(self._identify, deliver, self.remedy, self._shortcoming, self._timing)

    async def _disconnect(self) -> None:
        """Close the connections. Meta keeps what it cannot bring for up to seven days."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def lacking(self) -> Mapping[Capability, str]:
        """Return what the settings do not allow."""
        return {} if self._shortcoming is None else {Capability.WEBHOOK: self._shortcoming}

    def check_lengths(self, draft: Draft) -> None:
        if is_split(draft):
            check_parts(self._texts(draft), _PARTS_MAX)
        else:
            super().check_lengths(draft)

    def _texts(self, draft: Draft) -> list[str]:
        """Return the text of each message. Meta's apps show code blocks in a text that has no format."""
        return texts_of(draft, self.limits, markdown=True)

    @abstractmethod
    async def _identify(self) -> Account:
        """Who the token belongs to, by one cheap call. Raises LoggedOut, Forbidden or NotFound with Meta's words and what is missing."""

    @abstractmethod
    def _events_of(self, entry: Json) -> list[Event]:
        """Return what one entry of a delivery says."""

    @abstractmethod
    def _tested(self, entry: Json) -> list[Event]:
        """Return what an entry says that the dashboard's test button sent, whoever the accounts in it are."""

    def _read(self, entry: Json) -> list[Event]:
        return as_test(entry, self._tested(entry)) if str(entry.get("id")) == TEST_ENTRY else self._events_of(entry)

    async def _before(self, events: Sequence[Event]) -> Sequence[Event]:
        """Return the events as they are to be stored."""
        return events

    async def _after(self, events: Sequence[Event]) -> None:
        """When events are durable."""

    @contextmanager
    def _watched(self) -> Generator[None]:
        """A call that finds the token dead has the state looked at."""
        try:
            yield
        except LoggedOut:
            if self._connection is not None:
                self._connection.doubt()
            raise

    async def receive_webhook(self, request: WebhookRequest) -> WebhookReply:
        """Raises what `deliver` raises; Meta brings it again then, for up to seven days."""
        if request.method == "GET":
            return self._webhook.challenge(request)
        if refusal := self._webhook.refusal(request):
            return refusal
        entries = entries_of(request.body, self.webhook_object)
        if entries is None:
            return WebhookReply(HTTPStatus.BAD_REQUEST, f"The body is no delivery about {self.webhook_object}.")
        if self._deliver is None:
            return WebhookReply(HTTPStatus.SERVICE_UNAVAILABLE, "The instance is not running yet.")
        events = await self._before(readable(entries, self._read))
        if events:
            await self._deliver(events)
            await self._after(events)
        return WebhookReply()
