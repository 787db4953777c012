"""How long a page's main thread did nothing else, since the page was loaded."""

from playwright.async_api import CDPSession, Page

FROZEN_MS = 500
_WATCH = """
window.blocked = 0;
new PerformanceObserver(list => {
    for (const task of list.getEntries()) window.blocked = Math.max(window.blocked, task.duration);
}).observe({type: 'longtask', buffered: true});
"""
_LOOK = """async () => {
    await new Promise(done => requestAnimationFrame(() => setTimeout(done, 0)));
    return [Math.round(window.blocked), document.body.innerText.includes('rror occurred')];
}"""


async def watched(page: Page) -> CDPSession:
    """Returns the session that tells what the page's main thread worked."""
    await page.add_init_script(_WATCH)
    session = await page.context.new_cdp_session(page)
    await session.send("Performance.enable", {"timeDomain": "threadTicks"})
    return session


async def blocked_ms(page: Page, session: CDPSession) -> int:
    """Returns the longest task since the page was loaded, which must not have given up.

    On a busy machine a task takes longer than it works, so it is at most what all of them worked.
    """
    longest, gave_up = await page.evaluate(_LOOK)
    assert not gave_up
    metrics = (await session.send("Performance.getMetrics"))["metrics"]
    worked = next(each["value"] for each in metrics if each["name"] == "TaskDuration")
    return min(longest, round(worked * 1000))
