"""The calls of Discord's REST API that the stand-in knows, by their names in Discord's description."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.standins.discord_api.refusal import Refusal, forbidden, invalid_form, unknown
from tests.standins.discord_api.world import CONTENT_FLAG, MEMBERS_FLAG, StandInBot, StoredFile, World

Json = dict[str, Any]

_TEXT_MAX = 2000
_PINS_MAX = 250
_FORUMS = frozenset({15, 16})
_NEEDS_TAG = 1 << 4
_VOICE = 1 << 13
# By the kind of interaction: the kinds of answers it takes.
_ANSWERS = {2: {4, 5, 9}, 3: {4, 5, 6, 7, 9}, 4: {8}, 5: {4, 5, 6, 7}}
_CUSTOM_EMOJI = re.compile(r"\w{2,32}:\d+")
_NO_EMOJI = re.compile(r"[\w\s:<>]*")


@dataclass
class Call:
    """One call of a bot. `message` is what it became, where it became one."""

    name: str
    path: dict[str, str]
    query: dict[str, str]
    body: Any
    files: dict[str, StoredFile] = field(default_factory=dict[str, StoredFile])
    message: Json | None = None


Answer = tuple[int, Any]


def get_my_user(world: World, bot: StandInBot, call: Call) -> Answer:
    return 200, bot.user


def get_my_application(world: World, bot: StandInBot, call: Call) -> Answer:
    return 200, bot.application


def get_channel(world: World, bot: StandInBot, call: Call) -> Answer:
    return 200, {name: value for name, value in _channel(world, bot, call).items() if name != "bot"}


def get_user(world: World, bot: StandInBot, call: Call) -> Answer:
    person = world.users.get(call.path["user_id"])
    if person is None:
        raise unknown("User")
    return 200, person


def create_dm(world: World, bot: StandInBot, call: Call) -> Answer:
    person = world.users.get(str(call.body["recipient_id"]))
    if person is None or person["bot"]:
        raise Refusal(400, 50033, "Invalid Recipient(s)")
    return 200, {name: value for name, value in world.channels[world.private(bot, person["id"])].items() if name != "bot"}


def list_messages(world: World, bot: StandInBot, call: Call) -> Answer:
    channel = _channel(world, bot, call)
    _require_texts(channel)
    held = sorted(world.messages[channel["id"]].values(), key=lambda message: int(message["id"]))
    size = int(call.query.get("limit", 50))
    if "after" in call.query:
        page = [message for message in held if int(message["id"]) > int(call.query["after"])][:size]
    else:
        before = int(call.query.get("before", 2**63))
        page = [message for message in held if int(message["id"]) < before][-size:]
    return 200, [_shown(world, bot, message) for message in reversed(page)]


def get_message(world: World, bot: StandInBot, call: Call) -> Answer:
    return 200, _shown(world, bot, _message(world, bot, call))


def create_message(world: World, bot: StandInBot, call: Call) -> Answer:
    channel, body = _channel(world, bot, call), call.body
    _require_content(call)
    if channel["type"] == 1 and channel["recipients"][0]["id"] in world.closed:
        raise forbidden(50007, "Cannot send messages to this user")
    _require_texts(channel)
    _check_voice(call)
    nonce = str(body.get("nonce") or "")
    if len(nonce) > 25:
        raise invalid_form("nonce", "BASE_TYPE_MAX_LENGTH", "Must be 25 or fewer in length.")
    known = world.nonces.get((bot.id, channel["id"], nonce))
    if body.get("enforce_nonce") and known is not None:
        return 200, _shown(world, bot, world.messages[channel["id"]][known])
    reference = body.get("message_reference")
    if reference is not None and str(reference["message_id"]) not in world.messages[channel["id"]]:
        raise invalid_form("message_reference", "REPLIES_UNKNOWN_MESSAGE", "Unknown message")
    given = {str(one["id"]) for one in body.get("attachments", [])}
    named = {name.removeprefix("files[").removesuffix("]") for name in call.files}
    if given != named:
        raise invalid_form("attachments", "ATTACHMENT_NOT_FOUND", f"Attachments {given} and files {named} do not match.")
    message = world.post(
        channel["id"],
        bot.id,
        content=body.get("content", ""),
        embeds=body.get("embeds"),
        components=body.get("components"),
        flags=body.get("flags", 0),
        poll=_poll(body.get("poll")),
        nonce=nonce or None,
        type=19 if reference else 0,
        message_reference={"type": 0, "channel_id": channel["id"], "message_id": str(reference["message_id"])} if reference else None,
        attachments=[world.attach(file, name) for name, file in call.files.items()],
    )
    world.nonces[bot.id, channel["id"], nonce] = message["id"]
    call.message = message
    return 200, {**message, "nonce": nonce}


def create_thread(world: World, bot: StandInBot, call: Call) -> Answer:
    """A post of a forum, with its first message. A thread without one is not made by any program here."""
    channel, body = _channel(world, bot, call), call.body
    if channel["type"] not in _FORUMS:
        raise invalid_form("type", "BASE_TYPE_REQUIRED", "This field is required")
    if not 0 < len(body.get("name") or "") <= 100:
        raise invalid_form("name", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 100 in length.")
    offered = {tag["id"] for tag in channel.get("available_tags", [])}
    tags = [str(tag) for tag in body.get("applied_tags") or []]
    if not set(tags) <= offered:
        raise Refusal(400, 10087, "Unknown tag")
    if channel.get("flags", 0) & _NEEDS_TAG and not tags:
        raise Refusal(400, 40067, "A tag is required to create a forum post in this channel")
    first = body.get("message") or {}
    if not (first.get("content") or "").strip() and not call.files and not first.get("embeds"):
        raise Refusal(400, 50006, "Cannot send an empty message")
    id = world.channel(channel["guild_id"], body["name"], kind=11, parent=channel["id"], applied_tags=tags)
    files = [world.attach(file, name) for name, file in call.files.items()]
    message = call.message = world.post(id, bot.id, content=first.get("content", ""), embeds=first.get("embeds"), attachments=files)
    return 201, {**world.channels[id], "message": message}


def update_message(world: World, bot: StandInBot, call: Call) -> Answer:
    message = _message(world, bot, call)
    _require_content(call)
    if message["author"]["id"] != bot.id:
        raise forbidden(50005, "Cannot edit a message authored by another user")
    return 200, world.rewrite(message["channel_id"], message["id"], content=call.body["content"])


def delete_message(world: World, bot: StandInBot, call: Call) -> Answer:
    message = _message(world, bot, call)
    if message["author"]["id"] != bot.id:
        raise forbidden(50013, "Missing Permissions")
    world.erase(message["channel_id"], message["id"])
    return 204, None


def add_my_message_reaction(world: World, bot: StandInBot, call: Call) -> Answer:
    message, emoji = _message(world, bot, call), call.path["emoji_name"]
    if _NO_EMOJI.fullmatch(emoji) and not _CUSTOM_EMOJI.fullmatch(emoji):
        raise unknown("Emoji")
    people = world.reactions.get((message["channel_id"], message["id"]), {}).get(emoji, [])
    if bot.id not in people:
        world.react(message["channel_id"], message["id"], bot.id, emoji)
    return 204, None


def delete_my_message_reaction(world: World, bot: StandInBot, call: Call) -> Answer:
    message, emoji = _message(world, bot, call), call.path["emoji_name"]
    world.unreact(message["channel_id"], message["id"], bot.id, emoji)
    return 204, None


def create_pin(world: World, bot: StandInBot, call: Call) -> Answer:
    message = _message(world, bot, call)
    if sum(one["pinned"] for one in world.messages[message["channel_id"]].values()) >= _PINS_MAX:
        raise Refusal(400, 30003, f"Maximum number of pins reached ({_PINS_MAX})")
    message["pinned"] = True
    return 204, None


def delete_pin(world: World, bot: StandInBot, call: Call) -> Answer:
    _message(world, bot, call)["pinned"] = False
    return 204, None


def trigger_typing_indicator(world: World, bot: StandInBot, call: Call) -> Answer:
    _channel(world, bot, call)
    return 204, None


def list_guild_members(world: World, bot: StandInBot, call: Call) -> Answer:
    if not bot.application["flags"] & MEMBERS_FLAG:
        raise forbidden(50001, "Missing Access")
    return 200, world.members(call.path["guild_id"])[: int(call.query.get("limit", 1))]


def create_interaction_response(world: World, bot: StandInBot, call: Call) -> Answer:
    press = call.path["interaction_id"]
    if world.presses.get(press) != call.path["interaction_token"]:
        raise unknown("Interaction")
    if call.body["type"] not in _ANSWERS[world.press_kinds.get(press, 3)]:
        raise invalid_form("type", "INTERACTION_RESPONSE_TYPE_INVALID", "This is no answer to this interaction.")
    del world.presses[press]
    world.answered.append(press)
    return 204, None


def _require_texts(channel: Json) -> None:
    """Forums hold posts, and no messages of their own."""
    if channel["type"] in _FORUMS:
        raise Refusal(400, 50008, "Cannot send messages in a non-text channel")


def _channel(world: World, bot: StandInBot, call: Call) -> Json:
    id = call.path["channel_id"]
    if not id.isdecimal():
        raise invalid_form("channel_id", "NUMBER_TYPE_COERCE", f'Value "{id}" is not snowflake.')
    if id not in world.channels:
        raise unknown("Channel")
    if not world.can_see(bot, id):
        raise forbidden(50001, "Missing Access")
    if (id, call.name) in world.denied:
        raise forbidden(50013, "Missing Permissions")
    return world.channels[id]


def _message(world: World, bot: StandInBot, call: Call) -> Json:
    message = world.messages[_channel(world, bot, call)["id"]].get(call.path["message_id"])
    if message is None:
        raise unknown("Message")
    return message


def _shown(world: World, bot: StandInBot, message: Json) -> Json:
    return world.shown(bot, message, content=bool(bot.application["flags"] & CONTENT_FLAG))


def search_messages(world: World, bot: StandInBot, call: Call) -> Answer:
    """Source: https://docs.discord.com/developers/resources/message#search-guild-messages."""
    guild = call.path["guild_id"]
    if guild not in world.guilds or bot.id not in world.guilds[guild]["people"]:
        raise forbidden(50001, "Missing Access")
    if guild in world.unindexed:
        world.unindexed.discard(guild)
        return 202, {"message": "Index not yet available. Try again later", "code": 110000, "documents_indexed": 0, "retry_after": 2}
    words = call.query["content"].casefold().split()
    channels = [id for id, channel in world.channels.items() if channel.get("guild_id") == guild and call.query.get("channel_id", id) == id]
    held = [message for id in channels for message in world.messages[id].values() if all(word in message["content"].casefold() for word in words)]
    held.sort(key=lambda message: int(message["id"]), reverse=True)
    start, size = int(call.query.get("offset", 0)), int(call.query.get("limit", 25))
    hits = [[{**_shown(world, bot, message), "hit": True}] for message in held[start : start + size]]
    return 200, {"doing_deep_historical_index": False, "total_results": len(held), "messages": hits}


