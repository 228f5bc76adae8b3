"""The testing guide's Telegram part, line for line, against the server as a process."""

from collections.abc import Callable, Generator

import pytest

from db.embedded import EmbeddedPostgres
from tests.curl import MANAGER, Answer, Guide, needs_curl, needs_jq
from tests.postgres import fresh_database
from tests.program import Program, TelegramProcess, environment, program, telegram_process
from tests.waiting import until_blocking

pytestmark = needs_curl

TOKEN = "123456789:TELEGRAM_BOT_TOKEN_EXAMPLE"

CREATE = r"""
curl -X POST http://localhost:3000/api/v1/instances \
-H "Content-Type: application/json" \
-d '{
    "user_id": "test-telegram-user-001",
    "agent_id": "671088",
    "provider": "telegram",
    "agno_enable": true,
    "stream": false,
    "type_instance": ["api"],
    "token": "123456789:TELEGRAM_BOT_TOKEN_EXAMPLE",
    "credentials": {"base_url": "TELEGRAM_URL"},
    "api_webhook_schema": {
        "enabled": true,
        "url": "https://your-webhook-url.example/hook"
    }
}'
"""

CREATE_WITH_FILTERS = r"""
curl -X POST http://localhost:3000/api/v1/instances \
  -H "Content-Type: application/json" \
  -d '{
    "user_id": "test-telegram-user-001",
    "agent_id": "finance_agent1",
    "provider": "telegram",
    "agno_enable": true,
    "stream": false,
    "type_instance": ["api"],
    "token": "123456789:TELEGRAM_BOT_TOKEN_EXAMPLE",
    "credentials": {"base_url": "TELEGRAM_URL"},
    "api_webhook_schema": {
        "enabled": true,
        "url": "https://your-webhook-url.example/webhook-message-api",
        "filters": {
            "allowGroups": false,
            "allowPrivate": true
        }
    }
  }'
"""

LOOK = r"""
# Получение списка экземпляров
curl http://localhost:3000/api/v1/instances

# Получение информации об экземпляре
curl http://localhost:3000/api/v1/instances/{INSTANCE_ID}

# Получение данных из памяти
curl http://localhost:3000/api/v1/instances/{INSTANCE_ID}/memory

# Получение истории статусов
curl http://localhost:3000/api/v1/instances/{INSTANCE_ID}/status-history?limit=50

# Получение истории QR кодов (для WhatsApp)
curl http://localhost:3000/api/v1/instances/{INSTANCE_ID}/qr-history?limit=20

# Получение истории API ключей
curl http://localhost:3000/api/v1/instances/{INSTANCE_ID}/api-key-history?limit=20

# Получение текущего QR кода
curl http://localhost:3000/api/v1/instances/{INSTANCE_ID}/current-qr

# Получение текущего API ключа
curl http://localhost:3000/api/v1/instances/{INSTANCE_ID}/current-api-key

# Получение статистики активности
curl http://localhost:3000/api/v1/instances/{INSTANCE_ID}/activity-stats

# Получение ошибок экземпляра
curl http://localhost:3000/api/v1/instances/{INSTANCE_ID}/errors

# Очистка ошибок
curl -X POST http://localhost:3000/api/v1/instances/{INSTANCE_ID}/clear-errors
"""

MANAGE = r"""
# Обработка экземпляра (создание Docker контейнера)
curl -X POST http://localhost:3000/api/v1/instances/{INSTANCE_ID}/process \
  -H "Content-Type: application/json" \
  -d '{}'

# Запуск экземпляра
curl -X POST http://localhost:3000/api/v1/instances/{INSTANCE_ID}/start

# Остановка экземпляра
curl -X POST http://localhost:3000/api/v1/instances/{INSTANCE_ID}/stop

# Перезапуск экземпляра
curl -X POST http://localhost:3000/api/v1/instances/{INSTANCE_ID}/restart
"""

LOGIN = r"""
# Получение статуса аутентификации
curl http://localhost:3000/api/v1/instances/{INSTANCE_ID}/auth-status

# Получение QR кода для WhatsApp
curl http://localhost:3000/api/v1/instances/{INSTANCE_ID}/qr

# Получение учетных данных
curl http://localhost:3000/api/v1/instances/{INSTANCE_ID}/credentials

# Получение логов экземпляра
curl "http://localhost:3000/api/v1/instances/{INSTANCE_ID}/logs?tail=500"

# Health check (через Instance Manager)
curl http://localhost:3000/api/v1/instances/{INSTANCE_ID}/health
"""

RECREATE = r"""
curl -X POST http://localhost:3000/api/v1/instances/{INSTANCE_ID}/process \
  -H "Content-Type: application/json" \
  -d '{"force_recreate": true}'
"""

DELETE = "curl -X DELETE http://localhost:3000/api/v1/instances/{INSTANCE_ID}"

