"""What each method of the Web API does, and when it refuses."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.standins.slack_api.refusal import Refusal
from tests.standins.slack_api.workspace import APP, BOT, BOT_ID, Channel, Json, StoredFile, Workspace, history_scope

MAX_TEXT = 40_000
MAX_EDIT = 4_000
MAX_CHUNK = 12_000
MAX_BLOCKS = 50
MAX_SECTION = 3_000
MAX_FILE = 1_073_741_824
# Of Slack's some 1900.
EMOJI = {
    *("+1", "-1", "tada", "eyes", "heart", "fire", "wave", "joy", "white_check_mark", "x", "rocket"),
    *("fox_face", "pray", "thinking_face", "+1::skin-tone-3", "party_parrot"),
}

Params = dict[str, str]


@dataclass(frozen=True)
class Method:
    required: frozenset[str]
    run: Callable[[Workspace, Params], Json]
    scopes: frozenset[str]
    """Any of them will do; methods about one channel ask for that of its kind themselves."""
    takes_json: bool
    """Slack reads the arguments of reading methods from forms only."""


def need(workspace: Workspace, scope: str) -> None:
    if scope not in workspace.scopes:
        raise Refusal("missing_scope", needed=scope, provided=",".join(sorted(workspace.scopes)))


def need_team(workspace: Workspace, params: Params) -> None:
    if not workspace.needs_team:
        return
    if "team_id" not in params:
        raise Refusal("missing_argument")
    if params["team_id"] not in {team["id"] for team in workspace.teams}:
        raise Refusal("team_access_not_granted")


def channel_of(workspace: Workspace, params: Params, what: str = "read") -> Channel:
    channel = workspace.channels.get(params["channel"])
    if channel is None or (BOT not in channel.members and channel.kind != "channel"):
        raise Refusal("channel_not_found")
    if what == "write":
        if BOT not in channel.members:
            raise Refusal("not_in_channel")
        if channel.is_archived:
            raise Refusal("is_archived")
    if what == "history":
        need(workspace, history_scope(channel))
        if BOT not in channel.members:
            raise Refusal("not_in_channel")
    return channel


def message_of(channel: Channel, ts: str) -> Json:
    found = channel.find(ts)
    if found is None:
        raise Refusal("message_not_found")
    return found


def page(items: list[Any], params: Params, most: int) -> tuple[list[Any], Json]:
    start = int(params.get("cursor") or 0)
    end = start + min(int(params.get("limit") or 100), most)
    more = {"next_cursor": str(end) if end < len(items) else ""}
    return items[start:end], {"response_metadata": more}


def blocks_of(params: Params) -> list[Json]:
    if "blocks" not in params:
        return []
    try:
        blocks = json.loads(params["blocks"])
    except ValueError:
        raise Refusal("invalid_blocks_format") from None
    wrong = not isinstance(blocks, list) or len(blocks) > MAX_BLOCKS or not all(isinstance(block, dict) and "type" in block for block in blocks)
    if wrong:
        raise Refusal("invalid_blocks")
    for block in blocks:
        _check_block(block)
    return blocks


def _check_block(block: Json) -> None:
    if block["type"] == "section" and not 0 < len(block.get("text", {}).get("text", "x")) <= MAX_SECTION:
        raise Refusal(
            "invalid_blocks", response_metadata={"messages": ["[ERROR] must be less than 3001 characters [json-pointer:/blocks/0/text/text]"]}
        )
    if block["type"] == "actions":
        elements = block.get("elements", [])
        ids = [element.get("action_id") for element in elements]
        too_long = any(len(element["text"]["text"]) > 75 or len(element.get("value", "")) > 2000 for element in elements)
        if not 0 < len(elements) <= 25 or len(set(ids)) != len(ids) or too_long:
            raise Refusal("invalid_blocks")


def shown(message: Json, with_metadata: bool) -> Json:
    if "metadata" not in message or with_metadata:
        return message
    return {**message, "metadata": {"event_type": message["metadata"]["event_type"]}}


def auth_test(workspace: Workspace, params: Params) -> Json:
    return {"url": "https://stand-in.slack.com/", "team": "Stand-in", "user": "robo", **workspace.installed_in, "user_id": BOT, "bot_id": BOT_ID}


def post_message(workspace: Workspace, params: Params) -> Json:
    channel = channel_of(workspace, params, "write")
    text, blocks = params.get("text", ""), blocks_of(params)
    if not text.strip() and not blocks and "attachments" not in params:
        raise Refusal("no_text")
    if len(text) > MAX_TEXT:
        raise Refusal("msg_too_long")
    thread = params.get("thread_ts")
    if thread is not None and ((parent := channel.find(thread)) is None or parent.get("thread_ts", thread) != thread):
        raise Refusal("thread_not_found")
    content: Json = {"user": BOT, "bot_id": BOT_ID, "app_id": APP, "text": text}
    if blocks:
        content["blocks"] = blocks
    if "metadata" in params:
        metadata = json.loads(params["metadata"])
        if not metadata.keys() >= {"event_type", "event_payload"}:
            raise Refusal("metadata_must_be_sent_with_app_token" if not metadata else "invalid_metadata_format")
        content["metadata"] = metadata
    message = workspace.post(channel.id, content, thread)
    workspace.statuses.pop((channel.id, thread or message["ts"]), None)
    return {"channel": channel.id, "ts": message["ts"], "message": shown(message, with_metadata=True)}


def start_stream(workspace: Workspace, params: Params) -> Json:
    """Source: https://docs.slack.dev/reference/methods/chat.startStream. The recipient is needed outside of direct messages, a thread in them."""
    channel = channel_of(workspace, params, "write")
    thread = params.get("thread_ts")
    if (thread is None and channel.kind == "im") or (thread is not None and channel.find(thread) is None):
        raise Refusal("thread_not_found")
    if channel.kind != "im" and params.get("recipient_user_id") not in channel.members:
        raise Refusal("missing_recipient_user_id")
    if channel.kind != "im" and not params.get("recipient_team_id"):
        raise Refusal("missing_recipient_team_id")
    content: Json = {"user": BOT, "bot_id": BOT_ID, "app_id": APP, "text": _chunk(params), "streaming_state": "in_progress"}
    message = workspace.post(channel.id, content, thread)
    workspace.streaming.add((channel.id, message["ts"]))
    return {"channel": channel.id, "ts": message["ts"]}


