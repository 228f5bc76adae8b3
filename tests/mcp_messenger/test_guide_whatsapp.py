"""The testing guide's WhatsApp Web part, line for line, against the server as a process; the browser is in a container of the instance's own."""

import base64
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from db.embedded import EmbeddedPostgres
from tests.curl import MANAGER, Answer, Guide, needs_curl
from tests.docker_engine import bridge_address, remove_all
from tests.postgres import fresh_database
from tests.program import Program, environment, program
from tests.providers.harness import PNG
from tests.standins.whatsapp_web import WhatsAppStandIn
from tests.stored import rows
from tests.waiting import until_answer

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600), needs_curl]

PICTURE = "data:image/png;base64," + base64.b64encode(PNG).decode()
"""In the place of one from the internet."""

CREATE = r"""
curl -X POST http://localhost:3000/api/v1/instances \
-H "Content-Type: application/json" \
-d '{
  "user_id": "test-whatsapp-user-001",
  "agent_id": "671088",
  "agno_enable": true,
  "provider": "whatsappweb",
  "type_instance": ["api"],
  "api_webhook_schema": {
    "enabled": true,
    "url": "https://your-webhook-url.example/hook",
    "filters": {
      "allowGroups": false,
      "allowPrivate": true
    }
  }
}'
"""

QR = "curl http://localhost:3000/api/v1/instances/{INSTANCE_ID}/qr"

AUTH_STATUS = "curl http://localhost:3000/api/v1/instances/{INSTANCE_ID}/auth-status"

HEALTH = r"""
# Health check (через Instance Manager)
curl http://localhost:3000/api/v1/instances/{INSTANCE_ID}/health

# Статус аутентификации
curl -H "Authorization: Bearer YOUR_API_KEY" \
  http://localhost:ASSIGNED_PORT/api/v1/status

# Получение QR кода
curl http://localhost:3000/api/v1/instances/{INSTANCE_ID}/qr
"""

SEND = r"""
# Отправка сообщения через Multi-Provider API
curl -X POST http://localhost:3000/api/v1/multi-provider/instances/whatsappweb/{INSTANCE_ID}/send-message \
  -H "Authorization: Bearer YOUR_API_TOKEN" \
  -H "Content-Type: application/json" \
  -d '{
    "to": "1234567890",
    "message": "Тестовое сообщение через Multi-Provider API"
  }'

# Отправка сообщения через прямой API WhatsApp
curl -X POST http://localhost:4699/api/v1/send \
  -H "Authorization: Bearer YOUR_API_KEY" \
  -H "Content-Type: application/json" \
  -d '{
    "number": "1234567890",
    "message": "Тестовое сообщение"
  }'
"""

READ = r"""
# Получение контактов
curl -H "Authorization: Bearer YOUR_API_KEY" \
  http://localhost:$WHATSAPP_API_PORT/api/v1/contacts

# Получение чатов
curl -H "Authorization: Bearer YOUR_API_KEY" \
  http://localhost:$WHATSAPP_API_PORT/api/v1/chats

# Поиск контактов
curl -H "Authorization: Bearer YOUR_API_KEY" \
  "http://localhost:$WHATSAPP_API_PORT/api/v1/contacts/search?query=test"

# Получение сообщений из чата
curl -H "Authorization: Bearer YOUR_API_KEY" \
  "http://localhost:$WHATSAPP_API_PORT/api/v1/messages/1234567890?limit=10"

# Получение групп
curl -H "Authorization: Bearer YOUR_API_KEY" \
  http://localhost:$WHATSAPP_API_PORT/api/v1/groups

# Получение информации об аккаунте
curl -H "Authorization: Bearer YOUR_API_KEY" \
  http://localhost:$WHATSAPP_API_PORT/api/v1/account
"""

MESSAGES = 'curl -H "Authorization: Bearer YOUR_API_KEY" "http://localhost:$WHATSAPP_API_PORT/api/v1/messages/1234567890?limit=10"'

SEND_MEDIA = r"""
# Отправка изображения
curl -X POST http://localhost:$WHATSAPP_API_PORT/api/v1/send/media \
  -H "Authorization: Bearer YOUR_API_KEY" \
  -H "Content-Type: application/json" \
  -d '{
    "number": "1234567890",
    "source": "https://picsum.photos/300/200",
    "caption": "Тестовое изображение"
  }'
"""

