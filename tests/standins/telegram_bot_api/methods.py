"""What each method of the Bot API does, and when it refuses."""

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tests.standins.telegram_bot_api.bot import BusinessPost, Call, Json, StandInBot, StoredFile, Upload, Webhook, entities_in, utf16
from tests.standins.telegram_bot_api.markup import visible_text
from tests.standins.telegram_bot_api.refusal import Refusal, bad_request, forbidden

MAX_TEXT = 4096
MAX_CAPTION = 1024
MAX_RICH = 32_768
MAX_BUTTONS = 100
MAX_BUTTON_DATA = 64
"""In bytes."""
MAX_UPLOAD = 50_000_000
MAX_PHOTO = 10_485_760
MAX_DOWNLOAD = 20 * 1024 * 1024
WEBHOOK_PORTS = {None, 443, 80, 88, 8443}
CHAT_ACTIONS = {"typing", "upload_photo", "record_video", "upload_video", "record_voice", "upload_voice", "upload_document", "find_location"}
# Of the 73 that Telegram takes.
REACTIONS = set("❤👍👎🔥🥰👏😁🤔🤯😱🤬😢🎉🤩🤮💩🙏👌🕊🤡🥱🥴😍🐳🌚🌭💯🤣⚡🍌🏆💔🤨😐🍓🍾💋😈😴😭🤓👻👀🎃🙈😇😨🤝✍🤗🫡")


@dataclass(frozen=True)
class Method:
    name: str
    required: frozenset[str]
    run: Callable[[StandInBot, Call], Any]


def chat_of(bot: StandInBot, call: Call) -> int:
    """The chat a call is about, when the bot may write there."""
    wanted = call.params.get("chat_id", "")
    if not wanted:
        raise bad_request("chat_id is empty")
    if "business_connection_id" in call.params:
        post = business_of(bot, call, "can_reply")
        if not wanted.isdecimal() or int(wanted) not in post.active:
            raise bad_request("BUSINESS_PEER_USAGE_MISSING")
        return bot.own_chat(post, int(wanted))
    if wanted.startswith("@"):
        # Of people Telegram tells a bot nothing by name.
        named = (number for number, chat in bot.chats.items() if chat.get("username", "").lower() == wanted[1:].lower() and chat["type"] != "private")
        chat = next(named, None)
    else:
        chat = int(wanted) if re.fullmatch(r"-?\d+", wanted) else None
    if chat is None or chat not in bot.chats:
        raise bad_request("chat not found")
    if chat in bot.migrated:
        raise bad_request("group chat was upgraded to a supergroup chat", migrate_to_chat_id=bot.migrated[chat])
    if chat in bot.blocked:
        raise forbidden("bot was blocked by the user" if chat > 0 else "bot was kicked from the supergroup chat")
    if chat in bot.not_started:
        raise forbidden("bot can't initiate conversation with a user")
    return chat


def business_of(bot: StandInBot, call: Call, *rights: str) -> BusinessPost:
    """Return the connection of a call, where its person lets the bot do that."""
    post = bot.connections.get(call.params["business_connection_id"])
    if post is None or not post.is_enabled:
        raise bad_request("BUSINESS_CONNECTION_INVALID")
    if not post.rights & set(rights):
        raise forbidden("BOT_ACCESS_FORBIDDEN")
    return post


def delete_business_messages(bot: StandInBot, call: Call) -> bool:
    post = business_of(bot, call, "can_delete_sent_messages", "can_delete_all_messages")
    for number in json.loads(call.params["message_ids"]):
        found = next((key for key in bot.messages if key[1] == number and bot.own_chats.get(key[0], ("", 0))[0] == post.id), None)
        if found is None:
            raise bad_request("message to delete not found")
        is_own = bot.messages[found].get("sender_business_bot") == bot.user
        if not is_own and "can_delete_all_messages" not in post.rights:
            raise forbidden("BOT_ACCESS_FORBIDDEN")
        del bot.messages[found]
    return True


def get_business_connection(bot: StandInBot, call: Call) -> Json:
    post = bot.connections.get(call.params["business_connection_id"])
    if post is None:
        raise bad_request("BUSINESS_CONNECTION_INVALID")
    return bot.connection(post)


def message_of(bot: StandInBot, call: Call, purpose: str) -> Json:
    found = bot.messages.get((chat_of(bot, call), int(call.params["message_id"])))
    if found is None:
        raise bad_request(f"message to {purpose} not found")
    return found


