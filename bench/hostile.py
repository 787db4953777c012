"""`python -m bench.hostile`: what answers that are made to freeze a page cost it.

Opens a saved dialog for each generated text in Chromium and notes the longest time for which its
main thread did nothing else, beside an answer of ordinary Markdown; and what the guard of the text
takes of the server.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Sequence

import aiohttp
from playwright.async_api import Browser, async_playwright

from bench.browser import CHROMIUM, FLAGS, HEIGHT, WIDTH
from bench.model import markdown_pieces
from bench.pages import log_in
from bench.product import Bench
from genai_app.markdown.guard import displayed
from tests.corpora.hostile import hostile_texts
from tests.e2e.long_tasks import FROZEN_MS, blocked_ms, watched

WAIT_MS = 60_000
LARGE = 100_000
REPEATS = 3


def pick(texts: Sequence[tuple[str, str]], count: int) -> list[tuple[str, str]]:
    """Returns `count` of the texts, evenly through all shapes, sizes and mixtures."""
    return [texts[at * len(texts) // count] for at in range(min(count, len(texts)))]


def guard_ms(text: str) -> float:
    """Returns the milliseconds of CPU that the guard takes for a text, the best of a few."""
    taken: list[float] = []
    for _ in range(REPEATS):
        begin = time.thread_time()
        displayed(text)
        taken.append(time.thread_time() - begin)
    return min(taken) * 1000


async def opened_ms(browser: Browser, cookie: dict[str, str], address: str) -> int:
    """Opens a dialog in a context of its own and returns the page's longest task in milliseconds:
    what one page leaves behind is cleared away while the next one is shown."""
    context = await browser.new_context(viewport={"width": WIDTH, "height": HEIGHT})
    await context.add_cookies([cookie])  # pyright: ignore[reportArgumentType]
    page = await context.new_page()
    session = await watched(page)
    await page.goto(address)
    await page.get_by_test_id("message-assistant").first.wait_for(timeout=WAIT_MS)
    longest = await blocked_ms(page, session)
    await context.close()
    return longest


async def open_all(bench: Bench, texts: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Returns the longest task of each text's page, by the text's name."""
    [user] = await bench.users(1)
    async with aiohttp.ClientSession() as http:
        name, _, value = (await log_in(http, bench.url, user)).partition("=")
    found: dict[str, int] = {}
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        cookie = {"name": name, "value": value, "url": bench.url}
        for label, text in texts:
            dialog_id = await bench.add_dialog(user, 1, text)
            found[label] = await opened_ms(browser, cookie, f"{bench.url}/c/{dialog_id}")
        await browser.close()
    return found


def main() -> int:
    """Prints the figures as JSON. Returns 1 when a page was blocked for too long."""
    parser = argparse.ArgumentParser(prog="python -m bench.hostile", description=__doc__)
    parser.add_argument("--texts", type=int, default=200)
    options = parser.parse_args()
    everything = [each for each in hostile_texts() if each[1].strip()]
    ordinary = "".join(markdown_pieces("en"))
    large = [guard_ms(text) for _, text in everything if len(text.encode()) >= LARGE * 0.9]
    chosen = [("ordinary", ordinary), *pick(everything, options.texts)]

    async def measure() -> dict[str, int]:
        with Bench(sqlite=True) as bench:
            try:
                return await open_all(bench, chosen)
            finally:
                await bench.aclose()

    found = asyncio.run(measure())
    usual = found.pop("ordinary")
    blocked = sorted(found.values())
    frozen = {name: ms for name, ms in found.items() if ms >= FROZEN_MS}
    figures = {
        "texts": len(blocked),
        "ordinary_ms": usual,
        "p50_ms": statistics.median(blocked),
        "max_ms": blocked[-1],
        "frozen": frozen,
        "guard_100kb_p50_ms": round(statistics.median(large), 1),
        "guard_100kb_max_ms": round(max(large), 1),
    }
    sys.stdout.write(json.dumps(figures, ensure_ascii=False) + "\n")
    return 1 if frozen else 0


if __name__ == "__main__":
    sys.exit(main())
