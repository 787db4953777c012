"""`python -m tests.storm --people 50 --seconds 90 --seed 7`; exit code 1: a promise is broken."""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from genai_app import migrations
from genai_app.db.database import Database
from genai_app.services.accounts.users import Users
from tests.fakes.app_process import AppProcess, eventually
from tests.fakes.edge import Nginx
from tests.fakes.model_server import ModelServer
from tests.fakes.services import PostgresServer, RedisServer, free_port
from tests.fakes.wrong_clock import wrong_clock
from tests.storm.check import broken_promises, broken_views, read_rows
from tests.storm.faults import Storm
from tests.storm.people import Person, at_a_page, by_the_api

PASSWORD = "storm: everybody asks 1"
END_S = 90.0  # leases run out, what waited for the database is saved


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.storm")
    parser.add_argument("--people", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=90)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument(
        "--clock-skew",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="the clock of one process is so much ahead, that of the other so much behind",
    )
    options = parser.parse_args()
    return run(options.people, options.seconds, options.seed, options.clock_skew)


def run(people: int, seconds: float, seed: int, skew_s: float) -> int:
    """Prints what was done and what is broken. Returns how many promises are."""
    print(f"storm: {people} people, {seconds:.0f} s, seed {seed}, skew {skew_s:.0f} s", flush=True)
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="genai-storm-")))
        postgres, redis = PostgresServer(), RedisServer()
        for server in (postgres, redis):
            stack.callback(server.remove)
            server.start()
        model = stack.enter_context(ModelServer())
        url = postgres.create_database("storm")
        migrations.upgrade(url)
        port = free_port()
        same: dict[str, Any] = {
            "database_url": url,
            "redis_url": redis.url,
            "public_url": f"https://127.0.0.1:{port}",
            "trusted_proxy_hops": 1,
        }
        same |= {"secret_key": random.Random(seed).randbytes(32).hex()}
        apps: list[AppProcess] = []
        for number in range(2):
            within = wrong_clock(skew_s if number else -skew_s) if skew_s else ()
            app = AppProcess(home / str(number), llm_url=model.url, within=within, **same)
            apps.append(stack.enter_context(app))
        nginx = stack.enter_context(Nginx(home / "edge", port, apps[0].port, apps[1].port))
        storm = Storm(apps, postgres, redis, nginx, random.Random(seed))
        broken = asyncio.run(_storm(storm, url, model, people, seconds, seed))
        bugs = [line for app in apps for line in app.log_text().splitlines() if "bug" in line]
    for line in [*broken, *bugs]:
        print(f"  BROKEN {line[:200]} ... {line[-1200:]}", flush=True)
    return len(broken) + len(bugs)


async def _storm(
    storm: Storm, url: str, model: ModelServer, count: int, seconds: float, seed: int
) -> list[str]:
    db = Database(url)
    users = Users(db)
    people: list[Person] = []
    trust = storm.nginx.trust
    for number in range(count):
        name = f"storm{number}"
        await users.add(name, PASSWORD)
        dice = random.Random(f"{seed} {number}")
        people.append(Person(number, name, PASSWORD, storm.nginx.url, trust, dice))
    pages, programs = people[: count * 2 // 3], people[count * 2 // 3 :]
    until = asyncio.get_running_loop().time() + seconds
    await asyncio.gather(
        storm.blow(until),
        *(at_a_page(person, until) for person in pages),
        *(by_the_api(person, until) for person in programs),
    )

    async def all_ended() -> bool:
        return (await read_rows(db))[1] == 0

    with suppress(TimeoutError):  # told below
        await eventually(all_ended, END_S)
    messages, running = await read_rows(db)
    await db.close()
    broken = list(broken_promises(people, model.answers, messages, running, storm))
    broken += await broken_views(pages, messages)
    ends = Counter(row.status for row in messages if row.author == "assistant")
    shown = sum(len(person.shown) for person in people)
    print(f"  {shown} questions shown as saved, {len(model.answers)} calls, answers: {dict(ends)}")
    return broken


if __name__ == "__main__":
    sys.exit(min(main(), 1))