def written(call: Call, name: str, limit: int, too_long: str) -> str:
    text = visible_text(call.params.get(name, ""), call.params.get("parse_mode"))
    if utf16(text) > limit:
        raise bad_request(too_long)
    return text


def send(bot: StandInBot, call: Call, **content: Any) -> Json:
    chat = chat_of(bot, call)
    reply: Json | None = None
    hidden = json.loads(call.params.get("ephemeral_message_parameters", "null"))
    if hidden is not None:
        return send_ephemeral(bot, call, chat, int(hidden["receiver_user_id"]), **content)
    if parameters := json.loads(call.params.get("reply_parameters", "null")):
        reply = bot.messages.get((chat, parameters["message_id"]))
        if reply is None and not parameters.get("allow_sending_without_reply"):
            raise bad_request("message to be replied not found")
    thread = thread_of(bot, call, chat)
    markup = json.loads(call.params.get("reply_markup", "null"))
    judge_buttons(markup or {})
    is_channel = bot.chats[chat]["type"] == "channel"
    author: Json = {"sender_chat": bot.chats[chat]} if is_channel else {"from": bot.user}
    if post := bot.connections.get(call.params.get("business_connection_id", "")):
        author = {"from": bot.users[post.owner], "sender_business_bot": bot.user, "business_connection_id": post.id}
    message = bot.compose(chat, **author, **content, reply_to_message=reply, reply_markup=markup, **thread)
    call.message = message
    bot.drafts.pop(chat, None)
    bot.sent.append(call)
    return message


def send_ephemeral(bot: StandInBot, call: Call, chat: int, person: int, **content: Any) -> Json:
    """A message that one person of a group sees. It has no number among the others."""
    if bot.chats[chat]["type"] == "private" or person not in bot.users:
        raise bad_request("EPHEMERAL_RECEIVER_INVALID")
    number = int(bot.new_name("hidden").rpartition("-")[2])
    sent = {name: value for name, value in content.items() if value not in (None, [], "")}
    of_person = {"ephemeral_message_id": number, "receiver_user": bot.users[person]}
    call.message = {"message_id": 0, "date": int(time.time()), "chat": bot.chats[chat], "from": bot.user, **of_person, **sent}
    bot.sent.append(call)
    return call.message


def thread_of(bot: StandInBot, call: Call, chat: int) -> Json:
    """The topic that a message goes to. The general one has no number that a message may be sent to."""
    if "message_thread_id" not in call.params:
        return {}
    number = int(call.params["message_thread_id"])
    known = {message.get("message_thread_id") for (where, _), message in bot.messages.items() if where == chat and message.get("is_topic_message")}
    if number not in known:
        raise bad_request("message thread not found")
    if (chat, number) in bot.closed_topics:
        raise bad_request("TOPIC_CLOSED")
    return {"message_thread_id": number, "is_topic_message": True}


def judge_buttons(markup: Json) -> None:
    buttons = [button for row in markup.get("inline_keyboard", []) for button in row]
    if len(buttons) > MAX_BUTTONS:
        raise bad_request("REPLY_MARKUP_TOO_LONG")
    if any(not 1 <= len(button["callback_data"].encode()) <= MAX_BUTTON_DATA for button in buttons if "callback_data" in button):
        raise bad_request("BUTTON_DATA_INVALID")


def get_me(bot: StandInBot, call: Call) -> Json:
    return bot.user | {"can_join_groups": True, "can_read_all_group_messages": bot.hears_all, "supports_inline_queries": False}


def send_message(bot: StandInBot, call: Call) -> Json:
    chat_of(bot, call)
    text = written(call, "text", MAX_TEXT, "message is too long")
    if not text.strip():
        raise bad_request("message text is empty")
    return send(bot, call, text=text, entities=entities_in(text))


def _file(bot: StandInBot, call: Call, kind: str) -> StoredFile:
    upload = call.files.get(kind) or _attached(call, call.params.get(kind, ""))
    if upload is None:
        return _known_file(bot, call.params[kind])
    if len(upload.content) > MAX_UPLOAD:
        raise Refusal(413, "Request Entity Too Large")
    if not upload.content:
        raise bad_request("file must be non-empty")
    if kind == "photo" and len(upload.content) > MAX_PHOTO:
        raise bad_request(f"file of size {len(upload.content)} bytes is too big for a photo; the maximum size is {MAX_PHOTO} bytes")
    return bot.store(upload.content, upload.name, upload.mime)


