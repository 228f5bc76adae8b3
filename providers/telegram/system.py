"""Service messages, by which Telegram reports events in a chat (joins, titles, pins, payments), as plain sentences."""

from collections.abc import Callable
from typing import Any

from providers.telegram.money import stars, sum_of
from providers.telegram.people import name_of, names_of, title_of

Json = dict[str, Any]

_SHORT = 80


def sentence(message: Json, who: str) -> str | None:
    """Return a sentence for a service message, which `who` caused; None for a message that somebody wrote."""
    return next((say(message, who or "Somebody") for field, say in _SENTENCES.items() if field in message), None)


def is_service(message: Json) -> bool:
    """Return whether this is a service message, of whatever form."""
    return not _SENTENCES.keys().isdisjoint(message)


def _joined(message: Json, who: str) -> str:
    joined = message["new_chat_members"]
    by_themselves = [person["id"] for person in joined] == [message.get("from", {}).get("id")]
    return f"{names_of(joined)} joined." if by_themselves else f"{who} added {names_of(joined)}."


def _left(message: Json, who: str) -> str:
    left = message["left_chat_member"]
    return f"{name_of(left)} left." if left["id"] == message.get("from", {}).get("id") else f"{who} removed {name_of(left)}."


def _plain(words: str) -> Callable[[Json, str], str]:
    def say(message: Json, who: str) -> str:
        return words.format(who=who)

    return say


def _quote(message: Json | None) -> str:
    """Return the beginning of the text of a message that a service message is about."""
    message = message or {}
    text = str(message.get("text") or message.get("caption") or message.get("checklist", {}).get("title") or "")
    return f" “{text[:_SHORT]}{'…' if len(text) > _SHORT else ''}”" if text else ""


def _pinned(message: Json, who: str) -> str:
    pinned = _quote(message["pinned_message"])
    return f"{who} pinned the message{pinned}." if pinned else f"{who} pinned a message."


def _timer(message: Json, who: str) -> str:
    seconds = message["message_auto_delete_timer_changed"].get("message_auto_delete_time", 0)
    return f"{who} let messages delete themselves after {seconds} s." if seconds else f"{who} let messages stay."


def _owner_left(message: Json, who: str) -> str:
    owner = message["chat_owner_left"].get("new_owner")
    return "The owner left the chat." + (f" {name_of(owner)} becomes the owner." if owner else "")


def _paid(message: Json, who: str) -> str:
    payment = message["successful_payment"]
    return f"{who} paid {sum_of(payment['currency'], payment['total_amount'])} for the invoice “{payment['invoice_payload']}”."


def _refunded(message: Json, who: str) -> str:
    payment = message["refunded_payment"]
    return f"{sum_of(payment['currency'], payment['total_amount'])} for the invoice “{payment['invoice_payload']}” were paid back."


def _shared_people(message: Json, who: str) -> str:
    people = [f"{name_of(person) or person.get('username', 'a person')} (id {person['user_id']})" for person in message["users_shared"]["users"]]
    return f"{who} shared {', '.join(people)}."


def _shared_chat(message: Json, who: str) -> str:
    chat = message["chat_shared"]
    return f"{who} shared the chat {title_of(chat)} (id {chat['chat_id']})."


def _gift(field: str, verb: str) -> Callable[[Json, str], str]:
    def say(message: Json, who: str) -> str:
        given = message[field]
        emoji = given["gift"].get("sticker", {}).get("emoji", "")
        words = f": “{given['text']}”" if given.get("text") else "."
        return f"{who} {verb} {emoji} ({stars(given['gift']['star_count'])}){words}".replace("  ", " ")

    return say


def _unique_gift(message: Json, who: str) -> str:
    given = message["unique_gift"]
    return f"{who} sent the unique gift {given['gift']['base_name']} #{given['gift']['number']} ({given['origin']})."


def _write_access(message: Json, who: str) -> str:
    name = message["write_access_allowed"].get("web_app_name")
    return f"{who} allowed the bot to write" + (f", from the Web App {name}." if name else ".")


