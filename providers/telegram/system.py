"""What Telegram reports into a chat (joins, titles, pins), as plain sentences."""

from collections.abc import Callable
from typing import Any

Json = dict[str, Any]


def sentence(message: Json, who: str) -> str | None:
    """What happened, when the message is a report of Telegram's; None for what somebody wrote."""
    return next((tell(message, who or "Somebody") for field, tell in _SENTENCES.items() if field in message), None)


def _names(people: list[Json]) -> str:
    return ", ".join(f"{person.get('first_name', '')} {person.get('last_name', '')}".strip() for person in people)


def _joined(message: Json, who: str) -> str:
    joined = message["new_chat_members"]
    by_themselves = [person["id"] for person in joined] == [message.get("from", {}).get("id")]
    return f"{_names(joined)} joined." if by_themselves else f"{who} added {_names(joined)}."


def _left(message: Json, who: str) -> str:
    left = message["left_chat_member"]
    return f"{_names([left])} left." if left["id"] == message.get("from", {}).get("id") else f"{who} removed {_names([left])}."


def _plain(words: str) -> Callable[[Json, str], str]:
    def tell(message: Json, who: str) -> str:
        return words.format(who=who)

    return tell


_SENTENCES: dict[str, Callable[[Json, str], str]] = {
    "new_chat_members": _joined,
    "left_chat_member": _left,
    "new_chat_title": lambda message, who: f"{who} changed the title to “{message['new_chat_title']}”.",
    "new_chat_photo": _plain("{who} changed the picture of the chat."),
    "delete_chat_photo": _plain("{who} removed the picture of the chat."),
    "group_chat_created": _plain("{who} created the group."),
    "supergroup_chat_created": _plain("The supergroup was created."),
    "channel_chat_created": _plain("The channel was created."),
    "message_auto_delete_timer_changed": _plain("{who} changed when messages delete themselves."),
    "migrate_to_chat_id": _plain("The group became a supergroup and has a new id."),
    "migrate_from_chat_id": _plain("The group became a supergroup and has a new id."),
    "pinned_message": _plain("{who} pinned a message."),
    "forum_topic_created": lambda message, who: f"{who} created the topic “{message['forum_topic_created']['name']}”.",
    "forum_topic_edited": _plain("{who} changed the topic."),
    "forum_topic_closed": _plain("{who} closed the topic."),
    "forum_topic_reopened": _plain("{who} opened the topic again."),
    "video_chat_scheduled": _plain("{who} scheduled a video chat."),
    "video_chat_started": _plain("{who} started a video chat."),
    "video_chat_ended": _plain("The video chat ended."),
    "video_chat_participants_invited": _plain("{who} invited people to the video chat."),
    "write_access_allowed": _plain("{who} allowed the bot to write."),
    "boost_added": _plain("{who} boosted the chat."),
    "chat_background_set": _plain("{who} changed the background of the chat."),
}
