"""What Slack tells (events and history) into events."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from providers.events import (
    CHAT_DELETED,
    ChatChanged,
    ChatClosed,
    ChatMigrated,
    Event,
    MessageDeleted,
    MessageEdited,
    MessageReceived,
    ReactionChanged,
    StopRequested,
)
from providers.kit.bounded import BoundedMap, bounded_raw
from providers.kit.left_out import LeftOut
from providers.kit.unread import if_readable
from providers.models import Account, Chat, Contact, Message, MessageKind, Quoted, TextFormat
from providers.slack.attachments import forwarded_of, media_of, words_of
from providers.slack.directory import Directory
from providers.slack.emoji import emoji_of
from providers.slack.ids import act_id, message_id, time_of
from providers.slack.markup import from_mrkdwn, mentioned
from providers.slack.reactions import Reactions
from providers.slack.shapes import inner
from providers.slack.streams import Streams, is_growing

Json = dict[str, Any]

METADATA = "mcp_messenger_send"
"""The event type of the metadata that carries a send's client_id."""

_SPOKEN = frozenset({None, "bot_message", "file_share", "me_message", "thread_broadcast", "reply_broadcast"})
_QUOTED_MAX = 1000


@dataclass(frozen=True)
class Identity:
    """The bot, and the workspace that its app is installed in; or the organization, where it is installed in all workspaces of one."""

    account: Account
    bot_id: str | None
    team: str | None = None
    organization: str | None = None

    def is_meant_by(self, payload: Json) -> bool:
        """Whether it is of our workspace or organization: Slack brings the events of all that have the app installed to one place."""
        if (self.team is None and self.organization is None) or payload.get("is_ext_shared_channel"):
            return True
        authorizations: list[Json] = payload.get("authorizations") or []
        if self.organization is not None:
            enterprise: Json = payload.get("enterprise") or {}
            named = {payload.get("enterprise_id"), payload.get("context_enterprise_id"), enterprise.get("id")}
            named |= {one.get("enterprise_id") for one in authorizations}
            return self.organization in named or not any(named)
        team: Json = payload.get("team") or {}
        teams = {payload.get("team_id"), payload.get("context_team_id"), team.get("id"), *(one.get("team_id") for one in authorizations)}
        return self.team in teams or teams == {None}


