"""Drafts on the wire."""

import json

import pytest

from providers.capabilities import Capability
from providers.errors import Forbidden, InvalidRequest, NotFound
from providers.models import Choice, Draft, MediaKind, TextFormat, Upload
from tests.providers.harness import PICTURE, PNG
from tests.providers.slack.conftest import Station
from tests.standins.slack_api.workspace import BOT

pytestmark = pytest.mark.anyio


def draft(station: Station, **fields: object) -> Draft:
    return Draft.model_validate({"client_id": "42", "chat_id": station.dm, "text": "hello", **fields})


async def sent(station: Station, **fields: object) -> dict[str, str]:
    """The parameters of the call."""
    provider, given = station.make(), draft(station, **fields)
    provider.check(given)
    await provider.send(given)
    return station.slack.calls_of("chat.postMessage")[-1].params


async def test_a_plain_text_is_shown_as_it_is(station: Station) -> None:
    params = await sent(station, text="2*3 *x* <@U1> & <!here>")
    assert (params["text"], params["mrkdwn"]) == ("2*3 *x* &lt;@U1&gt; &amp; &lt;!here&gt;", "false")


async def test_markdown_becomes_mrkdwn(station: Station) -> None:
    params = await sent(station, text="**so** [there](https://a.example) <@U1ANN>", format=TextFormat.MARKDOWN)
    assert (params["text"], params["mrkdwn"]) == ("*so* <https://a.example|there> <@U1ANN>", "true")


async def test_each_send_carries_its_nonce(station: Station) -> None:
    assert json.loads((await sent(station))["metadata"])["event_payload"] == {"client_id": "42"}


async def test_a_person_is_written_to_in_direct_messages(station: Station) -> None:
    provider, bob = station.make(), station.slack.person("Bob")
    first = await provider.send(draft(station, chat_id=bob))
    second = await provider.send(draft(station, chat_id=bob))
    assert first.chat_id == second.chat_id == station.slack.direct(bob)
    assert len(station.slack.calls_of("conversations.open")) == 1
    await provider.edit(bob, first.id, "changed", TextFormat.PLAIN)


async def test_who_is_unknown_or_a_bot_is_not_written_to(station: Station) -> None:
    with pytest.raises(NotFound, match="user_not_found") as caught:
        await station.make().send(draft(station, chat_id="U0NOBODY"))
    assert "list_contacts" in (caught.value.hint or "")
    with pytest.raises(Forbidden, match="cannot_dm_bot"):
        await station.make().send(draft(station, chat_id=BOT))
    station.slack.scopes.discard("im:write")
    with pytest.raises(Forbidden, match="im:write"):
        await station.make().send(draft(station, chat_id=station.slack.person("Bob")))


async def test_an_answer_to_an_answer_goes_into_its_thread(station: Station) -> None:
    root = station.slack.user_writes(station.dm, "first", by=station.ann)
    reply = station.slack.user_writes(station.dm, "second", by=station.ann, thread_ts=root["ts"])
    params = await sent(station, reply_to=f"{station.dm}:{reply['ts']}")
    assert params["thread_ts"] == root["ts"]


async def test_a_thread_can_be_named(station: Station) -> None:
    root = station.slack.user_writes(station.dm, "first", by=station.ann)
    assert (await sent(station, thread_id=f"{station.dm}:{root['ts']}"))["thread_ts"] == root["ts"]


async def test_slacks_own_fields_pass_through(station: Station) -> None:
    blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": "*x*"}}]
    params = await sent(station, extra={"blocks": blocks, "unfurl_links": False, "username": "Helper"})
    assert (json.loads(params["blocks"]), params["unfurl_links"], params["username"]) == (blocks, "false", "Helper")


@pytest.mark.parametrize("name", ["channel", "text", "thread_ts", "metadata", "token", "files", "channel_id"])
async def test_extra_does_not_say_what_the_draft_says(station: Station, name: str) -> None:
    with pytest.raises(InvalidRequest, match=name):
        station.make().check(draft(station, extra={name: "x"}))


async def test_choices_are_buttons_with_what_is_said_about_them_above(station: Station) -> None:
    choices = (Choice(id="t", title="Tea", description="green & hot"), Choice(id="c", title="Coffee"))
    blocks = json.loads((await sent(station, text="What <now>?", choices=choices))["blocks"])
    assert blocks[0]["text"]["text"] == "What &lt;now&gt;?\n• *Tea*: green &amp; hot"
    assert [(button["value"], button["text"]["text"]) for button in blocks[1]["elements"]] == [("t", "Tea"), ("c", "Coffee")]


