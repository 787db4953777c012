"""One real page in Chromium: its first load, and what a long Markdown answer costs it."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from pathlib import Path
from typing import Any

import aiohttp
from playwright.async_api import Browser, CDPSession, Page, async_playwright

from bench.model import Plan, markdown_pieces
from bench.pages import log_in
from bench.product import Bench

CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
WIDTH, HEIGHT = 1280, 800
SETTLE_MS = 3000
WAIT_MS = 30_000
POLL_MS = 50
COUNTERS = ("TaskDuration", "ScriptDuration", "LayoutDuration", "RecalcStyleDuration")

# Times in ms of performance.now(). `usable`: the composer can be seen and React listens to it;
# `answering`: the server's first state is drawn. `first` and `last` are when the frame that shows
# the change begins, so a change counts when it can be seen.
PROBE = """
(() => {
  const seen = window.seen = {usable: 0, answering: 0, enter: 0, first: 0, last: 0, blocked: 0};
  const look = () => {
    const box = document.querySelector('[data-testid=composer]');
    const now = performance.now();
    if (box && !seen.usable && box.getClientRects().length
        && Object.keys(box).some(key => key.startsWith('__reactProps'))) seen.usable = now;
    if (!seen.answering && document.querySelector('.greeting, [data-testid=message-user]'))
      seen.answering = now;
    if (!seen.usable || !seen.answering) requestAnimationFrame(look);
  };
  look();
  addEventListener('keydown', event => {
    if (event.key === 'Enter' && !seen.enter) seen.enter = performance.now();
  }, true);
  let drawing = false;
  new MutationObserver(() => {
    if (!seen.enter || drawing) return;
    drawing = true;
    requestAnimationFrame(() => {
      drawing = false;
      seen.last = performance.now();
      if (seen.first) return;
      const answers = document.querySelectorAll('[data-testid=message-assistant]');
      const newest = answers[answers.length - 1];
      if (newest && newest.dataset.status === 'running' && newest.innerText.includes('WORD'))
        seen.first = seen.last;
    });
  }).observe(document, {subtree: true, childList: true, characterData: true});
  new PerformanceObserver(list => {
    for (const task of list.getEntries())
      if (seen.enter) seen.blocked += Math.max(0, task.duration - 50);
  }).observe({type: 'longtask'});
})();
"""


async def browse(
    bench: Bench,
    *,
    history: int,
    tokens: int,
    rate: float,
    kind: str = "en",
    thinking: int = 0,
    shots: Path | None = None,
) -> dict[str, Any]:
    """A cold first load, then an answer in a dialog with `history` saved Markdown answers.

    Args:
        shots: a directory for pictures of the empty page, the growing and the ended answer.
    """
    [user] = await bench.users(1)
    path = f"/c/{await bench.add_dialog(user, history)}" if history else "/"
    async with aiohttp.ClientSession() as http:
        name, _, value = (await log_in(http, bench.url, user)).partition("=")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            cookie = {"name": name, "value": value, "url": bench.url}
            load, _ = await _open(browser, bench.url, "/", cookie, kind)
            opened, page = await _open(browser, bench.url, path, cookie, kind)
            if shots:
                await page.screenshot(path=shots / f"history-{history}-before.png")
            answer = await _ask(bench, page, Plan(tokens, rate, kind, thinking), history, shots)
        finally:
            await browser.close()
    return {
        "mode": "rich browser" if thinking else "browser",
        "history": history,
        "tokens": tokens,
        "rate": rate,
        "kind": kind,
        "thinking": thinking,
        **load,
        "dialog_drawn_ms": opened["answering_ms"],
        **answer,
    }


async def _open(
    browser: Browser, url: str, path: str, cookie: dict[str, str], kind: str
) -> tuple[dict[str, Any], Page]:
    """Open a page with an empty cache, logged in. Returns what it took and the page."""
    context = await browser.new_context(viewport={"width": WIDTH, "height": HEIGHT})
    await context.add_cookies([cookie])  # pyright: ignore[reportArgumentType]
    page = await context.new_page()
    await page.add_init_script(PROBE.replace("WORD", first_word(kind)))
    session = await context.new_cdp_session(page)
    sizes: list[float] = []
    session.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    await session.send("Network.enable")
    await page.goto(url + path)
    await _until(page, "usable", "answering")
    await page.wait_for_timeout(SETTLE_MS)
    seen = await page.evaluate("window.seen")
    result = {
        "sent_kb": round(sum(sizes) / 1000),
        "files": len(sizes),
        "usable_ms": round(seen["usable"]),
        "answering_ms": round(seen["answering"]),
    }
    return result, page


async def _ask(
    bench: Bench, page: Page, plan: Plan, history: int, shots: Path | None
) -> dict[str, Any]:
    session, worked = [await page.context.new_cdp_session(page) for _ in range(2)]
    await session.send("Performance.enable")
    await worked.send("Performance.enable", {"timeDomain": "threadTicks"})
    composer = page.get_by_test_id("composer")
    await composer.fill(f"How do I restore the backup? {plan.directive()}")
    before, worked_before = await _counters(session), await _counters(worked)
    meter = bench.meter()
    await composer.press("Enter")
    await _until(page, "first")
    if shots:
        await page.wait_for_timeout(5000)
        await page.screenshot(path=shots / f"history-{history}-growing.png")
    while (model := await asyncio.to_thread(_model_counters, bench.model_port))["running"]:
        await page.wait_for_timeout(200)
    await page.wait_for_timeout(3000)
    after, worked_after = await _counters(session), await _counters(worked)
    cost = meter.read()
    ended = model["ended_at"] * 1000 - await page.evaluate("performance.timeOrigin")
    seen = await page.evaluate("window.seen")
    newest = page.get_by_test_id("message-assistant").last
    if shots:
        await page.screenshot(path=shots / f"history-{history}-ended.png")
    return {
        "status": await newest.get_attribute("data-status"),
        "first_token_ms": round(seen["first"] - seen["enter"]),
        "last_change_ms": round(seen["last"] - ended),
        "main_thread_s": round(after["TaskDuration"] - before["TaskDuration"], 2),
        "main_thread_cpu_s": round(worked_after["TaskDuration"] - worked_before["TaskDuration"], 2),
        "script_s": round(after["ScriptDuration"] - before["ScriptDuration"], 2),
        "layout_s": round(after["LayoutDuration"] - before["LayoutDuration"], 2),
        "style_s": round(after["RecalcStyleDuration"] - before["RecalcStyleDuration"], 2),
        "blocked_ms": round(seen["blocked"]),
        "heap_mb": round(after["JSHeapUsedSize"] / 1e6),
        "nodes": round(after["Nodes"]),
        "browser_cpu_s": cost.bench_s,
        "product_cpu_s": cost.product_s,
        "other_cores": cost.other_cores,
    }


async def _until(page: Page, *names: str) -> None:
    """Returns when the probe has seen these. The page's CSP forbids Playwright's own way."""
    seen: dict[str, float] = {}
    for _ in range(WAIT_MS // POLL_MS):
        seen = await page.evaluate("window.seen")
        if all(map(seen.get, names)):
            return
        await page.wait_for_timeout(POLL_MS)
    raise RuntimeError(f"{page.url}: not seen in {WAIT_MS / 1000:g} s: {names}; seen: {seen}")


async def _counters(session: CDPSession) -> dict[str, float]:
    found = await session.send("Performance.getMetrics")
    return {metric["name"]: metric["value"] for metric in found["metrics"]}


def _model_counters(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/counters", timeout=10) as answer:
        return json.load(answer)


def first_word(kind: str) -> str:
    """A word that the first tokens of the sample answer hold."""
    return "".join(markdown_pieces(kind)[:3]).strip("# \n")[:4]
