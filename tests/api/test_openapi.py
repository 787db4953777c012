"""/openapi.json says what the product does: Schemathesis sends it all that it allows, and more."""

import asyncio
import sys
from pathlib import Path
from typing import Any

from tests.conftest import OpenApi, StartApp
from tests.fakes.api_client import client_of
from tests.fakes.app_process import AppProcess

METHODS = {"get", "post", "put", "patch", "delete"}
# what is open, and what a login is for
WITHOUT_BEARER = {"/token", "/token/refresh", "/healthz", "/readyz", "/metrics"}
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
)
TIMEOUT_S = 150
CONFIG = Path(__file__).with_name("schemathesis.toml")


async def _schema(app: AppProcess) -> dict[str, Any]:
    async with client_of(app) as client:
        return (await client.get("/openapi.json")).json()


async def test_every_operation_is_documented(app: AppProcess) -> None:
    """A summary, a success with its shape, the errors in the one shape, the bearer."""
    schema = await _schema(app)
    assert set(schema["components"]["securitySchemes"]) == {"bearer"}
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            if method not in METHODS:
                continue
            name = f"{method} {path}"
            assert operation["summary"], name
            if path in WITHOUT_BEARER:
                continue
            assert operation["security"] == [{"bearer": []}], name
            for status in ("401", "422", "429", "503"):
                content = operation["responses"][status]["content"]["application/json"]
                assert content["schema"] == {"$ref": "#/components/schemas/ErrorBody"}, name


async def test_bodies_have_examples(app: AppProcess) -> None:
    schemas = (await _schema(app))["components"]["schemas"]
    for name in ("AskBody", "ChatBody", "DialogPatch"):
        fields = schemas[name]["properties"].values()
        assert any("examples" in field for field in fields), name
        assert schemas[name]["additionalProperties"] is False


async def test_the_product_keeps_to_its_description(
    start_app: StartApp, open_api: OpenApi, tmp_path: Path
) -> None:
    """No 500, no undocumented status, no answer of another shape; wrong input is refused."""
    app = start_app(rate_limit="100000/minute", llm_model="qwen3-32b")  # of the examples
    api = await open_api("alice", at=app)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG)),
        *("run", f"{app.url}/openapi.json"),
        *("--header", f"Authorization: {api.headers['authorization']}"),
        *("--checks", ",".join(CHECKS)),
        *("--phases", "examples,coverage,fuzzing"),
        *("--max-examples", "12", "--max-time", "30", "--seed", "1"),
        *("--generation-database", "none"),
        *("--exclude-path", "/readyz", "--no-color", "--suppress-health-check", "all"),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(TIMEOUT_S):
        output, _ = await process.communicate()
    told = "\n".join(line[:300] for line in output.decode().splitlines())  # a body may be long
    assert process.returncode == 0, told[-12_000:]