def _attached(call: Call, reference: str) -> Upload | None:
    return call.files.get(reference.removeprefix("attach://"))


def _known_file(bot: StandInBot, reference: str) -> StoredFile:
    if reference.startswith(("http://", "https://")):
        return bot.store(b"fetched", urlsplit(reference).path.rpartition("/")[2] or "file")
    if reference not in bot.files:
        raise bad_request("wrong file identifier/HTTP URL specified")
    return bot.files[reference]


def send_file(kind: str) -> Callable[[StandInBot, Call], Json]:
    def run(bot: StandInBot, call: Call) -> Json:
        chat_of(bot, call)
        caption = written(call, "caption", MAX_CAPTION, "message caption is too long")
        file = _file(bot, call, kind)
        return send(bot, call, caption=caption, **_shown(kind, file))

    return run


def _shown(kind: str, file: StoredFile) -> Json:
    named = {"file_name": file.name, "mime_type": file.mime}
    frame = {"width": 640, "height": 480}
    match kind:
        case "photo":
            return {"photo": [file.described(**frame)]}
        case "sticker":
            return {"sticker": file.described(**frame, type="regular", is_animated=False, is_video=False)}
        case "document":
            return {"document": file.described(**named)}
        case "animation":
            shown = file.described(**named, **frame, duration=1)
            return {"animation": shown, "document": shown}
        case "video":
            return {"video": file.described(**named, **frame, duration=1)}
        case _:
            return {kind: file.described(mime_type=file.mime, duration=1)}


def send_location(bot: StandInBot, call: Call) -> Json:
    return send(bot, call, location=_place(call))


def send_venue(bot: StandInBot, call: Call) -> Json:
    venue = {"location": _place(call), "title": call.params["title"], "address": call.params["address"]}
    return send(bot, call, location=venue["location"], venue=venue)


def _place(call: Call) -> Json:
    return {"latitude": float(call.params["latitude"]), "longitude": float(call.params["longitude"])}


def send_contact(bot: StandInBot, call: Call) -> Json:
    if not call.params["phone_number"]:
        raise bad_request("PHONE_NUMBER_INVALID")
    if not call.params["first_name"]:
        raise bad_request("first name must be non-empty")
    card = {name: call.params[name] for name in ("phone_number", "first_name", "last_name", "vcard") if call.params.get(name)}
    return send(bot, call, contact=card)


def send_poll(bot: StandInBot, call: Call) -> Json:
    chat = chat_of(bot, call)
    question, options = call.params["question"], [option["text"] for option in json.loads(call.params["options"])]
    anonymous = call.params.get("is_anonymous", "true").lower() == "true"
    if bot.chats[chat]["type"] == "channel" and not anonymous:
        raise bad_request("non-anonymous polls can't be sent to channel chats")
    if utf16(question) > 300:
        raise bad_request("poll question length must not exceed 300")
    if len(options) > 12:
        raise bad_request("poll can't have more than 12 options")
    if any(utf16(option) > 100 for option in options):
        raise bad_request("poll options length must not exceed 100")
    poll: Json = {
        "id": bot.new_name("poll"), "question": question,
        "options": [{"persistent_id": f"option-{number}", "text": text, "voter_count": 0} for number, text in enumerate(options)],
        "total_voter_count": 0, "is_closed": False, "is_anonymous": anonymous, "type": "regular", "allows_revoting": True,
        "allows_multiple_answers": call.params.get("allows_multiple_answers", "false").lower() == "true", "members_only": False,
    }  # fmt: skip
    return send(bot, call, poll=poll)


def draft_chat_of(bot: StandInBot, call: Call) -> int:
    chat = chat_of(bot, call)
    if bot.chats[chat]["type"] != "private" or not bot.takes_drafts:
        raise bad_request("TEXTDRAFT_PEER_INVALID")
    if not int(call.params["draft_id"]):
        raise bad_request("invalid draft_id specified")
    thread_of(bot, call, chat)
    return chat


def send_message_draft(bot: StandInBot, call: Call) -> bool:
    chat = draft_chat_of(bot, call)
    bot.drafts[chat] = (int(call.params["draft_id"]), written(call, "text", MAX_TEXT, "message is too long"))
    return True