def _near(message: Json, who: str) -> str:
    alert = message["proximity_alert_triggered"]
    return f"{name_of(alert['traveler'])} came within {alert['distance']} m of {name_of(alert['watcher'])}."


def _tasks_done(message: Json, who: str) -> str:
    change = message["checklist_tasks_done"]
    tasks = {task["id"]: f"“{task['text']}”" for task in change.get("checklist_message", {}).get("checklist", {}).get("tasks", [])}
    marked = [(change.get("marked_as_done_task_ids", []), "done"), (change.get("marked_as_not_done_task_ids", []), "not done")]
    told = [f"{', '.join(tasks.get(id, f'task {id}') for id in ids)} as {state}" for ids, state in marked if ids]
    return f"{who} marked {' and '.join(told) or 'tasks'} in a checklist."


def _tasks_added(message: Json, who: str) -> str:
    change = message["checklist_tasks_added"]
    tasks = ", ".join(f"“{task['text']}”" for task in change["tasks"])
    return f"{who} added to the checklist{_quote(change.get('checklist_message'))}: {tasks}."


def _topic_edited(message: Json, who: str) -> str:
    name = message["forum_topic_edited"].get("name")
    return f"{who} changed the topic to “{name}”." if name else f"{who} changed the icon of the topic."


def _direct_price(message: Json, who: str) -> str:
    change = message["direct_message_price_changed"]
    if not change["are_direct_messages_enabled"]:
        return "Direct messages to the channel were turned off."
    return f"A direct message to the channel now costs {stars(change.get('direct_message_star_count', 0))}."


def _giveaway_created(message: Json, who: str) -> str:
    prize = message["giveaway_created"].get("prize_star_count")
    return "A giveaway was created." + (f" The prize is {stars(prize)}." if prize else "")


def _giveaway_completed(message: Json, who: str) -> str:
    ended = message["giveaway_completed"]
    unclaimed = ended.get("unclaimed_prize_count")
    return f"A giveaway ended with {ended['winner_count']} winners." + (f" {unclaimed} prizes were not claimed." if unclaimed else "")


def _price(price: Json | None) -> str:
    return f" for {sum_of(price['currency'], price['amount'])}" if price else ""


def _post(field: str) -> Callable[[Json], tuple[Json, str]]:
    def find(message: Json) -> tuple[Json, str]:
        return message[field], f"The suggested post{_quote(message[field].get('suggested_post_message'))}"

    return find


def _post_approved(message: Json, who: str) -> str:
    change, post = _post("suggested_post_approved")(message)
    return f"{post} was approved{_price(change.get('price'))}."


def _post_failed(message: Json, who: str) -> str:
    change, post = _post("suggested_post_approval_failed")(message)
    return f"{post} could not be approved{_price(change.get('price'))}: the sender has not enough."


def _post_declined(message: Json, who: str) -> str:
    change, post = _post("suggested_post_declined")(message)
    return f"{post} was declined" + (f": “{change['comment']}”" if change.get("comment") else ".")


def _post_paid(message: Json, who: str) -> str:
    change, post = _post("suggested_post_paid")(message)
    amount = change.get("amount", change.get("star_amount", {}).get("amount", 0))
    return f"{post} was paid for with {sum_of(change['currency'], amount)}."


def _post_refunded(message: Json, who: str) -> str:
    change, post = _post("suggested_post_refunded")(message)
    return f"The payment for {post[0].lower()}{post[1:]} was given back ({change['reason']})."


def _invited(message: Json, who: str) -> str:
    people = names_of(message["video_chat_participants_invited"].get("users", []))
    return f"{who} invited {people or 'people'} to the video chat."


def _community(field: str, words: str) -> Callable[[Json, str], str]:
    def say(message: Json, who: str) -> str:
        name = message[field].get("community", {}).get("name")
        return words.format(who=who, name=f" “{name}”" if name else "")

    return say


