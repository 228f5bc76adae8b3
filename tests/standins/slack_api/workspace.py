"""What Slack knows: people, channels, messages, files, and one app with its bot; and how a test makes people write."""

import mimetypes
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

Json = dict[str, Any]

BOT, BOT_ID, APP = "U0ROBO", "B0ROBO", "A0ROBO"
TEAM = "T0TEAM"
ALL_SCOPES = frozenset(
    {"app_mentions:read", "channels:history", "channels:read", "chat:write", "files:read", "files:write", "groups:history", "groups:read",
     "groups:write", "im:history", "im:read", "im:write", "mpim:history", "mpim:read", "mpim:write", "reactions:read", "reactions:write",
     "pins:write", "users:read"}
)  # fmt: skip


@dataclass
class Channel:
    id: str
    name: str
    kind: str
    """channel, group, mpim or im"""
    members: list[str]
    creator: str
    messages: list[Json] = field(default_factory=list[Json])
    is_archived: bool = False

    def described(self) -> Json:
        described: Json = {"id": self.id, "is_im": self.kind == "im", "is_mpim": self.kind == "mpim", "is_archived": self.is_archived}
        if self.kind == "im":
            return described | {"user": next(member for member in self.members if member != BOT)}
        private = self.kind != "channel"
        return described | {"name": self.name, "is_private": private, "creator": self.creator, "purpose": {"value": ""}, "topic": {"value": ""}}

    def find(self, ts: str) -> Json | None:
        return next((message for message in self.messages if message["ts"] == ts), None)


@dataclass
class StoredFile:
    id: str
    name: str
    content: bytes
    size: int
    shares: dict[str, dict[str, list[Json]]] = field(default_factory=dict[str, dict[str, list[Json]]])
    hidden_for: int = 0
    """How many more times files.info does not show yet where it was shared."""
    is_deleted: bool = False


