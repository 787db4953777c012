"""The way to the model server is broken: its certificate, its name, the network between."""

import socket
from collections.abc import Callable, Generator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from genai_app import i18n
from genai_app.db.database import Database
from tests.conftest import OpenApi, StartApp
from tests.fakes.api_client import checked_error
from tests.fakes.app_process import AppProcess, eventually
from tests.fakes.certificates import DAY, Authority
from tests.fakes.log_lines import LogMark
from tests.fakes.model_server import ModelServer
from tests.fakes.questions import asked, question
from tests.fakes.rows import list_questions

pytestmark = pytest.mark.fault

CONNECT_S = 1  # the deadline that a black hole costs, twice


@pytest.fixture
def black_hole() -> Generator[str]:
    """A URL whose packets get no answer: the queue of connections is full."""
    with ExitStack() as opened:
        listening = opened.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(2):
            filler = opened.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listening.getsockname())
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


async def refused(app: AppProcess, api: httpx.AsyncClient, *why: str) -> None:
    """A question that no model could be asked is kept, and who asked is told so; the log tells the
    operator why."""
    log, text = LogMark(app), question("tokens=2")
    answer = await api.post("/ask", json={"prompt": text}, headers={"accept-language": "en"})
    error = checked_error(answer, 503, "model_unavailable")
    assert error["message"] == i18n.translate("en", "error_api.model_unavailable")
    assert "saved" in error["message"]
    assert int(answer.headers["retry-after"]) > 0
    db = Database(app.database_url)
    assert len(await list_questions(db, text)) == 1
    await db.close()
    (failure,) = [each for each in log.events() if each["event"] == "generation.failed"]
    assert failure["code"] == "model_unavailable"
    for words in why:
        assert words in failure["detail"]
    assert log.bugs() == []


async def test_a_certificate_that_ended(
    start_app: StartApp, open_api: OpenApi, tmp_path: Path
) -> None:
    """N6. Told by its name in the log; once the server has a new one, no start is needed."""
    authority = Authority(tmp_path / "authority")
    ended = authority.issue("localhost", starts=-2 * DAY, ends=-DAY)
    with ModelServer(certificate=ended) as model:
        app = start_app(
            llm_url=model.url, within=["env", f"SSL_CERT_FILE={authority.ca_file}"], locale="en"
        )
        api = await open_api("alice", at=app)
        await refused(app, api, "certificate has expired", f"localhost:{model.port}")
        assert model.answers == []
    with ModelServer(certificate=authority.issue("localhost"), port=model.port) as renewed:

        async def answers() -> bool:
            text = question("tokens=2")
            answer = await api.post("/ask", json={"prompt": text})
            return answer.status_code == 200 and len(asked(renewed, text)) == 1

        await eventually(answers, 60)


@pytest.mark.parametrize(
    ("address", "why"),
    [
        (lambda _: "http://no-such-host.invalid:8000", ("no-such-host.invalid:8000",)),
        (lambda hole: hole, ("Timeout",)),
    ],
    ids=["name", "black hole"],
)
async def test_no_way_to_the_server(
    address: Callable[[str], str],
    why: tuple[str, ...],
    black_hole: str,
    start_app: StartApp,
    open_api: OpenApi,
) -> None:
    """N6."""
    app = start_app(llm_url=address(black_hole), llm_connect_timeout_s=CONNECT_S, locale="en")
    await refused(app, await open_api("alice", at=app), *why)
