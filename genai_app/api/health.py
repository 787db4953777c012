"""Health of this process and of the servers that it needs, for orchestrators and load balancers."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from genai_app.services import services
from genai_app.services.doctor.health import by_name, check_dependencies

router = APIRouter(tags=["health"])

NO_STORE = {"cache-control": "no-store"}


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Returns `ok` while the process runs."""
    return {"status": "ok"}


@router.get("/readyz")
async def readyz() -> JSONResponse:
    """Returns `up` or `down` for each dependency; `model` is up while at least one model server is.
    The status is 503 only while the database is down or the process stops (`stopping`).

    Without model servers, Redis or the directory the process stays in service: users still read
    their history, and other replicas use the same servers. A process that stops answers for some
    seconds more.

    `clock`: the deviation of this host's clock from the database's clock. The product uses the
    database's clock, so a deviation does no harm, but it should be corrected.
    """
    if services().stopping.begun:
        return _not_ready("stopping", {})
    dependencies = by_name(await check_dependencies(services()))
    checks = {name: "up" if up else "down" for name, up in dependencies.items()}
    ready = checks["database"] == "up"
    if not ready:
        return _not_ready("unavailable", checks)
    host = services().database_clock
    clock = {"state": "off" if host.is_off else "ok", "offset_s": round(host.offset_s, 1)}
    return JSONResponse({"status": "ready", "checks": checks, "clock": clock}, 200, NO_STORE)


def _not_ready(status: str, checks: dict[str, str]) -> JSONResponse:
    return JSONResponse({"status": status, "checks": checks}, 503, NO_STORE)
