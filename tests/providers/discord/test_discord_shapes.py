"""Each shape of message, embed, component and interaction that Discord describes, as events with words."""

import ssl
from collections.abc import AsyncIterator
from typing import Any

import discord
import pytest
from pydantic import SecretStr

from providers.discord.client import DiscordClient
from providers.discord.components import all_parts
from providers.discord.directory import Directory
from providers.discord.edits import OwnEdits
from providers.discord.inbound import Translator
from providers.discord.interactions import Kind, answer_to
from providers.discord.nonce import Nonces
from providers.events import MessageEdited, MessageReceived
from providers.models import Account, MediaKind, Message, MessageKind
from tests.standins.discord_api import spec

pytestmark = pytest.mark.anyio

Json = dict[str, Any]

SPEC = spec.load()
ANN: Json = {"id": "1001", "username": "ann", "global_name": "Ann"}
BOB: Json = {"id": "1002", "username": "bob", "global_name": "Bob"}
CHANNEL: Json = {"id": "9", "type": 0, "name": "general", "guild_id": "8"}


@pytest.fixture
async def translator(tls: ssl.SSLContext) -> AsyncIterator[Translator]:
    """A translator that knows the channel, and has nobody to ask: its client leads nowhere."""
    client = DiscordClient(SecretStr("t"), "http://127.0.0.1:9", tls)
    directory = Directory(client, None)
    directory.add_guild({"id": "8", "name": "Works", "channels": [CHANNEL]})
    yield Translator(Account(id="777", name="Robo"), directory, Nonces("inst-1"), OwnEdits())
    await client.close()


def written(**fields: Any) -> Json:
    """A message of Ann as the gateway brings it, with nothing in it but these fields."""
    empty: Json = {"content": "", "embeds": [], "attachments": [], "components": [], "mentions": [], "mention_roles": []}
    base = {"id": "5", "channel_id": "9", "guild_id": "8", "author": ANN, "timestamp": "2026-09-20T10:00:00+00:00", "edited_timestamp": None}
    return {**base, "type": 0, "flags": 0, **empty, **fields}


async def arrived(translator: Translator, kind: str = "MESSAGE_CREATE", **fields: Any) -> Message:
    """The message that one event of the gateway makes."""
    (event,) = await translator.events_of(kind, fields if kind == "INTERACTION_CREATE" else written(**fields))
    assert isinstance(event, MessageReceived)
    return event.message


def described(kind: str) -> dict[str, int]:
    """The values of an enumeration of Discord's own description; none without one (MCP_MESSENGER_SPECS names its folder)."""
    return {} if SPEC is None else {value["title"]: value["const"] for value in SPEC.components["schemas"][kind]["oneOf"]}


MESSAGE_TYPES = {kind.value for kind in discord.MessageType} | set(described("MessageType").values())
COMPONENT_TYPES = {kind.value for kind in discord.ComponentType} | set(described("MessageComponentTypes").values())
WRITTEN = {0, 19, 20, 23}
"""Types of messages that somebody wrote; all others are notices of Discord."""


@pytest.mark.parametrize("kind", sorted(MESSAGE_TYPES))
@pytest.mark.parametrize("text", ["", "Fence"])
async def test_each_type_of_message_has_words_and_notices_are_notices(translator: Translator, kind: int, text: str) -> None:
    message = await arrived(translator, type=kind, content=text)
    assert message.text.strip()
    assert (message.kind is MessageKind.SYSTEM) == (kind not in WRITTEN)
    assert "of the type" not in message.text
    assert "{" not in message.text


async def test_a_type_of_message_that_is_new_is_named(translator: Translator) -> None:
    assert (await arrived(translator, type=9_999, content="Fence")).text == "A message of the type 9999. Fence"


async def test_an_edited_notice_stays_a_notice(translator: Translator) -> None:
    edit = written(type=4, content="plans", edited_timestamp="2026-09-20T11:00:00+00:00")
    (event,) = await translator.events_of("MESSAGE_UPDATE", edit)
    assert isinstance(event, MessageEdited)
    assert event.text == "Ann changed the name of the channel to “plans”."


