"""The least that a Python proxy can be: one FastAPI route that passes bytes on by httpx.

No identity, no storage, no limit, no cache: what the product's API is compared with. The server is
set up like the product's (genai_app/server/serve.py).

    python -m bench.thin --port 9001 --model http://127.0.0.1:9000
"""

import argparse
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from starlette.background import BackgroundTask

JSON = {"content-type": "application/json"}


def thin(model_url: str) -> FastAPI:
    """The proxy before `model_url`."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        async with httpx.AsyncClient(base_url=model_url, limits=limits, timeout=None) as client:
            app.state.client = client
            yield

    app = FastAPI(lifespan=lifespan)

    @app.post("/v1/chat/completions")
    async def complete(request: Request) -> Response:
        client: httpx.AsyncClient = request.app.state.client
        body = await request.body()
        asked = client.build_request("POST", "/v1/chat/completions", content=body, headers=JSON)
        answer = await client.send(asked, stream=True)
        kind = answer.headers["content-type"]
        if kind.startswith("text/event-stream"):
            return StreamingResponse(
                answer.aiter_raw(), answer.status_code, None, kind, BackgroundTask(answer.aclose)
            )
        return Response(await answer.aread(), answer.status_code, None, kind)

    return app


def main() -> None:
    parser = argparse.ArgumentParser(description="a thin proxy, for comparison")
    parser.add_argument("--port", type=int, default=9001)
    parser.add_argument("--model", default="http://127.0.0.1:9000")
    options = parser.parse_args()
    uvicorn.run(
        thin(options.model),
        host="127.0.0.1",
        port=options.port,
        loop="uvloop",
        http="httptools",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=1024,
    )


if __name__ == "__main__":
    main()
