"""The header Idempotency-Key: the same as the field of that name in the body."""

import base64
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from mcp_messenger.api.rest.aliases import SPELLED_OF_INSTANCE, SPELLED_OF_MANAGER
from mcp_messenger.operations.operation import Operation
from mcp_messenger.operations.table import BY_NAME, OPERATIONS
from mcp_messenger.policy.touch import Touch
from tests.running import ready_sandbox
from tests.waiting import PATIENCE

pytestmark = pytest.mark.anyio

ROWS = [row for row in (*OPERATIONS, *SPELLED_OF_INSTANCE, *SPELLED_OF_MANAGER) if "idempotency_key" in row.input.model_fields]
PLACE = {"latitude": 52.5, "longitude": 13.4}
BODIES: dict[str, dict[str, Any]] = {
    "send_message": {"to": "ann", "message": "once"},
    "send_media": {"to": "ann", "source": "data:text/plain;base64," + base64.b64encode(b"once").decode()},
    "send_poll": {"to": "ann", "question": "once?", "options": ["yes", "no"]},
    "send_location": {"to": "ann", **PLACE},
    "send_contact": {"to": "ann", "contact_id": "bob", "name": "Bob"},
    "send_choices": {"to": "ann", "message": "once?", "choices": [{"id": "y", "title": "yes"}]},
    "send_to_group": {"message": "once"},
    "forward_message": {"to": "ann"},
    "telegram_send": {"chatId": "ann", "message": "once"},
    "telegram_send_formatted": {"chatId": "ann", "message": "once"},
    "telegram_send_media": {"chatId": "ann", "source": "data:text/plain;base64," + base64.b64encode(b"once").decode()},
    "multi_provider_send": {"to": "ann", "message": "once"},
}
"""Of what the sandbox can do."""


@pytest.fixture
async def client(url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"{url}/api/v1", trust_env=False, timeout=PATIENCE) as client:
        yield client


async def test_the_header_makes_two_calls_one_send_by_every_path_that_takes_the_field(app: Any, client: httpx.AsyncClient) -> None:
    instance = await ready_sandbox(app)
    sent = (await client.post(f"/instances/{instance}/send", json={"to": "bob", "message": "to pass on"})).json()["message_id"]
    names = {"instance_id": instance, "group_id": "ann", "message_id": sent, "provider": "sandbox"}
    for row in ROWS:
        if row.name not in BODIES:
            continue
        path, body, headers = row.path.format(**names), BODIES[row.name], {"Idempotency-Key": f"key-{row.name}"}
        first = await client.post(path, json=body, headers=headers)
        again = await client.post(path, json=body, headers=headers)
        by_field = await client.post(path, json={**body, "idempotency_key": f"key-{row.name}"})
        assert first.status_code == 200, (row.name, first.text)
        assert first.json()["message_id"] == again.json()["message_id"] == by_field.json()["message_id"], row.name
        refused = await client.post(path, json={**body, "idempotency_key": "another"}, headers=headers)
        assert (refused.json()["code"], "two different keys" in refused.json()["detail"]) == ("invalid_input", True), row.name


def test_every_send_takes_the_field() -> None:
    def takes(row: Operation) -> bool:
        return "idempotency_key" in row.input.model_fields

    sends = [
        row
        for row in (*OPERATIONS, *SPELLED_OF_INSTANCE, *SPELLED_OF_MANAGER)
        if row.touches is Touch.SEND and row.output is BY_NAME["send_message"].output
    ]
    assert [row.name for row in sends if not takes(row)] == []
    assert {row.name for row in sends} >= BODIES.keys()


async def test_headers_that_say_nothing_or_two_things_are_refused(app: Any, client: httpx.AsyncClient) -> None:
    instance = await ready_sandbox(app)
    body = {"to": "ann", "message": "never"}
    for headers in ([("Idempotency-Key", "")], [("Idempotency-Key", "a"), ("Idempotency-Key", "b")], [("Idempotency-Key", "a" * 129)]):
        answer = (await client.post(f"/instances/{instance}/send", json=body, headers=headers)).json()
        assert (answer["code"], "key" in answer["detail"].lower()) == ("invalid_input", True), headers
    assert (await client.get(f"/instances/{instance}/messages/ann")).json().get("messages", []) == []