def _check_voice(call: Call) -> None:
    """Source: https://docs.discord.com/developers/topics/opcodes-and-status-codes#json."""
    if not call.body.get("flags", 0) & _VOICE:
        return
    if call.body.get("content") or call.body.get("embeds") or call.body.get("components"):
        raise Refusal(400, 50160, "Voice messages do not support additional content.")
    attachments = call.body.get("attachments", [])
    if len(attachments) != 1:
        raise Refusal(400, 50161, "Voice messages must have a single audio attachment.")
    if not attachments[0].get("duration_secs") or not attachments[0].get("waveform"):
        raise Refusal(400, 50162, "Voice messages must have supporting metadata.")


def _require_content(call: Call) -> None:
    text = call.body.get("content", "")
    if len(text) > _TEXT_MAX:
        raise invalid_form("content", "BASE_TYPE_MAX_LENGTH", "Must be 2000 or fewer in length.")
    if not text.strip() and not call.files and not any(call.body.get(name) for name in ("embeds", "sticker_ids", "components", "poll")):
        raise Refusal(400, 50006, "Cannot send an empty message")


def _poll(poll: Json | None) -> Json | None:
    if poll is None:
        return None
    answers = [{"answer_id": number, **answer} for number, answer in enumerate(poll["answers"], 1)]
    return {**poll, "answers": answers, "layout_type": 1, "expiry": None}


