"""Spans reach a collector and say method, route template, status and client: nothing of a person."""

import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from api.app import create_app
from api.settings import Settings, SettingsError
from api.tracing import Tracing, open_tracing
from tests import world as worlds
from tests.api.test_silence import TRACES, provoke
from tests.world import World, record

ALLOWED = {"http.request.method", "http.route", "http.response.status_code", "aurea.client"}
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Collector(HTTPServer):
    """Keeps what it is sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taking)
        self.bodies: list[bytes] = []

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1/traces"

    def spans(self) -> list[Any]:
        """Return the spans, with the resource each came under checked on the way."""
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        found: list[Any] = []
        for body in self.bodies:
            for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                assert {one.key for one in of_resource.resource.attributes} == {
                    "service.name",
                    "service.version",
                }
                for scope in of_resource.scope_spans:
                    found += scope.spans
        return found


class _Taking(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Collector)
        self.server.bodies.append(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Be silent."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    server = Collector()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def traced(tmp_path: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    pytest.importorskip("opentelemetry.sdk", reason="the extra `otel` is not installed")
    monkeypatch.setattr(worlds, "create_app", partial(create_app, tracing=Tracing(collector.endpoint)))
    with worlds.a_world(tmp_path) as world:
        yield world


def attributes(span: Any) -> dict[str, Any]:
    return {one.key: one.value.string_value or one.value.int_value for one in span.attributes}


def test_a_span_says_method_route_status_and_client_and_nothing_of_anyone(
    traced: World, collector: Collector
) -> None:
    provoke(traced)
    (sent,) = traced.send(record("crm", "1", "Ana"))
    reader = traced.client("consumer")
    reader.get(f"/v1/profiles/{sent['golden_id']}", params={"purpose": "personalization"})
    traced.close()
    spans = collector.spans()
    assert len(spans) > 30
    for span in spans:
        assert set(attributes(span)) <= ALLOWED
        assert not span.events
        assert not span.links
        assert not span.trace_state
        assert not span.status.message
    named = {span.name for span in spans}
    assert {"GET /v1/profiles/{golden_id}", "POST /v1/records", "GET unmatched", "OTHER unmatched"} <= named
    (read,) = [one for one in spans if one.name == "GET /v1/profiles/{golden_id}" and attributes(one)[
        "http.response.status_code"] == 200]  # fmt: skip
    assert attributes(read)["aurea.client"].startswith("c_")
    content = b"".join(collector.bodies)
    for trace in (*TRACES, sent["golden_id"], "personalization", "ana@example.com", "purpose="):
        assert trace.encode() not in content, trace


def test_a_span_joins_the_callers_trace_and_takes_no_free_text_from_it(
    traced: World, collector: Collector
) -> None:
    texts = {"tracestate": "vendor=canarystate", "baggage": "who=canarybaggage"}
    with traced.anonymous() as http:
        http.get("/healthz", headers={"traceparent": PARENT, **texts})
        http.get("/healthz", headers={"traceparent": "00-canary", **texts})
    traced.close()
    first, second = (span for span in collector.spans() if span.name == "GET /healthz")
    assert (first.trace_id.hex(), first.parent_span_id.hex()) == (PARENT[3:35], PARENT[36:52])
    assert second.parent_span_id == b""
    assert b"canary" not in b"".join(collector.bodies)


def test_a_failure_is_an_error_without_its_message(
    traced: World, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise RuntimeError("canarymessage")

    monkeypatch.setattr(traced.services.readiness, "failing", fail)
    assert traced.anonymous().get("/readyz").status_code == 500
    traced.close()
    (span,) = (span for span in collector.spans() if span.name == "GET /readyz")
    assert span.status.code == 2  # error
    assert b"canarymessage" not in b"".join(collector.bodies)


def test_a_collector_that_is_away_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("opentelemetry.sdk", reason="the extra `otel` is not installed")
    away = Tracing("http://127.0.0.1:9/v1/traces")
    monkeypatch.setattr(worlds, "create_app", partial(create_app, tracing=away))
    with worlds.a_world(tmp_path) as world:
        assert world.anonymous().get("/healthz").status_code == 200


def test_nothing_is_sent_unless_it_is_asked_for() -> None:
    assert open_tracing(Settings.from_environment({})) is None


def test_without_the_extra_the_setting_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("opentelemetry.sdk")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk", None)
    settings = Settings.from_environment({"AUREA_OTLP_ENDPOINT": "http://collector:4318/v1/traces"})
    with pytest.raises(SettingsError, match=r"aurea\[otel\]"):
        open_tracing(settings)
    with pytest.raises(SettingsError, match="must be an http"):
        Settings.from_environment({"AUREA_OTLP_ENDPOINT": "collector"})
