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
REPLY = 19
_QUOTED_MAX = 1000
_COMMANDS = frozenset({20, 23})
LOADING = 1 << 7
"""The flag of a message that an app has announced and is yet to write."""

# Pages that Discord shows under a link by itself (https://docs.discord.com/developers/resources/message#embed-object-embed-types).
_PREVIEWS = frozenset({"article", "gifv", "image", "link", "video"})
_SEEN = {"image": "Picture", "thumbnail": "Picture", "video": "Video"}
"""The parts of an embed that are looked at."""


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
    content = message.get("content") or ""
    parts = [
        read(content),
        *(_embed(embed, read, content) for embed in many(message, "embeds")),
        *component_lines(many(message, "components"), read),
        *(f"[Sticker: {sticker['name']}]" for sticker in many(message, "sticker_items") or many(message, "stickers")),
        *(f"[{file.get('filename')}: {file['description']}]" for file in many(message, "attachments") if file.get("description")),
    ]
    return "\n".join(filter(None, parts))


def _embed(embed: Json, read: Read, content: str) -> str:
    """Return an embed's words: those of an app that wrote it, or a page's preview in one line; none for a preview that only repeats a link."""
    title, description, address = read(embed.get("title")), read(embed.get("description")), embed.get("url")
    author, footer = read(one(embed, "author").get("name")), read(one(embed, "footer").get("text"))
    fields = [f"{read(field.get('name'))}: {read(field.get('value'))}" for field in many(embed, "fields")]
    components, provider = component_lines(many(embed, "components"), read), read(one(embed, "provider").get("name"))
    if embed.get("type") in _PREVIEWS:
        address = address or next((media["url"] for name in _SEEN if (media := one(embed, name)).get("url")), None)
        said = " - ".join(filter(None, (title, description) if title or description else (author, *fields, *components, footer, provider)))
        if said:
            return f"[Preview of {address or 'a page'}: {said}]"
        if address:
            return "" if address in content else f"[Preview of {address}]"
    link = f" ({address})" if title and address else ""
    seen = [f"[{what}: {one(embed, name)['url']}]" for name, what in _SEEN.items() if one(embed, name).get("url")]
    lines = [author, title + link, description, *fields, *seen, *components, footer]
    return "\n".join(filter(None, lines)) or provider or address or f"[An embed of the type {embed.get('type')}]"


def _instead(message: Json) -> str:
    """Return a sentence for a message in which nothing is seen."""
    if message.get("flags", 0) & LOADING:
        return "The app is working on its answer."
    name = one(message, "application").get("name")
    if message.get("activity"):
        return f"An invitation to {name}." if name else "An invitation to an activity."
    if name:
        return f"A message of the app {name}."
    if message.get("poll"):
        return "A poll."
    if message.get("shared_client_theme"):
        return "A theme for the look of Discord."
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
    return {answer.get("answer_id", number): _label(one(answer, "poll_media")) for number, answer in enumerate(poll["answers"], 1)}


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


def quoted_of(message: Json, directory: Directory) -> Quoted | None:
    """Return the message or the command that a message answers; None where it answers none, or Discord does not bring it along."""
    if (answered := message.get("referenced_message")) and message["type"] == REPLY:
        words = words_of(answered, directory)
        shown = words if len(words) <= _QUOTED_MAX else f"{words[:_QUOTED_MAX]}…"
        return Quoted(text=shown, name=person_of(answered["author"]).name) if shown else None
    command = message.get("interaction_metadata") or one(message, "interaction")
    if message["type"] not in _COMMANDS or not command.get("user"):
        return None
    name = command.get("name") or one(message, "interaction").get("name")
    return Quoted(text=f"/{name}" if name else "", name=person_of(command["user"]).name, of="command")
