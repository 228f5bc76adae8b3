"""What goes wrong between us and Slack, and whether a message may have gone out all the same."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr

from providers.errors import Forbidden, InvalidRequest, LoggedOut, MessengerError, NotFound, RateLimited, Unreachable
from providers.models import Draft, Media, MediaKind, TextFormat
from tests.providers.harness import PICTURE, Inbox
from tests.providers.slack.conftest import Station
from tests.standins.slack_api import SlackStandIn

pytestmark = pytest.mark.anyio


def draft(station: Station, **fields: object) -> Draft:
    return Draft.model_validate({"client_id": "42", "chat_id": station.dm, "text": "hello", **fields})


async def failure(station: Station, **fields: object) -> MessengerError:
    with pytest.raises(MessengerError) as caught:
        await station.make().send(draft(station, **fields))
    return caught.value


async def unreachable(station: Station, **fields: object) -> Unreachable:
    error = await failure(station, **fields)
    assert isinstance(error, Unreachable)
    return error


def posted(station: Station) -> list[str]:
    return [message["text"] for message in station.slack.channels[station.dm].messages if message.get("bot_id")]


async def test_nothing_was_sent_when_nobody_listens(station: Station) -> None:
    await station.slack.go_down()
    error = await unreachable(station)
    assert not error.maybe_sent
    assert station.slack.bot_token not in f"{error!r} {error.__cause__!r} {error.__context__!r}"


async def test_a_connection_cut_before_leaves_it_open_and_is_never_tried_again(station: Station) -> None:
    station.slack.drop_next("chat.postMessage", "before")
    assert (await unreachable(station)).maybe_sent
    assert len(station.slack.calls_of("chat.postMessage")) == 1
    assert posted(station) == []


@pytest.mark.parametrize("warm", [False, True])
async def test_a_message_whose_answer_was_lost_is_found_by_its_nonce(station: Station, warm: bool) -> None:
    provider = station.make()
    if warm:
        await provider.send(draft(station, client_id="41", text="before"))
    station.slack.drop_next("chat.postMessage", "after")
    sent = await provider.send(draft(station))
    assert sent.id == f"{station.dm}:{station.slack.channels[station.dm].messages[-1]['ts']}"
    assert posted(station).count("hello") == 1


async def test_an_answer_lost_in_a_thread_is_found_there(station: Station) -> None:
    root = station.slack.user_writes(station.dm, "question", by=station.ann)
    station.slack.drop_next("chat.postMessage", "after")
    sent = await station.make().send(draft(station, reply_to=f"{station.dm}:{root['ts']}"))
    assert posted(station) == ["hello"]
    assert sent.raw["thread_ts"] == root["ts"]


async def test_a_message_of_another_send_is_not_taken_for_it(station: Station) -> None:
    provider = station.make()
    await provider.send(draft(station, client_id="41"))
    station.slack.drop_next("chat.postMessage", "before")
    with pytest.raises(Unreachable) as caught:
        await provider.send(draft(station))
    assert caught.value.maybe_sent


async def test_a_lost_answer_stays_open_when_history_may_not_be_read(station: Station) -> None:
    station.slack.scopes.discard("im:history")
    station.slack.drop_next("chat.postMessage", "after")
    assert (await unreachable(station)).maybe_sent
    assert posted(station) == ["hello"]


async def test_the_echo_of_a_message_carries_the_nonce_of_its_send(station: Station) -> None:
    provider = await station.ready()
    sent = await provider.send(draft(station))
    echo = await station.inbox.message("hello")
    assert (echo.message.id, echo.message.outgoing, echo.client_id) == (sent.id, True, "42")


@pytest.mark.parametrize(("status", "error"), [(500, None), (502, None), (503, "service_unavailable"), (200, "internal_error"), (200, "fatal_error")])
async def test_a_broken_server_leaves_it_open(station: Station, status: int, error: str | None) -> None:
    station.slack.fail_next("chat.postMessage", status, error)
    assert (await unreachable(station)).maybe_sent
    assert len(station.slack.calls_of("chat.postMessage")) == 1


async def test_a_server_that_breaks_after_the_work_is_found_out(station: Station) -> None:
    station.slack.fail_next("chat.postMessage", 500, is_done=True)
    sent = await station.make().send(draft(station))
    assert posted(station) == ["hello"]
    assert sent.chat_id == station.dm


@pytest.mark.parametrize("body", ["<html>Log in to the hotel's network</html>", "", "[]", "null", '"ok"', "{"])
async def test_an_answer_that_is_none_leaves_it_open(station: Station, body: str) -> None:
    station.slack.garble_next("chat.postMessage", 200, body)
    assert (await unreachable(station)).maybe_sent


async def test_what_slack_did_not_begin_was_not_sent(station: Station) -> None:
    station.slack.fail_next("chat.postMessage", 200, "request_timeout")
    assert not (await unreachable(station)).maybe_sent


@pytest.mark.parametrize("seconds", [1, 17, 3600])
async def test_says_how_long_to_wait(station: Station, seconds: int) -> None:
    station.slack.flood_next("chat.postMessage", seconds)
    error = await failure(station)
    assert isinstance(error, RateLimited)
    assert error.retry_after == seconds
    assert error.of_chat
    assert posted(station) == []


async def test_a_storm_of_refusals_is_told_each_time_and_nothing_is_sent_twice(station: Station) -> None:
    provider = station.make()
    for _ in range(20):
        station.slack.flood_next("chat.postMessage", 1)
    for _ in range(20):
        with pytest.raises(RateLimited):
            await provider.send(draft(station))
    await provider.send(draft(station))
    assert posted(station) == ["hello"]
    assert len(station.slack.calls_of("chat.postMessage")) == 21


@pytest.mark.parametrize("token", ["xoxb-WRONG", "test-token", "../../x"])
async def test_a_wrong_token_is_logged_out(station: Station, token: str) -> None:
    with pytest.raises(LoggedOut) as caught:
        await station.make(bot_token=SecretStr(token)).send(draft(station))
    assert "OAuth & Permissions" in (caught.value.hint or "")


def leave(station: Station, channel: str) -> None:
    station.slack.channels[channel].members.remove("U0ROBO")


def archive(station: Station, channel: str) -> None:
    station.slack.channels[channel].is_archived = True


def forget(station: Station, channel: str) -> None:
    del station.slack.channels[channel]


def narrow(error: str, **more: Any) -> Callable[[Station, str], None]:
    def refuse(station: Station, channel: str) -> None:
        station.slack.fail_next("chat.postMessage", 200, error, **more)

    return refuse


def without(scope: str) -> Callable[[Station, str], None]:
    def refuse(station: Station, channel: str) -> None:
        station.slack.scopes.discard(scope)

    return refuse


@pytest.mark.parametrize(
    ("trouble", "kind", "words", "hint"),
    [
        (leave, Forbidden, "not_in_channel", "/invite"),
        (archive, Forbidden, "is_archived", "archived"),
        (forget, NotFound, "channel_not_found", "list_chats"),
        (without("chat:write"), Forbidden, "lacks the scope chat:write", "install the app again"),
        (narrow("token_revoked"), LoggedOut, "token_revoked", "bot token"),
        (narrow("account_inactive"), LoggedOut, "account_inactive", "bot token"),
        (narrow("restricted_action_read_only_channel"), Forbidden, "restricted_action_read_only_channel", None),
        (narrow("thread_not_found"), NotFound, "thread_not_found", "without reply_to"),
        (narrow("msg_too_long"), InvalidRequest, "msg_too_long", "several messages"),
        (narrow("channel_is_limited_access"), Forbidden, "channel_is_limited_access", "Salesforce"),
        (narrow("as_user_not_supported"), InvalidRequest, "as_user_not_supported", "Leave as_user out"),
        (narrow("ekm_access_denied"), Forbidden, "ekm_access_denied", "Administrators"),
        (narrow("no_permission"), Forbidden, "no_permission", "/invite"),
        (narrow("team_access_not_granted"), Forbidden, "team_access_not_granted", "organization"),
        (narrow("external_channel_migrating"), Unreachable, "external_channel_migrating", "Nothing was sent"),
        (narrow("something_quite_new"), InvalidRequest, "something_quite_new", None),
        (narrow("invalid_blocks", response_metadata={"messages": ["[ERROR] unsupported type"]}), InvalidRequest, "unsupported type", "Block Kit"),
    ],
)
async def test_refusals_are_sorted_and_keep_slacks_words(
    station: Station, trouble: Callable[[Station, str], None], kind: type[MessengerError], words: str, hint: str | None
) -> None:
    team = station.slack.channel("team", station.ann)
    trouble(station, team)
    error = await failure(station, chat_id=team)
    assert type(error) is kind
    assert words in error.detail
    if hint is not None:
        assert hint in (error.hint or "")


async def test_what_cannot_be_changed_says_why(station: Station) -> None:
    provider = station.make()
    theirs = f"{station.dm}:{station.slack.user_writes(station.dm, 'mine', by=station.ann)['ts']}"
    with pytest.raises(Forbidden, match="cant_update_message"):
        await provider.edit(station.dm, theirs, "yours", TextFormat.PLAIN)
    with pytest.raises(Forbidden, match="cant_delete_message"):
        await provider.delete(station.dm, theirs)
    with pytest.raises(NotFound, match="message_not_found"):
        await provider.edit(station.dm, f"{station.dm}:1.000001", "x", TextFormat.PLAIN)
    with pytest.raises(NotFound, match="message_not_found"):
        await provider.react(station.dm, f"{station.dm}:1.000001", "👍")
    with pytest.raises(InvalidRequest, match="invalid_name"):
        await provider.react(station.dm, theirs, "🧮")


@pytest.mark.parametrize("message_id", ["7", "abc", "D1:2:3", "D1:x", "", "D1:" + "9" * 400])
async def test_an_id_of_another_shape_names_the_next_step(station: Station, message_id: str) -> None:
    provider = station.make()
    for call in (
        lambda: provider.edit(station.dm, message_id, "x", TextFormat.PLAIN),
        lambda: provider.delete(station.dm, message_id),
        lambda: provider.react(station.dm, message_id, "👍"),
        lambda: provider.send(draft(station, reply_to=message_id)),
    ):
        with pytest.raises(NotFound, match="no id of a Slack message") as caught:
            await call()
        assert "get_messages" in (caught.value.hint or "")
    assert not station.slack.calls


async def test_a_message_of_another_chat_is_not_touched(station: Station) -> None:
    with pytest.raises(NotFound, match="is not in the chat"):
        await station.make().delete("C1", "C2:1.000001")


async def test_an_upload_that_broke_before_it_was_shared_was_not_sent(station: Station) -> None:
    station.slack.drop_next("files.getUploadURLExternal", "after")
    assert not (await unreachable(station, upload=PICTURE)).maybe_sent
    station.slack.fail_next("upload", 500)
    assert not (await unreachable(station, upload=PICTURE)).maybe_sent
    station.slack.drop_next("upload", "before")
    assert not (await unreachable(station, upload=PICTURE)).maybe_sent
    assert posted(station) == []


async def test_a_share_whose_answer_was_lost_is_found_by_its_file(station: Station) -> None:
    station.slack.drop_next("files.completeUploadExternal", "after")
    sent = await station.make().send(draft(station, upload=PICTURE))
    assert sent.id.endswith(station.slack.channels[station.dm].messages[-1]["ts"])
    assert posted(station) == ["hello"]


async def test_a_file_that_slack_does_not_show_leaves_it_open_until_its_echo(station: Station, slack: SlackStandIn) -> None:
    provider = await station.ready()
    slack.share_delay = 1000
    with pytest.raises(Unreachable) as caught:
        await provider.send(draft(station, upload=PICTURE))
    assert caught.value.maybe_sent
    assert (await station.inbox.message("hello")).client_id == "42"


async def test_a_file_too_large_is_refused_beforehand(station: Station) -> None:
    provider = station.make()
    small = type(provider).limits.model_copy(update={"max_upload": 10})
    provider.limits = small  # pyright: ignore[reportAttributeAccessIssue]  a gigabyte costs too much to make
    with pytest.raises(InvalidRequest, match="Slack takes 10"):
        provider.check(draft(station, upload=PICTURE))


async def test_a_file_that_slack_finds_too_large_says_so(station: Station) -> None:
    station.slack.fail_next("files.getUploadURLExternal", 200, "file_upload_size_restricted")
    with pytest.raises(InvalidRequest, match="file_upload_size_restricted"):
        await station.make().send(draft(station, upload=PICTURE))


async def test_history_that_is_rationed_says_what_the_ration_is(station: Station) -> None:
    station.slack.flood_next("conversations.history", 30)
    with pytest.raises(RateLimited, match="15 messages") as caught:
        await station.make().history(station.dm, before=None, limit=5)
    assert caught.value.retry_after == 30


async def test_a_download_without_the_scope_names_it(station: Station) -> None:
    file = station.slack.store(b"x", "a.txt")
    station.slack.scopes.discard("files:read")
    with pytest.raises(Forbidden, match="files:read"):
        await station.make().download(Media(kind=MediaKind.DOCUMENT, ref=file.id))


async def test_the_token_goes_to_no_other_host(station: Station) -> None:
    elsewhere = {"ok": True, "file": {"id": "F1", "name": "a", "url_private": "http://127.0.0.1:9/a", "size": 1}}
    station.slack.garble_next("files.info", 200, "")
    station.slack.faults[-1].body = elsewhere  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(Forbidden, match="does not lie at Slack"):
        await station.make().download(Media(kind=MediaKind.DOCUMENT, ref="F1"))


async def test_a_deleted_file_is_not_found(station: Station) -> None:
    file = station.slack.store(b"x", "a.txt")
    file.is_deleted = True
    with pytest.raises(NotFound, match="file_deleted"):
        await station.make().download(Media(kind=MediaKind.DOCUMENT, ref=file.id))


async def test_goes_through_the_proxy_of_the_environment(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", station.slack.url().removeprefix("http://"))
    await station.make(base_url="http://slack.example/api").send(draft(station))
    assert posted(station) == ["hello"]


async def test_goes_past_the_proxy_where_the_environment_says_so(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    await station.make().send(draft(station))
    assert posted(station) == ["hello"]


async def test_names_that_may_not_be_asked_for_do_not_hold_a_message_up(station: Station) -> None:
    station.slack.scopes -= {"users:read", "im:read"}
    station.inbox = Inbox()
    await station.ready()
    for text in ("first", "second"):
        station.slack.user_writes(station.dm, text, by=station.ann)
        event = await station.inbox.message(text)
        assert event.message.sender_id == station.ann
    assert len(station.slack.calls_of("users.info")) == 1