MONITOR = r"""
# Общие ресурсы системы
curl http://localhost:3000/api/v1/resources

# Использование портов
curl http://localhost:3000/api/v1/resources/ports

# Производительность
curl http://localhost:3000/api/v1/resources/performance

# Очистка кэша портов
curl -X POST http://localhost:3000/api/v1/resources/ports/clear-cache

# Статистика памяти экземпляров
curl http://localhost:3000/api/v1/instances/memory/stats
"""

SEND = r"""
curl -X POST http://localhost:3000/api/v1/multi-provider/instances/telegram/{INSTANCE_ID}/send-message \
  -H "Authorization: Bearer YOUR_API_TOKEN" \
  -H "Content-Type: application/json" \
  -d '{
    "to": "'$TELEGRAM_CHAT_ID'",
    "message": "🚀 Тестовое сообщение через Multi-Provider API!"
  }'
"""

MULTI_PROVIDER = r"""
# Список активных провайдеров
curl http://localhost:3000/api/v1/multi-provider/active-providers

# Статистика провайдеров
curl http://localhost:3000/api/v1/multi-provider/stats

# Список всех инстансов
curl http://localhost:3000/api/v1/multi-provider/instances

# Список инстансов конкретного провайдера
curl http://localhost:3000/api/v1/multi-provider/instances?provider=telegram
"""

# The guide's scripts create whatsappweb instances; the last line of each says what is read out of the answers.
LIFECYCLE = r"""
set -e
INSTANCE_RESPONSE=$(curl -s -X POST http://localhost:3000/api/v1/instances \
  -H "Content-Type: application/json" \
  -d '{
    "user_id": "test-lifecycle-'$(date +%s)'",
    "provider": "PROVIDER",
    "type_instance": ["api"]
  }')

INSTANCE_ID=$(echo $INSTANCE_RESPONSE | jq -r '.instance_id')
PROCESS_RESPONSE=$(curl -s -X POST http://localhost:3000/api/v1/instances/$INSTANCE_ID/process \
  -H "Content-Type: application/json" \
  -d '{}')

curl http://localhost:3000/api/v1/instances/$INSTANCE_ID | jq '.status'
curl http://localhost:3000/api/v1/instances/$INSTANCE_ID/memory | jq '.data.status'
curl -s http://localhost:3000/api/v1/instances/$INSTANCE_ID | jq -r '.instance.status'
curl -s http://localhost:3000/api/v1/instances/$INSTANCE_ID/memory | jq -r '.data.status // "not_loaded"'
STATS=$(curl -s http://localhost:3000/api/v1/instances/memory/stats)
echo "$(echo $STATS | jq '.stats.total_instances')"
curl -X DELETE http://localhost:3000/api/v1/instances/$INSTANCE_ID > /dev/null
"""

DIAGNOSE = r"""
curl -s http://localhost:3000/health | jq -r .status
curl -s http://localhost:3000/api/v1/instances | jq '.instances | length'
curl http://localhost:3000/api/v1/instances | jq '.instances[] | {id: .id, status: .status, provider: .provider}'
curl -s http://localhost:3000/api/v1/resources/performance | jq '.cpu_usage, .memory_usage'
curl -s http://localhost:3000/api/v1/resources/ports | jq '.used_ports | length'
"""


@pytest.fixture(scope="module")
def telegram() -> Generator[TelegramProcess]:
    with telegram_process() as telegram:
        yield telegram