def append_stream(workspace: Workspace, params: Params) -> Json:
    message = _streaming(workspace, params)
    before = dict(message)
    message["text"] += _chunk(params)
    workspace.tell_changed(params["channel"], message, before)
    return {"channel": params["channel"], "ts": message["ts"]}


def stop_stream(workspace: Workspace, params: Params) -> Json:
    message = _streaming(workspace, params)
    before = dict(message)
    message["text"] += _chunk(params)
    message.pop("streaming_state")
    workspace.streaming.discard((params["channel"], params["ts"]))
    workspace.tell_changed(params["channel"], message, before)
    return {"channel": params["channel"], "ts": message["ts"], "message": message}


def _streaming(workspace: Workspace, params: Params) -> Json:
    message = message_of(channel_of(workspace, params, "write"), params["ts"])
    if (params["channel"], params["ts"]) not in workspace.streaming:
        raise Refusal("message_not_in_streaming_state")
    return message


def _chunk(params: Params) -> str:
    text = params.get("markdown_text", "")
    if len(text) > MAX_CHUNK:
        raise Refusal("msg_too_long")
    return text


def set_session_status(workspace: Workspace, params: Params) -> Json:
    """Source: https://docs.slack.dev/reference/methods/agents.sessions.setStatus. Only apps that are declared as agents have sessions."""
    if not workspace.is_agent:
        raise Refusal("not_allowed")
    if params["status"] not in {"active", "processing", "suspended", "closed"}:
        raise Refusal("invalid_arguments")
    channel = channel_of(workspace, {"channel": params["channel_id"]})
    if channel.find(params["thread_ts"]) is None:
        raise Refusal("invalid_thread_ts")
    workspace.sessions[channel.id, params["thread_ts"]] = params["status"]
    return {"status": params["status"]}


def search_messages(workspace: Workspace, params: Params) -> Json:
    """What the person whose token is used may see. `in:<#C…>` is one channel."""
    query, _, place = params["query"].partition(" in:<#")
    words = query.casefold().split()
    seen = [one for one in workspace.channels.values() if workspace.owner in one.members or one.kind == "channel"]
    found: list[Json] = [
        {
            "type": "message",
            "channel": {"id": one.id, "name": one.name, "is_im": one.kind == "im", "is_private": one.kind == "group"},
            "permalink": _permalink(one.id, message),
            **{name: message[name] for name in ("ts", "text", "user", "blocks", "attachments") if name in message},
        }
        for one in seen
        for message in one.messages
        if all(word in message["text"].casefold() for word in words) and place in {"", f"{one.id}>"}
    ]
    found.sort(key=lambda match: float(str(match["ts"])), reverse=True)
    count = int(params.get("count", 20))
    return {"query": params["query"], "messages": {"total": len(found), "matches": found[:count]}}