CREATE_GROUP = r"""
curl -X POST http://localhost:$WHATSAPP_API_PORT/api/v1/groups \
  -H "Authorization: Bearer YOUR_API_KEY" \
  -H "Content-Type: application/json" \
  -d '{
    "name": "Тестовая группа",
    "participants": ["1234567890", "0987654321"]
  }'
"""

GROUP = r"""
# Отправка сообщения в группу
curl -X POST http://localhost:$WHATSAPP_API_PORT/api/v1/groups/GROUP_ID@g.us/send \
  -H "Authorization: Bearer YOUR_API_KEY" \
  -H "Content-Type: application/json" \
  -d '{
    "message": "Привет, группа!"
  }'

# Удаление участника из группы
curl -X DELETE http://localhost:$WHATSAPP_API_PORT/api/v1/groups/GROUP_ID@g.us/participants/1234567890 \
  -H "Authorization: Bearer YOUR_API_KEY"

# Добавление участника в группу
curl -X POST http://localhost:$WHATSAPP_API_PORT/api/v1/groups/GROUP_ID@g.us/participants \
  -H "Authorization: Bearer YOUR_API_KEY" \
  -H "Content-Type: application/json" \
  -d '{
    "participants": ["1234567890"]
  }'
"""

WEBHOOK = r"""
# Обновление конфигурации webhook
curl -X PUT http://localhost:$WHATSAPP_API_PORT/api/v1/webhook \
  -H "Authorization: Bearer YOUR_API_KEY" \
  -H "Content-Type: application/json" \
  -d '{
    "enabled": true,
    "url": "https://your-webhook-url.com/webhook",
    "events": ["message", "message_ack", "qr", "ready"]
  }'

# Получение текущей конфигурации webhook
curl -H "Authorization: Bearer YOUR_API_KEY" \
  http://localhost:$WHATSAPP_API_PORT/api/v1/webhook
"""

RESTART = "curl -X POST http://localhost:3000/api/v1/instances/{INSTANCE_ID}/restart"

DELETE = "curl -X DELETE http://localhost:3000/api/v1/instances/{INSTANCE_ID}"


@pytest.fixture
async def whatsapp(engine: Any) -> AsyncIterator[WhatsAppStandIn]:
    async with WhatsAppStandIn(bridge_address(engine)) as whatsapp:
        yield whatsapp


@pytest.fixture
async def manager(engine: Any, whatsapp_image: str, whatsapp: WhatsAppStandIn, embedded: EmbeddedPostgres, tmp_path: Path) -> AsyncIterator[Program]:
    args = json.dumps(whatsapp.chromium_args)
    settings = {"MCP_MESSENGER_DOCKER": "1", "MCP_MESSENGER_DOCKER_IMAGE": whatsapp_image, "WA_CHROMIUM_ARGS": args}
    with fresh_database(embedded.url) as url:
        with program(["serve", "--port", "0"], environment(tmp_path / "manager", url, **settings)) as running:
            yield running
        for (installation,) in rows(url, "SELECT id::text FROM installation"):
            remove_all(engine, installation)


async def curl(guide: Guide, command: str) -> Answer:
    """The stand-in lives in this event loop, which curl must not hold up."""
    return await anyio.to_thread.run_sync(guide.curl, command)


async def each(guide: Guide, text: str) -> list[Answer]:
    return await anyio.to_thread.run_sync(guide.each, text)


async def until(guide: Guide, command: str, wanted: Callable[[Answer], bool]) -> Answer:
    return await until_answer(lambda: curl(guide, command), wanted)


def is_ready(answer: Answer) -> bool:
    return answer.json["state"] == "ready"


