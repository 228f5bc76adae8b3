"""The stand-in is as strict as Telegram, and stricter about what no program should ask."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tests.standins.telegram_bot_api import StandInBot, TelegramStandIn, spec

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.anyio

described = pytest.mark.skipif(spec.load() is None, reason="no description of the Bot API here; MCP_MESSENGER_SPECS names its folder")


@pytest.fixture
async def telegram() -> AsyncIterator[TelegramStandIn]:
    async with TelegramStandIn() as telegram:
        yield telegram
        telegram.violations.clear()


@pytest.fixture
def bot(telegram: TelegramStandIn) -> StandInBot:
    return telegram.add_bot()


class Program:
    """Calls the Bot API by hand."""

    def __init__(self, telegram: TelegramStandIn, bot: StandInBot) -> None:
        self._base = f"{telegram.url}/bot{bot.token}"

    async def answer(self, method: str, **params: Any) -> dict[str, Any]:
        async with httpx.AsyncClient(timeout=15) as client:
            return (await client.post(f"{self._base}/{method}", json=params)).json()

    async def result(self, method: str, **params: Any) -> Any:
        answer = await self.answer(method, **params)
        assert answer["ok"], answer
        return answer["result"]


@pytest.fixture
def program(telegram: TelegramStandIn, bot: StandInBot) -> Program:
    return Program(telegram, bot)


async def test_a_method_that_is_none_is_not_found_and_remembered(telegram: TelegramStandIn, program: Program) -> None:
    assert (await program.answer("sendTelepathy"))["error_code"] == 404
    assert telegram.violations == ["sendTelepathy is no method of this stand-in"]


async def test_method_names_have_no_case(program: Program, bot: StandInBot) -> None:
    assert (await program.result("GETME"))["id"] == bot.id


async def test_a_missing_parameter_is_a_violation(telegram: TelegramStandIn, program: Program, bot: StandInBot) -> None:
    assert (await program.answer("sendMessage", chat_id=bot.person()))["error_code"] == 400
    assert "sendMessage: text is required" in telegram.violations


@described
@pytest.mark.parametrize(
    ("params", "violation"),
    [
        ({"colour": "red"}, "unknown parameter colour"),
        ({"message_thread_id": "seven"}, "message_thread_id should be Integer"),
        ({"disable_notification": "perhaps"}, "disable_notification should be Boolean"),
        ({"reply_parameters": {"message_id": 1, "colour": "red"}}, "reply_parameters should be ReplyParameters"),
        ({"reply_parameters": {"quote": "x"}}, "reply_parameters should be ReplyParameters"),
        ({"reply_markup": {"inline_keyboard": [{"text": "not a row"}]}}, "reply_markup should be"),
        ({"entities": [{"type": "bold"}]}, "entities should be Array of MessageEntity"),
    ],
)
async def test_what_the_description_does_not_know_is_a_violation(
    telegram: TelegramStandIn, program: Program, bot: StandInBot, params: dict[str, Any], violation: str
) -> None:
    answer = await program.answer("sendMessage", chat_id=bot.person(), text="hello", **params)
    assert answer["error_code"] == 400
    assert any(violation in found for found in telegram.violations)
    assert not bot.sent


@described
async def test_what_the_description_knows_passes(telegram: TelegramStandIn, program: Program, bot: StandInBot) -> None:
    markup = {"inline_keyboard": [[{"text": "Yes", "callback_data": "y"}]]}
    await program.result("sendMessage", chat_id=bot.person(), text="x", reply_markup=markup, protect_content=True, entities=[])
    assert telegram.violations == []


async def test_leaving_with_violations_fails() -> None:
    with pytest.raises(AssertionError, match="sendTelepathy"):
        async with TelegramStandIn() as telegram:
            await Program(telegram, telegram.add_bot()).answer("sendTelepathy")


@pytest.mark.parametrize(("token", "status", "words"), [("1:UNKNOWN", 401, "Unauthorized"), ("nonsense", 404, "Not Found")])
async def test_tokens(telegram: TelegramStandIn, token: str, status: int, words: str) -> None:
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{telegram.url}/bot{token}/getMe")
    assert (answer.status_code, answer.json()) == (status, {"ok": False, "error_code": status, "description": words})


async def test_updates_come_again_until_they_are_confirmed(program: Program, bot: StandInBot) -> None:
    ann = bot.person()
    for text in ("one", "two", "three"):
        bot.user_writes(ann, text)
    first = await program.result("getUpdates", limit=2)
    assert [update["message"]["text"] for update in first] == ["one", "two"]
    assert await program.result("getUpdates", limit=2) == first
    rest = await program.result("getUpdates", offset=first[-1]["update_id"] + 1)
    assert [update["message"]["text"] for update in rest] == ["three"]
    assert await program.result("getUpdates", offset=rest[-1]["update_id"] + 1) == []


async def test_a_negative_offset_forgets_the_older(program: Program, bot: StandInBot) -> None:
    ann = bot.person()
    for text in ("one", "two"):
        bot.user_writes(ann, text)
    assert [update["message"]["text"] for update in await program.result("getUpdates", offset=-1)] == ["two"]
    assert len(bot.pending) == 1


async def test_reactions_come_only_when_they_are_named(program: Program, bot: StandInBot) -> None:
    ann = bot.person()
    sent = bot.compose(ann, text="nice?")
    bot.user_reacts(sent, "👍", by=ann)
    assert await program.result("getUpdates", allowed_updates=["message_reaction"]) == []
    bot.user_reacts(sent, "👍", by=ann)
    bot.user_writes(ann, "not asked for")
    assert [list(update)[1] for update in await program.result("getUpdates")] == ["message_reaction"]


async def test_a_long_poll_waits_for_news_and_then_gives_up(telegram: TelegramStandIn, program: Program, bot: StandInBot) -> None:
    assert await program.result("getUpdates", timeout=1) == []
    found: list[Any] = []

    async def poll() -> None:
        found.extend(await program.result("getUpdates", timeout=30))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(poll)
        await telegram.until(lambda: bot.poll is not None and not bot.poll.done())
        bot.user_writes(bot.person(), "news")
    assert [update["message"]["text"] for update in found] == ["news"]


async def test_a_newer_poll_throws_out_the_older(telegram: TelegramStandIn, program: Program, bot: StandInBot) -> None:
    older: list[dict[str, Any]] = []

    async def poll() -> None:
        older.append(await program.answer("getUpdates", timeout=30))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(poll)
        await telegram.until(lambda: bot.poll is not None)
        assert await program.result("getUpdates") == []
    words = "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"
    assert older == [{"ok": False, "error_code": 409, "description": words}]


async def test_polling_and_webhook_exclude_one_another(program: Program) -> None:
    await program.result("setWebhook", url="https://bot.example/hook", secret_token="Secret_1")
    assert (await program.result("getWebhookInfo"))["url"] == "https://bot.example/hook"
    refused = await program.answer("getUpdates")
    words = "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first"
    assert (refused["error_code"], refused["description"]) == (409, words)
    await program.result("deleteWebhook")
    assert await program.result("getUpdates") == []


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"url": "http://bot.example"}, "bad webhook: HTTPS url must be provided for webhook"),
        ({"url": "https://bot.example:8444"}, "bad webhook: Webhook can be set up only on ports 80, 88, 443 or 8443"),
        ({"url": "https://bot.example", "secret_token": "no spaces"}, "secret token contains unallowed characters"),
    ],
)
async def test_refuses_webhooks_that_telegram_refuses(program: Program, params: dict[str, str], words: str) -> None:
    assert (await program.answer("setWebhook", **params))["description"] == f"Bad Request: {words}"


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"text": "x" * 4097}, "message is too long"),
        ({"text": " \n"}, "message text is empty"),
        ({"text": "<b>x", "parse_mode": "HTML"}, "can't parse entities: Can't find end tag corresponding to start tag \"b\""),
        ({"text": "<x>", "parse_mode": "HTML"}, 'can\'t parse entities: Unsupported start tag "x" at byte offset 0'),
        ({"text": "é</b>", "parse_mode": "HTML"}, "can't parse entities: Unexpected end tag at byte offset 2"),
        ({"text": "ä_b", "parse_mode": "Markdown"}, "can't parse entities: Can't find end of the entity starting at byte offset 2"),
        ({"text": "1.", "parse_mode": "MarkdownV2"}, "can't parse entities: Character '.' is reserved and must be escaped with the preceding '\\'"),
        ({"text": "x", "parse_mode": "Wiki"}, "unsupported parse_mode"),
        ({"text": "x", "chat_id": 999}, "chat not found"),
        ({"text": "x", "reply_parameters": {"message_id": 99}}, "message to be replied not found"),
    ],
)
async def test_refuses_messages_in_telegrams_words(program: Program, bot: StandInBot, params: dict[str, Any], words: str) -> None:
    answer = await program.answer("sendMessage", **({"chat_id": bot.person()} | params))
    assert (answer["error_code"], answer["description"]) == (400, f"Bad Request: {words}")


async def test_counts_what_is_left_of_a_text_after_its_markup(program: Program, bot: StandInBot) -> None:
    text = "<b>" + "&amp;" * 4096 + "</b>"
    sent = await program.result("sendMessage", chat_id=bot.person(), text=text, parse_mode="HTML")
    assert sent["text"] == "&" * 4096


async def test_a_moved_group_names_its_new_id(program: Program, bot: StandInBot) -> None:
    old = bot.group(kind="group")
    new = bot.group_becomes_supergroup(old)
    answer = await program.answer("sendMessage", chat_id=old, text="x")
    assert answer["parameters"] == {"migrate_to_chat_id": new}
    assert answer["description"] == "Bad Request: group chat was upgraded to a supergroup chat"


async def test_takes_files_by_id_and_by_url_as_well(program: Program, bot: StandInBot) -> None:
    ann = bot.person()
    known = bot.store(b"content", "a.png")
    assert (await program.result("sendPhoto", chat_id=ann, photo=known.id))["photo"][0]["file_id"] == known.id
    assert await program.result("sendPhoto", chat_id=ann, photo="https://example.org/cat.png")
    assert (await program.answer("sendPhoto", chat_id=ann, photo="nonsense"))["description"].startswith("Bad Request: wrong file identifier")


async def test_runs_as_a_process_of_its_own() -> None:
    arguments = ("-m", "tests.standins.telegram_bot_api", "--bots", "2")
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE, cwd=ROOT)
    assert process.stdout is not None
    try:
        url, token, _ = [(await process.stdout.readline()).decode().strip() for _ in range(3)]
        async with httpx.AsyncClient(base_url=url) as client:
            bot = f"/stand-in/bots/{token}"
            ann = (await client.post(f"{bot}/people", json={"name": "Ann"})).json()
            await client.post(f"{bot}/messages", json={"chat_id": ann, "text": "hello"})
            updates = (await client.get(f"/bot{token}/getUpdates")).json()["result"]
            assert [update["message"]["text"] for update in updates] == ["hello"]
            await client.post(f"/bot{token}/sendMessage", json={"chat_id": ann, "text": "hi Ann"})
            assert [sent["params"]["text"] for sent in (await client.get(f"{bot}/sent")).json()] == ["hi Ann"]
            assert (await client.get("/stand-in/violations")).json() == []
    finally:
        process.terminate()
        await process.wait()
