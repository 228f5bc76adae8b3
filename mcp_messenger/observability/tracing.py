"""Spans across operation, send and delivery, by OpenTelemetry's API. Without its SDK they cost next to nothing and go nowhere."""

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.propagate import extract, inject
from opentelemetry.trace import StatusCode

from providers.errors import MessengerError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

TRACER = "mcp_messenger"
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


@contextmanager
def span(name: str, *, parent: Mapping[str, str] | None = None, **attributes: object) -> Generator[None]:
    """`parent` is a `carrier` of the past. Attributes are ids and names, never what people wrote; those that are None are left out.

    Of an error only its code is kept: its words may quote an argument, or a message. Where nobody takes spans, none is made.
    """
    tracer = trace.get_tracer(TRACER)
    if not parent and isinstance(tracer, trace.ProxyTracer):
        yield
        return
    said = {f"mcp_messenger.{key}": str(value) for key, value in attributes.items() if value is not None}
    context = extract(parent) if parent else None
    with tracer.start_as_current_span(name, context=context, attributes=said, record_exception=False, set_status_on_exception=False) as current:
        try:
            yield
        except Exception as error:  # of any kind: it is only noted here, and goes on
            current.set_status(StatusCode.ERROR, error.code if isinstance(error, MessengerError) else type(error).__name__)
            raise


def carrier() -> dict[str, str]:
    """The present trace, to be kept beside what is done later; empty where there is none."""
    found: dict[str, str] = {}
    if trace.get_current_span().get_span_context().is_valid:
        inject(found)
    return found


def configure() -> None:
    """Send spans where OTEL_EXPORTER_OTLP_ENDPOINT says, if the extra `tracing` is installed. Its other variables are the SDK's own."""
    if not os.environ.get(ENDPOINT):
        return
    try:
        # The exporter comes with the extra alone: pyright cannot see it.
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # pyright: ignore
    except ImportError:
        raise ValueError(f"{ENDPOINT} is set, and the extra 'tracing' is not installed: install mcp-messenger[tracing].") from None
    trace.set_tracer_provider(provider_for(OTLPSpanExporter()))  # pyright: ignore[reportUnknownArgumentType] - see above


def provider_for(exporter: "SpanExporter") -> "TracerProvider":
    """Return a provider that exports our own spans alone: those of the libraries hold queries, arguments and the words of errors."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    class OwnSpans(BatchSpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            if span.instrumentation_scope is not None and span.instrumentation_scope.name == TRACER:
                super().on_end(span)

    provider = TracerProvider(resource=Resource.create({"service.name": "mcp-messenger"}))
    provider.add_span_processor(OwnSpans(exporter))
    return provider