@pytest.fixture(scope="module")
def manager(embedded: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Generator[Program]:
    with fresh_database(embedded.url) as url:
        env = environment(tmp_path_factory.mktemp("manager"), url)
        with program(["serve", "--port", "0"], env) as running:
            yield running


@pytest.fixture
def guide(manager: Program, telegram: TelegramProcess) -> Generator[Guide]:
    """With an instance that the guide's own command has made, and that is ready."""
    telegram.add_bot(TOKEN)
    placeholders = {MANAGER: manager.url, "TELEGRAM_URL": telegram.url}
    made = Guide(placeholders, {}).curl(CREATE)
    assert made.status == 201, made.text
    assert made.json["instance"]["settings"] == {"base_url": telegram.url}
    guide = Guide(
        {**placeholders, "{INSTANCE_ID}": made.json["instance_id"], "YOUR_API_TOKEN": made.json["api_key"]},
        {"TELEGRAM_CHAT_ID": telegram.person(TOKEN)},
    )
    until(lambda: guide.curl("curl http://localhost:3000/api/v1/instances/{INSTANCE_ID}"), "ready")
    yield guide
    guide.curl(DELETE)


def until(ask: Callable[[], Answer], status: str) -> None:
    until_blocking(lambda: ask().json["status"] == status)


def test_health(manager: Program) -> None:
    health = Guide({MANAGER: manager.url}, {}).curl("curl http://localhost:3000/health")
    assert health.status == 200
    assert {"status", "timestamp", "uptime", "environment", "version"} <= health.json.keys()
    assert health.json["status"] == "healthy"


def test_managing_an_instance(guide: Guide) -> None:
    instance_id = guide.placeholders["{INSTANCE_ID}"]
    listed, one, memory, statuses, qr_codes, keys, qr, key, activity, errors, cleared = guide.each(LOOK)
    assert [answer.status for answer in (listed, one, memory, statuses, qr_codes, keys, key, activity, errors, cleared)] == [200] * 10
    assert (instance_id, "ready", "telegram") in [(row["id"], row["status"], row["provider"]) for row in listed.json["instances"]]
    assert one.json["instance"]["id"] == instance_id
    assert one.json["status"] == one.json["instance"]["status"] == memory.json["data"]["status"] == "ready"
    assert [entry["status"] for entry in statuses.json["history"]][:2] == ["ready", "starting"]
    assert qr_codes.json["history"] == []
    assert qr.status == 409
    assert qr.json["detail"] == "There is no QR code now: the instance is ready."
    assert key.json["api_key"] == guide.placeholders["YOUR_API_TOKEN"]
    assert [entry["id"] for entry in keys.json["history"]] == [key.json["id"]] == [memory.json["data"]["api_key_id"]]
    assert activity.json["errors"] == 0
    assert errors.json["errors"] == []
    assert cleared.json == {"cleared": 0}

    processed, started, stopped, restarted = guide.each(MANAGE)
    assert [answer.status for answer in (processed, started, stopped, restarted)] == [200] * 4
    assert stopped.json["status"] == "stopped"
    until(lambda: guide.curl("curl http://localhost:3000/api/v1/instances/{INSTANCE_ID}"), "ready")

    login, qr, credentials, logs, health = guide.each(LOGIN)
    assert (login.status, login.json["state"], login.json["needs"], login.json["account"]["name"]) == (200, "ready", "nothing", "Robo")
    assert qr.status == 409
    masked = {secret["field"]: secret["masked"] for secret in credentials.json["credentials"]}
    assert masked.keys() == {"token", "webhook_secret_out"}
    assert masked["token"] == "1234…MPLE"
    assert logs.type.startswith("text/plain")
    assert "state: stopped" in logs.text
    assert (health.json["state"], health.json["connected"]) == ("ready", True)

    assert guide.curl(RECREATE).status == 200
    until(lambda: guide.curl("curl http://localhost:3000/api/v1/instances/{INSTANCE_ID}"), "ready")
    assert guide.curl(DELETE).status == 200
    assert guide.curl("curl http://localhost:3000/api/v1/instances/{INSTANCE_ID}").status == 404


def test_a_webhook_with_filters(manager: Program, telegram: TelegramProcess) -> None:
    made = Guide({MANAGER: manager.url, "TELEGRAM_URL": telegram.url}, {}).curl(CREATE_WITH_FILTERS)
    assert made.status == 201
    assert made.json["instance"]["api_webhook_schema"]["filters"] == {"allowGroups": False, "allowPrivate": True}
    Guide({MANAGER: manager.url, "{INSTANCE_ID}": made.json["instance_id"]}, {}).curl(DELETE)


def test_monitoring(guide: Guide) -> None:
    resources, ports, performance, cleared, memory = guide.each(MONITOR)
    assert [answer.status for answer in (resources, ports, performance, cleared, memory)] == [200] * 5
    for answer in (resources, performance):
        assert 0 <= answer.json["cpu_usage"] <= 100
        assert 0 < answer.json["memory_usage"] <= 100
    assert guide.curl("curl http://localhost:3000/api/v1/instances/{INSTANCE_ID}").json["instance"]["port"] in ports.json["used_ports"]
    assert memory.json["stats"]["total_instances"] >= 1


def test_multi_provider(guide: Guide, telegram: TelegramProcess) -> None:
    sent = guide.curl(SEND)
    assert (sent.status, sent.json["status"]) == (200, "sent")
    assert sent.json["message_id"]
    assert "🚀 Тестовое сообщение через Multi-Provider API!" in [call["params"].get("text") for call in telegram.sent(TOKEN)]
    active, stats, listed, of_telegram = guide.each(MULTI_PROVIDER)
    assert active.json["providers"] == ["telegram"]
    assert stats.json["providers"]["telegram"]["messages_out"] >= 1
    assert guide.placeholders["{INSTANCE_ID}"] in [row["id"] for row in listed.json["instances"]]
    assert {row["provider"] for row in of_telegram.json["instances"]} == {"telegram"}


@needs_jq
def test_the_scripts(manager: Program) -> None:
    guide = Guide({MANAGER: manager.url, "PROVIDER": "sandbox"}, {})
    before = int(guide.bash("curl -s http://localhost:3000/api/v1/instances/memory/stats | jq .stats.total_instances").stdout)
    status, memory, again, loaded, total = guide.bash(LIFECYCLE).stdout.split()
    states = {"created", "starting", "qr_ready"}
    assert {status.strip('"'), memory.strip('"'), again, loaded} <= states
    assert int(total) == before + 1
    said = guide.bash(DIAGNOSE).stdout.splitlines()
    assert said[0] == "healthy"
    assert "null" not in said
