"""WhatsApp Web through the program itself: linked by its QR code over REST, with a person on the other side."""

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from db.embedded import EmbeddedPostgres
from tests.postgres import fresh_database
from tests.program import environment, program
from tests.providers.whatsappweb import machine
from tests.standins.whatsapp_web import WhatsAppStandIn
from tests.waiting import until_answer

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600), pytest.mark.in_turn]

Json = dict[str, Any]


@pytest.fixture
async def whatsapp() -> AsyncIterator[WhatsAppStandIn]:
    machine.modules()
    async with WhatsAppStandIn() as whatsapp:
        yield whatsapp


@pytest.fixture
async def manager(whatsapp: WhatsAppStandIn, embedded: EmbeddedPostgres, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    args = json.dumps([*whatsapp.chromium_args, "--no-zygote", "--in-process-gpu"])
    browser = {"WHATSAPP_MODULES": str(machine.modules()), "WHATSAPP_NODE": machine.node(), "WHATSAPP_CHROMIUM": machine.chromium()}
    with fresh_database(embedded.url) as url:
        env = environment(tmp_path / "data", url, **browser, WA_CHROMIUM_ARGS=args)
        with program(["serve", "--port", "0"], env) as running:
            async with httpx.AsyncClient(base_url=f"{running.url}/api/v1", timeout=60) as client:
                yield client


async def until(client: httpx.AsyncClient, path: str, wanted: Callable[[httpx.Response], bool]) -> Json:
    return (await until_answer(lambda: client.get(path), wanted)).json()


async def test_an_account_is_linked_by_its_qr_code_and_talks(manager: httpx.AsyncClient, whatsapp: WhatsAppStandIn) -> None:
    agent, ann = whatsapp.account("15550100", "Agent"), whatsapp.account("15550101", "Ann")
    made = (await manager.post("/instances", json={"provider": "whatsappweb", "user_id": "u", "type_instance": ["api"]})).json()
    instance = f"/instances/{made['instance_id']}"
    qr = await until(manager, f"{instance}/qr", lambda answer: answer.status_code == 200)
    assert qr["png"].startswith("data:image/png")
    agent.scan(qr["qr"])
    status = await until(manager, f"{instance}/auth-status", lambda answer: answer.json()["state"] == "ready")
    assert status["account"]["phone"] == "+15550100"

    sent = await manager.post(f"{instance}/send", json={"number": "+1 555-0101", "message": "Hello Ann"})
    assert sent.status_code < 300, sent.text
    await whatsapp.until(lambda: [post.text for post in whatsapp.posts] == ["Hello Ann"])
    ann.reads(agent)
    ann.writes(agent, "Hello agent")
    messages = await until(manager, f"{instance}/messages/{ann.pn}", lambda answer: "Hello agent" in answer.text and '"read"' in answer.text)
    assert [message["text"] for message in messages["messages"]] == ["Hello agent", "Hello Ann"]
    waited = await manager.get(f"{instance}/wait", params={"chat_id": "+1 555-0101", "cursor": "0", "timeout": 20})
    assert [message["text"] for message in waited.json()["messages"]] == ["Hello agent"]


async def test_a_chat_that_is_kept_under_a_lid_stays_one_chat(manager: httpx.AsyncClient, whatsapp: WhatsAppStandIn) -> None:
    agent, bia = whatsapp.account("15550100", "Agent"), whatsapp.account("551187654321", "Bia")
    agent.migrated = True
    bia.also_written.add("5511987654321@c.us")
    made = (await manager.post("/instances", json={"provider": "whatsappweb", "user_id": "u", "type_instance": ["api"]})).json()
    instance = f"/instances/{made['instance_id']}"
    qr = await until(manager, f"{instance}/qr", lambda answer: answer.status_code == 200)
    agent.scan(qr["qr"])
    await until(manager, f"{instance}/auth-status", lambda answer: answer.json()["state"] == "ready")

    # Nobody has met her, and her number is written with the digit that she registered without.
    sent = await manager.post(f"{instance}/send", json={"number": "+55 11 98765-4321", "message": "Hello Bia"})
    assert sent.status_code < 300, sent.text
    assert [post.text for post in whatsapp.posts_between(agent, bia)] == ["Hello Bia"]
    bia.writes(agent, "Hello agent")
    waited = await manager.get(f"{instance}/wait", params={"chat_id": "5511987654321", "cursor": "0", "timeout": 20})
    assert [message["text"] for message in waited.json()["messages"]] == ["Hello agent"]
    chats = (await manager.get(f"{instance}/chats")).json()["chats"]
    assert [chat["id"] for chat in chats] == [bia.lid]
    for written in ("+55 11 98765-4321", bia.pn, bia.lid):
        answer = await manager.get(f"{instance}/messages/{written}")
        assert [message["text"] for message in answer.json()["messages"]] == ["Hello agent", "Hello Bia"], answer.text
    again = await manager.post(f"{instance}/send", json={"number": bia.pn, "message": "Hello again"})
    assert (again.status_code < 300, again.json().get("chat_id")) == (True, bia.lid), again.text

    nobody = {"number": "+1 999 9999", "message": "Hello?"}
    refused = await manager.post(f"{instance}/send", json=nobody)
    checked = await manager.post(f"{instance}/check-send", json={"to": nobody["number"], "message": nobody["message"]})
    assert refused.status_code == 404, refused.text
    assert (checked.json()["ok"], checked.json()["refusal"]) == (False, "not_found"), checked.text
    assert "is not on WhatsApp" in checked.json()["reason"]


async def test_a_pairing_code_is_asked_for_over_rest(manager: httpx.AsyncClient, whatsapp: WhatsAppStandIn) -> None:
    agent = whatsapp.account("15550100", "Agent")
    made = (await manager.post("/instances", json={"provider": "whatsappweb", "user_id": "u", "type_instance": ["api"]})).json()
    instance = f"/instances/{made['instance_id']}"
    await until(manager, f"{instance}/qr", lambda answer: answer.status_code == 200)
    asked = await manager.post(f"{instance}/pairing-code", json={"phone": "+15550100"})
    assert asked.status_code == 200, asked.text
    agent.enter_code(asked.json()["pairing_code"].replace("-", ""))
    await until(manager, f"{instance}/auth-status", lambda answer: answer.json()["state"] == "ready")