# Fields of a message that hold what its reader is shown, with a sample of each; the rest is about the message.
SHOWN: dict[str, tuple[Any, str]] = {
    "content": ("Fence", "Fence"),
    "attachments": ([{"id": "1", "filename": "a.png", "size": 7, "content_type": "image/png", "url": "https://x"}], ""),
    "embeds": ([{"type": "rich", "title": "Fence"}], "Fence"),
    "components": ([{"type": 10, "id": 1, "content": "Fence"}], "Fence"),
    "sticker_items": ([{"id": "1", "name": "Wave", "format_type": 1}], "Wave"),
    "stickers": ([{"id": "1", "name": "Wave", "format_type": 1}], "Wave"),
    "poll": ({"question": {"text": "Colour?"}, "answers": [{"answer_id": 1, "poll_media": {"text": "green"}}]}, "Colour?"),
    "message_snapshots": ([{"message": {"type": 0, "content": "Fence", "embeds": [], "attachments": [], "components": []}}], "Fence"),
    "activity": ({"type": 1, "party_id": "p"}, "invitation"),
    "application": ({"id": "1", "name": "Chess", "description": ""}, "Chess"),
    "shared_client_theme": ({"colors": ["5865f2"], "gradient_angle": 0, "base_mix": 58, "base_theme": 1}, "theme"),
    "call": ({"participants": ["1001"], "ended_timestamp": None}, "call"),
    "purchase_notification": ({"type": 0, "guild_product_purchase": {"listing_id": "1", "product_name": "Wallpaper"}}, "Wallpaper"),
    "role_subscription_data": ({"role_subscription_listing_id": "1", "tier_name": "Gold", "total_months_subscribed": 3, "is_renewal": True}, "Gold"),
}
ABOUT = {
    "type", "mentions", "mention_roles", "timestamp", "edited_timestamp", "flags", "id", "channel_id", "author", "pinned", "mention_everyone",
    "tts", "application_id", "interaction", "interaction_metadata", "nonce", "webhook_id", "message_reference", "referenced_message", "thread",
    "mention_channels", "position", "resolved", "lobby_member", "reactions",
}  # fmt: skip
_TYPES = {"call": 3, "purchase_notification": 44, "role_subscription_data": 25}


@pytest.mark.parametrize("field", SHOWN)
async def test_each_field_of_a_message_that_shows_something_is_read(translator: Translator, field: str) -> None:
    value, words = SHOWN[field]
    message = await arrived(translator, type=_TYPES.get(field, 0), **{field: value})
    assert words in message.text
    assert message.text or message.media


async def test_a_forwarded_voice_message_is_one(translator: Translator) -> None:
    recording = {"id": "1", "filename": "voice-message.ogg", "size": 7, "content_type": "audio/ogg", "duration_secs": 2.5, "url": "https://x"}
    inner = {"type": 0, "content": "", "flags": 1 << 13, "embeds": [], "attachments": [recording], "components": []}
    message = await arrived(translator, flags=1 << 14, message_snapshots=[{"message": inner}])
    assert [(media.kind, media.duration) for media in message.media] == [(MediaKind.VOICE, 2.5)]


async def test_what_a_file_shows_is_said_where_its_sender_described_it(translator: Translator) -> None:
    picture = {"id": "1", "filename": "a.png", "size": 7, "content_type": "image/png", "description": "A red fence", "url": "https://x"}
    assert (await arrived(translator, content="Look", attachments=[picture])).text == "Look\n[a.png: A red fence]"


@pytest.mark.skipif(SPEC is None, reason="no description of Discord's API at hand")
def test_no_field_of_a_message_is_unknown_here() -> None:
    assert SPEC is not None
    assert set(SPEC.components["schemas"]["MessageResponse"]["properties"]) == SHOWN.keys() | ABOUT


@pytest.mark.parametrize("whole", [False, True], ids=["alone", "forwarded"])
@pytest.mark.parametrize("kind", ["rich", "image", "video", "gifv", "article", "link", "poll_result", "auto_moderation_message", "new_type"])
@pytest.mark.parametrize(
    "fields",
    [
        {"title": "Fence"}, {"description": "Fence"}, {"author": {"name": "Fence"}}, {"footer": {"text": "Fence"}}, {"provider": {"name": "Fence"}},
        {"fields": [{"name": "Fence", "value": "2 m"}]}, {"url": "https://fence.example.com"}, {"image": {"url": "https://fence.example.com/1"}},
        {"thumbnail": {"url": "https://fence.example.com/2"}}, {"video": {"url": "https://fence.example.com/3"}},
        {"components": [{"type": 10, "id": 1, "content": "Fence"}]},
    ],
    ids=lambda fields: next(iter(fields)),
)  # fmt: skip
async def test_each_part_of_each_type_of_embed_is_read(translator: Translator, kind: str, fields: Json, whole: bool) -> None:
    holder: Json = {"embeds": [{"type": kind, **fields}]}
    snapshot = {"message_snapshots": [{"message": {"type": 0, "content": "", "attachments": [], **holder}}]}
    message = await arrived(translator, **(snapshot if whole else holder))
    assert "fence" in message.text.casefold()


async def test_an_embed_in_which_nothing_is_seen_is_named(translator: Translator) -> None:
    assert (await arrived(translator, embeds=[{"type": "new_type", "color": 3}])).text == "[An embed of the type new_type]"


