"""`/admin/api/stats`: the figures of the overview."""

import httpx

from tests.conftest import OpenApi
from tests.fakes.questions import question

PATH = "/admin/api/stats"


async def figures(client: httpx.AsyncClient, **query: str) -> dict[str, object]:
    answer = await client.get(PATH, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_an_answer_is_counted(open_api: OpenApi) -> None:
    """The figures are a few seconds old at most; the points add up to the whole."""
    rita, someone = await open_api("rita"), await open_api()
    told = (await someone.post("/ask", json={"prompt": question("tokens=3")})).json()
    found = await figures(rita, period="week", model=told["model"])
    assert found["users"] == 0
    assert len(found["points"]) == 7  # pyright: ignore[reportArgumentType]
    assert sum(each["answers"] for each in found["points"]) == found["answers"]  # pyright: ignore
    assert (await figures(rita, department="none of ours"))["answers"] == 0


async def test_odd_periods_are_refused(open_api: OpenApi) -> None:
    rita = await open_api("rita")
    assert (await rita.get(PATH, params={"period": "decade"})).status_code == 422
