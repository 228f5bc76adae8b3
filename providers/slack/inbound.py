"""What Slack tells (events, pressed buttons, commands, history) into events."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from providers.kit.bounded import BoundedMap, bounded_raw
from providers.models import (
    Account,
    Chat,
    ChatChanged,
    Contact,
    Event,
    Message,
    MessageDeleted,
    MessageEdited,
    MessageKind,
    MessageReceived,
    ReactionChanged,
    TextFormat,
)
from providers.slack.attachments import media_of, words_of
from providers.slack.directory import Directory
from providers.slack.emoji import emoji_of
from providers.slack.ids import message_id, time_of
from providers.slack.markup import from_mrkdwn, mentioned
from providers.slack.reactions import Reactions

Json = dict[str, Any]

METADATA = "mcp_messenger_send"
"""The event type of the metadata that carries a send's client_id."""

CHOICE = "choice-"
"""How the action ids of our own buttons begin."""

_SPOKEN = frozenset({None, "bot_message", "file_share", "me_message", "thread_broadcast", "reply_broadcast"})
_LOOKED_UP = 5


@dataclass(frozen=True)
class Identity:
    account: Account
    bot_id: str | None
    team: str | None = None

    def is_meant_by(self, payload: Json) -> bool:
        """Whether it is of our workspace: Slack brings the events of all that have the app installed to one place."""
        if self.team is None or payload.get("is_ext_shared_channel"):
            return True
        authorizations: list[Json] = payload.get("authorizations") or []
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
    ) -> None:
        self.me = me
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
            "user_change": self._user_changed,
        }

    async def events_of(self, event: Json) -> list[Event]:
        """What an event says. Raises KeyError, TypeError or ValueError for one that is not of Slack's form."""
        translate = self._translations.get(event["type"])
        return [] if translate is None else await translate(event)

    async def received(self, message: Json, channel: str, kind: str = "") -> MessageReceived:
        """A message out of an event or of history."""
        chat = await self._directory.chat(channel, kind)
        sender = await self._sender(message)
        text, format = await self.text_of(message)
        media = media_of(message)
        spoken = message.get("subtype") in _SPOKEN
        root = message.get("thread_ts")
        in_thread = root is not None and root != message["ts"]
        id = message_id(channel, message["ts"])
        self._roots[id] = root or message["ts"]
        outgoing = self._is_ours(message)
        return MessageReceived(
            message=Message(
                id=id,
                chat_id=channel,
                at=time_of(message["ts"]),
                outgoing=outgoing,
                sender_id=sender.id if sender else None,
                sender_name=sender.name if sender else "",
                kind=MessageKind.MEDIA if media else MessageKind.TEXT if spoken else MessageKind.SYSTEM,
                text=text,
                format=format,
                reply_to=message_id(channel, root) if in_thread and root else None,
                thread_id=message_id(channel, root) if in_thread and root else None,
                media=media,
                mentions_me=f"<@{self.me.account.id}" in message.get("text", ""),
                raw=bounded_raw(message, "ts"),
            ),
            chat=chat,
            sender=sender,
            client_id=self._client_id(message) if outgoing else None,
        )

    async def text_of(self, message: Json) -> tuple[str, TextFormat]:
        words = words_of(message)
        names = await self._directory.names(mentioned(words)[:_LOOKED_UP])
        return from_mrkdwn(words, names)

    async def pressed(self, payload: Json) -> list[Event]:
        """A pressed button or a picked line is a message with its title, in reply to the message it stands under."""
        place, user = payload["container"], payload["user"]
        channel, under = place["channel_id"], place["message_ts"]
        chat = await self._directory.chat(channel)
        sender = Contact(id=user["id"], name=self._directory.known_person(user["id"]).name or user.get("name", ""), username=user.get("username"))
        root = payload.get("message", {}).get("thread_ts")
        found: list[Event] = []
        for action in payload["actions"]:
            option = action.get("selected_option") or action
            title = option.get("text", {}).get("text", "") or str(option.get("value", ""))
            message = Message(
                id=f"{message_id(channel, under)}:{action['action_ts']}",
                chat_id=channel,
                at=time_of(action["action_ts"]),
                sender_id=sender.id,
                sender_name=sender.name,
                text=title,
                reply_to=message_id(channel, under),
                thread_id=message_id(channel, root) if root and root != under else None,
                chosen=option.get("value") or action["action_id"],
                mentions_me=True,
                raw=bounded_raw(action, "ts"),
            )
            found.append(MessageReceived(message=message, chat=chat, sender=sender))
        return found

    async def commanded(self, payload: Json) -> list[Event]:
        """A slash command is a message to us."""
        sender = Contact(id=payload["user_id"], name=payload.get("user_name", ""), username=payload.get("user_name"))
        chat = await self._directory.chat(payload["channel_id"])
        message = Message(
            id=message_id(payload["channel_id"], payload["trigger_id"]),
            chat_id=chat.id,
            at=datetime.now(UTC),
            sender_id=sender.id,
            sender_name=sender.name,
            text=f"{payload['command']} {payload.get('text', '')}".strip(),
            mentions_me=True,
        )
        return [MessageReceived(message=message, chat=chat, sender=sender)]

    async def edited(self, message: Json, channel: str) -> MessageEdited:
        text, _ = await self.text_of(message)
        changed = message.get("edited", {}).get("ts", message["ts"])
        return MessageEdited(chat_id=channel, message_id=message_id(channel, message["ts"]), text=text, at=time_of(changed))

    async def _message_event(self, event: Json) -> list[Event]:
        match event.get("subtype"):
            case "message_changed":
                return await self._changed(event)
            case "message_deleted":
                return [_deleted(event, event["deleted_ts"])]
            case "message_replied" | "ekm_access_denied":
                return []
            case "channel_name" | "group_name":
                return [*await self._received(event), *await self._renamed({"channel": {"id": event["channel"], "name": event["name"]}})]
            case subtype if event.get("hidden") and subtype not in _SPOKEN:
                return []
            case _:
                return await self._received(event)

    async def _received(self, event: Json) -> list[Event]:
        return [await self.received(event, event["channel"], event.get("channel_type", ""))]

    async def _changed(self, event: Json) -> list[Event]:
        """Slack also calls it a change when a link gets its preview or a thread its first answer."""
        message, before = event["message"], event.get("previous_message")
        if message.get("subtype") == "tombstone":
            return [_deleted(event, message["ts"])]
        if before is not None and words_of(message) == words_of(before):
            return []
        return [await self.edited(message, event["channel"])]

    async def _reacted(self, event: Json) -> list[Event]:
        item = event["item"]
        if item["type"] != "message":
            return []
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
        """Somebody put us into a channel."""
        if event["user"] != self.me.account.id:
            return []
        return [ChatChanged(chat=await self._directory.chat(event["channel"]))]

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
            return await self._directory.person(user)
        if bot := message.get("bot_id"):
            name = message.get("username") or message.get("bot_profile", {}).get("name", "")
            return Contact(id=bot, name=name, is_bot=True)
        return None


def nonce_of(message: Json) -> str | None:
    """The client_id that a message of ours carries, unseen by people."""
    metadata: Json = message.get("metadata") or {}
    return metadata.get("event_payload", {}).get("client_id") if metadata.get("event_type") == METADATA else None


def _deleted(event: Json, ts: str) -> MessageDeleted:
    return MessageDeleted(chat_id=event["channel"], message_id=message_id(event["channel"], ts), at=time_of(event["event_ts"]))
