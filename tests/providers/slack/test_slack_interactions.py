"""What people do besides writing: menus, forms, shortcuts, commands, and how they are answered."""

from typing import Any

import pytest

from providers.errors import Forbidden, InvalidRequest
from providers.events import MessageReceived
from providers.models import Draft, TextFormat
from providers.slack.attachments import words_of
from providers.slack.interactions import picked
from providers.slack.provider import SlackProvider
from tests.providers.harness import PICTURE
from tests.providers.slack.conftest import Station

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("action", "words", "ids"),
    [
        ({"value": "1", "text": {"type": "plain_text", "text": "Go <now>"}}, ("Go &lt;now&gt;",), ("1",)),
        ({"selected_option": {"text": {"type": "plain_text", "text": "Tea"}, "value": "t"}}, ("Tea",), ("t",)),
        ({"selected_options": [{"text": {"type": "mrkdwn", "text": "*Tea*"}, "value": "t"}]}, ("*Tea*",), ("t",)),
        ({"selected_options": []}, (), ()),
        ({"selected_users": ["U1", "U2"]}, ("<@U1>", "<@U2>"), ("U1", "U2")),
        ({"selected_conversations": ["C1", "U1"]}, ("<#C1>", "<@U1>"), ("C1", "U1")),
        ({"selected_channel": "C1"}, ("<#C1>",), ("C1",)),
        ({"selected_time": "09:30"}, ("09:30",), ("09:30",)),
        ({"selected_date_time": 1700000000}, ("2023-11-14 22:13 UTC",), ("1700000000",)),
        ({"type": "plain_text_input", "value": "a & b"}, ("a &amp; b",), ("a & b",)),
    ],
)
def test_what_was_picked(action: dict[str, Any], words: tuple[str, ...], ids: tuple[str, ...]) -> None:
    found = picked(action)
    assert (found.words, found.ids) == (words, ids)


async def done(station: Station, kind: str, payload: dict[str, Any]) -> MessageReceived:
    """The message that an interaction becomes."""
    known = len(station.inbox.events)
    station.slack.sockets.push(kind, payload)
    return await station.inbox.wait(MessageReceived, lambda event: event in station.inbox.events[known:])


def by(station: Station) -> dict[str, Any]:
    return {"id": station.ann, "username": "ann", "name": "ann"}


async def test_a_form_comes_into_the_direct_messages_with_its_labels(station: Station) -> None:
    await station.ready()
    view = {
        "id": "V1",
        "hash": "h",
        "callback_id": "order",
        "title": {"type": "plain_text", "text": "Order"},
        "blocks": [{"type": "input", "block_id": "b", "label": {"type": "plain_text", "text": "How many"}}],
        "state": {
            "values": {"b": {"a": {"type": "number_input", "value": "3"}}, "c": {"who": {"type": "users_select", "selected_user": station.ann}}}
        },
    }
    event = await done(station, "interactive", {"type": "view_submission", "user": by(station), "view": view, "token": "secret-token"})
    assert event.message.text == "Order\nHow many: 3\nwho: @Ann"
    assert (event.message.chat_id, event.message.chosen) == (station.dm, "order")
    assert "secret-token" not in f"{event}"


async def test_a_shortcut_on_a_message_names_the_message(station: Station) -> None:
    await station.ready()
    message = station.slack.user_writes(station.dm, "look", by=station.ann)
    await station.inbox.message("look")
    payload = {"type": "message_action", "callback_id": "file_it", "action_ts": "1700000001.000200", "message_ts": message["ts"], "user": by(station)}
    event = await done(station, "interactive", {**payload, "channel": {"id": station.dm}, "message": message})
    assert (event.message.chosen, event.message.reply_to) == ("file_it", f"{station.dm}:{message['ts']}")


async def test_a_shortcut_of_its_own_comes_into_the_direct_messages(station: Station) -> None:
    await station.ready()
    payload = {"type": "shortcut", "callback_id": "new_ticket", "action_ts": "1700000001.000200", "user": by(station)}
    event = await done(station, "interactive", payload)
    assert (event.message.chat_id, event.message.text, event.message.chosen) == (station.dm, "Shortcut: new_ticket", "new_ticket")


async def commanded(station: Station, channel: str, *, url: str | None = None) -> tuple[SlackProvider, MessageReceived]:
    provider = await station.ready()
    fields = {"command": "/ask", "text": "why", "channel_id": channel, "user_id": station.ann, "user_name": "ann", "trigger_id": "1.2.f"}
    return provider, await done(station, "slash_commands", {**fields, "response_url": url or f"{station.slack.url()}/response/1"})


