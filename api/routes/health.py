"""GET /healthz, /readyz, /metrics: liveness, readiness, metrics."""

from fastapi import APIRouter
from starlette.responses import Response

from api.dependencies import ServicesOf
from api.observability import exposition
from api.problems import Problem, ProblemError
from api.schemas import GlobalPrivacyControl, Health, problems

router = APIRouter(tags=["service"])
_NOT_READY = Problem(503, "not-ready", "Not ready")


@router.get("/healthz")
async def healthz() -> Health:
    """Tell that the process runs."""
    return Health(status="ok")


@router.get("/.well-known/gpc.json")
async def global_privacy_control() -> GlobalPrivacyControl:
    """Tell that the signal Sec-GPC is honoured (globalprivacycontrol.github.io/gpc-spec, section 4)."""
    return GlobalPrivacyControl(gpc=True, lastUpdate="2026-11-26")


@router.get("/readyz", responses=problems(503))
def readyz(services: ServicesOf) -> Health:
    """Tell that the next read and the next write can be answered, and that the process is not leaving."""
    failing = services.readiness.failing()
    if failing:
        raise ProblemError(_NOT_READY, headers={"Retry-After": "5"}, extra={"failing": failing})
    return Health(status="ready")


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
def metrics(services: ServicesOf) -> Response:
    """Metrics in Prometheus' text form, labelled by route template; no label names a person."""
    body = exposition(services.settings.metrics_dir, services.gauges)
    return Response(body, media_type="text/plain; version=0.0.4; charset=utf-8")
