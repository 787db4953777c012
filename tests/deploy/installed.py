"""An installed product, asked where there is no network. test_bundle.py runs this, in a namespace.

Not collected by itself: the product is at INSTALLED_AT, which that test sets.
"""

import os
import re
from pathlib import Path

import httpx

from tests.fakes.app_process import AppProcess
from tests.fakes.model_server import ModelServer
from tests.fakes.no_network import attempts

ADMIN = {"username": "admin", "password": "of the installed product 7"}


def test_it_answers(tmp_path: Path, model: ModelServer) -> None:
    """It starts, logs in and answers; pages and what they ask for are served; nobody is called."""
    program = Path(os.environ["INSTALLED_AT"]) / "bin" / "genai"
    process = AppProcess(
        tmp_path, llm_url=model.url, program=program, admin_password=ADMIN["password"]
    )
    with process, httpx.Client(base_url=process.url, trust_env=False) as client:
        token = client.post("/token", data=ADMIN).json()["access_token"]
        answer = client.post(
            "/ask",
            json={"prompt": "fake:tokens=3"},
            headers={"Authorization": f"Bearer {token}"},
        )
        assert answer.json()["response"].split() == ["w0", "w1", "w2"]

        page = client.get("/login")
        assert page.status_code == httpx.codes.OK
        assert "data-testid" in page.text
        named = set(re.findall(r'(?:href|src)="(/[^"/][^"]*)"', page.text))
        assert {Path(each.partition("?")[0]).suffix for each in named} >= {".js", ".css"}
        for each in sorted(named):
            assert client.get(each).status_code == httpx.codes.OK, each
        assert client.get("/docs").status_code == httpx.codes.OK
        assert process.stop() == 0
    assert (process.data_dir / "genai.sqlite3").exists()  # not where the file of settings says
    assert set(attempts().values()) == {0}