def answer(event: MessageReceived, **fields: object) -> Draft:
    given = {"client_id": "42", "chat_id": event.message.chat_id, "text": "because", "reply_to": event.message.id}
    return Draft.model_validate({**given, **fields})


async def test_the_answer_to_a_command_is_for_its_author_alone(station: Station) -> None:
    team = station.slack.channel("team", station.ann)
    provider, event = await commanded(station, team)
    sent = await provider.send(answer(event))
    assert [(one["text"], one["response_type"]) for one in station.slack.responses] == [("because", "ephemeral")]
    assert sent.chat_id == team
    assert not station.slack.calls_of("chat.postMessage")


async def test_after_five_answers_a_command_is_answered_in_its_channel(station: Station) -> None:
    team = station.slack.channel("team", station.ann)
    provider, event = await commanded(station, team)
    ids = {(await provider.send(answer(event))).id for _ in range(6)}
    assert (len(ids), len(station.slack.responses)) == (6, 5)
    assert "thread_ts" not in station.slack.calls_of("chat.postMessage")[-1].params


async def test_a_command_is_answered_where_the_bot_is_not(station: Station) -> None:
    elsewhere = station.slack.channel("elsewhere", station.ann, with_bot=False)
    provider, event = await commanded(station, elsewhere)
    await provider.send(answer(event, reply_to=None))
    assert [one["text"] for one in station.slack.responses] == ["because"]


async def test_no_answer_goes_to_an_address_that_is_not_slacks(station: Station) -> None:
    elsewhere = station.slack.channel("elsewhere", station.ann, with_bot=False)
    provider, event = await commanded(station, elsewhere, url="http://127.0.0.1:9/response/1")
    with pytest.raises(Forbidden, match="not_in_channel"):
        await provider.send(answer(event))


async def test_nobody_is_alarmed_by_blocks_or_by_bare_words(station: Station) -> None:
    provider = station.make()
    rich = {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [{"type": "broadcast", "range": "here"}]}]}
    blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": "<!channel> <@U1>"}}, rich]
    draft = Draft(client_id="1", chat_id=station.dm, text="x", extra={"blocks": blocks})
    await provider.send(draft)
    posted = station.slack.calls_of("chat.postMessage")[-1].params["blocks"]
    assert "&lt;!channel&gt; <@U1>" in posted
    assert "broadcast" not in posted
    await provider.send(draft.model_copy(update={"mass_mentions": True}))
    assert "<!channel>" in station.slack.calls_of("chat.postMessage")[-1].params["blocks"]
    alarming = draft.model_copy(update={"extra": {"link_names": True}})
    with pytest.raises(InvalidRequest, match="link_names"):
        provider.check(alarming)
    provider.check(alarming.model_copy(update={"mass_mentions": True}))


async def test_nobody_is_alarmed_by_what_goes_with_a_file(station: Station) -> None:
    blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": "<!channel>"}}]
    await station.make().send(Draft(client_id="1", chat_id=station.dm, upload=PICTURE, extra={"blocks": blocks}))
    assert "<!channel>" not in station.slack.calls_of("files.completeUploadExternal")[-1].params["blocks"]


async def test_a_whole_channel_is_called_where_the_caller_asks_for_it(station: Station) -> None:
    draft = Draft(client_id="1", chat_id=station.dm, text="up <!here>", format=TextFormat.MARKDOWN, mass_mentions=True)
    await station.make().send(draft)
    assert station.slack.calls_of("chat.postMessage")[-1].params["text"] == "up <!here>"


async def test_an_edit_is_as_long_as_slack_takes_and_keeps_the_buttons(station: Station) -> None:
    provider = station.make()
    draft = Draft.model_validate({"client_id": "1", "chat_id": station.dm, "text": "old", "choices": [{"id": "a", "title": "A"}]})
    sent = await provider.send(draft)
    await provider.edit(station.dm, sent.id, "**new**", TextFormat.MARKDOWN)
    message = station.slack.channels[station.dm].messages[-1]
    assert [block["type"] for block in message["blocks"]] == ["section", "actions"]
    assert words_of(message) == "*new*"
    assert message["blocks"][0]["text"]["text"] == message["text"] == "*new*"
    await provider.edit(station.dm, sent.id, "x" * 4000, TextFormat.PLAIN)
    with pytest.raises(InvalidRequest, match="Slack takes 4000 in an edit"):
        await provider.edit(station.dm, sent.id, "x" * 4001, TextFormat.PLAIN)