def _permalink(channel: str, message: Json) -> str:
    link = f"https://stand-in.slack.com/archives/{channel}/p{message['ts'].replace('.', '')}"
    return f"{link}?thread_ts={message['thread_ts']}&cid={channel}" if message.get("thread_ts", message["ts"]) != message["ts"] else link


def mark(workspace: Workspace, params: Params) -> Json:
    """Moves the mark of the person whose token is used."""
    channel = workspace.channels.get(params["channel"])
    if channel is None or workspace.owner not in channel.members:
        raise Refusal("channel_not_found")
    workspace.read_marks[workspace.owner, channel.id] = params["ts"]
    return {}


def update(workspace: Workspace, params: Params) -> Json:
    channel = channel_of(workspace, params, "write")
    message = message_of(channel, params["ts"])
    if (channel.id, params["ts"]) in workspace.streaming:
        raise Refusal("streaming_state_conflict")
    if message.get("bot_id") != BOT_ID:
        raise Refusal("cant_update_message")
    if not params.get("text"):
        raise Refusal("no_text")
    if len(params["text"]) > MAX_EDIT:
        raise Refusal("msg_too_long")
    blocks = blocks_of(params)
    before = dict(message)
    if blocks:
        message["blocks"] = blocks
    elif "blocks" in params:
        message.pop("blocks", None)
    message |= {"text": params["text"], "edited": {"user": BOT, "ts": workspace.next_ts()}}
    workspace.tell_changed(channel.id, message, before)
    return {"channel": channel.id, "ts": message["ts"], "text": message["text"]}


def delete(workspace: Workspace, params: Params) -> Json:
    channel = channel_of(workspace, params, "write")
    if message_of(channel, params["ts"]).get("bot_id") != BOT_ID:
        raise Refusal("cant_delete_message")
    workspace.user_deletes(channel.id, params["ts"])
    return {"channel": channel.id, "ts": params["ts"]}


def set_status(workspace: Workspace, params: Params) -> Json:
    """Shown until the app posts in the thread."""
    channel = workspace.channels.get(params["channel_id"])
    if channel is None or BOT not in channel.members:
        raise Refusal("channel_not_found")
    found = channel.find(params["thread_ts"])
    if found is None or found.get("thread_ts", found["ts"]) != found["ts"]:
        raise Refusal("invalid_thread_ts")
    if params.get("status"):
        workspace.statuses[params["channel_id"], params["thread_ts"]] = params["status"]
    else:
        workspace.statuses.pop((params["channel_id"], params["thread_ts"]), None)
    return {}


def history(workspace: Workspace, params: Params) -> Json:
    channel = channel_of(workspace, params, "history")
    top = [message for message in channel.messages if message.get("thread_ts", message["ts"]) == message["ts"]]
    return _messages(workspace, params, list(reversed(top)))


def replies(workspace: Workspace, params: Params) -> Json:
    channel = channel_of(workspace, params, "history")
    asked = channel.find(params["ts"])
    if asked is None:
        raise Refusal("thread_not_found")
    if asked.get("thread_ts", asked["ts"]) != asked["ts"]:
        return _messages(workspace, params, [asked])
    thread = [message for message in channel.messages if message["ts"] == params["ts"] or message.get("thread_ts") == params["ts"]]
    return _messages(workspace, params, thread, always=asked)


def _messages(workspace: Workspace, params: Params, messages: list[Json], always: Json | None = None) -> Json:
    """The first message of a thread is there whatever the times are."""
    oldest, latest = float(params.get("oldest") or 0), float(params.get("latest") or "inf")
    inclusive = params.get("inclusive") == "true"

    def within(ts: float) -> bool:
        return oldest <= ts <= latest if inclusive else oldest < ts < latest

    found = [message for message in messages if message is always or within(float(message["ts"]))]
    taken, more = page(found, params, workspace.history_page)
    whole = params.get("include_all_metadata") == "true"
    return {"messages": [shown(message, whole) for message in taken], "has_more": bool(more["response_metadata"]["next_cursor"]), **more}


def conversations_open(workspace: Workspace, params: Params) -> Json:
    need(workspace, "im:write")
    person = params["users"]
    if person not in workspace.users:
        raise Refusal("user_not_found")
    if workspace.users[person]["is_bot"]:
        raise Refusal("cannot_dm_bot")
    return {"channel": {"id": workspace.direct(person)}}


def conversations_info(workspace: Workspace, params: Params) -> Json:
    channel = channel_of(workspace, params)
    need(workspace, {"channel": "channels", "group": "groups"}.get(channel.kind, channel.kind) + ":read")
    return {"channel": channel.described()}


