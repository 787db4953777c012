"""`python -m bench.messengers`: many people ask the bot for Telegram at once.

Two parts. `crowd`: people ask within a minute; how late the process' event loop was, how soon the
first words were there, and how close the bot came to Telegram's limits. `killed`: people ask, the
process is killed by SIGKILL in mid-answer and started again; no update is lost or answered twice.

The Bot API is the fake of the tests, in this process. What the figures mean stands in
docs/performance.md.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import uvloop

from bench.measure import lag_most_ms, lag_p99_ms, loop_lags, quantiles
from bench.model import STAMP, WRAP_US, Plan
from bench.product import Bench
from genai_app.models import Channel
from tests.fakes.telegram_server import TOKEN, BotMessage, TelegramServer

FIRST_PHONE = 3000
PER_SECOND, CHAT_S = 30, 1.0  # what Telegram allows: calls over all chats, and between two in one
LAG_MS, FIRST_WORDS_S = 100.0, 2.0
WAIT_S = 180.0  # only ends what hangs


def main() -> int:
    """Exit code 1 when an answer was not whole, lost, or came twice; a missed target is marked."""
    options = _options()
    with (
        TelegramServer(enforce=False) as telegram,
        Bench(telegram_token=TOKEN, telegram_api_url=telegram.url) as bench,
    ):

        async def measure() -> list[dict[str, Any]]:
            results: list[dict[str, Any]] = []
            try:
                if "crowd" in options.only:
                    results.append(await crowd(bench, telegram, options))
                if "killed" in options.only:
                    results.append(await killed(bench, telegram, options))
            finally:
                await bench.aclose()
            return results

        results = uvloop.run(measure())
    for result in results:
        print(json.dumps(result))
    missed = [name for result in results for name in _missed(result)]
    print("missed: " + ", ".join(missed) if missed else "every target was met")
    return 1 if any(result["failures"] for result in results) else 0


async def crowd(
    bench: Bench, telegram: TelegramServer, options: argparse.Namespace
) -> dict[str, Any]:
    """People ask one question each, evenly over a time."""
    phones = [FIRST_PHONE + number for number in range(options.people)]
    await bench.link_phones("telegram", phones)
    plan = Plan(options.tokens, options.rate, "flat")
    lags, meter = await loop_lags(bench.url), bench.meter()
    begin, sent_at = time.monotonic(), dict[int, float]()
    for number, phone in enumerate(phones):
        due = begin + options.within * number / len(phones)
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        telegram.says(f"Question of {phone} {plan.directive()}", phone)
        sent_at[phone] = time.monotonic()
    whole = await _ended(telegram, phones, 1)
    cost, after = meter.read(), await loop_lags(bench.url)
    messages = {phone: telegram.of(phone) for phone in phones}
    first = {phone: _first_words(messages[phone]) for phone in phones}
    calls = sorted(at for each in telegram.messages for at in each.moments)
    gaps = [gap for phone in phones for gap in _gaps(messages[phone])]
    return {
        "mode": "crowd",
        "people": len(phones),
        "within_s": options.within,
        "tokens": options.tokens,
        "lag_ms_p99": lag_p99_ms(lags, after),
        "lag_ms_most": lag_most_ms(lags, after),
        "first_words_s": quantiles(at - left for at, left in filter(None, first.values())),
        "shown_s": quantiles(found[0] - sent_at[phone] for phone, found in first.items() if found),
        "calls": len(calls),
        "calls_a_second_most": max(_within(calls, at) for at in calls),
        "chat_gap_s_least": round(min(gaps), 2),
        "too_fast": len(telegram.too_fast),
        "cpu_s": cost.product_s,
        "database_cpu_s": cost.database_s,
        "other_cores": cost.other_cores,
        "failures": _failures(messages.values(), plan, whole=whole),
    }


async def killed(
    bench: Bench, telegram: TelegramServer, options: argparse.Namespace
) -> dict[str, Any]:
    """People ask two questions each; the process is killed when the first words are there."""
    phones = [FIRST_PHONE + 100_000 + number for number in range(options.killed)]
    await bench.link_phones("telegram", phones)
    plan = Plan(options.tokens, options.rate, "flat")
    asked = [f"{n} of {phone} {plan.directive()}" for n in range(2) for phone in phones]
    for text in asked:
        telegram.says(text, int(text.split()[2]))
    await telegram.wait(lambda: any(len(telegram.of(each)) for each in phones), WAIT_S)
    await asyncio.to_thread(bench.kill_and_start)
    begin = time.monotonic()
    whole = await _ended(telegram, phones, 2)
    took_s = round(time.monotonic() - begin, 1)
    await telegram.wait(lambda: not telegram.updates)
    kept = Counter(text for text in await bench.questions(Channel.TELEGRAM) if text in set(asked))
    doubles = [phone for phone in phones if len(_answers(telegram.of(phone))) != 2]
    return {
        "mode": "killed",
        "people": len(phones),
        "questions": len(asked),
        "all_shown_s": took_s,
        "too_fast": len(telegram.too_fast),
        "failures": [
            *([] if whole else ["some answers never came"]),
            *(f"asked {kept[text]} times: {text}" for text in asked if kept[text] != 1),
            *(f"answers of {phone}" for phone in doubles),
        ],
    }


async def _ended(telegram: TelegramServer, phones: Sequence[int], count: int) -> bool:
    """Waits until everybody has so many ended answers. Returns False when they never came."""
    try:
        await telegram.wait(
            lambda: all(len(_answers(telegram.of(phone))) >= count for phone in phones), WAIT_S
        )
    except TimeoutError:
        return False
    return True


def _answers(messages: Sequence[BotMessage]) -> list[BotMessage]:
    return [
        message
        for message in messages
        if any(each["callback_data"].startswith("again:") for each in message.buttons)
    ]


def _first_words(messages: Sequence[BotMessage]) -> tuple[float, float] | None:
    """When the first text of the model was shown, and when it had left the model."""
    for message in messages:
        for text, at in zip(message.history, message.moments, strict=True):
            if found := STAMP.search(f"{text} ".encode()):
                ago_us = (int(at * 1e6) - int(found[1], 36)) % WRAP_US
                return at, at - ago_us / 1e6
    return None


def _gaps(messages: Sequence[BotMessage]) -> list[float]:
    moments = sorted(at for message in messages for at in message.moments)
    return [b - a for a, b in itertools.pairwise(moments)]


def _within(calls: Sequence[float], since: float) -> int:
    return sum(since <= at < since + 1 for at in calls)


def _failures(messages: Any, plan: Plan, *, whole: bool) -> list[str]:
    """Returns the faults of the last texts, one sentence each."""
    found = [] if whole else ["some answers never came"]
    for of_one in messages:
        text = "".join(f"{each.text} " for each in of_one)
        if len(STAMP.findall(text.encode())) != plan.tokens:
            found.append(f"not whole: {text[:80]}")
    return found


def _missed(result: dict[str, Any]) -> list[str]:
    if result["mode"] != "crowd":
        return ["too fast"] if result["too_fast"] else []
    checks = {
        "event loop": result["lag_ms_most"] <= LAG_MS,
        "first words": result["first_words_s"]["max"] <= FIRST_WORDS_S,
        "calls a second": result["calls_a_second_most"] <= PER_SECOND,
        "calls in a chat": result["chat_gap_s_least"] >= CHAT_S,
        "too fast": not result["too_fast"],
    }
    return [name for name, met in checks.items() if not met]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.messengers", description=__doc__)
    parser.add_argument("--only", type=lambda text: text.split(","), default=["crowd", "killed"])
    parser.add_argument("--people", type=int, default=200, help="of the crowd")
    parser.add_argument("--within", type=float, default=60, help="seconds in which they ask")
    parser.add_argument("--killed", type=int, default=50, help="people who ask while it is killed")
    parser.add_argument("--tokens", type=int, default=150, help="of each answer")
    parser.add_argument("--rate", type=float, default=30, help="tokens per second")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
