"""Shapes that Slack's documentation describes, as events with words, and the errors of a send in Slack's words."""

import ssl
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from pydantic import SecretStr

from providers.errors import Forbidden, InvalidRequest, LoggedOut, MessengerError, NotFound
from providers.events import ChatClosed, MessageDeleted, MessageEdited, MessageReceived
from providers.kit.bounded import BoundedMap
from providers.models import Account, Message, MessageKind
from providers.slack.client import SlackClient
from providers.slack.directory import Directory
from providers.slack.errors import refusal
from providers.slack.inbound import Identity, Translator
from providers.slack.interactions import Interactions
from providers.slack.reactions import Reactions
from providers.slack.responses import Responses
from providers.slack.streams import Streams

pytestmark = pytest.mark.anyio

Json = dict[str, Any]

CHANNEL, TS = "C9", "1758362400.000100"
PLAIN = "plain_text"


@pytest.fixture
async def client(tls: ssl.SSLContext) -> AsyncIterator[SlackClient]:
    """A client that leads nowhere."""
    async with aiohttp.ClientSession() as session:
        yield SlackClient(SecretStr("t"), "http://127.0.0.1:9/", tls, session)


@pytest.fixture
async def directory(client: SlackClient) -> Directory:
    """Knows the channel and Ann."""
    directory = Directory(client)
    directory.learn({"id": "U1", "name": "ann", "profile": {"display_name": "Ann"}})
    await directory.learn_chat({"id": CHANNEL, "name": "general"})
    return directory


@pytest.fixture
async def translator(client: SlackClient, directory: Directory) -> Translator:
    me = Identity(Account(id="U0", name="robo"), "B0", "T1")
    return Translator(me, directory, Reactions(client), BoundedMap(10), BoundedMap(10), Streams(client))


def written(**fields: Any) -> Json:
    return {"type": "message", "channel": CHANNEL, "channel_type": "channel", "ts": TS, "event_ts": TS, "user": "U1", "text": "", **fields}


async def arrived(translator: Translator, **fields: Any) -> Message:
    (event,) = await translator.events_of(written(**fields))
    assert isinstance(event, MessageReceived)
    assert (event.chat.id, event.message.chat_id, event.chat.title) == (CHANNEL, CHANNEL, "general")
    return event.message


def text(words: str) -> Json:
    return {"type": PLAIN, "text": words}


