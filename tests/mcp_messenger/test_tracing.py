"""Spans, from an operation to its send and on to who is told of it; and from a message that comes in."""

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from mcp.shared.exceptions import MCPError
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import SecretStr

from mcp_messenger.delivery.inbound import Source
from mcp_messenger.observability.tracing import provider_for
from mcp_messenger.operations.application import App
from mcp_messenger.operations.events import GetEvents, get_events
from mcp_messenger.operations.webhooks import SetWebhook, set_webhook
from mcp_messenger.security.caller import ADMIN
from tests.mcp_clients import call, over_http
from tests.receiver import receiver
from tests.running import ready_sandbox, running_app, serving
from tests.stored import received
from tests.waiting import until

pytestmark = pytest.mark.anyio
ADMIN_TOKEN = "the-administrator-of-a-test"
TEXT = "RECOGNISABLE-WORDS"


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Generator[InMemorySpanExporter]:
    """What is traced meanwhile. The provider of a process can be set only once, so it stands in for `get_tracer`'s."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    yield exporter
    provider.shutdown()


@asynccontextmanager
async def told_of(database_url: str, data_dir: Path, *events: str) -> AsyncGenerator[tuple[App, str]]:
    """An application, and an instance whose events are posted to a receiver."""
    config: dict[str, Any] = {"admin_token": SecretStr(ADMIN_TOKEN), "allowed_networks": (IPv4Network("127.0.0.0/8"),)}
    async with receiver() as other, running_app(database_url, data_dir, **config) as app:
        instance_id = await ready_sandbox(app, persona="human")
        given = {"instance_id": instance_id, "enabled": True, "url": other.url, "events": events}
        await set_webhook(app, ADMIN, SetWebhook.model_validate(given))
        yield app, instance_id


async def named(spans: InMemorySpanExporter, *names: str) -> dict[str, ReadableSpan]:
    """The spans with these names, when all have ended."""
    await until(lambda: set(names) <= {span.name for span in spans.get_finished_spans()})
    return {span.name: span for span in spans.get_finished_spans()}


def is_child(child: ReadableSpan, parent: ReadableSpan) -> bool:
    assert child.context is not None
    assert parent.context is not None
    return child.parent is not None and (child.context.trace_id, child.parent.span_id) == (parent.context.trace_id, parent.context.span_id)


async def test_a_send_and_what_is_told_of_it_belong_to_the_operation_that_asked_for_it(
    database_url: str, tmp_path: Path, spans: InMemorySpanExporter
) -> None:
    async with told_of(database_url, tmp_path, "message_sent") as (app, instance_id), serving(app) as url:
        async with over_http(f"{url}/mcp", token=ADMIN_TOKEN) as client:
            sent: dict[str, Any] = await call(client, "send_message", instance_id=instance_id, to="ann", message="hello")
        found = await named(spans, "send", "webhook")
        assert is_child(found["send"], found["send_message"])
        assert is_child(found["webhook"], found["send_message"])
        attributes = dict(found["send"].attributes or {})
        assert attributes["mcp_messenger.message_id"] == sent["message_id"]
        assert attributes["mcp_messenger.provider"] == "sandbox"
        assert "hello" not in str([span.to_json() for span in spans.get_finished_spans()])


async def test_what_is_told_of_a_message_belongs_to_its_receipt(database_url: str, tmp_path: Path, spans: InMemorySpanExporter) -> None:
    async with told_of(database_url, tmp_path, "message") as (app, instance_id):
        await app.inbound.deliver(Source(UUID(instance_id), None), [received("m1", "hello")])
        found = await named(spans, "receive", "webhook")
        assert is_child(found["webhook"], found["receive"])
        events = (await get_events(app, ADMIN, GetEvents(instance_id=instance_id, after="0", limit=100))).events
        assert all("trace" not in event.data for event in events), "of no use to who reads events"


async def test_nothing_that_is_exported_holds_a_text_or_a_secret(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exporter = InMemorySpanExporter()
    provider = provider_for(exporter)
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)

    def ours() -> TracerProvider:
        return provider

    monkeypatch.setattr(trace, "get_tracer_provider", ours)
    bearer = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    async with told_of(database_url, tmp_path, "message", "message_sent") as (app, instance_id), serving(app) as url:
        own = f"/api/v1/instances/{instance_id}"
        async with httpx.AsyncClient(base_url=url, trust_env=False, headers=bearer) as client:
            await client.post(f"{own}/send", json={"to": "ann", "message": f"a {TEXT} to keep"})
            await client.get(f"{own}/search", params={"query": TEXT})
            await client.get("/api/v1/instances", params={"cursor": TEXT})
            await client.get(f"/{TEXT}?token={TEXT}")
            await client.post(f"{own}/send/media", json={"to": "ann", "source": f"/etc/{TEXT}", "caption": TEXT})
            await client.get(f"{own}/chats/{TEXT}")
            await client.get(own, headers={"Authorization": f"Bearer {TEXT}"})
            await client.post(f"/webhooks/sandbox/{instance_id}?key={TEXT}", content=TEXT)
        async with over_http(f"{url}/mcp", token=ADMIN_TOKEN) as client:
            await client.call_tool("get_messages", {"instance_id": instance_id, "chat_id": TEXT})
            await client.call_tool("send_media", {"instance_id": instance_id, "to": "ann", "source": f"http://127.0.0.1:1/?key={TEXT}"})
            with pytest.raises(MCPError):
                await client.call_tool(TEXT, {"message": TEXT})
        await app.inbound.deliver(Source(UUID(instance_id), None), [received("m1", TEXT)])
        await until(lambda: provider.force_flush() and {"webhook", "receive", "send"} <= {span.name for span in exporter.get_finished_spans()})
    provider.shutdown()
    spans = exporter.get_finished_spans()
    assert {"search_messages", "send_media", "get_messages"} <= {span.name for span in spans}
    for span in spans:
        assert TEXT not in span.to_json(), span.name
        assert ADMIN_TOKEN not in span.to_json()
        assert "url.query" not in (span.attributes or {})
