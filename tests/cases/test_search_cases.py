"""What search_messages finds in the documents of each case, which are the messages of one chat."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from mcp_messenger.delivery.inbound import Source
from tests.cases.loading import cases
from tests.cases.place import Place, Refused
from tests.postgres import execute
from tests.stored import received

pytestmark = pytest.mark.anyio


async def _stored(place: Place, documents: dict[str, str]) -> UUID:
    instance_id = uuid4()
    execute(
        place.database_url, f"INSERT INTO message_instances (id, user_id, provider, desired) VALUES ('{instance_id}', 'local', 'sandbox', 'stopped')"
    )
    events = [received(name, text, minute=number) for number, (name, text) in enumerate(documents.items())]
    await place.app.inbound.deliver(Source(instance_id, None), events)
    return instance_id


async def _found(place: Place, instance_id: UUID, query: str) -> set[str]:
    """The texts of the hits; none where the query is refused for having no word."""
    try:
        answer = await place.call("search_messages", instance_id=str(instance_id), query=query, limit=100)
    except Refused as refused:
        if refused.problem["code"] != "invalid_input":
            raise
        return set()
    return {message["text"] for message in answer["messages"]}


@pytest.mark.parametrize("case", cases("search-words.json"))
async def test_search(place: Place, case: dict[str, Any]) -> None:
    (step,) = case["input"]
    assert (step.keys(), case["expect"].keys()) == ({"documents", "query"}, {"hits", "misses"})
    instance_id = await _stored(place, step["documents"])
    texts = await _found(place, instance_id, step["query"])
    found = {name for name, text in step["documents"].items() if text in texts}
    assert set(case["expect"]["hits"]) <= found, found
    assert not set(case["expect"]["misses"]) & found, found
