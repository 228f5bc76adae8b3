"""Addresses as people write them: `#name`, `@name`, `<#C…>`, `<@U…>`, links to channels and messages, ids of people."""

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

from providers.errors import InvalidRequest, NotFound
from providers.models import Address, ChatKind
from providers.slack.client import SlackClient, in_each_workspace
from providers.slack.directory import Directory, chat_of
from providers.slack.ids import is_channel, is_message, is_person, message_id
from providers.slack.outbound import Sender

Json = dict[str, Any]

_REFERENCE = re.compile(r"<(?:#(?P<channel>[CDG][A-Z0-9]+)|@(?P<person>[UW][A-Z0-9]+))(?:\|[^<>]*)?>")
_ARCHIVE = re.compile(r"/archives/(?P<channel>[CDG][A-Z0-9]+)(?:/p(?P<ts>\d{7,}))?/?")
_CLIENT = re.compile(r"/client/[TE][A-Z0-9]+/(?P<channel>[CDG][A-Z0-9]+)(?:/.*)?")
_KINDS = "public_channel,private_channel,mpim"
_NAMED = 5


def address_of(to: str) -> str:
    """Return the id that a reference or a link to a channel names; everything else without the space around it."""
    to = to.strip()
    if found := _REFERENCE.fullmatch(to):
        return found["channel"] or found["person"]
    if to[:1] in {"#", "@"} and (is_channel(to[1:]) if to[0] == "#" else is_person(to[1:])):
        return to[1:]
    link = _link(to)
    return link[0] if link is not None and link[1] is None else to


def must_resolve(to: str) -> bool:
    """Whether Slack has to be asked: for a name, and for a person, whose direct messages have another id. A link names a thread."""
    return not is_channel(to)


async def resolve(to: str, client: SlackClient, directory: Directory, sender: Sender) -> Address:
    """Return where a message to `to` will lie. Raises NotFound for a name that nothing has, InvalidRequest for one that several have."""
    if is_channel(to):
        return Address(chat_id=to)
    if is_person(to):
        return await _direct(to, sender)
    if is_message(to):
        return Address(chat_id=to.partition(":")[0], thread_id=to)
    if (link := _link(to)) is not None:
        channel, ts = link
        return Address(chat_id=channel, thread_id=None if ts is None else message_id(channel, ts))
    if to.startswith("@"):
        found = await _direct(await _person(to[1:].strip(), client, directory), sender)
        return found.model_copy(update={"lasting": False})
    return await _channel(to.removeprefix("#").strip(), client)


def _link(to: str) -> tuple[str, str | None] | None:
    """The channel of a link, and the ts of its message, or of the first of the message's thread."""
    parts = urlsplit(to.strip("<>").partition("|")[0])
    if parts.scheme != "https" or not f".{parts.hostname or ''}".endswith((".slack.com", ".slack-gov.com")):
        return None
    if client := _CLIENT.fullmatch(parts.path):
        return client["channel"], None
    found = _ARCHIVE.fullmatch(parts.path)
    if found is None:
        return None
    root = parse_qs(parts.query).get("thread_ts", [""])[0]
    if re.fullmatch(r"\d+\.\d+", root):
        return found["channel"], root
    return found["channel"], None if found["ts"] is None else f"{found['ts'][:-6]}.{found['ts'][-6:]}"


async def _direct(person: str, sender: Sender) -> Address:
    return Address(chat_id=await sender.channel_of(person), kind=ChatKind.PRIVATE)


async def _person(name: str, client: SlackClient, directory: Directory) -> str:
    """A person by handle or name; one that two have is nobody's."""
    wanted = name.casefold()
    people = [person for person in await in_each_workspace(client, "users.list", "members") if not person.get("deleted")]
    found = {person["id"]: person for person in people if wanted in _names(person)}
    if not found:
        raise NotFound("Nobody here has this name.", hint="list_contacts and search_contacts show the people and their ids.")
    if len(found) > 1:
        ids = ", ".join(list(found)[:_NAMED])
        raise InvalidRequest(f"{len(found)} people have this name.", hint=f"Use the id of the one who is meant: {ids}. list_contacts shows them.")
    ((id, person),) = found.items()
    directory.learn(person)
    return id


def _names(person: Json) -> set[str]:
    profile: Json = person.get("profile") or {}
    names = (person.get("name"), person.get("real_name"), profile.get("display_name"), profile.get("real_name"))
    return {name.casefold() for name in names if isinstance(name, str) and name}


async def _channel(name: str, client: SlackClient) -> Address:
    wanted = name.casefold()
    channels = await in_each_workspace(client, "users.conversations", "channels", types=_KINDS, exclude_archived=True)
    found = {channel["id"]: channel for channel in channels if wanted in {channel.get("name"), channel.get("name_normalized")}}
    if not found:
        raise NotFound(
            "The bot is in no channel of this name.",
            hint="list_chats shows the channels and their ids; in one that is missing there, somebody has to invite the bot: /invite @bot.",
        )
    if len(found) > 1:
        raise InvalidRequest(
            f"{len(found)} channels have this name.", hint=f"Use the id of the one that is meant: {', '.join(list(found)[:_NAMED])}."
        )
    chat = chat_of(next(iter(found.values())))
    return Address(chat_id=chat.id, kind=chat.kind, title=chat.title, lasting=False)
