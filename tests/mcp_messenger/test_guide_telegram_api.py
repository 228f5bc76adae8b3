"""The testing guide's calls of `--mode telegram-api`, line for line."""

import re
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest

from tests.curl import Guide, commands, needs_curl
from tests.postgres import put_store
from tests.program import TelegramProcess, environment, program, telegram_process
from tests.waiting import until_blocking

pytestmark = needs_curl

TOKEN = "123456789:TELEGRAM_BOT_TOKEN_EXAMPLE"
ADMIN_TOKEN = "fake-admin-token-of-a-test"
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes.fromhex(
    "0000000d4948445200000001000000010806000000" + "1f15c4890000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)

LOOK = r"""
# Health check
curl http://localhost:$TELEGRAM_API_PORT/api/v1/health

# Информация о боте
curl -H "Authorization: Bearer $TELEGRAM_BOT_TOKEN" \
  http://localhost:$TELEGRAM_API_PORT/api/v1/telegram/me

# Статус бота
curl -H "Authorization: Bearer $TELEGRAM_BOT_TOKEN" \
  http://localhost:$TELEGRAM_API_PORT/api/v1/telegram/status
"""

SEND = r"""
# Отправка через прямой Telegram API
curl -X POST http://localhost:5064/api/v1/telegram/send \
  -H "Authorization: Bearer YOUR_API_KEY" \
  -H "Content-Type: application/json" \
  -d '{
    "chatId": "YOUR_CHAT_ID",
    "message": "🚀 Привет из Telegram API!"
  }'
"""

SEND_FORMATTED = r"""
# Отправка форматированного сообщения
curl -X POST http://localhost:$TELEGRAM_API_PORT/api/v1/telegram/send-telegram-message \
  -H "Authorization: Bearer $TELEGRAM_BOT_TOKEN" \
  -H "Content-Type: application/json" \
  -d '{
    "chatId": "'$TELEGRAM_CHAT_ID'",
    "message": "*Жирный текст* и _курсив_",
    "parseMode": "Markdown"
  }'
"""

SEND_MEDIA = r"""
# Отправка медиа
curl -X POST http://localhost:$TELEGRAM_API_PORT/api/v1/telegram/send-media \
  -H "Authorization: Bearer $TELEGRAM_BOT_TOKEN" \
  -H "Content-Type: application/json" \
  -d '{
    "chatId": "'$TELEGRAM_CHAT_ID'",
    "source": "https://picsum.photos/400/300",
    "caption": "🖼️ Тестовое изображение"
  }'
"""

READ = r"""
# Получение контактов
curl -H "Authorization: Bearer $TELEGRAM_BOT_TOKEN" \
  http://localhost:$TELEGRAM_API_PORT/api/v1/telegram/contacts

# Получение чатов
curl -H "Authorization: Bearer $TELEGRAM_BOT_TOKEN" \
  http://localhost:$TELEGRAM_API_PORT/api/v1/telegram/chats

# Получение сообщений из чата
curl -H "Authorization: Bearer $TELEGRAM_BOT_TOKEN" \
  "http://localhost:$TELEGRAM_API_PORT/api/v1/telegram/messages/$TELEGRAM_CHAT_ID?limit=10"

# Получение информации об аккаунте
curl -H "Authorization: Bearer $TELEGRAM_BOT_TOKEN" \
  http://localhost:$TELEGRAM_API_PORT/api/v1/telegram/account

# Получение последних сообщений
curl -H "Authorization: Bearer $TELEGRAM_BOT_TOKEN" \
  "http://localhost:$TELEGRAM_API_PORT/api/v1/telegram/recent-messages?limit=20"
"""

POLLING = r"""
# Запуск polling
curl -X POST http://localhost:$TELEGRAM_API_PORT/api/v1/telegram/polling/start \
  -H "Authorization: Bearer $TELEGRAM_BOT_TOKEN"

# Остановка polling
curl -X POST http://localhost:$TELEGRAM_API_PORT/api/v1/telegram/polling/stop \
  -H "Authorization: Bearer $TELEGRAM_BOT_TOKEN"

# Статус polling
curl -H "Authorization: Bearer $TELEGRAM_BOT_TOKEN" \
  http://localhost:$TELEGRAM_API_PORT/api/v1/telegram/polling/status
"""

WEBHOOK = r"""
# Получение конфигурации webhook
curl -H "Authorization: Bearer $TELEGRAM_BOT_TOKEN" \
  http://localhost:$TELEGRAM_API_PORT/api/v1/telegram/webhook

# Обновление конфигурации webhook
curl -X PUT http://localhost:$TELEGRAM_API_PORT/api/v1/telegram/webhook \
  -H "Authorization: Bearer $TELEGRAM_BOT_TOKEN" \
  -H "Content-Type: application/json" \
  -d '{
    "enabled": true,
    "url": "https://your-webhook-url.com/telegram",
    "events": ["message", "callback_query"]
  }'
"""

# The guide has these for WhatsApp; they are the same for every messenger.
COMMON = r"""
curl -H "Authorization: Bearer $TELEGRAM_BOT_TOKEN" http://localhost:$TELEGRAM_API_PORT/api/v1/status
curl -H "Authorization: Bearer $TELEGRAM_BOT_TOKEN" http://localhost:$TELEGRAM_API_PORT/api/v1/contacts
curl -H "Authorization: Bearer $TELEGRAM_BOT_TOKEN" http://localhost:$TELEGRAM_API_PORT/api/v1/chats
curl -H "Authorization: Bearer $TELEGRAM_BOT_TOKEN" "http://localhost:$TELEGRAM_API_PORT/api/v1/contacts/search?query=ann"
curl -H "Authorization: Bearer $TELEGRAM_BOT_TOKEN" "http://localhost:$TELEGRAM_API_PORT/api/v1/messages/$TELEGRAM_CHAT_ID?limit=10"
curl -H "Authorization: Bearer $TELEGRAM_BOT_TOKEN" http://localhost:$TELEGRAM_API_PORT/api/v1/account
curl -H "Authorization: Bearer $TELEGRAM_BOT_TOKEN" http://localhost:$TELEGRAM_API_PORT/api/v1/webhook
curl -H "Authorization: Bearer $TELEGRAM_BOT_TOKEN" http://localhost:$TELEGRAM_API_PORT/api/v1/logs
"""
SEND_BY_NUMBER = r"""
curl -X POST http://localhost:4699/api/v1/send \
  -H "Authorization: Bearer YOUR_API_KEY" \
  -H "Content-Type: application/json" \
  -d '{
    "number": "YOUR_CHAT_ID",
    "message": "Тестовое сообщение"
  }'
"""
GROUPS = 'curl -H "Authorization: Bearer $TELEGRAM_BOT_TOKEN" http://localhost:$TELEGRAM_API_PORT/api/v1/groups'
HEALTH = "curl http://localhost:$TELEGRAM_API_PORT/api/v1/health"
KEY = 'curl -H "Authorization: Bearer $TELEGRAM_BOT_TOKEN" http://localhost:$TELEGRAM_API_PORT/api/v1/current-api-key'


@pytest.fixture(scope="module")
def telegram() -> Generator[TelegramProcess]:
    with telegram_process() as telegram:
        telegram.add_bot(TOKEN)
        yield telegram


class _Picture(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "image/png")
        self.send_header("Content-Length", str(len(PICTURE)))
        self.end_headers()
        self.wfile.write(PICTURE)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def picture() -> Generator[str]:
    """The address of a picture."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Picture) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/400/300"
        server.shutdown()


@pytest.fixture(scope="module", params=["one instance's server", "a manager"])
def port(request: pytest.FixtureRequest, telegram: TelegramProcess, migrated_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """The port of the bot's own address: of `--mode telegram-api`, and of an instance that a manager has."""
    more = {"MCP_MESSENGER_ALLOW_NETWORKS": "127.0.0.0/8", "TELEGRAM_BASE_URL": telegram.url, "MCP_MESSENGER_ADMIN_TOKEN": ADMIN_TOKEN}
    folder = tmp_path_factory.mktemp("telegram")
    put_store(migrated_store, folder)
    env = environment(folder, **more)
    if request.param == "a manager":
        with program(["serve", "--port", "0"], env) as running:
            yield port_of_new_instance(running.url, telegram)
        return
    with program(["--mode", "telegram-api", "--api-port", "0", "--telegram-bot-token", TOKEN], env) as running:
        yield running.url.rpartition(":")[2]


def port_of_new_instance(url: str, telegram: TelegramProcess) -> str:
    with httpx.Client(base_url=f"{url}/api/v1", headers={"Authorization": f"Bearer {ADMIN_TOKEN}"}, trust_env=False, timeout=30) as manager:
        create = {"provider": "telegram", "token": TOKEN, "credentials": {"base_url": telegram.url}, "type_instance": ["api"]}
        made = manager.post("/instances", json=create).json()["instance_id"]

        def port() -> int | None:
            return manager.get(f"/instances/{made}").json()["instance"]["port"]

        return str(until_blocking(port))


@pytest.fixture
def guide(port: str, telegram: TelegramProcess, picture: str) -> Guide:
    """The API when it is connected, and a person who has written to the bot."""
    chat = telegram.person(TOKEN)
    variables = {"TELEGRAM_API_PORT": port, "TELEGRAM_BOT_TOKEN": TOKEN, "TELEGRAM_CHAT_ID": chat}
    bot = Guide({}, variables)
    until_blocking(lambda: bot.curl(HEALTH).json["connected"])
    telegram.writes(TOKEN, chat, "hello bot")
    until_blocking(lambda: chat in [known["id"] for known in bot.each(READ)[1].json["chats"]])
    key = bot.curl(KEY).json["api_key"]
    ports = {":5064/": f":{port}/", ":4699/": f":{port}/"}
    return Guide({**ports, "YOUR_API_KEY": key, "YOUR_CHAT_ID": chat, "https://picsum.photos/400/300": picture}, variables)


def test_looking(guide: Guide) -> None:
    health, me, status = guide.each(LOOK)
    assert (health.status, health.json["state"]) == (200, "ready")
    assert (me.status, me.json["account"]["name"]) == (200, "Robo")
    assert (status.status, status.json["authenticated"]) == (200, True)


def test_sending(guide: Guide, telegram: TelegramProcess) -> None:
    answers = [guide.curl(command) for command in (SEND, SEND_FORMATTED, SEND_MEDIA, SEND_BY_NUMBER)]
    assert [(answer.status, answer.json["status"]) for answer in answers] == [(200, "sent")] * 4
    chat = guide.variables["TELEGRAM_CHAT_ID"]
    plain, formatted, photo, by_number = [call for call in telegram.sent(TOKEN) if call["params"]["chat_id"] == chat]
    assert plain["params"]["text"] == "🚀 Привет из Telegram API!"
    assert "parse_mode" not in plain["params"]
    assert (formatted["params"]["text"], formatted["params"]["parse_mode"]) == ("*Жирный текст* и _курсив_", "Markdown")
    assert (photo["method"], photo["params"]["caption"]) == ("sendPhoto", "🖼️ Тестовое изображение")
    assert by_number["params"]["text"] == "Тестовое сообщение"


def test_reading(guide: Guide) -> None:
    contacts, chats, messages, account, recent = guide.each(READ)
    assert [answer.status for answer in (contacts, chats, messages, account, recent)] == [200] * 5
    chat = guide.variables["TELEGRAM_CHAT_ID"]
    assert chat in [contact["id"] for contact in contacts.json["contacts"]]
    assert chat in [known["id"] for known in chats.json["chats"]]
    assert [message["text"] for message in messages.json["messages"]] == ["hello bot"]
    assert account.json["account"]["id"] == "123456789"
    assert "hello bot" in [message["text"] for message in recent.json["messages"]]


def test_names_common_to_all_messengers(guide: Guide) -> None:
    assert [answer.status for answer in guide.each(COMMON)] == [200] * 8
    refused = guide.curl(GROUPS)
    assert (refused.status, refused.json["code"]) == (422, "unsupported")


def test_polling(guide: Guide) -> None:
    started, stopped, status = guide.each(POLLING)
    assert [answer.status for answer in (started, stopped, status)] == [200] * 3
    assert (stopped.json["status"], status.json["state"], status.json["connected"]) == ("stopped", "stopped", False)
    start, _, health = [line for line in POLLING.split("\n\n") if "curl" in line]
    guide.each(start)
    until_blocking(lambda: guide.each(health)[0].json["connected"])


def test_webhook(guide: Guide) -> None:
    before, changed = guide.each(WEBHOOK)
    assert before.status == 200
    assert changed.status == 200
    assert changed.json["secret"], "it is told once"
    assert guide.each(WEBHOOK)[0].json == changed.json | {"secret": None}
    assert (changed.json["enabled"], changed.json["url"]) == (True, "https://your-webhook-url.com/telegram")
    assert changed.json["events"] == ["message", "callback_query"]
    off = """curl -X PUT http://localhost:$TELEGRAM_API_PORT/api/v1/webhook -H "Authorization: Bearer $TELEGRAM_BOT_TOKEN" \
        -H "Content-Type: application/json" -d '{"enabled": false}'"""
    assert guide.curl(off).json["enabled"] is False


def test_only_health_is_open(guide: Guide) -> None:
    """A key of this instance opens it, as the bot's token does; nothing else."""
    assert guide.curl(HEALTH).status == 200
    for command in (*commands(LOOK)[1:], *commands(READ), *commands(POLLING), *commands(WEBHOOK), *commands(COMMON), SEND_FORMATTED):
        without = re.sub(r'-H "Authorization: [^"]*"', "", command)
        assert guide.curl(without).status == 401
        assert guide.curl(command.replace("$TELEGRAM_BOT_TOKEN", "123456789:WRONG")).status == 401
    for command in (*commands(LOOK), *commands(READ), *commands(COMMON)):
        assert guide.curl(command.replace("$TELEGRAM_BOT_TOKEN", guide.placeholders["YOUR_API_KEY"])).status == 200


def test_the_next_start_finds_its_account_among_others(telegram: TelegramProcess, tmp_path: Path) -> None:
    env = environment(tmp_path / "data", TELEGRAM_BASE_URL=telegram.url)
    tokens = [telegram.add_bot(token) for token in ("11111:FIRST-FAKE-TOKEN", "22222:SECOND-FAKE-TOKEN")]
    chats = [telegram.person(token) for token in tokens]
    seen: list[str] = []
    for start, token in enumerate((*tokens, tokens[0])):
        with program(["--mode", "telegram-api", "--api-port", "0"], {**env, "TELEGRAM_BOT_TOKEN": token}) as running:
            seen += re.findall(r"instance ([0-9a-f-]{36})", running.said)
            bot = Guide({}, {"TELEGRAM_API_PORT": running.url.rpartition(":")[2], "TELEGRAM_BOT_TOKEN": token})
            until_blocking(lambda bot=bot: bot.curl(HEALTH).json["connected"])
            assert bot.each(LOOK)[1].json["account"]["id"] == token.partition(":")[0]
            telegram.writes(token, chats[tokens.index(token)], f"at start {start}")
            until_blocking(lambda bot=bot, start=start: f"at start {start}" in texts(bot))
            assert texts(bot) == [f"at start {number}" for number in ((2, 0) if start == 2 else (start,))]
            assert running.stop() == 0
    first, second, again = seen
    assert first == again != second
    kept = [path.name for path in (tmp_path / "data").rglob("*")]
    assert kept.count("postgres") == 2


def texts(bot: Guide) -> list[str]:
    """Newest first."""
    return [message["text"] for message in bot.each(READ)[-1].json["messages"]]