def conversations_members(workspace: Workspace, params: Params) -> Json:
    members, more = page(channel_of(workspace, params).members, params, 999)
    return {"members": members, **more}


def users_conversations(workspace: Workspace, params: Params) -> Json:
    need_team(workspace, params)
    words = {"public_channel": "channel", "private_channel": "group", "mpim": "mpim", "im": "im"}
    kinds = {words[kind] for kind in params.get("types", "public_channel").split(",")}
    mine = [channel for channel in workspace.channels.values() if BOT in channel.members and channel.kind in kinds and not channel.is_archived]
    found, more = page([channel.described() for channel in mine], params, 999)
    return {"channels": found, **more}


def create(workspace: Workspace, params: Params) -> Json:
    need_team(workspace, params)
    name = params["name"]
    if not re.fullmatch(r"[\w-]{1,80}", name) or name != name.casefold():
        raise Refusal("invalid_name_specials")
    if any(channel.name == name for channel in workspace.channels.values()):
        raise Refusal("name_taken")
    kind = "group" if params.get("is_private") == "true" else "channel"
    need(workspace, "groups:write" if kind == "group" else "channels:manage")
    return {"channel": workspace.channels[workspace.channel(name, kind=kind)].described()}


def invite(workspace: Workspace, params: Params) -> Json:
    channel = channel_of(workspace, params, "write")
    need(workspace, "groups:write")
    person = params["users"]
    if person == BOT:
        raise Refusal("cant_invite_self")
    if person not in workspace.users:
        raise Refusal("user_not_found")
    if person in channel.members:
        raise Refusal("already_in_channel")
    channel.members.append(person)
    return {"channel": channel.described()}


def kick(workspace: Workspace, params: Params) -> Json:
    channel = channel_of(workspace, params, "write")
    need(workspace, "groups:write")
    if params["user"] == BOT:
        raise Refusal("cant_kick_self")
    if params["user"] not in channel.members:
        raise Refusal("not_in_channel" if params["user"] in workspace.users else "user_not_found")
    channel.members.remove(params["user"])
    return {}


def users_info(workspace: Workspace, params: Params) -> Json:
    if params["user"] not in workspace.users:
        raise Refusal("user_not_found")
    return {"user": workspace.users[params["user"]]}


def teams_list(workspace: Workspace, params: Params) -> Json:
    teams, more = page(workspace.teams, params, 1000)
    return {"teams": teams, **more}


def users_list(workspace: Workspace, params: Params) -> Json:
    need_team(workspace, params)
    members, more = page(list(workspace.users.values()), params, 999)
    return {"members": members, **more}


def reactions_add(workspace: Workspace, params: Params) -> Json:
    return _react(workspace, params, takes_back=False)


def reactions_remove(workspace: Workspace, params: Params) -> Json:
    return _react(workspace, params, takes_back=True)


def _react(workspace: Workspace, params: Params, *, takes_back: bool) -> Json:
    channel = channel_of(workspace, params, "write")
    message, name = message_of(channel, params["timestamp"]), params["name"]
    if name not in EMOJI:
        raise Refusal("invalid_name")
    has = any(one["name"] == name and BOT in one["users"] for one in message.get("reactions", []))
    if has and not takes_back:
        raise Refusal("already_reacted")
    if takes_back and not has:
        raise Refusal("no_reaction")
    workspace.reacts(channel.id, message["ts"], name, by=BOT, takes_back=takes_back)
    return {}


def pins_add(workspace: Workspace, params: Params) -> Json:
    return _pin(workspace, params, takes_off=False)


def pins_remove(workspace: Workspace, params: Params) -> Json:
    return _pin(workspace, params, takes_off=True)


def _pin(workspace: Workspace, params: Params, *, takes_off: bool) -> Json:
    channel = channel_of(workspace, params, "write")
    pinned: list[str] = message_of(channel, params["timestamp"]).setdefault("pinned_to", [])
    if takes_off != (channel.id in pinned):
        raise Refusal("no_pin" if takes_off else "already_pinned")
    pinned.remove(channel.id) if takes_off else pinned.append(channel.id)
    return {}


def archive(workspace: Workspace, params: Params) -> Json:
    channel = channel_of(workspace, params)
    if channel.kind in {"im", "mpim"}:
        raise Refusal("method_not_supported_for_channel_type")
    if channel.is_archived:
        raise Refusal("already_archived")
    if channel.name == "general":
        raise Refusal("cant_archive_general")
    channel.is_archived = True
    return {}


def unarchive(workspace: Workspace, params: Params) -> Json:
    channel = channel_of(workspace, params)
    if not channel.is_archived:
        raise Refusal("not_archived")
    channel.is_archived = False
    return {}


