"""An Instagram professional account behind the port: by Instagram Login, or through the Facebook Page it is linked to."""

from collections.abc import Mapping
from typing import ClassVar

from pydantic import SecretStr

from providers.base import ProviderContext, Settings
from providers.capabilities import Capability
from providers.errors import InvalidRequest, LoggedOut
from providers.kit.json import Json
from providers.limits import Limits, Rate, TextUnit
from providers.meta.connection import Timing
from providers.meta.messaging.outbound import ATTACHMENT
from providers.meta.messaging.provider import MessagingProvider
from providers.meta.settings import GraphId, MetaSettings
from providers.models import Account, ControlAction, Draft, SentMessage

_MB = 1024 * 1024

# How tokens of the Basic Display API began; those of Instagram Login begin with IGAA.
_BASIC_DISPLAY = "IGQ"


class InstagramSettings(MetaSettings):
    """Of a professional account (business or creator).

    The Instagram Basic Display API, which older guides name, ended on 2024-12-04 and never carried messages: its tokens do not work here.
    """

    ig_user_id: GraphId
    """Of the professional account, from the app's dashboard. It is not the user name."""
    access_token: SecretStr
    """With instagram_business_basic and instagram_business_manage_messages; with page_id, the Page's own with instagram_manage_messages."""
    app_secret: SecretStr
    """Signs what Meta brings. By Instagram Login it is the Instagram app's, not the Meta app's."""
    page_id: GraphId | None = None
    """The linked Facebook Page, to go through it instead of Instagram Login."""

    @property
    def address(self) -> str:
        return self.base_url or ("https://graph.facebook.com" if self.page_id else "https://graph.instagram.com")


class InstagramProvider(MessagingProvider):
    """People have to write first; then the account may answer for 24 hours."""

    name = "instagram"
    title = "Instagram"
    webhook_object = "instagram"
    platform = "instagram"
    profile_fields = "name,username"
    sent_fields: ClassVar[Json] = {}
    silent_fields: ClassVar[Json] = {}
    # Source: https://developers.facebook.com/docs/messenger-platform/reference/handover-protocol
    inbox_app = "1217981644879628"
    remedy = "The token needs instagram_business_manage_messages (by Instagram Login), or with page_id instagram_manage_messages"
    limits = Limits(
        max_text=1000,
        text_unit=TextUnit.BYTES,
        max_caption=1000,
        max_upload=25 * _MB,
        max_photo=8 * _MB,
        max_download=25 * _MB,
        reply_window_hours=24,
        overall_rate=Rate(count=300, seconds=1),
    )
    settings_type = InstagramSettings

    def __init__(self, settings: Settings, context: ProviderContext, *, timing: Timing | None = None) -> None:
        self._settings = InstagramSettings.model_validate(settings)
        page = self._settings.page_id
        super().__init__(
            self._settings,
            context,
            token=self._settings.access_token,
            app_secret=self._settings.app_secret,
            account=page or self._settings.ig_user_id,
            ids={self._settings.ig_user_id, *([page] if page else [])},
            upload_fields={"platform": "instagram"} if page else None,
            timing=timing,
        )

    async def _identify(self) -> Account:
        """By Instagram Login the account has a second id, of the app, and deliveries may name either."""
        if self._settings.access_token.get_secret_value().startswith(_BASIC_DISPLAY):
            raise LoggedOut("This is a token of the Basic Display API, which ended on 2024-12-04 and never carried messages.")
        if self._settings.page_id:
            me = await self._graph.get(self._settings.ig_user_id, fields="id,name,username")
        else:
            me = await self._graph.get("me", fields="id,user_id,name,username")
            mine = {str(me[name]) for name in ("id", "user_id") if name in me}
            if self._settings.ig_user_id not in mine:
                raise LoggedOut(f"This token is of @{me.get('username')} ({me.get('user_id')}), not of the account {self._settings.ig_user_id}.")
            self._translator.ids |= mine
        return Account(id=self._settings.ig_user_id, name=me.get("name", ""), username=me.get("username"))

    def check(self, draft: Draft) -> None:
        super().check(draft)
        if draft.upload is not None and self._settings.page_id is None:
            raise InvalidRequest(
                "By Instagram Login, Instagram takes no uploads: it fetches files from a public address.",
                hint=f'Send extra {{"{ATTACHMENT}": {{"type": "image", "payload": {{"url": "https://…"}}}}}}, or set page_id to use the linked Page.',
            )

    async def lacking(self) -> Mapping[Capability, str]:
        known = dict(await super().lacking())
        if self._settings.page_id is None:
            known[Capability.MEDIA] = f"By Instagram Login files come from a public address in extra.{ATTACHMENT}; set page_id to upload them."
        return known

    async def set_control(self, chat_id: str, action: ControlAction, app_id: str | None = None, note: str | None = None) -> None:
        if self._settings.page_id is None and action in {ControlAction.TAKE, ControlAction.REQUEST}:
            raise InvalidRequest(
                f"By Instagram Login, Instagram has no way to {action} control of a conversation.",
                hint="The app that has it passes or releases it; or set page_id to go through the linked Page.",
            )
        await super().set_control(chat_id, action, app_id, note)

    async def send(self, draft: Draft) -> SentMessage:
        """Instagram shows no mark of ours in its echoes, so a send of unknown fate stays unknown."""
        return await self._send(draft, None)

    async def react(self, chat_id: str, message_id: str, emoji: str | None) -> None:
        """The heart has a name; whether others are taken is Instagram's to say."""
        if emoji is None:
            await self._act(chat_id, "unreact", payload={"message_id": message_id})
            return
        reaction = "love" if emoji in {"❤", "❤️"} else emoji
        await self._act(chat_id, "react", payload={"message_id": message_id, "reaction": reaction})
