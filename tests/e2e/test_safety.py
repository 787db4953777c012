"""What a model, a user or a title says is shown and never obeyed. Nothing leaves the origin."""

import re
import uuid
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests import corpora
from tests.e2e.chromium import E2E
from tests.e2e.conftest import Browse, Watch
from tests.e2e.stored import Stored
from tests.e2e.tab import Tab
from tests.fakes.app_process import AppProcess
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import End, Say

pytestmark = E2E

XSS = corpora.load("xss")
WHOLE = "\n\n".join(XSS)

# what an answer must never become. Our own page has buttons, links, icons and code in it.
MESSAGES = "[data-testid=message-user], [data-testid=message-assistant]"
BAD_NODES = (
    "script, iframe, frame, form, style, link, meta, base, object, embed, img, picture, video, "
    "audio, source, input:not(.question .visually-hidden), textarea, select, dialog, details, "
    "math:not(.katex math), template, noscript, marquee, "
    "svg:not(.lucide), svg.lucide *[onload], [srcdoc], [style*='url'], [style*='fixed']"
)
LOOK = """([messages, bad]) => {
    const roots = [...document.querySelectorAll(messages)];
    const all = roots.flatMap(root => [...root.querySelectorAll('*')]);
    return {
        messages: roots.length,
        bad: roots.flatMap(root => [...root.querySelectorAll(bad)]).map(node => node.outerHTML),
        handlers: all.flatMap(node => node.getAttributeNames().filter(name => /^on/i.test(name))),
        links: all.filter(node => node.tagName.toLowerCase() === 'a').map(node => ({
            href: node.getAttribute('href'), rel: node.rel, target: node.target,
        })),
    };
}"""


async def assert_inert(page: Page, messages: int) -> None:
    """That many messages are on the page, and none of them is more than text and safe links."""
    seen: dict[str, Any] = await page.evaluate(LOOK, [MESSAGES, BAD_NODES])
    assert seen["messages"] == messages
    assert seen["bad"] == []
    assert seen["handlers"] == []
    for link in seen["links"]:
        scheme, colon, _ = (link["href"] or "").partition(":")
        assert not colon or scheme in ("http", "https", "mailto"), link
        assert link["target"] == "_blank", link
        assert {"noopener", "noreferrer"} <= set(link["rel"].split()), link


async def test_the_corpus_as_a_question_and_as_a_streamed_answer(
    tab: Tab, model: ModelServer, app: AppProcess
):
    """As a user meets them: one text, drawn while it comes and when it is whole."""
    model.script_once(Say([WHOLE[i : i + 40] for i in range(0, len(WHOLE), 40)], 0.002), End())
    await tab.ask(WHOLE)
    where = tab.page.url
    await assert_inert(tab.page, 2)  # in the middle, where half an element may stand at the end
    await tab.ends()
    await assert_inert(tab.page, 2)
    assert await tab.questions.locator(".bubble-text").text_content() == WHOLE
    await expect(tab.answer).to_contain_text("<ScRiPt src=")
    await tab.reload()
    await assert_inert(tab.page, 2)
    assert tab.page.url == where