_M = "/channels/{channel_id}/messages"
_R = _M + "/{message_id}/reactions/{emoji_name}/@me"
Handler = Callable[[World, StandInBot, Call], Answer]
CALLS: dict[str, tuple[str, str, Handler]] = {
    "get_my_user": ("GET", "/users/@me", get_my_user),
    "get_my_application": ("GET", "/applications/@me", get_my_application),
    "get_channel": ("GET", "/channels/{channel_id}", get_channel),
    "get_user": ("GET", "/users/{user_id}", get_user),
    "create_dm": ("POST", "/users/@me/channels", create_dm),
    "list_messages": ("GET", _M, list_messages),
    "create_message": ("POST", _M, create_message),
    "create_thread": ("POST", "/channels/{channel_id}/threads", create_thread),
    "get_message": ("GET", _M + "/{message_id}", get_message),
    "update_message": ("PATCH", _M + "/{message_id}", update_message),
    "delete_message": ("DELETE", _M + "/{message_id}", delete_message),
    "add_my_message_reaction": ("PUT", _R, add_my_message_reaction),
    "delete_my_message_reaction": ("DELETE", _R, delete_my_message_reaction),
    "create_pin": ("PUT", _M + "/pins/{message_id}", create_pin),
    "delete_pin": ("DELETE", _M + "/pins/{message_id}", delete_pin),
    "trigger_typing_indicator": ("POST", "/channels/{channel_id}/typing", trigger_typing_indicator),
    "guild_search": ("GET", "/guilds/{guild_id}/messages/search", search_messages),
    "list_guild_members": ("GET", "/guilds/{guild_id}/members", list_guild_members),
    "create_interaction_response": ("POST", "/interactions/{interaction_id}/{interaction_token}/callback", create_interaction_response),
}