class Translator:
    """Needs to know who we are, and asks the directory for names."""

    def __init__(
        self,
        me: Identity,
        directory: Directory,
        reactions: Reactions,
        roots: BoundedMap[str, str],
        uploads: BoundedMap[str, str],
        streams: Streams,
    ) -> None:
        self.me = me
        self._streams = streams
        self._directory = directory
        self._reactions = reactions
        self._roots = roots
        """The ts of its thread's first message, by message id."""
        self._uploads = uploads
        """The client_id of a send, by the id of its file."""
        self._translations: dict[str, Callable[[Json], Awaitable[list[Event]]]] = {
            "message": self._message_event,
            "app_mention": self._received,
            "reaction_added": self._reacted,
            "reaction_removed": self._reacted,
            "channel_rename": self._renamed,
            "group_rename": self._renamed,
            "member_joined_channel": self._joined,
            "member_left_channel": self._someone_left,
            "channel_id_changed": self._moved,
            "channel_deleted": self._gone,
            "group_deleted": self._gone,
            "agent_session_stopped": self._stopped,
            "assistant_thread_started": self._opened_assistant,
            "channel_left": self._left,
            "group_left": self._left,
            "channel_archive": self._archived,
            "group_archive": self._archived,
            "channel_unarchive": self._opened,
            "group_unarchive": self._opened,
            "user_change": self._user_changed,
        }
        self._mention = re.compile(rf"<@{re.escape(me.account.id)}(?:\|[^<>\n]*)?>")
        self._left_out = LeftOut("Slack")

    async def events_of(self, event: Json) -> list[Event]:
        """What an event says. Raises KeyError, TypeError or ValueError for one that is not of Slack's form."""
        translate = self._translations.get(event["type"])
        return self._unread(str(event["type"])) if translate is None else await translate(event)

    def _unread(self, kind: str) -> list[Event]:
        return self.left_out(kind, "nothing here is made of it")

    def left_out(self, kind: str, reason: str) -> list[Event]:
        """Count an event that is no news to anybody here."""
        self._left_out.note(kind, reason)
        return []

    async def received(self, message: Json, channel: str, kind: str = "") -> MessageReceived:
        """A message out of an event or of history."""
        chat = await self._directory.chat(channel, kind)
        sender = await self._sender(message)
        words = words_of(message)
        text, format = await self._read(words)
        media = media_of(message)
        spoken = message.get("subtype") in _SPOKEN
        root = message.get("thread_ts")
        in_thread = root is not None and root != message["ts"]
        id = message_id(channel, message["ts"])
        self._roots[id] = root or message["ts"]
        outgoing = self._is_ours(message)
        if not outgoing and sender is not None and not sender.is_bot:
            team = message.get("user_team") or message.get("team") or self.me.team or ""
            self._streams.wrote(channel, root if in_thread else None, root or message["ts"], sender.id, str(team))
        return MessageReceived(
            message=Message(
                id=id,
                chat_id=channel,
                at=time_of(message["ts"]),
                outgoing=outgoing,
                sender_id=sender.id if sender else None,
                sender_name=sender.name if sender else "",
                kind=MessageKind.SYSTEM if not spoken else MessageKind.MEDIA if media else MessageKind.TEXT,
                text=text,
                format=format,
                reply_to=message_id(channel, root) if in_thread and root else None,
                thread_id=message_id(channel, root) if in_thread and root else None,
                media=media,
                mentions_me=self._mention.search(words) is not None,
                forwarded=if_readable(lambda: forwarded_of(message), None),
                quoted=await self._quoted(message),
                raw=bounded_raw(message, "ts"),
            ),
            chat=chat,
            sender=sender,
            client_id=if_readable(lambda: self._client_id(message), None) if outgoing else None,
        )

    async def _read(self, words: str) -> tuple[str, TextFormat]:
        return from_mrkdwn(words, await self._directory.names(mentioned(words)))

    async def _quoted(self, message: Json) -> Quoted | None:
        """Return the first message of a thread, which an answer brings along that is shown in the channel too."""
        root: Json = message.get("root") or {}
        if message.get("subtype") != "thread_broadcast" or not (words := words_of(root)):
            return None
        text, _ = await self._read(words)
        author = await self._sender(root)
        return Quoted(text=text if len(text) <= _QUOTED_MAX else f"{text[:_QUOTED_MAX]}…", name=author.name if author else "")

    async def edited(self, message: Json, channel: str, at: str | None = None) -> MessageEdited:
        """Return an edit; `at` is when Slack reported it, for one that is not its writer's and has no time itself."""
        text, _ = await self._read(words_of(message))
        changed = message.get("edited", {}).get("ts") or at or message["ts"]
        return MessageEdited(chat_id=channel, message_id=message_id(channel, message["ts"]), text=text, at=time_of(changed))

    async def _message_event(self, event: Json) -> list[Event]:
        match event.get("subtype"):
            case "message_changed":
                return await self._changed(event)
            case "message_deleted":
                return [_deleted(event, event["deleted_ts"])]
            case "message_replied":
                return self.left_out("message_replied", "the answer comes as a message itself")
            case "channel_name" | "group_name":
                return [*await self._received(event), *await self._renamed({"channel": {"id": event["channel"], "name": event["name"]}})]
            case subtype if event.get("hidden") and subtype not in _SPOKEN:
                return self._unread(f"message of the type {subtype}")
            case _:
                return await self._received(event)

    async def _received(self, event: Json) -> list[Event]:
        return [await self.received(event, event["channel"], event.get("channel_type", ""))]

    async def _changed(self, event: Json) -> list[Event]:
        """Slack also calls it a change when a link gets its preview or a thread its first answer."""
        message, before = event["message"], event.get("previous_message")
        if message.get("subtype") == "tombstone":
            return [_deleted(event, message["ts"])]
        if self._is_ours(message) and is_growing(message):
            return self.left_out("message_changed", "a growing answer of ours is stored when it is whole")
        if before is not None and words_of(message, previews=False) == words_of(before, previews=False):
            return self.left_out("message_changed", "its words are the same")
        return [await self.edited(message, event["channel"], event.get("event_ts"))]

    async def _reacted(self, event: Json) -> list[Event]:
        item = event["item"]
        if item["type"] != "message":
            return self.left_out(f"{event['type']} on a {item['type']}", "it is about no message")
        emojis = tuple(emoji_of(name) for name in await self._reactions.after(event))
        return [
            ReactionChanged(
                chat_id=item["channel"],
                message_id=message_id(item["channel"], item["ts"]),
                sender_id=event["user"],
                emojis=emojis,
                at=time_of(event["event_ts"]),
            )
        ]

    async def _renamed(self, event: Json) -> list[Event]:
        self._directory.forget_chat(event["channel"]["id"])
        chat = await self._directory.chat(event["channel"]["id"])
        return [ChatChanged(chat=chat.model_copy(update={"title": Chat(id="", title=event["channel"]["name"]).title}))]

    async def _joined(self, event: Json) -> list[Event]:
        """Somebody put us into a channel. That others come and go, Slack tells by a message."""
        if event["user"] != self.me.account.id:
            return self.left_out("member_joined_channel", "a message tells of it")
        self._directory.forget_chat(event["channel"])
        chat = await self._directory.chat(event["channel"])
        return [ChatChanged(chat=chat), ChatClosed(chat_id=chat.id, reason=None, at=time_of(event["event_ts"]))]

    async def _left(self, event: Json) -> list[Event]:
        return [_closed(event, "The bot was removed from the channel.")]

    async def _someone_left(self, event: Json) -> list[Event]:
        if event["user"] != self.me.account.id:
            return self.left_out("member_left_channel", "a message tells of it")
        return await self._left(event)

    async def _gone(self, event: Json) -> list[Event]:
        return [_closed(event, CHAT_DELETED)]

    async def _moved(self, event: Json) -> list[Event]:
        """A channel that is shared with another workspace may get a new id."""
        chat = await self._directory.chat(event["new_channel_id"])
        return [ChatMigrated(old_id=event["old_channel_id"], chat=chat, at=time_of(event["event_ts"]))]

    async def _stopped(self, event: Json) -> list[Event]:
        """Somebody pressed the stop button of an answer."""
        thread = event.get("thread_ts")
        return [
            StopRequested(
                chat_id=event["channel"],
                thread_id=message_id(event["channel"], thread) if thread else None,
                sender_id=event.get("user"),
                at=time_of(event["event_ts"]),
            )
        ]

    async def _opened_assistant(self, event: Json) -> list[Event]:
        """Somebody opened the app as an assistant, and has not written yet."""
        opened = event["assistant_thread"]
        chat, person = await self._directory.chat(opened["channel_id"], "im"), await self._directory.person(opened["user_id"])
        beside = inner(opened, "context").get("channel_id")
        text, _ = await self._read(f"Opened the assistant{f' beside <#{beside}>' if beside else ''}, and has not written yet.")
        message = Message(
            id=act_id(chat.id, f"assistant.{opened['thread_ts']}"),
            chat_id=chat.id,
            at=time_of(event["event_ts"]),
            sender_id=person.id,
            sender_name=person.name,
            kind=MessageKind.SYSTEM,
            text=text,
            raw=bounded_raw(event, "type"),
        )
        return [MessageReceived(message=message, chat=chat, sender=person)]

    async def _archived(self, event: Json) -> list[Event]:
        return [_closed(event, "The channel is archived.")]

    async def _opened(self, event: Json) -> list[Event]:
        return [_closed(event, None)]

    async def _user_changed(self, event: Json) -> list[Event]:
        self._directory.learn(event["user"])
        return []

    def _is_ours(self, message: Json) -> bool:
        return message.get("user") == self.me.account.id or (self.me.bot_id is not None and message.get("bot_id") == self.me.bot_id)

    def _client_id(self, message: Json) -> str | None:
        files: list[Json] = message.get("files") or []
        return nonce_of(message) or next((id for file in files if (id := self._uploads.get(file["id"]))), None)

    async def _sender(self, message: Json) -> Contact | None:
        if user := message.get("user"):
            profile = message.get("user_profile")
            if profile and not self._directory.known_person(user).name:
                # People of other workspaces may not be asked for; the event names them.
                return self._directory.learn({"id": user, "name": profile.get("name"), "profile": profile})
            return await self._directory.person(user)
        if bot := message.get("bot_id"):
            name = message.get("username") or message.get("bot_profile", {}).get("name", "")
            return Contact(id=bot, name=name, is_bot=True)
        return None


def nonce_of(message: Json) -> str | None:
    """The client_id that a message of ours carries, unseen by people."""
    metadata: Json = message.get("metadata") or {}
    return metadata.get("event_payload", {}).get("client_id") if metadata.get("event_type") == METADATA else None


def _closed(event: Json, reason: str | None) -> ChatClosed:
    return ChatClosed(chat_id=event["channel"], reason=reason, at=time_of(event["event_ts"]))


def _deleted(event: Json, ts: str) -> MessageDeleted:
    return MessageDeleted(chat_id=event["channel"], message_id=message_id(event["channel"], ts), at=time_of(event["event_ts"]))