async def test_each_sample_alone(browse: Browse, stored: Stored, watch: Watch):
    """A sample can swallow what follows it; so each is a question and an answer of its own."""
    halves = (XSS[: len(XSS) // 2], XSS[len(XSS) // 2 :])
    page = await (await browse("alice")).new_page()
    tab = Tab(page)
    for number, samples in enumerate(halves):
        rows = [(sample, sample) for sample in samples[:25]], [(s, s) for s in samples[25:]]
        for part, turns in enumerate(rows):
            dialog_id = stored.add_dialog("alice", f"xss {number}.{part}", turns)
            await tab.open(f"/c/{dialog_id}")
            await expect(tab.answers).to_have_count(len(turns))
            await assert_inert(page, 2 * len(turns))
            bubbles = await tab.questions.locator(".bubble").all_text_contents()
            assert bubbles == [question for question, _ in turns]
            assert page.url.endswith(f"/c/{dialog_id}")
    assert not [url for url in watch.requests if "evil.example" in url]


async def test_an_honest_link_leads_where_it_says(tab: Tab, model: ModelServer):
    """The other half: what is harmless still works."""
    model.script_once(
        Say(("[docs](https://docs.example/a?b=1#c) and <mailto:it@corp.example>",)), End()
    )
    await tab.ask_and_read("Дай ссылку")
    links = tab.answer.get_by_role("link")
    await expect(links).to_have_count(2)
    await assert_inert(tab.page, 2)
    await expect(links.first).to_have_attribute("href", "https://docs.example/a?b=1#c")
    await expect(links.last).to_have_attribute("href", "mailto:it@corp.example")


DRAWN = 40  # rows of the list that are in the page wherever it is scrolled to


async def test_the_samples_as_titles(browse: Browse, stored: Stored, app: AppProcess):
    """Titles stand in the sidebar, in the head of a narrow page and in the field that renames."""
    titles = [" ".join(text.split())[:200] for text in (*XSS, *corpora.load("paths"))]
    titles = [title.replace("\x00", "\ufffd") for title in titles]
    tab = Tab(await (await browse("bob", viewport={"width": 600, "height": 800})).new_page())
    worst = '"><script>alert(1)</script>'
    for part in (*(titles[n : n + DRAWN] for n in range(0, len(titles), DRAWN)), [worst]):
        for title in part:
            stored.add_dialog("bob", title)
        await tab.open()
        await tab.page.get_by_role("button", name="Меню", exact=True).click()
        links = tab.page.locator(".dialog-link")
        await expect(links.first).to_have_text(part[-1])
        assert (await links.all_text_contents())[: len(part)] == part[::-1]
        inside: list[int] = await links.evaluate_all("all => all.map(link => link.children.length)")
        assert set(inside) == {0}
        targets: list[str] = await links.evaluate_all("all => all.map(link => link.pathname)")
        assert all(re.fullmatch(r"/c/[0-9a-f-]{36}", target) for target in targets)

    await tab.items.first.get_by_role("link").click()
    await expect(tab.page.locator(".bar-title")).to_have_text(worst)


async def test_a_title_in_the_field_that_renames(browse: Browse, stored: Stored):
    worst = '"><script>alert(1)</script>'
    stored.add_dialog("carol", worst)
    tab = Tab(await (await browse("carol")).new_page())
    await tab.open()
    await tab.choose(worst, "rename")
    field = tab.page.get_by_label("Название диалога")
    await expect(field).to_have_value(worst)
    worse = "<iframe srcdoc='<script>parent.alert(1)</script>'></iframe>"
    await field.fill(worse)
    await field.press("Enter")
    await expect(tab.item(worse)).to_have_count(1)
    assert await tab.page.locator("iframe").count() == 0


async def test_the_token_is_in_its_cookie_and_nowhere_else(browse: Browse, watch: Watch):
    context = await browse("alice")
    page = await context.new_page()
    frames: list[str] = []
    page.on(
        "websocket",
        lambda socket: socket.on("framesent", lambda data: frames.append(str(data))),
    )
    page.on(
        "websocket",
        lambda socket: socket.on("framereceived", lambda data: frames.append(str(data))),
    )
    tab = Tab(page)
    await tab.open()
    await tab.ask_and_read("Где токен?")
    await tab.reload()

    cookies = {each["name"]: each for each in await context.cookies() if "name" in each}
    cookie: Any = cookies["genai_session"]
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Lax"
    assert cookie["path"] == "/"
    token = cookie["value"]
    assert len(token) >= 32
    kept = await page.evaluate(
        """() => JSON.stringify([document.cookie, {...localStorage}, {...sessionStorage},
            location.href, document.referrer, window.name, document.documentElement.outerHTML,
            history.state])"""
    )
    assert token not in kept
    assert not [url for url in watch.requests if token in url]
    assert frames
    assert not [frame for frame in frames if token in frame]


@pytest.mark.parametrize("path", ["/login", "/", "/c/{dialog}", "/c/{random}", "/no/such/page"])
async def test_no_page_asks_anything_of_another_host(
    path: str, browse: Browse, watch: Watch, stored: Stored, app: AppProcess
):
    """And the policy that would refuse it. A 404 is the one error that the console may name."""
    watch.allow(r"^console error: Failed to load resource: .* 404 ")
    dialog_id = stored.add_dialog("alice", "Policy", [("Q", "```python\nx = 1\n```")])
    page = await (await browse("" if path == "/login" else "alice")).new_page()
    response = await page.goto(path.format(dialog=dialog_id, random=uuid.uuid4()))
    await expect(page.get_by_role("main")).to_be_visible()
    await page.wait_for_load_state("networkidle")
    assert watch.requests
    assert all(url.split("://")[1].startswith(f"127.0.0.1:{app.port}/") for url in watch.requests)

    assert response is not None
    policy = dict(
        part.strip().split(" ", 1)
        for part in response.headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert "unsafe" not in policy["script-src"]
    assert "*" not in response.headers["content-security-policy"]
    assert policy["img-src"] == "'self' data:"
    assert policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"


async def test_the_policy_stops_what_the_page_itself_would_do(browse: Browse, watch: Watch):
    """The second line: were a script, a frame or a picture put into the page, it would not work."""
    watch.allow(r"^console error: .*Content Security Policy")
    watch.allow(r"^foreign request: https://evil.example/i.png$")  # asked for, refused, not sent
    tab = Tab(await (await browse("alice")).new_page())
    await tab.open()
    await tab.page.evaluate(
        """() => {
            window.ran = [];
            window.refused = [];
            document.addEventListener('securitypolicyviolation',
                event => window.refused.push(event.effectiveDirective));
            const put = html => document.body.append(
                document.createRange().createContextualFragment(html));
            put('<script>window.ran.push("inline")</' + 'script>');
            put('<button id="bad" onclick="window.ran.push(1)"></button>');
            document.getElementById('bad').click();
            put('<iframe src="/login"></iframe>');
            put('<img src="https://evil.example/i.png">');
            // later, in a task of the page's own: what the test evaluates is exempt
            setTimeout(() => {
                try { new Function('window.ran.push("eval")')(); } catch { }
            });
        }"""
    )
    await tab.page.wait_for_function(
        """() => ['script-src', 'script-src-elem', 'script-src-attr', 'frame-src', 'img-src'].every(
            directive => window.refused.includes(directive))"""
    )
    assert await tab.page.evaluate("window.ran") == []
