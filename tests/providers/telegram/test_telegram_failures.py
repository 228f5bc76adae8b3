"""What goes wrong between us and Telegram, and whether a message may have gone out all the same."""

from collections.abc import Callable

import pytest
from pydantic import SecretStr

from providers.errors import Forbidden, InvalidRequest, LoggedOut, MessengerError, NotFound, RateLimited, Unreachable
from providers.models import Draft, Media, MediaKind, TextFormat
from tests.providers.telegram.conftest import Station
from tests.standins.telegram_bot_api import StandInBot, TelegramStandIn
from tests.standins.telegram_bot_api.server import calls_of

pytestmark = pytest.mark.anyio


def draft(chat: int) -> Draft:
    return Draft(client_id="c-1", chat_id=str(chat), text="hello")


async def failure(station: Station, ann: int) -> MessengerError:
    with pytest.raises(MessengerError) as caught:
        await station.make().send(draft(ann))
    return caught.value


async def unreachable(station: Station, ann: int) -> Unreachable:
    error = await failure(station, ann)
    assert isinstance(error, Unreachable)
    return error


async def test_nothing_was_sent_when_nobody_listens(station: Station, telegram: TelegramStandIn) -> None:
    ann = station.bot.person()
    await telegram.go_down()
    error = await unreachable(station, ann)
    assert not error.maybe_sent
    assert "Nothing was sent" in (error.hint or "")
    assert station.bot.token not in f"{error!r} {error.__cause__!r}"


@pytest.mark.parametrize(("when", "went_out"), [("before", 0), ("after", 1)])
async def test_a_cut_connection_leaves_it_open_and_is_never_tried_again(station: Station, when: str, went_out: int) -> None:
    ann = station.bot.person()
    station.bot.drop_next("sendMessage", "before" if when == "before" else "after")
    error = await unreachable(station, ann)
    assert error.maybe_sent
    assert len(calls_of(station.bot, "sendMessage")) == 1
    assert len(station.bot.sent) == went_out


async def test_a_cut_kept_alive_connection_is_not_tried_again_either(station: Station) -> None:
    ann = station.bot.person()
    provider = station.make()
    await provider.send(draft(ann))
    station.bot.drop_next("sendMessage", "after")
    with pytest.raises(Unreachable) as caught:
        await provider.send(draft(ann))
    assert caught.value.maybe_sent
    assert len(calls_of(station.bot, "sendMessage")) == 2


@pytest.mark.parametrize("status", [500, 502, 504])
async def test_a_broken_server_leaves_it_open(station: Station, status: int) -> None:
    ann = station.bot.person()
    station.bot.fail_next("sendMessage", status, "Internal Server Error")
    assert (await unreachable(station, ann)).maybe_sent
    assert len(calls_of(station.bot, "sendMessage")) == 1


@pytest.mark.parametrize(("status", "body"), [(502, "<html>Bad Gateway</html>"), (200, "<html>Log in to the hotel's network</html>"), (200, "")])
async def test_an_answer_that_is_none_leaves_it_open(station: Station, status: int, body: str) -> None:
    ann = station.bot.person()
    station.bot.garble_next("sendMessage", status, body)
    assert (await unreachable(station, ann)).maybe_sent


async def test_says_how_long_to_wait(station: Station) -> None:
    ann = station.bot.person()
    station.bot.flood_next("sendMessage", 17)
    error = await failure(station, ann)
    assert isinstance(error, RateLimited)
    assert error.retry_after == 17


@pytest.mark.parametrize("token", ["1234567:WRONG-TOKEN-OF-A-TEST", "test-token", "../../file/bot", "a/b?c#d e", ""])
async def test_a_wrong_token_is_logged_out(station: Station, token: str) -> None:
    provider = station.make(token=SecretStr(token))
    with pytest.raises(LoggedOut) as caught:
        await provider.send(draft(station.bot.person()))
    assert "@BotFather" in (caught.value.hint or "")
    assert not station.bot.calls


def block(bot: StandInBot, chat: int) -> None:
    bot.blocked.add(chat)


def never_start(bot: StandInBot, chat: int) -> None:
    bot.not_started.add(chat)