async def test_too_many_or_too_long_choices_are_refused_beforehand(station: Station) -> None:
    many = tuple(Choice(id=str(number), title=f"Number {number}") for number in range(26))
    for choices in (many, (Choice(id="a", title="x" * 76),)):
        with pytest.raises(InvalidRequest, match="25 choices"):
            station.make().check(draft(station, choices=choices))
    with pytest.raises(InvalidRequest, match="only under a text"):
        station.make().check(draft(station, choices=many[:2], upload=PICTURE))


@pytest.mark.parametrize("format", [TextFormat.PLAIN, TextFormat.MARKDOWN])
async def test_a_text_is_counted_with_its_markup(station: Station, format: TextFormat) -> None:
    provider = station.make()
    provider.check(draft(station, text="&" * 8_000, format=format))
    with pytest.raises(InvalidRequest, match="40005 characters with its markup"):
        provider.check(draft(station, text="&" * 8_001, format=format))
    with pytest.raises(InvalidRequest, match="Slack takes 3000"):
        provider.check(draft(station, text="x" * 3_001, choices=(Choice(id="a", title="A"),)))


async def test_a_file_goes_up_in_three_steps_and_into_its_thread(station: Station) -> None:
    root = station.slack.user_writes(station.dm, "send it", by=station.ann)
    station.slack.share_delay = 2
    upload = Upload(kind=MediaKind.DOCUMENT, content=PNG, mime="application/pdf", name="Bericht (1).pdf")
    answer = await station.make().send(draft(station, text="*here*", upload=upload, reply_to=f"{station.dm}:{root['ts']}"))
    message = station.slack.channels[station.dm].messages[-1]
    assert (answer.id, message["thread_ts"]) == (f"{station.dm}:{message['ts']}", root["ts"])
    assert answer.media[0].name == "Bericht (1).pdf"
    assert station.slack.files[answer.media[0].ref].content == PNG
    assert message["text"].replace("\u200b", "") == "*here*"
    assert len(station.slack.calls_of("files.info")) == 3


async def test_one_reaction_replaces_another(station: Station) -> None:
    provider = station.make()
    message = station.slack.user_writes(station.dm, "news", by=station.ann)
    id = f"{station.dm}:{message['ts']}"
    for emoji in ("👍", "👍", "🎉", ":party_parrot:", "👍🏼"):
        await provider.react(station.dm, id, emoji)
    assert [one["name"] for one in message["reactions"]] == ["+1::skin-tone-3"]
    await provider.react(station.dm, id, None)
    await provider.react(station.dm, id, None)
    assert message["reactions"] == []


async def test_lists_only_chats_the_bot_is_in_and_asks_for_nobody(station: Station) -> None:
    mine = station.slack.channel("mine", station.ann, kind="group")
    station.slack.channel("other", station.ann, with_bot=False)
    provider = station.make()
    assert {chat.id for chat in await provider.list_chats()} == {mine, station.dm}
    assert not station.slack.calls_of("users.info")


async def test_lists_contacts_page_by_page_without_those_who_left(station: Station) -> None:
    people = {station.slack.person(f"Person {number}") for number in range(450)}
    gone = people.pop()
    station.slack.users[gone]["deleted"] = True
    found = {contact.id for contact in await station.make().list_contacts()}
    assert found == people | {station.ann, BOT}
    assert len(station.slack.calls_of("users.list")) == 3


async def test_a_group_is_a_private_channel_with_a_name_slack_takes(station: Station) -> None:
    provider, bob = station.make(), station.slack.person("Bob")
    made = await provider.create_group("Größe & Farben 2", [station.ann, bob, BOT, "U0NOBODY"])
    assert made.group.title == "grösse-farben-2"
    assert {result.id: result.ok for result in made.results} == {station.ann: True, bob: True, BOT: False, "U0NOBODY": False}
    assert "cant_invite_self" in f"{made.results}"
    assert station.slack.channels[made.group.id].kind == "group"
    again = await provider.add_participants(made.group.id, [bob])
    assert again.results[0].ok
    with pytest.raises(InvalidRequest, match="name_taken"):
        await provider.create_group("grösse farben 2", [])


async def test_a_group_without_the_scope_names_it(station: Station) -> None:
    team = station.slack.channel("team", station.ann, kind="group")
    station.slack.scopes.discard("groups:write")
    with pytest.raises(Forbidden, match="groups:write"):
        await station.make().add_participants(team, [station.slack.person("Bob")])
    with pytest.raises(Forbidden, match="groups:write"):
        await station.make().create_group("team two", [])
    with pytest.raises(NotFound, match="channel_not_found"):
        await station.make().remove_participants("C0NOWHERE", [station.ann])