class Workspace:
    """Everything the stand-in remembers. `changed` is called whenever something happened, for those who wait."""

    def __init__(self, url: Callable[[], str], changed: Callable[[], None]) -> None:
        self.bot_token = "xoxb-FAKE-TOKEN-OF-A-STAND-IN"
        self.app_token = "xapp-FAKE-TOKEN-OF-A-STAND-IN"
        self.user_token = "xoxp-FAKE-TOKEN-OF-A-STAND-IN"
        self.owner = ""
        """Whose the user token is."""
        self.read_marks: dict[tuple[str, str], str] = {}
        """How far somebody has read, by person and channel."""
        self.is_agent = False
        """Whether the app is declared as an agent: then its sessions have a stop button."""
        self.sessions: dict[tuple[str, str], str] = {}
        """The status of each session of the agent, by channel and thread."""
        self.streaming: set[tuple[str, str]] = set()
        """Messages to which the app still adds, by channel and ts."""
        self.signing_secret = "fake-signing-secret-of-a-stand-in"
        self.scopes = set(ALL_SCOPES)
        self.app_scopes = {"connections:write"}
        self.revoked: set[str] = set()
        self.installed_in: Json = {"team_id": TEAM}
        """Of auth.test: the workspace, or the organization."""
        self.needs_team = False
        """Installed for an organization, methods that list or make something want a team_id."""
        self.teams: list[Json] = [{"id": TEAM, "name": "Stand-in"}]
        self.history_page = 999
        """15 for an app that is sold outside the Marketplace."""
        self.share_delay = 0
        self.statuses: dict[tuple[str, str], str] = {}
        """What is shown of the app in a thread, by channel and thread."""
        self.users: dict[str, Json] = {}
        self.channels: dict[str, Channel] = {}
        self.files: dict[str, StoredFile] = {}
        self.events: list[Json] = []
        """Every event told, as the Events API wraps it."""
        self.listener: Callable[[Json], None] = lambda payload: None
        self.url = url
        self.changed = changed
        self._numbers = count(1)
        self._last = 0
        self.users[BOT] = _user(BOT, "robo", "Robo", is_bot=True)

    def next_id(self, letter: str) -> str:
        return f"{letter}{next(self._numbers):08d}"

    def next_ts(self) -> str:
        self._last = max(self._last + 1, int(time.time() * 1_000_000))
        return f"{self._last // 1_000_000}.{self._last % 1_000_000:06d}"

    # What a test prepares

    def stops(self, channel: str, thread: str, *, by: str) -> None:
        """A person presses the stop button of an answer: what is streamed there ends, and the app is told."""
        ended = [ts for place, ts in sorted(self.streaming) if place == channel]
        self.streaming -= {(channel, ts) for ts in ended}
        for ts in ended:
            self._held(channel, ts).pop("streaming_state")
        now = self.next_ts()
        told = {"channel": channel, "thread_ts": thread, "streaming_message_ts": ended, "user": by, "event_ts": now}
        self.emit({"type": "agent_session_stopped", **told})

    def person(self, name: str = "Ann", id: str | None = None) -> str:
        id = id or self.next_id("U")
        self.users[id] = _user(id, name.casefold(), name)
        return id

    def channel(self, name: str = "general", *members: str, kind: str = "channel", with_bot: bool = True, id: str | None = None) -> str:
        id = id or self.next_id({"im": "D", "mpim": "G"}.get(kind, "C"))
        self.channels[id] = Channel(id, name, kind, [*members, *([BOT] if with_bot else [])], members[0] if members else BOT)
        return id

    def direct(self, person: str) -> str:
        """The direct messages of the bot and a person."""
        known = next((one.id for one in self.channels.values() if one.kind == "im" and person in one.members), None)
        return known or self.channel("", person, kind="im")

    def store(self, content: bytes, name: str, *, size: int | None = None) -> StoredFile:
        file = StoredFile(self.next_id("F"), name, content, len(content) if size is None else size)
        self.files[file.id] = file
        return file

    # What people do

    def user_writes(self, channel: str, text: str, *, by: str, thread_ts: str | None = None, **fields: Any) -> Json:
        return self.post(channel, {"user": by, "text": text, "client_msg_id": self.next_id("m"), **fields}, thread_ts)

    def user_sends_file(self, channel: str, content: bytes, name: str, *, by: str, text: str = "", thread_ts: str | None = None) -> Json:
        file = self.store(content, name)
        return self.post(channel, {"user": by, "text": text, "subtype": "file_share", "files": [self.described(file)]}, thread_ts)

    def user_edits(self, channel: str, ts: str, text: str) -> None:
        message = self._held(channel, ts)
        before = dict(message)
        message |= {"text": text, "edited": {"user": message.get("user"), "ts": self.next_ts()}}
        self.tell_changed(channel, message, before)

    def link_unfurls(self, channel: str, ts: str) -> None:
        message = self._held(channel, ts)
        before = dict(message)
        address = "https://a.example"
        message["attachments"] = [{"id": 1, "from_url": address, "original_url": address, "title": "A page", "fallback": "A page"}]
        self.tell_changed(channel, message, before)

    def user_deletes(self, channel: str, ts: str) -> None:
        message = self._held(channel, ts)
        self.channels[channel].messages.remove(message)
        self.emit(
            {"type": "message", "subtype": "message_deleted", "hidden": True, "channel": channel, "deleted_ts": ts, "previous_message": message,
             "channel_type": self.channels[channel].kind, "ts": (now := self.next_ts()), "event_ts": now}
        )  # fmt: skip

    def reacts(self, channel: str, ts: str, name: str, *, by: str, takes_back: bool = False) -> None:
        message = self._held(channel, ts)
        reactions: list[Json] = message.setdefault("reactions", [])
        found = next((one for one in reactions if one["name"] == name), None)
        if found is None:
            reactions.append(found := {"name": name, "users": [], "count": 0})
        found["users"] = [user for user in found["users"] if user != by] + ([] if takes_back else [by])
        found["count"] = len(found["users"])
        reactions[:] = [one for one in reactions if one["users"]]
        kind = "reaction_removed" if takes_back else "reaction_added"
        item = {"type": "message", "channel": channel, "ts": ts}
        self.emit({"type": kind, "user": by, "reaction": name, "item": item, "item_user": message.get("user"), "event_ts": self.next_ts()})

    def press(self, channel: str, ts: str, value: str, *, by: str) -> Json:
        """The payload of a pressed button with this value."""
        message = self._held(channel, ts)
        buttons = [button for block in message["blocks"] if block["type"] == "actions" for button in block["elements"]]
        button = next(button for button in buttons if button["value"] == value)
        action = {**button, "block_id": "b1", "action_ts": self.next_ts()}
        place = {"type": "message", "message_ts": ts, "channel_id": channel, "is_ephemeral": False}
        user = {"id": by, "username": self.users[by]["name"], "name": self.users[by]["name"], "team_id": TEAM}
        return {"type": "block_actions", "user": user, "api_app_id": APP, "container": place, "trigger_id": "1.2.abc", "message": message,
                "channel": {"id": channel}, "actions": [action], "token": "FAKE-VERIFICATION"}  # fmt: skip

    # What the methods use

    def post(self, channel: str, content: Json, thread_ts: str | None = None) -> Json:
        place = self.channels[channel]
        ts = self.next_ts()
        message: Json = {"type": "message", "ts": ts, "team": TEAM, **content}
        if thread_ts is not None:
            message["thread_ts"] = thread_ts
            parent = place.find(thread_ts)
            if parent is not None:
                replies = [one for one in place.messages if one.get("thread_ts") == thread_ts and one["ts"] != thread_ts]
                parent |= {"thread_ts": thread_ts, "reply_count": len(replies) + 1, "latest_reply": ts}
        place.messages.append(message)
        self._share(channel, message)
        self.emit({**message, "channel": channel, "channel_type": place.kind, "event_ts": ts})
        return message

    def _share(self, channel: str, message: Json) -> None:
        side = "public" if self.channels[channel].kind == "channel" else "private"
        for file in message.get("files", []):
            share = {key: message[key] for key in ("ts", "thread_ts") if key in message}
            self.files[file["id"]].shares.setdefault(side, {}).setdefault(channel, []).append(share)

    def tell_changed(self, channel: str, message: Json, before: Json) -> None:
        now = self.next_ts()
        changed = {"channel": channel, "channel_type": self.channels[channel].kind, "message": dict(message), "previous_message": before}
        self.emit({"type": "message", "subtype": "message_changed", "hidden": True, **changed, "ts": now, "event_ts": now})

    def emit(self, event: Json) -> None:
        """Tells the app, when the bot is there and may know."""
        channel = event.get("channel") or event.get("item", {}).get("channel")
        place = self.channels.get(channel) if isinstance(channel, str) else None
        if place is not None and (BOT not in place.members or history_scope(place) not in self.scopes):
            return
        payload = {"token": "FAKE-VERIFICATION", "team_id": TEAM, "api_app_id": APP, "event": event, "type": "event_callback",
                   "event_id": self.next_id("Ev"), "event_time": int(time.time()), "authed_users": [BOT]}  # fmt: skip
        self.events.append(payload)
        self.listener(payload)
        self.changed()

    def described(self, file: StoredFile) -> Json:
        mime = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        path = f"{self.url()}/files-pri/{TEAM}-{file.id}"
        return {"id": file.id, "name": file.name, "title": file.name, "mimetype": mime, "size": file.size, "mode": "hosted", "user": BOT,
                "url_private": f"{path}/{file.name}", "url_private_download": f"{path}/download/{file.name}"}  # fmt: skip

    def _held(self, channel: str, ts: str) -> Json:
        message = self.channels[channel].find(ts)
        assert message is not None
        return message


def history_scope(channel: Channel) -> str:
    return {"channel": "channels", "group": "groups"}.get(channel.kind, channel.kind) + ":history"


def _user(id: str, name: str, real_name: str, *, is_bot: bool = False) -> Json:
    profile = {"display_name": real_name, "real_name": real_name}
    return {"id": id, "team_id": TEAM, "name": name, "real_name": real_name, "deleted": False, "is_bot": is_bot, "profile": profile}
