"""Buttons, menus, shortcuts, forms and slash commands as messages of the person who used them."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from providers.events import Event, MessageReceived
from providers.kit.bounded import bounded_raw
from providers.models import Contact, Message
from providers.slack.blocks import rich_text
from providers.slack.directory import Directory
from providers.slack.ids import act_id, message_id, time_of
from providers.slack.markup import from_mrkdwn, mentioned
from providers.slack.responses import Responses
from providers.slack.shapes import inner, items

Json = dict[str, Any]

_ONE_ID = ("selected_date", "selected_time", "selected_user", "selected_conversation", "selected_channel")
_SEVERAL_IDS = ("selected_users", "selected_conversations", "selected_channels")
_PERSONS = frozenset({"selected_user", "selected_users"})
_CHANNELS = frozenset({"selected_channel", "selected_channels", "selected_conversation", "selected_conversations"})
_NOTHING = "Nothing is selected."


@dataclass(frozen=True)
class Picked:
    """The words of a pick in mrkdwn, and its ids."""

    words: tuple[str, ...]
    ids: tuple[str, ...]


def picked(action: Json) -> Picked:
    """Return what a person picked or typed, of any kind of button, menu or field."""
    if "selected_options" in action or action.get("selected_option"):
        options = items(action, "selected_options") or items({"only": [action.get("selected_option")]}, "only")
        return Picked(tuple(map(_title, options)), tuple(str(option.get("value", "")) for option in options))
    for name in (*_ONE_ID, *_SEVERAL_IDS):
        if action.get(name):
            ids = tuple(map(str, action[name])) if name in _SEVERAL_IDS else (str(action[name]),)
            return Picked(tuple(_reference(name, id) for id in ids), ids)
    if moment := action.get("selected_date_time"):
        return Picked((time_of(moment).strftime("%Y-%m-%d %H:%M UTC"),), (str(moment),))
    if text := inner(action, "rich_text_value"):
        return Picked((rich_text(text),), ())
    if files := items(action, "files"):
        return Picked(tuple(_escaped(file.get("name") or file.get("id")) for file in files), ())
    if new := tuple(str(one) for name, one in action.items() if name.startswith("selected_") and isinstance(one, str | int | float)):
        return Picked(tuple(map(_escaped, new)), new)
    value = str(action.get("value") or "")
    title = _title(action) if action.get("text") else ""
    return Picked(tuple(filter(None, [title or _escaped(value)])), (value,) if value else ())


def _title(option: Json) -> str:
    text = inner(option, "text")
    shown = str(text.get("text") or option.get("value") or "") if text else str(option.get("text") or option.get("value") or "")
    return shown if text.get("type") == "mrkdwn" else shown.replace("<", "&lt;").replace(">", "&gt;")


def _reference(name: str, id: str) -> str:
    if name in _PERSONS:
        return f"<@{id}>"
    return f"<#{id}>" if name in _CHANNELS and id[:1] in {"C", "G", "D"} else f"<@{id}>" if name in _CHANNELS else id


class Interactions:
    """`direct` gives the direct messages with a person, for what was done outside of any chat."""

    def __init__(self, directory: Directory, responses: Responses, direct: Callable[[str], Awaitable[str]]) -> None:
        self._directory = directory
        self._responses = responses
        self._direct = direct
        self._of: dict[str, Callable[[Json], Awaitable[list[Event]]]] = {
            "block_actions": self.pressed,
            "interactive_message": self._pressed_in_attachment,
            "message_action": self._used_on_message,
            "shortcut": self._shortcut,
            "view_submission": self._submitted,
            "dialog_submission": self._submitted,
            "workflow_step_edit": self._shortcut,
        }

    def knows(self, payload: Json) -> bool:
        return payload.get("type") in self._of

    async def events_of(self, payload: Json) -> list[Event]:
        """Return what an interaction says. Raises KeyError, TypeError or ValueError for one that is not of Slack's form."""
        return await self._of[payload["type"]](payload)

    async def pressed(self, payload: Json) -> list[Event]:
        """A pressed button or what was picked is a message, in reply to the message it belongs to where it belongs to one."""
        place = inner(payload, "container")
        under = place.get("message_ts") or inner(payload, "message").get("ts")
        channel = place.get("channel_id") or inner(payload, "channel").get("id")
        found: list[Event] = []
        for action in payload["actions"]:
            pick = picked(action)
            chosen = ", ".join(pick.ids) or str(action.get("action_id", "")) or None
            words = ", ".join(pick.words) or _NOTHING
            if channel is None or under is None:
                chat = channel or await self._direct(payload["user"]["id"])
                id = act_id(chat, f"{inner(payload, 'view').get('id', '')}.{action['action_ts']}")
                found.append(await self._message(payload, chat, id, words, chosen=chosen, at=action["action_ts"], raw=action))
                continue
            id = f"{message_id(channel, under)}:{action['action_ts']}"
            if place.get("is_ephemeral"):
                # Only one person sees it: it has no thread and no place in the chat.
                id = act_id(channel, f"{under}.{action['action_ts']}")
                found.append(await self._message(payload, channel, id, words, chosen=chosen, at=action["action_ts"], raw=action))
            else:
                found.append(await self._message(payload, channel, id, words, chosen=chosen, at=action["action_ts"], raw=action, under=under))
        return found

    async def _pressed_in_attachment(self, payload: Json) -> list[Event]:
        """The same with the buttons of before."""
        channel, under, at = payload["channel"]["id"], payload["message_ts"], payload["action_ts"]
        found: list[Event] = []
        for action in payload["actions"]:
            pick = picked(action)
            words = ", ".join(pick.words) or str(action.get("name", ""))
            chosen = ", ".join(pick.ids) or str(action.get("name", "")) or None
            id = f"{message_id(channel, under)}:{at}"
            found.append(await self._message(payload, channel, id, words, chosen=chosen, at=at, raw=action, under=under))
        return found

    async def _used_on_message(self, payload: Json) -> list[Event]:
        channel, under = payload["channel"]["id"], payload["message_ts"]
        id = f"{message_id(channel, under)}:{payload['action_ts']}"
        words = f"Shortcut on this message: {_escaped(payload['callback_id'])}"
        return [await self._message(payload, channel, id, words, chosen=payload["callback_id"], at=payload["action_ts"], raw=payload, under=under)]

    async def _shortcut(self, payload: Json) -> list[Event]:
        chat = await self._direct(payload["user"]["id"])
        at, callback = payload["action_ts"], str(payload["callback_id"])
        return [await self._message(payload, chat, act_id(chat, at), f"Shortcut: {_escaped(callback)}", chosen=callback, at=at, raw=payload)]

    async def _submitted(self, payload: Json) -> list[Event]:
        """A form that was sent: each field with its label."""
        view = inner(payload, "view")
        responses = items(payload, "response_urls")
        channel = next((one["channel_id"] for one in responses), None) or inner(payload, "channel").get("id")
        chat = channel or await self._direct(payload["user"]["id"])
        title = _title({"text": view.get("title") or ""})
        lines = [title, *_fields(view), *(f"{_escaped(name)}: {_escaped(value)}" for name, value in inner(payload, "submission").items())]
        words = "\n".join(filter(None, lines)) or "A form was sent."
        id = act_id(chat, str(view.get("id") or payload.get("action_ts") or payload.get("trigger_id")) + f".{view.get('hash', '')}")
        callback = view.get("callback_id") or payload.get("callback_id") or None
        event = await self._message(payload, chat, id, words, chosen=callback, at=None, raw=payload)
        for one in responses:
            self._responses.keep(one["channel_id"], id, one["response_url"])
        return [event]

    async def commanded(self, payload: Json) -> list[Event]:
        """A slash command is a message to us, which can be answered where it was typed."""
        channel = payload["channel_id"]
        payload = {**payload, "user": {"id": payload["user_id"], "name": payload.get("user_name", ""), "username": payload.get("user_name")}}
        words = f"{payload['command']} {payload.get('text', '')}".strip()
        return [await self._message(payload, channel, message_id(channel, payload["trigger_id"]), words, chosen=None, at=None, raw={})]

    async def _message(
        self, payload: Json, channel: str, id: str, words: str, *, chosen: str | None, at: str | None, raw: Json, under: str | None = None
    ) -> MessageReceived:
        chat, user = await self._directory.chat(channel), payload["user"]
        known = self._directory.known_person(user["id"]).name
        sender = Contact(id=user["id"], name=known or user.get("name", ""), username=user.get("username"))
        text, format = from_mrkdwn(words, await self._directory.names(mentioned(words)))
        root = inner(payload, "message").get("thread_ts")
        if under is None and (url := payload.get("response_url")):
            self._responses.keep(channel, id, url)
        message = Message(
            id=id,
            chat_id=chat.id,
            at=datetime.now(UTC) if at is None else time_of(at),
            sender_id=sender.id,
            sender_name=sender.name,
            text=text,
            format=format,
            reply_to=None if under is None else message_id(channel, under),
            thread_id=message_id(channel, root) if under is not None and root and root != under else None,
            chosen=chosen,
            mentions_me=True,
            raw=_without_secrets(bounded_raw(raw, "type")),
        )
        return MessageReceived(message=message, chat=chat, sender=sender)


def _fields(view: Json) -> Iterable[str]:
    """The fields of a form in their order, each with its label."""
    values = inner(inner(view, "state"), "values")
    labels = {block.get("block_id"): _title({"text": block.get("label") or block.get("text") or ""}) for block in items(view, "blocks")}
    for block in values:
        actions = inner(values, block)
        for action in actions:
            words = ", ".join(picked(inner(actions, action)).words)
            yield f"{labels.get(block) or _escaped(action)}: {words}" if words else ""


def _escaped(text: Any) -> str:
    return str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _without_secrets(raw: Json) -> Json:
    """Without what lets its holder answer, or proves that Slack sent it."""
    return {name: value for name, value in raw.items() if name not in {"token", "response_url", "response_urls", "trigger_id"}}
