"""A Facebook Page's Messenger behind the port."""

from functools import partial
from typing import ClassVar

from pydantic import SecretStr

from providers.base import ProviderContext, Settings
from providers.errors import LoggedOut
from providers.kit.json import Json
from providers.limits import Limits, Rate
from providers.meta.connection import Timing
from providers.meta.messaging.provider import MessagingProvider
from providers.meta.nonce import marked
from providers.meta.settings import GraphId, MetaSettings
from providers.models import Account, Draft, SentMessage

_MB = 1024 * 1024


class FacebookMessengerSettings(MetaSettings):
    page_id: GraphId
    """Of the Page, from its page "About"."""
    page_access_token: SecretStr
    """The Page's own, with pages_messaging; a person's token is another one."""
    app_secret: SecretStr
    """Signs what Meta brings."""


class FacebookMessengerProvider(MessagingProvider):
    """People have to write first; then a Page may answer for 24 hours."""

    name = "facebook-messenger"
    title = "Facebook Messenger"
    webhook_object = "page"
    platform = "messenger"
    profile_fields = "first_name,last_name"
    sent_fields: ClassVar[Json] = {"messaging_type": "RESPONSE"}
    silent_fields: ClassVar[Json] = {"notification_type": "SILENT_PUSH"}
    # Source: https://developers.facebook.com/docs/messenger-platform/reference/handover-protocol
    inbox_app = "263902037430900"
    remedy = "The token has to be the Page's own, with pages_messaging and pages_manage_metadata"
    limits = Limits(
        max_text=2000,
        max_caption=2000,
        max_upload=25 * _MB,
        max_download=25 * _MB,
        reply_window_hours=24,
        overall_rate=Rate(count=300, seconds=1),
    )
    settings_type = FacebookMessengerSettings

    def __init__(self, settings: Settings, context: ProviderContext, *, timing: Timing | None = None) -> None:
        self._settings = FacebookMessengerSettings.model_validate(settings)
        super().__init__(
            self._settings,
            context,
            token=self._settings.page_access_token,
            app_secret=self._settings.app_secret,
            account=self._settings.page_id,
            ids={self._settings.page_id},
            upload_fields={},
            timing=timing,
        )

    async def _identify(self) -> Account:
        """With a Page's token, `me` is the Page."""
        me = await self._graph.get("me", fields="id,name")
        if str(me["id"]) != self._settings.page_id:
            raise LoggedOut(f"This token is of {me.get('name') or 'another account'} ({me['id']}), not of the Page {self._settings.page_id}.")
        return Account(id=self._settings.page_id, name=me.get("name", ""))

    async def send(self, draft: Draft) -> SentMessage:
        return await self._send(draft, partial(marked, self.context.instance_id))

    async def react(self, chat_id: str, message_id: str, emoji: str | None) -> None:
        action = "unreact" if emoji is None else "react"
        await self._act(chat_id, action, payload={"message_id": message_id} | ({} if emoji is None else {"reaction": emoji}))
