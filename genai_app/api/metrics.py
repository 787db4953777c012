"""`/metrics` for Prometheus: counts and durations, and nothing about any user."""

import hmac

from fastapi import APIRouter, Request, Response

from genai_app import metrics
from genai_app.errors import NotAuthenticated, NotFound
from genai_app.services import services
from genai_app.settings.urls import is_loopback

router = APIRouter(tags=["health"])

FORWARDED = ("x-forwarded-for", "forwarded", "x-real-ip")


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}, "description": "Prometheus' text"}},
)
async def read_metrics(request: Request) -> Response:
    """Returns the metrics in Prometheus' text format. Needs GENAI_METRICS_TOKEN as bearer token. If
    this setting is empty, only requests of this machine itself are answered, and only while the
    product listens on localhost alone; requests through a proxy get 404."""
    settings = services().settings
    if settings.metrics_token is not None:
        if not _bears(request, settings.metrics_token.get_secret_value()):
            raise NotAuthenticated
    elif not (is_loopback(settings.host) and _is_local(request)):
        raise NotFound
    return Response(await metrics.render_all(), media_type=metrics.CONTENT_TYPE)


def _bears(request: Request, token: str) -> bool:
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    same = hmac.compare_digest(credentials.strip().encode(), token.encode())
    return same and scheme.lower() == "bearer"


def _is_local(request: Request) -> bool:
    if request.client is None or any(name in request.headers for name in FORWARDED):
        return False
    return is_loopback(request.client.host)