def _web_app(message: Json, who: str) -> str:
    given = message["web_app_data"]
    return f"{who} sent data from the Web App “{given['button_text']}”: {given['data']}"


_SENTENCES: dict[str, Callable[[Json, str], str]] = {
    "new_chat_members": _joined,
    "left_chat_member": _left,
    "chat_owner_left": _owner_left,
    "chat_owner_changed": lambda message, who: f"{name_of(message['chat_owner_changed']['new_owner'])} is the new owner of the chat.",
    "new_chat_title": lambda message, who: f"{who} changed the title to “{message['new_chat_title']}”.",
    "new_chat_photo": _plain("{who} changed the picture of the chat."),
    "delete_chat_photo": _plain("{who} removed the picture of the chat."),
    "group_chat_created": _plain("{who} created the group."),
    "supergroup_chat_created": _plain("The supergroup was created."),
    "channel_chat_created": _plain("The channel was created."),
    "message_auto_delete_timer_changed": _timer,
    "migrate_to_chat_id": _plain("The group became a supergroup and has a new id."),
    "migrate_from_chat_id": _plain("The group became a supergroup and has a new id."),
    "pinned_message": _pinned,
    "successful_payment": _paid,
    "refunded_payment": _refunded,
    "users_shared": _shared_people,
    "chat_shared": _shared_chat,
    "gift": _gift("gift", "sent the gift"),
    "unique_gift": _unique_gift,
    "gift_upgrade_sent": _gift("gift_upgrade_sent", "paid for an upgrade of the gift"),
    "connected_website": lambda message, who: f"{who} logged in on {message['connected_website']}.",
    "write_access_allowed": _write_access,
    "proximity_alert_triggered": _near,
    "boost_added": lambda message, who: f"{who} boosted the chat {message['boost_added'].get('boost_count', 1)} times.",
    "chat_background_set": _plain("{who} changed the background of the chat."),
    "checklist_tasks_done": _tasks_done,
    "checklist_tasks_added": _tasks_added,
    "community_chat_added": _community("community_chat_added", "The chat became a part of the community{name}."),
    "community_chat_joined": _community("community_chat_joined", "{who} joined by the community{name}."),
    "community_chat_removed": _community("community_chat_removed", "The chat is no longer a part of the community{name}."),
    "direct_message_price_changed": _direct_price,
    "forum_topic_created": lambda message, who: f"{who} created the topic “{message['forum_topic_created']['name']}”.",
    "forum_topic_edited": _topic_edited,
    "forum_topic_closed": _plain("{who} closed the topic."),
    "forum_topic_reopened": _plain("{who} opened the topic again."),
    "general_forum_topic_hidden": _plain("{who} hid the general topic."),
    "general_forum_topic_unhidden": _plain("{who} showed the general topic again."),
    "giveaway_created": _giveaway_created,
    "giveaway_completed": _giveaway_completed,
    "managed_bot_created": lambda message, who: f"{who} created the bot {name_of(message['managed_bot_created']['bot'])} for this one to manage.",
    "paid_message_price_changed": lambda message, who: (
        f"A message to the chat now costs {stars(message['paid_message_price_changed']['paid_message_star_count'])}."
    ),
    "poll_option_added": lambda message, who: f"{who} added the option “{message['poll_option_added']['option_text']}” to a poll.",
    "poll_option_deleted": lambda message, who: f"{who} removed the option “{message['poll_option_deleted']['option_text']}” from a poll.",
    "suggested_post_approved": _post_approved,
    "suggested_post_approval_failed": _post_failed,
    "suggested_post_declined": _post_declined,
    "suggested_post_paid": _post_paid,
    "suggested_post_refunded": _post_refunded,
    "video_chat_scheduled": _plain("{who} scheduled a video chat."),
    "video_chat_started": _plain("{who} started a video chat."),
    "video_chat_ended": _plain("The video chat ended."),
    "video_chat_participants_invited": _invited,
    "web_app_data": _web_app,
}
