"""Traces over OpenTelemetry that know no person: one span a request, named by the route's template.

Off unless `AUREA_OTLP_ENDPOINT` is set. A span holds method, route template, status and client id, and its
place in a caller's trace; no path, query, header, body, golden ID, exception or name of this machine. Of a
caller's trace context only `traceparent` is taken: `tracestate` and `baggage` are free texts.
"""

import re
from collections.abc import Iterable
from typing import Any, Final

from api import __version__
from api.settings import Settings, SettingsError

_TRACEPARENT: Final = re.compile(rb"00-([0-9a-f]{32})-([0-9a-f]{16})-0([0-9a-f])")
_FLUSH_MS: Final = 3_000  # what a stopping worker may spend on the last spans


class Tracing:
    """Sends the spans of one process, from a thread of its own."""

    def __init__(self, endpoint: str) -> None:
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415 - an extra
                OTLPSpanExporter,
            )
            from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - an extra
            from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - an extra
            from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - an extra
        except ImportError:
            raise SettingsError("AUREA_OTLP_ENDPOINT needs the extra `otel`: install aurea[otel]") from None
        # Not Resource.create: its detectors add the host and the process's arguments.
        resource = Resource({"service.name": "aurea", "service.version": __version__})
        self._provider = TracerProvider(resource=resource)
        exporter = OTLPSpanExporter(endpoint=endpoint, timeout=_FLUSH_MS // 1000)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("aurea", __version__)

    def begin(self, headers: Iterable[tuple[bytes, bytes]]) -> Any:
        """Begin the span of a request, inside the caller's trace if the request names one."""
        from opentelemetry.trace import SpanKind  # noqa: PLC0415 - an extra

        return self._tracer.start_span("request", context=_parent(headers), kind=SpanKind.SERVER)

    @staticmethod
    def end(span: Any, *, method: str, route: str, status: int, client: str | None) -> None:
        """End it, with what it may say."""
        from opentelemetry.trace import StatusCode  # noqa: PLC0415 - an extra

        span.update_name(f"{method} {route}")
        said = {"http.request.method": method, "http.route": route, "http.response.status_code": status}
        span.set_attributes(said if client is None else said | {"aurea.client": client})
        if status == 0 or status >= 500:  # 0: the client left before there was an answer
            span.set_status(StatusCode.ERROR)
        span.end()

    def close(self) -> None:
        """Send what waits, for a few seconds at most."""
        self._provider.force_flush(_FLUSH_MS)
        self._provider.shutdown()


def open_tracing(settings: Settings) -> Tracing | None:
    """Return what sends spans, None where none are wanted. Raises SettingsError without the extra `otel`."""
    return None if settings.otlp_endpoint is None else Tracing(settings.otlp_endpoint)


def _parent(headers: Iterable[tuple[bytes, bytes]]) -> Any:
    from opentelemetry.context import Context  # noqa: PLC0415 - an extra
    from opentelemetry.trace import (  # noqa: PLC0415 - an extra
        NonRecordingSpan,
        SpanContext,
        TraceFlags,
        set_span_in_context,
    )

    found = next((_TRACEPARENT.fullmatch(value) for name, value in headers if name == b"traceparent"), None)
    if found is None:
        return Context()
    trace, span, flags = (int(part, 16) for part in found.groups())
    context = SpanContext(trace, span, is_remote=True, trace_flags=TraceFlags(flags & 1))
    return set_span_in_context(NonRecordingSpan(context), Context())