def forget(bot: StandInBot, chat: int) -> None:
    del bot.chats[chat]


def narrow(words: str, status: int = 400) -> Callable[[StandInBot, int], None]:
    def refuse(bot: StandInBot, chat: int) -> None:
        bot.fail_next("sendMessage", status, words)

    return refuse


@pytest.mark.parametrize(
    ("trouble", "kind", "words", "hint"),
    [
        (block, Forbidden, "bot was blocked by the user", "unblock"),
        (never_start, Forbidden, "bot can't initiate conversation with a user", "write to the bot first"),
        (forget, NotFound, "chat not found", "list_chats"),
        (narrow("Bad Request: not enough rights to send text messages to the chat"), Forbidden, "not enough rights", None),
        (narrow("Bad Request: CHAT_WRITE_FORBIDDEN"), Forbidden, "chat_write_forbidden", None),
        (narrow("Bad Request: TOPIC_CLOSED"), Forbidden, "topic_closed", None),
        (narrow("Bad Request: message thread not found"), NotFound, "message thread not found", None),
        (narrow("Forbidden: bot was kicked from the supergroup chat", 403), Forbidden, "bot was kicked", "add the bot"),
        (narrow("Bad Request: something quite new"), InvalidRequest, "something quite new", "Change what these words name"),
    ],
)
async def test_refusals_are_sorted_and_keep_telegrams_words(
    station: Station, trouble: Callable[[StandInBot, int], None], kind: type[MessengerError], words: str, hint: str | None
) -> None:
    ann = station.bot.person()
    trouble(station.bot, ann)
    error = await failure(station, ann)
    assert type(error) is kind
    assert words in error.detail.casefold()
    if hint is not None:
        assert hint in (error.hint or "")
    assert not station.bot.sent


async def test_what_cannot_be_changed_says_why(station: Station) -> None:
    provider, ann, team = station.make(), station.bot.person(), station.bot.group()
    theirs = station.bot.user_writes(team, "mine", by=ann)
    message_id = f"{team}:{theirs['message_id']}"
    with pytest.raises(Forbidden, match="can't be edited") as caught:
        await provider.edit(str(team), message_id, "yours", TextFormat.PLAIN)
    assert "its own" in (caught.value.hint or "")
    with pytest.raises(Forbidden, match="can't be deleted"):
        await provider.delete(str(team), message_id)
    with pytest.raises(NotFound, match="to edit not found"):
        await provider.edit(str(team), f"{team}:99", "x", TextFormat.PLAIN)
    with pytest.raises(NotFound, match="to delete not found"):
        await provider.delete(str(team), f"{team}:99")
    with pytest.raises(NotFound, match="to react not found"):
        await provider.react(str(team), f"{team}:99", "👍")
    with pytest.raises(InvalidRequest, match=r"(?i)reaction_invalid") as refused:
        await provider.react(str(team), message_id, "🧮")
    assert "👍" in (refused.value.hint or "")


@pytest.mark.parametrize("message_id", ["7", "abc", "1:2:3:4", "1:x", "", "1:" + "9" * 400 + "x"])
async def test_an_id_of_another_shape_names_the_next_step(station: Station, message_id: str) -> None:
    provider = station.make()
    for call in (
        lambda: provider.edit("1", message_id, "x", TextFormat.PLAIN),
        lambda: provider.delete("1", message_id),
        lambda: provider.react("1", message_id, "👍"),
    ):
        with pytest.raises(NotFound, match="no id of a Telegram message") as caught:
            await call()
        assert "get_messages" in (caught.value.hint or "")
    assert not station.bot.calls


async def test_changes_of_a_moved_group_name_the_new_one(station: Station) -> None:
    old = station.bot.group("Team", kind="group")
    new = station.bot.group_becomes_supergroup(old, announce=False)
    with pytest.raises(NotFound) as caught:
        await station.make().delete(str(old), f"{old}:1")
    assert str(new) in (caught.value.hint or "")


async def test_a_download_may_be_tried_again(station: Station, telegram: TelegramStandIn) -> None:
    await telegram.go_down()
    with pytest.raises(Unreachable):
        await station.make().download(Media(kind=MediaKind.IMAGE, ref="x"))