# What somebody or an app said, and what of it a reader needs.
SAID: dict[str, tuple[Json, str]] = {
    "chart in an attachment with a title": ({"attachments": [{"title": "Sales", "image_url": "https://c.example/1.png"}]}, "https://c.example/1.png"),
    "menu of an attachment": (
        {
            "attachments": [
                {"text": "Pick", "callback_id": "c", "actions": [{"type": "select", "text": "Colour", "options": [{"text": "green", "value": "g"}]}]}
            ]
        },
        "green",
    ),
    "address of an attachment without a title": ({"attachments": [{"title_link": "https://f.example", "fallback": ""}]}, "https://f.example"),
    "only a footer": ({"attachments": [{"footer": "CI 7"}]}, "CI 7"),
    "only an author": ({"attachments": [{"author_name": "Bob"}]}, "Bob"),
    "nothing in an attachment": ({"attachments": [{"color": "#fff"}]}, "without content"),
    "no content at all": ({}, "without content"),
    "card": (
        {"blocks": [{"type": "card", "title": text("Fence"), "subtext": text("2 m"), "hero_image": {"alt_text": "wood", "image_url": "https://x"}}]},
        "2 m",
    ),
    "carousel": ({"blocks": [{"type": "carousel", "elements": [{"type": "card", "title": text("Fence")}]}]}, "Fence"),
    "alert": ({"blocks": [{"type": "alert", "level": "warning", "text": text("Fence down")}]}, "Fence down"),
    "plan": ({"blocks": [{"type": "plan", "title": "Fence", "tasks": [{"type": "task_card", "title": "dig", "status": "in_progress"}]}]}, "dig"),
    "context with a picture alone": (
        {"blocks": [{"type": "context", "elements": [{"type": "image", "image_url": "https://x", "alt_text": "wood"}]}]},
        "wood",
    ),
    "date in a rich text": (
        {
            "blocks": [
                {
                    "type": "rich_text",
                    "elements": [{"type": "rich_text_section", "elements": [{"type": "date", "timestamp": 1758362400, "format": "{date}"}]}],
                }
            ]
        },
        "2025-09-20",
    ),
    "canvas in a rich text": (
        {"blocks": [{"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [{"type": "canvas", "file_id": "F1"}]}]}]},
        "canvas",
    ),
    "rich text of a new part": (
        {"blocks": [{"type": "rich_text", "elements": [{"type": "rich_text_new", "elements": [{"type": "text", "text": "Fence"}]}]}]},
        "Fence",
    ),
    "dividers alone": ({"blocks": [{"type": "divider"}]}, "without content"),
    "app of a workflow": ({"subtype": "bot_message", "user": None, "bot_id": "B7", "username": "Flow", "text": "Fence"}, "Fence"),
    "to oneself": ({"subtype": "me_message", "text": "builds a fence"}, "builds a fence"),
}


@pytest.mark.parametrize("name", SAID)
async def test_what_is_said_has_words(translator: Translator, name: str) -> None:
    fields, words = SAID[name]
    message = await arrived(translator, **fields)
    assert words in message.text
    assert message.kind is not MessageKind.SYSTEM


FILE: Json = {"id": "F1", "name": "notes.pdf", "mimetype": "application/pdf"}
# From the list of subtypes of a message, and what they bring along.
NOTICES: dict[str, Json] = {
    "channel_topic": {"text": "<@U1> set the channel topic: fences", "topic": "fences"},
    "channel_convert_to_private": {"text": "made this channel private"},
    "channel_posting_permissions": {"text": "set the channel posting permissions"},
    "pinned_item": {"text": "pinned", "item": {}, "attachments": [{"is_share": True, "text": "Fence", "files": [FILE]}]},
    "huddle_thread": {"room": {"created_by": "U1"}, "files": [FILE]},
    "document_mention": {"text": "", "files": [FILE]},
    "file_comment": {"text": "commented", "file": FILE},
    "reminder_add": {"text": "set up a reminder"},
    "bot_add": {"text": "added an integration", "bot_id": "B7"},
    "ekm_access_denied": {"text": "Your admins have suspended everyone's access to this content."},
    "channel_canvas_updated": {"text": "", "files": [FILE]},
    "quite_new": {"text": ""},
}


@pytest.mark.parametrize("subtype", NOTICES)
async def test_a_notice_is_one_whatever_it_brings_along(translator: Translator, subtype: str) -> None:
    message = await arrived(translator, subtype=subtype, **NOTICES[subtype])
    assert message.kind is MessageKind.SYSTEM
    assert message.text or message.media


async def test_an_edit_that_changes_only_a_field_of_an_attachment_is_told(translator: Translator) -> None:
    before = written(attachments=[{"title": "Fence", "fields": [{"title": "Length", "value": "2 m"}]}])
    after = written(attachments=[{"title": "Fence", "fields": [{"title": "Length", "value": "3 m"}]}])
    change = {"type": "message", "subtype": "message_changed", "hidden": True, "channel": CHANNEL, "message": after, "previous_message": before}
    (event,) = await translator.events_of(change)
    assert isinstance(event, MessageEdited)
    assert "3 m" in event.text


async def test_a_message_that_leaves_a_tombstone_is_gone(translator: Translator) -> None:
    change = {
        "subtype": "message_changed",
        "channel": CHANNEL,
        "message": written(subtype="tombstone"),
        "previous_message": written(),
        "event_ts": TS,
        "ts": TS,
    }
    (event,) = await translator.events_of({"type": "message", **change})
    assert isinstance(event, MessageDeleted)
    assert event.message_id == f"{CHANNEL}:{TS}"


async def test_a_channel_that_the_bot_left_is_closed(translator: Translator) -> None:
    (event,) = await translator.events_of({"type": "member_left_channel", "user": "U0", "channel": CHANNEL, "event_ts": TS})
    assert isinstance(event, ChatClosed)
    assert event.reason


PICKS: dict[str, tuple[Json, str]] = {
    "feedback": ({"type": "feedback_buttons", "text": text("Good"), "value": "up"}, "Good"),
    "icon": ({"type": "icon_button", "text": text("Delete"), "value": "del"}, "Delete"),
    "workflow": ({"type": "workflow_button", "text": text("Run")}, "Run"),
    "time": ({"type": "timepicker", "selected_time": "10:30", "timezone": "Europe/Berlin"}, "10:30"),
    "conversation": ({"type": "conversations_select", "selected_conversation": "D7"}, "D7"),
    "nobody": ({"type": "multi_users_select", "selected_users": []}, "Nothing"),
    "nothing": ({"type": "static_select", "selected_option": None}, "Nothing"),
    "number": ({"type": "number_input", "value": "7"}, "7"),
    "address": ({"type": "url_text_input", "value": "https://f.example"}, "https://f.example"),
    "boxes": ({"type": "checkboxes", "selected_options": [{"text": text("green"), "value": "g"}, {"text": text("red"), "value": "r"}]}, "green, red"),
}


@pytest.mark.parametrize("name", PICKS)
async def test_whatever_is_picked_has_words_and_an_id(directory: Directory, name: str) -> None:
    action, words = PICKS[name]

    async def direct(person: str) -> str:
        return "D1"

    payload = {
        "type": "block_actions",
        "user": {"id": "U1", "username": "ann"},
        "channel": {"id": CHANNEL},
        "container": {"message_ts": TS},
        "message": written(),
    }
    events = await Interactions(directory, Responses(), direct).events_of({**payload, "actions": [{"action_id": "a", "action_ts": TS, **action}]})
    (event,) = events
    assert isinstance(event, MessageReceived)
    assert words in event.message.text
    assert event.message.chosen
    assert (event.chat.id, event.message.reply_to) == (CHANNEL, f"{CHANNEL}:{TS}")


@pytest.mark.parametrize(
    ("answer", "kind", "words", "hint"),
    [
        ({"error": "restricted_action_read_only_channel"}, Forbidden, "", "Only some people"),
        ({"error": "restricted_action_thread_only_channel"}, Forbidden, "", "give the thread_id"),
        ({"error": "restricted_action_non_threadable_channel"}, Forbidden, "", "without reply_to"),
        ({"error": "restricted_action"}, Forbidden, "", "administrator"),
        ({"error": "cannot_reply_to_message"}, InvalidRequest, "", "without reply_to"),
        ({"error": "slack_connect_file_link_sharing_blocked"}, Forbidden, "", "text alone"),
        ({"error": "slack_connect_blocked_file_type"}, Forbidden, "", "text alone"),
        ({"error": "user_disabled"}, Forbidden, "", "deactivated"),
        ({"error": "invalid_arguments", "response_metadata": {"messages": ["[ERROR] must be one of: a, b"]}}, InvalidRequest, "must be one of", ""),
        ({"error": "invalid_blocks", "response_metadata": None}, InvalidRequest, "", "Block Kit"),
        ({"error": "invalid_blocks", "response_metadata": {"messages": None}}, InvalidRequest, "", "Block Kit"),
        ({"error": "missing_scope", "needed": "files:write", "provided": "chat:write"}, Forbidden, "files:write", "files:write"),
        ({"error": "channel_not_found"}, NotFound, "", "list_chats"),
        ({"error": "account_inactive"}, LoggedOut, "", "OAuth"),
        ({"error": "quite_new_refusal"}, InvalidRequest, "", ""),
    ],
)
def test_a_refused_send_is_told_in_slacks_words_with_the_next_step(answer: Json, kind: type[MessengerError], words: str, hint: str) -> None:
    error = refusal(str(answer["error"]), answer)
    assert type(error) is kind
    assert str(answer["error"]) in error.detail
    assert words in error.detail
    assert hint in (error.hint or "")
