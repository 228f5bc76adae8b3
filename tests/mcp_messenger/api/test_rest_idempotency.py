"""The header Idempotency-Key: the same as the field of that name in the body."""

import httpx
import pytest

from mcp_messenger.operations.application import App
from tests.running import ready_sandbox, serving

pytestmark = pytest.mark.anyio


async def test_the_header_makes_two_calls_one_send(app: App) -> None:
    instance = await ready_sandbox(app)
    async with serving(app) as url, httpx.AsyncClient(base_url=f"{url}/api/v1/instances/{instance}", trust_env=False, timeout=30) as client:
        body, headers = {"to": "ann", "message": "once"}, {"Idempotency-Key": "order-1"}
        first = (await client.post("/send", json=body, headers=headers)).json()
        again = (await client.post("/send", json=body, headers=headers)).json()
        by_field = (await client.post("/send", json={**body, "idempotency_key": "order-1"})).json()
        assert first["message_id"] == again["message_id"] == by_field["message_id"]
        messages = (await client.get("/messages/ann")).json()["messages"]
        assert [message["text"] for message in messages].count("once") == 1


async def test_a_header_that_contradicts_the_body_is_refused(app: App) -> None:
    instance = await ready_sandbox(app)
    async with serving(app) as url, httpx.AsyncClient(base_url=f"{url}/api/v1/instances/{instance}", trust_env=False, timeout=30) as client:
        body = {"to": "ann", "message": "never", "idempotency_key": "a"}
        answer = (await client.post("/send", json=body, headers={"Idempotency-Key": "b"})).json()
        assert (answer["code"], "two different keys" in answer["detail"]) == ("invalid_input", True)
        assert (await client.get("/messages/ann")).json().get("messages", []) == []
