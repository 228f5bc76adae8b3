"""Spans across operation, send and delivery, by OpenTelemetry's API. Without its SDK they cost next to nothing and go nowhere."""

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.propagate import extract, inject

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


@contextmanager
def span(name: str, *, parent: Mapping[str, str] | None = None, **attributes: object) -> Generator[None]:
    """`parent` is a `carrier` of the past. Attributes are ids and names, never what people wrote; those that are None are left out."""
    said = {f"mcp_messenger.{key}": str(value) for key, value in attributes.items() if value is not None}
    tracer = trace.get_tracer("mcp_messenger")
    with tracer.start_as_current_span(name, context=extract(parent) if parent else None, attributes=said, record_exception=False):
        yield


def carrier() -> dict[str, str]:
    """The present trace, to be kept beside what is done later; empty where there is none."""
    found: dict[str, str] = {}
    inject(found)
    return found


def configure() -> None:
    """Send spans where OTEL_EXPORTER_OTLP_ENDPOINT says, if the extra `tracing` is installed. Its other variables are the SDK's own."""
    if not os.environ.get(ENDPOINT):
        return
    try:
        # The exporter comes with the extra alone: pyright cannot see it.
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # pyright: ignore
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise ValueError(f"{ENDPOINT} is set, and the extra 'tracing' is not installed: install mcp-messenger[tracing].") from None
    provider = TracerProvider(resource=Resource.create({"service.name": "mcp-messenger"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))  # pyright: ignore[reportUnknownArgumentType] - see above
    trace.set_tracer_provider(provider)
