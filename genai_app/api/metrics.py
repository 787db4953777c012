"""What Prometheus reads: counts and durations of this process, and nothing about anybody."""

import hmac
from ipaddress import ip_address

from fastapi import APIRouter, Request, Response

from genai_app import metrics
from genai_app.errors import NotAuthenticated, NotFound
from genai_app.services import services

router = APIRouter(tags=["health"])

FORWARDED = ("x-forwarded-for", "forwarded", "x-real-ip")


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}, "description": "Prometheus' text"}},
)
async def read_metrics(request: Request) -> Response:
    """With GENAI_METRICS_TOKEN a bearer opens it. Without one only this machine itself does: what
    came through a proxy came from elsewhere, and then there is no such page."""
    token = services().settings.metrics_token
    if token is not None:
        if not _bears(request, token.get_secret_value()):
            raise NotAuthenticated
    elif not _is_local(request):
        raise NotFound
    return Response(await metrics.render_all(), media_type=metrics.CONTENT_TYPE)


def _bears(request: Request, token: str) -> bool:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    same = hmac.compare_digest(given.strip().encode(), token.encode())
    return same and scheme.lower() == "bearer"


def _is_local(request: Request) -> bool:
    if request.client is None or any(name in request.headers for name in FORWARDED):
        return False
    try:
        return ip_address(request.client.host).is_loopback
    except ValueError:
        return False