async def test_whatsapp_web(manager: Program, whatsapp: WhatsAppStandIn) -> None:
    agent, test = whatsapp.account("15550100", "Agent"), whatsapp.account("1234567890", "Test")
    made = await curl(Guide({MANAGER: manager.url}, {}), CREATE)
    assert (made.status, made.json["instance"]["runtime"]) == (201, "docker"), made.text
    instance_id, key = made.json["instance_id"], made.json["api_key"]
    guide = Guide({MANAGER: manager.url, "{INSTANCE_ID}": instance_id, "YOUR_API_TOKEN": key, "YOUR_API_KEY": key}, {})

    qr = await until(guide, QR, lambda answer: answer.status == 200)
    assert qr.json["png"].startswith("data:image/png")
    agent.scan(qr.json["qr"])
    status = await until(guide, AUTH_STATUS, is_ready)
    assert (status.json["needs"], status.json["account"]["phone"]) == ("nothing", "+15550100")

    guide = await with_port(guide)
    health, own_status, qr = await each(guide, HEALTH)
    assert (health.status, health.json["connected"]) == (200, True)
    assert (own_status.status, own_status.json["authenticated"]) == (200, True)
    assert (qr.status, qr.json["detail"]) == (409, "There is no QR code now: the instance is ready.")

    sent = await each(guide, SEND)
    assert [answer.status for answer in sent] == [200, 200], [answer.text for answer in sent]
    texts = ["Тестовое сообщение через Multi-Provider API", "Тестовое сообщение"]
    await whatsapp.until(lambda: [post.text for post in whatsapp.posts] == texts)
    test.writes(agent, "Получено")
    await until(guide, MESSAGES, lambda answer: "Получено" in answer.text)
    answers = await each(guide, READ)
    assert [answer.status for answer in answers] == [200] * 6, [answer.text for answer in answers]
    contacts, chats, found, messages, groups, account = (answer.json for answer in answers)
    assert [contact["name"] for contact in found["contacts"]] == ["Test"]
    assert "Test" in [contact["name"] for contact in contacts["contacts"]]
    assert [chat["id"] for chat in chats["chats"]] == [test.pn]
    assert [message["text"] for message in messages["messages"]] == ["Получено", *reversed(texts)]
    assert groups["groups"] == []
    assert account["account"]["phone"] == "+15550100"

    whatsapp.account("0987654321", "Other")
    await group_and_more(guide, whatsapp)

    so_far = len(whatsapp.posts)
    assert (await curl(guide, RESTART)).status == 200
    await until(guide, AUTH_STATUS, is_ready)
    assert len(whatsapp.posts) == so_far, "nothing is sent again"
    assert (await curl(guide, DELETE)).status == 200
    assert (await curl(guide, AUTH_STATUS)).status == 404


async def group_and_more(guide: Guide, whatsapp: WhatsAppStandIn) -> None:
    (media,) = await each(guide, SEND_MEDIA)
    assert media.status == 200, media.text
    await whatsapp.until(lambda: whatsapp.posts[-1].type == "image")
    picture = whatsapp.posts[-1]
    assert (picture.text, whatsapp.files[picture.fields["directPath"]]) == ("Тестовое изображение", PNG)
    assert {member.name for member in picture.place.members} == {"Agent", "Test"}
    (made,) = await each(guide, CREATE_GROUP)
    assert made.status == 201, made.text
    group_id = made.json["group"]["id"]
    group = whatsapp.groups[-1]
    assert {member.name for member in group.members} == {"Agent", "Test", "Other"}, made.text
    answers = await each(Guide({**guide.placeholders, "GROUP_ID@g.us": group_id}, guide.variables), GROUP)
    assert [answer.status for answer in answers] == [200] * 3, [answer.text for answer in answers]
    await whatsapp.until(lambda: whatsapp.posts[-1].text == "Привет, группа!")
    assert whatsapp.posts[-1].place is group
    changes = [op for op, _ in whatsapp.calls if op in {"group_remove", "group_add"}]
    assert (changes, {member.name for member in group.members}) == (["group_remove", "group_add"], {"Agent", "Test", "Other"})
    webhooks = await each(guide, WEBHOOK)
    assert [answer.status for answer in webhooks] == [200, 200], [answer.text for answer in webhooks]
    assert webhooks[1].json["url"] == "https://your-webhook-url.com/webhook"


async def with_port(guide: Guide) -> Guide:
    """With the port that the instance's own API has."""
    one = await curl(guide, "curl http://localhost:3000/api/v1/instances/{INSTANCE_ID}")
    port = str(one.json["instance"]["port"])
    more = {"ASSIGNED_PORT": port, ":4699/": f":{port}/", "https://picsum.photos/300/200": PICTURE}
    return Guide({**guide.placeholders, **more}, {"WHATSAPP_API_PORT": port})