def rich_text_of(call: Call) -> str:
    """The text of an InputRichMessage, where it has one source and is not too long."""
    rich = json.loads(call.params["rich_message"])
    sources = [name for name in ("html", "markdown", "blocks") if name in rich]
    if len(sources) != 1:
        raise bad_request("RICH_MESSAGE_INVALID: exactly one of the fields html, markdown, or blocks must be used")
    source = rich[sources[0]]
    text = source if isinstance(source, str) else " ".join(str(block.get("text", "")) for block in source)
    if not text.strip():
        raise bad_request("message text is empty")
    if len(text) > MAX_RICH:
        raise bad_request("RICH_MESSAGE_TOO_LONG")
    return text


def send_rich_message(bot: StandInBot, call: Call) -> Json:
    chat_of(bot, call)
    return send(bot, call, rich_message={"blocks": [{"type": "paragraph", "text": rich_text_of(call)}]})


def send_rich_message_draft(bot: StandInBot, call: Call) -> bool:
    chat = draft_chat_of(bot, call)
    bot.drafts[chat] = (int(call.params["draft_id"]), rich_text_of(call))
    return True


def send_chat_action(bot: StandInBot, call: Call) -> bool:
    chat_of(bot, call)
    if call.params["action"] not in CHAT_ACTIONS:
        raise bad_request("wrong parameter action in request")
    return True


def set_message_reaction(bot: StandInBot, call: Call) -> bool:
    message = message_of(bot, call, "react")
    reactions = json.loads(call.params.get("reaction", "[]"))
    if len(reactions) > 1:
        raise bad_request("REACTIONS_TOO_MANY")
    if any(reaction.get("emoji") not in REACTIONS for reaction in reactions):
        raise bad_request("REACTION_INVALID")
    bot.reactions[message["chat"]["id"], message["message_id"]] = reactions
    return True


def pin_chat_message(bot: StandInBot, call: Call) -> bool:
    message = message_of(bot, call, "pin")
    bot.pinned.add((message["chat"]["id"], message["message_id"]))
    return True


def unpin_chat_message(bot: StandInBot, call: Call) -> bool:
    message = message_of(bot, call, "unpin")
    bot.pinned.discard((message["chat"]["id"], message["message_id"]))
    return True


def forward_message(bot: StandInBot, call: Call) -> Json:
    asked = Call(call.method, {**call.params, "chat_id": call.params["from_chat_id"]}, {})
    original = message_of(bot, asked, "forward")
    content = {name: value for name, value in original.items() if name in _PASSED_ON}
    origin = {"type": "user", "sender_user": original.get("from", bot.user), "date": original["date"]}
    return send(bot, call, **content, forward_origin=origin)


_PASSED_ON = frozenset({"text", "entities", "caption", "photo", "video", "animation", "audio", "voice", "document", "sticker", "location", "poll"})


def edit(field: str, param: str, limit: int, too_long: str) -> Callable[[StandInBot, Call], Json]:
    def run(bot: StandInBot, call: Call) -> Json:
        message = message_of(bot, call, "edit")
        if bot.user not in (message.get("from"), message.get("sender_business_bot")) and message["chat"]["type"] != "channel":
            raise bad_request("message can't be edited")
        if ("text" in message) != (field == "text"):
            raise bad_request(f"there is no {field} in the message to edit")
        text = written(call, param, limit, too_long)
        if text == message.get(field, ""):
            raise bad_request(
                "message is not modified: specified new message content and reply markup are exactly the same as a current "
                "content and reply markup of the message"
            )
        message |= {field: text, "edit_date": int(time.time())}
        return message

    return run


def delete_message(bot: StandInBot, call: Call) -> bool:
    message = message_of(bot, call, "delete")
    if message.get("from") != bot.user and message["chat"]["type"] != "private":
        raise bad_request("message can't be deleted")
    del bot.messages[message["chat"]["id"], message["message_id"]]
    return True


def get_chat(bot: StandInBot, call: Call) -> Json:
    return bot.chats[chat_of(bot, call)] | {"accent_color_id": 0, "max_reaction_count": 11, "accepted_gift_types": _NO_GIFTS}


_NO_GIFTS = dict.fromkeys(("unlimited_gifts", "limited_gifts", "unique_gifts", "premium_subscription", "gifts_from_channels"), False)


def get_file(bot: StandInBot, call: Call) -> Json:
    file = bot.files.get(call.params["file_id"])
    if file is None:
        raise bad_request("invalid file_id")
    if file.size > MAX_DOWNLOAD:
        raise bad_request("file is too big")
    return file.described(file_path=file.path)


