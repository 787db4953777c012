"""Is the process alive, and does each thing it needs answer."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from genai_app.services import services
from genai_app.services.health import by_name, check_dependencies

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process runs."""
    return {"status": "ok"}


@router.get("/readyz")
async def readyz() -> JSONResponse:
    """Each dependency, `up` or `down`; `model` is up while one of its servers is. 503 while the
    database is down: without it nothing works.

    A model server that is down does not take the process out of service: history still opens, and
    every replica asks the same model. Nor does Redis: what it holds may be lost at any moment; nor
    the directory: who is logged in goes on.
    """
    found = await check_dependencies(services())
    checks = {name: "up" if up else "down" for name, up in by_name(found).items()}
    ready = checks["database"] == "up"
    body = {"status": "ready" if ready else "unavailable", "checks": checks}
    return JSONResponse(body, 200 if ready else 503, {"cache-control": "no-store"})
