"""GENAI_TITLES=model: what users and programs see of it."""

from tests.conftest import OpenApi, OpenPage, StartApp
from tests.fakes.api_client import client_of
from tests.fakes.questions import question

TITLE = "w0 w1 w2"  # what the scripted model says to a question with `tokens=3`
TOKEN = "metrics-token-of-the-tests-0123456789"
CHAT = "/v1/chat/completions"


async def test_open_pages_and_programs_see_the_title(
    start_app: StartApp, open_api: OpenApi, open_page: OpenPage
) -> None:
    """By the same road as a title that the user writes; a title of the user stays."""
    app = start_app(titles="model", metrics_token=TOKEN)
    alice = await open_api("alice", at=app)
    other_page = await open_page("alice", at=app)
    page = await open_page("alice", at=app)
    await page.ask(question("tokens=3"))
    await page.wait_for(lambda: TITLE in page.titles())
    await other_page.wait_for(lambda: TITLE in other_page.titles())
    await page.wait_for(lambda: page.view("chat_state")["title"] == TITLE)
    remaining = int((await alice.get("/me/limits")).json()["remaining"])

    answer = await alice.post("/ask", json={"prompt": question("tokens=3")})
    dialog_id = answer.json()["dialog_id"]
    await page.wait_for(lambda: page.titles().count(TITLE) == 2)
    assert (await alice.get(f"/dialogs/{dialog_id}")).json()["title"] == TITLE
    # the question alone
    assert int((await alice.get("/me/limits")).json()["remaining"]) == remaining - 1

    changed = await alice.patch(f"/dialogs/{dialog_id}", json={"title": "Моё"})
    assert changed.json()["title"] == "Моё"
    body = {"prompt": question("tokens=3"), "dialog_id": dialog_id}
    assert (await alice.post("/ask", json=body)).status_code == 200

    # a later question has the title of its own: so the one before was not worked on any more
    await alice.post("/ask", json={"prompt": question("tokens=4")})
    await page.wait_for(lambda: "w0 w1 w2 w3" in page.titles())
    assert (await alice.get(f"/dialogs/{dialog_id}")).json()["title"] == "Моё"
    metrics = (await alice.get("/metrics", headers={"authorization": f"Bearer {TOKEN}"})).text
    assert 'genai_titles_total{result="made"} 3.0' in metrics
    assert 'genai_tokens_total{kind="title_completion"} 10.0' in metrics


async def test_a_program_keeps_the_words_of_its_question(
    start_app: StartApp, open_api: OpenApi
) -> None:
    app = start_app(titles="model")
    alice = await open_api("alice", at=app)
    key = (await alice.post("/me/keys", json={"name": "Nightly batch"})).json()
    text = question("tokens=3")
    async with client_of(app, key["key"]) as program:
        body = {"model": "fake-model", "messages": [{"role": "user", "content": text}]}
        assert (await program.post(CHAT, json=body)).status_code == 200
    own = await alice.post("/ask", json={"prompt": question("tokens=4")})

    def listed(items: list[dict[str, str]]) -> dict[str, str]:
        return {each["id"]: each["title"] for each in items}

    items = dict[str, str]()
    for _ in range(500):
        items = listed((await alice.get("/dialogs")).json()["items"])
        if items[own.json()["dialog_id"]] == "w0 w1 w2 w3":
            break
    assert items.pop(own.json()["dialog_id"]) == "w0 w1 w2 w3"
    (title,) = items.values()
    assert text.startswith(title.rstrip("…"))