def answer_callback_query(bot: StandInBot, call: Call) -> bool:
    press = call.params["callback_query_id"]
    if press not in bot.presses:
        raise bad_request("query is too old and response timeout expired or query ID is invalid")
    bot.presses.remove(press)
    bot.answered.append(press)
    return True


def set_webhook(bot: StandInBot, call: Call) -> bool:
    url, secret = call.params["url"], call.params.get("secret_token")
    if not url:
        return delete_webhook(bot, call)
    parts = urlsplit(url)
    is_local = parts.hostname in {"127.0.0.1", "localhost"}
    if parts.scheme != "https" and not is_local:
        raise bad_request("bad webhook: HTTPS url must be provided for webhook")
    if parts.port not in WEBHOOK_PORTS and not is_local:
        raise bad_request("bad webhook: Webhook can be set up only on ports 80, 88, 443 or 8443")
    if secret is not None and not re.fullmatch(r"[A-Za-z0-9_-]{1,256}", secret):
        raise bad_request("secret token contains unallowed characters")
    allow_updates(bot, call)
    bot.webhook = Webhook(url, secret)
    bot.wake("terminated by setWebhook request")
    return True


def delete_webhook(bot: StandInBot, call: Call) -> bool:
    bot.webhook = None
    if call.params.get("drop_pending_updates", "false").lower() == "true":
        bot.pending.clear()
    return True


def get_webhook_info(bot: StandInBot, call: Call) -> Json:
    hook = bot.webhook
    info: Json = {"url": hook.url if hook else "", "has_custom_certificate": False, "pending_update_count": len(bot.pending)}
    if hook and hook.last_error:
        info |= {"last_error_date": hook.last_error[0], "last_error_message": hook.last_error[1]}
    return info


def allow_updates(bot: StandInBot, call: Call) -> None:
    if "allowed_updates" in call.params:
        bot.allowed_updates = frozenset(json.loads(call.params["allowed_updates"])) or None


def _method(name: str, run: Callable[[StandInBot, Call], Any], *required: str) -> tuple[str, Method]:
    return name.lower(), Method(name, frozenset(required), run)


# getUpdates waits, and is the server's own.
METHODS = dict(
    [
        _method("getMe", get_me),
        _method("sendMessage", send_message, "chat_id", "text"),
        *[_method(f"send{kind.capitalize()}", send_file(kind), "chat_id", kind)
          for kind in ("photo", "document", "audio", "video", "voice", "animation", "sticker")],
        _method("sendLocation", send_location, "chat_id", "latitude", "longitude"),
        _method("sendVenue", send_venue, "chat_id", "latitude", "longitude", "title", "address"),
        _method("sendContact", send_contact, "chat_id", "phone_number", "first_name"),
        _method("sendPoll", send_poll, "chat_id", "question", "options"),
        _method("sendMessageDraft", send_message_draft, "chat_id", "draft_id"),
        _method("sendRichMessage", send_rich_message, "chat_id", "rich_message"),
        _method("sendRichMessageDraft", send_rich_message_draft, "chat_id", "draft_id", "rich_message"),
        _method("sendChatAction", send_chat_action, "chat_id", "action"),
        _method("setMessageReaction", set_message_reaction, "chat_id", "message_id"),
        _method("pinChatMessage", pin_chat_message, "chat_id", "message_id"),
        _method("unpinChatMessage", unpin_chat_message, "chat_id", "message_id"),
        _method("forwardMessage", forward_message, "chat_id", "from_chat_id", "message_id"),
        _method("editMessageText", edit("text", "text", MAX_TEXT, "message is too long"), "text"),
        _method("editMessageCaption", edit("caption", "caption", MAX_CAPTION, "message caption is too long")),
        _method("deleteMessage", delete_message, "chat_id", "message_id"),
        _method("deleteBusinessMessages", delete_business_messages, "business_connection_id", "message_ids"),
        _method("getBusinessConnection", get_business_connection, "business_connection_id"),
        _method("getChat", get_chat, "chat_id"),
        _method("getFile", get_file, "file_id"),
        _method("answerCallbackQuery", answer_callback_query, "callback_query_id"),
        _method("setWebhook", set_webhook, "url"),
        _method("deleteWebhook", delete_webhook),
        _method("getWebhookInfo", get_webhook_info),
    ]
)  # fmt: skip