def reactions_get(workspace: Workspace, params: Params) -> Json:
    channel = channel_of(workspace, params)
    return {"type": "message", "channel": channel.id, "message": message_of(channel, params["timestamp"])}


def get_upload_url(workspace: Workspace, params: Params) -> Json:
    size = int(params["length"])
    if size <= 0:
        raise Refusal("invalid_arguments")
    if size > MAX_FILE:
        raise Refusal("file_upload_size_restricted")
    file = workspace.store(b"", params["filename"], size=size)
    return {"upload_url": f"{workspace.url()}/upload/v1/{file.id}", "file_id": file.id}


def complete_upload(workspace: Workspace, params: Params) -> Json:
    files = [_file(workspace, one["id"]) for one in json.loads(params["files"])]
    if any(len(file.content) != file.size for file in files):
        raise Refusal("file_not_found")
    described = [workspace.described(file) for file in files]
    if "channel_id" in params:
        channel = channel_of(workspace, {"channel": params["channel_id"]}, "write")
        for file in files:
            file.hidden_for = workspace.share_delay
        content = {"user": BOT, "bot_id": BOT_ID, "subtype": "file_share", "text": params.get("initial_comment", ""), "files": described}
        workspace.post(channel.id, content, params.get("thread_ts"))
    return {"files": described}


def files_info(workspace: Workspace, params: Params) -> Json:
    file = _file(workspace, params["file"])
    file.hidden_for -= 1
    shares = {} if file.hidden_for >= 0 else file.shares
    return {"file": {**workspace.described(file), "shares": shares}}


def _file(workspace: Workspace, id: str) -> StoredFile:
    file = workspace.files.get(id)
    if file is None:
        raise Refusal("file_not_found")
    if file.is_deleted:
        raise Refusal("file_deleted")
    return file


def _method(run: Callable[[Workspace, Params], Json], required: str = "", scopes: str = "", *, writes: bool = False) -> Method:
    return Method(frozenset(required.split()), run, frozenset(scopes.split()), writes)


_READS = "channels:read groups:read im:read mpim:read"

METHODS = {
    "auth.test": _method(auth_test, writes=True),
    "auth.teams.list": _method(teams_list),
    "chat.postMessage": _method(post_message, "channel", "chat:write", writes=True),
    "chat.startStream": _method(start_stream, "channel", "chat:write", writes=True),
    "chat.appendStream": _method(append_stream, "channel ts markdown_text", "chat:write", writes=True),
    "chat.stopStream": _method(stop_stream, "channel ts", "chat:write", writes=True),
    "agents.sessions.setStatus": _method(set_session_status, "status channel_id thread_ts", "chat:write", writes=True),
    "search.messages": _method(search_messages, "query"),
    "conversations.mark": _method(mark, "channel ts", writes=True),
    "chat.update": _method(update, "channel ts", "chat:write", writes=True),
    "chat.delete": _method(delete, "channel ts", "chat:write", writes=True),
    "assistant.threads.setStatus": _method(set_status, "channel_id thread_ts", "chat:write"),
    "conversations.history": _method(history, "channel"),
    "conversations.replies": _method(replies, "channel ts"),
    "conversations.open": _method(conversations_open, "users", writes=True),
    "conversations.info": _method(conversations_info, "channel"),
    "conversations.members": _method(conversations_members, "channel", _READS),
    "conversations.create": _method(create, "name", writes=True),
    "conversations.invite": _method(invite, "channel users", writes=True),
    "conversations.kick": _method(kick, "channel user", writes=True),
    "users.conversations": _method(users_conversations, "", _READS),
    "users.info": _method(users_info, "user", "users:read"),
    "users.list": _method(users_list, "", "users:read"),
    "reactions.add": _method(reactions_add, "channel timestamp name", "reactions:write", writes=True),
    "reactions.remove": _method(reactions_remove, "channel timestamp name", "reactions:write", writes=True),
    "reactions.get": _method(reactions_get, "channel timestamp", "reactions:read"),
    "pins.add": _method(pins_add, "channel timestamp", "pins:write", writes=True),
    "pins.remove": _method(pins_remove, "channel timestamp", "pins:write", writes=True),
    "conversations.archive": _method(archive, "channel", writes=True),
    "conversations.unarchive": _method(unarchive, "channel", writes=True),
    "files.getUploadURLExternal": _method(get_upload_url, "filename length", "files:write"),
    "files.completeUploadExternal": _method(complete_upload, "files", "files:write", writes=True),
    "files.info": _method(files_info, "file", "files:read"),
}