_MEDIA = {"id": "1", "url": "https://fence.example.com/1.png", "proxy_url": "https://x"}
_OPTIONS = [{"label": "Fence", "value": "f"}]
COMPONENTS: dict[int, Json] = {
    1: {"components": [{"type": 2, "style": 1, "label": "Fence", "custom_id": "f"}]},
    2: {"style": 5, "emoji": {"name": "fence"}, "url": "https://x"},
    3: {"custom_id": "f", "options": _OPTIONS},
    4: {"custom_id": "f", "label": "Fence", "style": 1},
    5: {"custom_id": "f", "placeholder": "Fence"},
    6: {"custom_id": "f", "placeholder": "Fence"},
    7: {"custom_id": "f", "placeholder": "Fence"},
    8: {"custom_id": "f", "placeholder": "Fence"},
    9: {"components": [{"type": 10, "content": "Order"}], "accessory": {"type": 2, "style": 1, "label": "Fence", "custom_id": "f"}},
    10: {"content": "Fence"},
    11: {"media": _MEDIA},
    12: {"items": [{"media": _MEDIA}]},
    13: {"file": _MEDIA, "name": "fence.pdf", "size": 7},
    14: {"divider": True},
    17: {"components": [{"type": 10, "content": "Fence"}]},
    18: {"label": "Fence", "component": {"type": 19, "custom_id": "f"}},
    19: {"custom_id": "fence"},
    21: {"custom_id": "f", "options": _OPTIONS},
    22: {"custom_id": "f", "options": _OPTIONS},
    23: {"custom_id": "fence", "label": "Fence"},
}
"""Of each type of component one that says something about a fence."""


@pytest.mark.parametrize("kind", sorted(COMPONENT_TYPES))
async def test_each_type_of_component_is_read(translator: Translator, kind: int) -> None:
    message = await arrived(translator, flags=1 << 15, components=[{"type": kind, "id": 1, **COMPONENTS[kind]}])
    assert "fence" in message.text.casefold() or kind in {14, 19}
    assert message.text.strip()
    assert "of the type" not in message.text


async def test_a_type_of_component_that_is_new_is_named_and_what_it_holds_is_read(translator: Translator) -> None:
    components = [{"type": 99, "components": [{"type": 10, "content": "Fence"}]}]
    assert (await arrived(translator, components=components)).text == "[A component of the type 99]\nFence"


@pytest.mark.parametrize("component", sorted(COMPONENT_TYPES - {1, 9, 10, 11, 12, 13, 14, 17, 18}))
@pytest.mark.parametrize("picked", [{"values": ["f"]}, {"value": "f"}, {}], ids=["values", "value", "none"])
@pytest.mark.parametrize("where", ["message", "dialog"])
async def test_whatever_is_picked_in_a_component_has_words_and_an_answer(translator: Translator, component: int, picked: Json, where: str) -> None:
    under = written(components=[{"type": 1, "components": [{"type": component, **COMPONENTS[component]}]}])
    custom_id = next(part["custom_id"] for part in all_parts(under["components"]) if "custom_id" in part) if component != 2 else "f"
    data: Json = {"component_type": component, "custom_id": custom_id, **picked}
    if where == "dialog":
        data = {"custom_id": "form", "components": [{"type": 18, "id": 1, "component": {"type": component, "custom_id": custom_id, **picked}}]}
    interaction = {"id": "6", "token": "t", "type": 3 if where == "message" else 5, "channel_id": "9", "guild_id": "8", "channel": CHANNEL}
    interaction |= {"member": {"user": ANN}, "data": data, "message": under if where == "message" else None}
    message = await arrived(translator, "INTERACTION_CREATE", **interaction)
    assert message.text.strip()
    assert message.chosen
    assert answer_to(interaction) is not None


@pytest.mark.parametrize("kind", sorted({kind.value for kind in discord.AppCommandType} | set(described("ApplicationCommandType").values())))
@pytest.mark.parametrize("option", sorted({kind.value for kind in discord.AppCommandOptionType}))
async def test_each_type_of_command_has_words_and_an_answer(translator: Translator, kind: int, option: int) -> None:
    inner: Json = {"name": "what", "type": option}
    inner |= {"options": [{"name": "length", "type": 4, "value": 2}]} if option in {1, 2} else {"value": "1002" if 6 <= option != 10 else True}
    resolved = {"users": {"1002": BOB}, "messages": {"1002": written(content="Fence")}, "attachments": {}}
    data = {"id": "1", "name": "build", "type": kind, "target_id": "1002", "options": [inner], "resolved": resolved}
    interaction = {"id": "6", "token": "t", "type": 2, "channel_id": "9", "guild_id": "8", "channel": CHANNEL, "member": {"user": ANN}, "data": data}
    message = await arrived(translator, "INTERACTION_CREATE", **interaction)
    assert "build" in message.text
    assert answer_to(interaction) is not None


def test_every_kind_of_interaction_is_known_or_about_a_purchase() -> None:
    known = {kind.value for kind in Kind}
    assert {kind.value for kind in discord.InteractionType} == known
    assert {name for name, value in described("InteractionTypes").items() if value not in known} <= {"SOCIAL_LAYER_SKU_PURCHASE_ELIGIBILITY"}