async def test_history_goes_back_past_a_message_and_has_no_answers_of_threads(station: Station) -> None:
    messages = [station.slack.user_writes(station.dm, f"number {number}", by=station.ann) for number in range(5)]
    station.slack.user_writes(station.dm, "in a thread", by=station.ann, thread_ts=messages[0]["ts"])
    found = await station.make().history(station.dm, before=f"{station.dm}:{messages[3]['ts']}", limit=2)
    assert [message.text for message in found] == ["number 2", "number 1"]
    everything = await station.make().history(station.dm, before=None, limit=1000)
    assert len(everything) == 5
    with pytest.raises(NotFound, match="channel_not_found"):
        await station.make().history("C0NOWHERE", before=None, limit=5)


@pytest.mark.parametrize("in_thread", [True, False])
async def test_the_sign_that_the_app_is_thinking_ends_with_its_answer(station: Station, in_thread: bool) -> None:
    provider = station.make()
    root = station.slack.user_writes(station.dm, "why?", by=station.ann)
    id = f"{station.dm}:{root['ts']}"
    await provider.set_typing(station.dm, True, id)
    assert station.slack.statuses == {(station.dm, root["ts"]): "is thinking…"}
    await provider.send(draft(station, text="because", reply_to=id if in_thread else None))
    assert station.slack.statuses == {}
    await provider.set_typing(station.dm, True, id)
    await provider.set_typing(station.dm, False, id)
    assert station.slack.statuses == {}


async def test_an_answer_grows_in_a_thread_and_is_closed_before_it_is_edited_after_a_restart(station: Station) -> None:
    team = station.slack.channel("team", station.ann)
    provider = await station.ready()
    asked = station.slack.user_writes(team, "a story", by=station.ann)
    await station.inbox.message("a story")
    answer = Draft(client_id="1", chat_id=team, text="Once <!here>", reply_to=f"{team}:{asked['ts']}", growing=True)
    sent = await provider.send(answer)
    message = station.slack.channels[team].messages[-1]
    assert (message["text"], message["streaming_state"]) == ("Once <\u200b!here>", "in_progress")
    await provider.grow(team, sent.id, "Once <!here> upon", TextFormat.PLAIN, is_whole=False)
    assert message["text"] == "Once <\u200b!here> upon"
    await provider.grow(team, sent.id, "Once <!here> upon a time", TextFormat.MARKDOWN, is_whole=True)
    assert (message["text"], "streaming_state" in message) == ("Once <\u200b!here> upon a time", False)
    second = await provider.send(answer.model_copy(update={"client_id": "2"}))
    other = station.make()
    await other.grow(team, second.id, "Twice", TextFormat.MARKDOWN, is_whole=True)
    message = station.slack.channels[team].messages[-1]
    assert (message["text"], "streaming_state" in message) == ("Twice", False)


async def test_an_answer_grows_beside_threads_in_a_channel_and_is_edited_in_direct_messages(station: Station) -> None:
    team = station.slack.channel("team", station.ann)
    provider = await station.ready()
    for channel, shown in ((team, "Once"), (station.dm, "Once …")):
        station.slack.user_writes(channel, f"a story in {channel}", by=station.ann)
        await station.inbox.message(f"a story in {channel}")
        sent = await provider.send(Draft(client_id=channel, chat_id=channel, text="Once", growing=True))
        message = station.slack.channels[channel].messages[-1]
        assert (message["text"], "streaming_state" in message, "thread_ts" in message) == (shown, channel == team, False)
        await provider.grow(channel, sent.id, "Once upon a time", TextFormat.MARKDOWN, is_whole=True)
        assert (message["text"], "streaming_state" in message) == ("Once upon a time", False)


async def test_an_answer_to_nobody_known_is_a_message_that_is_edited(station: Station) -> None:
    team = station.slack.channel("team", station.ann)
    asked = station.slack.user_writes(team, "a story", by=station.ann)
    provider = station.make()
    sent = await provider.send(Draft(client_id="1", chat_id=team, text="Once", reply_to=f"{team}:{asked['ts']}", growing=True))
    message = station.slack.channels[team].messages[-1]
    assert message["text"] == "Once …"
    await provider.grow(team, sent.id, "Once upon", TextFormat.PLAIN, is_whole=False)
    assert message["text"] == "Once upon …"
    await provider.grow(team, sent.id, "Once upon a **time**", TextFormat.MARKDOWN, is_whole=True)
    assert message["text"] == "Once upon a *time*"


async def test_what_the_token_has_no_scope_for_is_named_with_what_it_needs(station: Station) -> None:
    station.slack.scopes -= {"reactions:write", "files:read"}
    provider = await station.ready()
    lacking = await provider.lacking()
    of_person = {Capability.SEARCH, Capability.MARK_READ, Capability.CHAT_MARKS}
    assert lacking.keys() == {Capability.REACT, Capability.DOWNLOAD, *of_person}
    assert all("xoxp-" in lacking[capability] for capability in of_person)
    assert "reactions:write" in lacking[Capability.REACT]
