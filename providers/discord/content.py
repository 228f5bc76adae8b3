"""Everything that a Discord message shows, in words: text, embeds, components, stickers, polls and forwarded messages."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from providers.discord.components import component_lines
from providers.discord.directory import Directory, person_of
from providers.discord.fields import many, one
from providers.discord.mentions import Reader
from providers.models import Forwarded, Poll, Quoted

Json = dict[str, Any]
Read = Callable[[str | None], str]

FORWARD = 1
_COMMANDS = frozenset({20, 23})
LOADING = 1 << 7
"""The flag of a message that an app has announced and is yet to write."""

# Pages that Discord shows under a link by itself (https://docs.discord.com/developers/resources/message#embed-object-embed-types).
_PREVIEWS = frozenset({"article", "gifv", "image", "link", "video"})


def words_of(message: Json, directory: Directory) -> str:
    """Return the words of a message that somebody wrote; of one that shows nothing but files or a poll, the poll's question or none."""
    shown = _shown(message, directory)
    for snapshot in many(message, "message_snapshots"):
        inner = snapshot["message"]
        forwarded = _shown(inner, directory) or ("" if inner.get("attachments") else "A forwarded message without words.")
        shown = f"{shown}\nForwarded:\n{forwarded}" if shown and forwarded else shown or forwarded
    if shown or any(holder.get("attachments") for holder in holders(message)):
        return shown
    return question_of(message) or _instead(message)


def holders(message: Json) -> list[Json]:
    """Return the message, and those that it forwards."""
    return [message, *(snapshot["message"] for snapshot in many(message, "message_snapshots"))]


def _shown(message: Json, directory: Directory) -> str:
    read = Reader(message, directory).read
    parts = [
        read(message.get("content")),
        *(_embed(embed, read) for embed in many(message, "embeds")),
        *component_lines(many(message, "components"), read),
        *(f"[Sticker: {sticker['name']}]" for sticker in many(message, "sticker_items")),
    ]
    return "\n".join(filter(None, parts))


def _embed(embed: Json, read: Read) -> str:
    """Return an embed's words: those of an app that wrote it, or a page's preview in one line."""
    title, description = read(embed.get("title")), read(embed.get("description"))
    if embed.get("type") in _PREVIEWS:
        said = " - ".join(filter(None, (title, description)))
        return f"[Preview of {embed.get('url') or 'a page'}: {said}]" if said else ""
    link = f" ({embed['url']})" if title and embed.get("url") else ""
    lines = [
        read(one(embed, "author").get("name")),
        title + link,
        description,
        *(f"{read(field.get('name'))}: {read(field.get('value'))}" for field in many(embed, "fields")),
        *(f"[Picture: {embed[name]['url']}]" for name in ("image", "thumbnail") if one(embed, name).get("url")),
        *component_lines(many(embed, "components"), read),
        read(one(embed, "footer").get("text")),
    ]
    return "\n".join(filter(None, lines))


def _instead(message: Json) -> str:
    """Return a sentence for a message in which nothing is seen."""
    if message.get("flags", 0) & LOADING:
        return "The app is working on its answer."
    if message.get("activity"):
        name = one(message, "application").get("name")
        return f"An invitation to {name}." if name else "An invitation to an activity."
    return "A message of which Discord shows this bot no content."


def poll_of(message: Json) -> Poll | None:
    """Return the poll of a message; None where it has none."""
    poll = message.get("poll")
    if not poll or len(poll["answers"]) < 2:
        return None
    return Poll(question=question_of(message), options=tuple(options_of(poll).values()), multiple=poll.get("allow_multiselect", False))


def question_of(message: Json) -> str:
    """Return the question of the message's poll; empty where it has none."""
    return one(message, "poll").get("question", {}).get("text") or ""


def options_of(poll: Json) -> dict[int, str]:
    """Return the options of a poll, by Discord's number of each."""
    return {answer.get("answer_id", number): _label(answer["poll_media"]) for number, answer in enumerate(poll["answers"], 1)}


def _label(media: Json) -> str:
    return media.get("text") or one(media, "emoji").get("name") or ""


def forwarded_of(message: Json, directory: Directory) -> Forwarded | None:
    """Return where a forwarded message came from; Discord names the channel, never the writer."""
    reference = one(message, "message_reference")
    snapshots = many(message, "message_snapshots")
    if reference.get("type") != FORWARD and not snapshots:
        return None
    channel = reference.get("channel_id")
    name = None if channel is None else directory.channel_name(channel)
    at = snapshots[0]["message"].get("timestamp") if snapshots else None
    return Forwarded(name=f"#{name}" if name else "", id=channel, at=datetime.fromisoformat(at) if at else None)


def quoted_of(message: Json) -> Quoted | None:
    """Return the command that a message answers; None where it answers none. Its own words for it are in no message."""
    command = message.get("interaction_metadata") or one(message, "interaction")
    if message["type"] not in _COMMANDS or not command.get("user"):
        return None
    name = command.get("name") or one(message, "interaction").get("name")
    return Quoted(text=f"/{name}" if name else "", name=person_of(command["user"]).name, of="command")
