"""Where a message stands: in a topic, as a forward, in answer to something."""

import re
from typing import Any

from providers.errors import NotFound
from providers.models import PRIVATE_THREAD, Forwarded, Quoted
from providers.telegram.content import in_short
from providers.telegram.ids import ephemeral_id, message_id, time_of
from providers.telegram.people import author_of, name_of, title_of

Json = dict[str, Any]

_QUOTED_MAX = 1000
_THREAD = re.compile(r"(?P<direct>direct:)?(?P<number>\d{1,18})")
_GENERAL = "1"
"""The general topic of a forum. Telegram takes a message to it only without a topic."""


def reply_to(message: Json) -> str | None:
    """Return the id of the message that is answered; None also for the report of a topic's creation, which everything in it answers."""
    replied = message.get("reply_to_message")
    if replied is None or "forum_topic_created" in replied:
        return None
    return id_of({**replied, "chat": message["chat"]})


def id_of(message: Json) -> str:
    """Return our id of a message, also of one that only one person and the bot see."""
    chat = message["chat"]["id"]
    if (number := message.get("ephemeral_message_id")) is None:
        return message_id(chat, message["message_id"])
    sides = [one for one in (message.get("from"), message.get("receiver_user")) if one]
    person = next((one for one in sides if not one.get("is_bot")), sides[0])
    return ephemeral_id(chat, number, person["id"])


def forwarded(message: Json) -> Forwarded | None:
    """Return who wrote a forwarded message."""
    if (origin := message.get("forward_origin")) is None:
        return None
    name, id = _origin(origin)
    return Forwarded(name=name, id=id, at=time_of(origin["date"]))


def _origin(origin: Json) -> tuple[str, str | None]:
    if user := origin.get("sender_user"):
        return name_of(user), str(user["id"])
    if chat := origin.get("sender_chat") or origin.get("chat"):
        signature = origin.get("author_signature")
        return title_of(chat) + (f" ({signature})" if signature else ""), str(chat["id"])
    return origin.get("sender_user_name", ""), None


def quoted(message: Json) -> Quoted | None:
    """Return the words that a message answers: the part that its author marked, or the beginning of all."""
    part = message.get("quote", {}).get("text", "")
    if story := message.get("reply_to_story"):
        return Quoted(text=part, name=title_of(story["chat"]), of="story")
    if external := message.get("external_reply"):
        where = external.get("chat")
        words = part or in_short({name: value for name, value in external.items() if name != "origin"})
        return _quoted(words, _origin(external["origin"])[0], f"message in {title_of(where)}" if where else None)
    if reply_to(message) is None:
        return _quoted(part, "", None)
    replied = message["reply_to_message"]
    if "date" not in replied or replied["date"] == 0:  # Telegram's mark of a message that bots cannot see
        return _quoted(part, "", None)
    author = author_of(replied).name
    if found := _one_of(message, replied):
        return _quoted(part or found[0], author, found[1])
    return _quoted(part or in_short(replied), author, None)


def _one_of(message: Json, replied: Json) -> tuple[str, str] | None:
    """The task or the option that is answered, and a name for such a thing."""
    task, option = message.get("reply_to_checklist_task_id"), message.get("reply_to_poll_option_id")
    tasks = [one["text"] for one in replied.get("checklist", {}).get("tasks", []) if one["id"] == task]
    options = [one["text"] for one in replied.get("poll", {}).get("options", []) if one.get("persistent_id") == option]
    if tasks:
        return tasks[0], "task of a checklist"
    return (options[0], "option of a poll") if options and option is not None else None


def _quoted(text: str, name: str, of: str | None) -> Quoted | None:
    if not text and of is None:
        return None
    return Quoted(text=text if len(text) <= _QUOTED_MAX else f"{text[:_QUOTED_MAX]}…", name=name, of=of)


def thread_of(message: Json) -> str | None:
    """Return the topic of a forum, of a private chat, or of a channel's direct messages. Threads of answers elsewhere cannot be written to."""
    if topic := message.get("direct_messages_topic"):
        return f"{PRIVATE_THREAD}{topic['topic_id']}"
    is_topic = message.get("is_topic_message") or message["chat"].get("is_forum")
    return str(message["message_thread_id"]) if is_topic and "message_thread_id" in message else None


def options_of_thread(chat_id: str, thread_id: str) -> Json:
    """Return the fields of a call that writes in a thread. Raises NotFound for an id of another shape."""
    found = _THREAD.fullmatch(thread_id)
    if found is None:
        raise NotFound(f"'{thread_id[:64]}' is no id of a topic on Telegram.", hint="Use the thread_id that the messages of the topic show.")
    if found["direct"]:
        return {"direct_messages_topic_id": int(found["number"])}
    is_general = thread_id == _GENERAL and chat_id.startswith(("-", "@"))
    return {} if is_general else {"message_thread_id": int(found["number"])}


def thread_title(message: Json) -> str | None:
    """Return the title of the topic, where this message brings it along."""
    if user := message.get("direct_messages_topic", {}).get("user"):
        return name_of(user)
    replied: Json = message.get("reply_to_message", {})
    holders = (message, replied)
    named = [
        holder[field]["name"] for holder in holders for field in ("forum_topic_created", "forum_topic_edited") if "name" in holder.get(field, {})
    ]
    return named[0] if named and thread_of(message) is not None else None
