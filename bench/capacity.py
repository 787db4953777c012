"""What a company of a size needs: model servers by a simulation of the line before them, the rest
by the figures of docs/performance.md.

    python -m bench.capacity --staff 1000,10000,100000
    python -m bench.capacity --staff 4000 --active-share 0.2 --slots 48      # the own company

The table that it prints is the one of docs/capacity.md. The same seed gives the same table.
"""

import argparse
import heapq
import math
import random
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields

from genai_app.db.database import POOL_SIZE

# questions of each hour of a working day from 8 to 19, as parts of the busiest hour's
DAY = (0.3, 0.8, 1.0, 0.9, 0.6, 0.6, 0.9, 0.9, 0.7, 0.4, 0.2, 0.1)
BUSIEST = DAY.index(max(DAY))
HOUR_S = 3600.0
SERVING_LOCK = 1  # connection that each process holds while it serves
OTHERS = 10  # connections for backups, the doctor, an administrator

Question = tuple[float, float]


def assumed(default: float, words: str) -> float:
    """A figure that a company can replace by its own."""
    return field(default=default, metadata={"words": words})


@dataclass(frozen=True)
class Assumptions:
    """What people, model servers and the product do. Each is an option of the command."""

    active_share: float = assumed(0.1, "part of the staff that asks in the busiest hour")
    questions_per_hour: float = assumed(6, "questions of each of them in that hour")
    open_pages_share: float = assumed(0.2, "part of the staff that has a page open")
    working_days: float = assumed(250, "days a year")
    cache_share: float = assumed(0.05, "part of the questions that the answer cache answers")
    question_characters: float = assumed(200, "mean length of a question")
    answer_tokens: float = assumed(300, "median length of an answer; lengths are log-normal")
    answer_spread: float = assumed(0.8, "sigma of their logarithm")
    characters_per_token: float = assumed(3.5, "Russian text, a tokenizer that knows it")
    slots: float = assumed(32, "GENAI_LLM_MAX_CONCURRENCY")
    alone_tokens_per_s: float = assumed(45, "of an answer that has the model server to itself")
    slowdown: float = assumed(0.02, "each further answer makes all of that server slower by this")
    prompt_tokens: float = assumed(25, "reading a prompt takes as long as writing so many tokens")
    target_wait_s: float = assumed(5, "19 of 20 questions wait in the queue no longer")
    cpu_s_per_1000_tokens: float = assumed(0.15, "CPU of the product")
    cpu_ms_per_answer: float = assumed(5.3, "CPU of the product for each answer besides")
    page_core_percent: float = assumed(0.004, "of a core, for an open page that does nothing")
    busy_share: float = assumed(0.5, "part of a core that a process may take in the busiest hour")
    process_mb: float = assumed(125, "memory of an idle process")
    page_mb: float = assumed(0.5, "memory of an open page")
    process_most_mb: float = assumed(900, "memory at which GenaiMemory rings")
    database_bytes: float = assumed(5.1, "in PostgreSQL for each character, indexes included")
    cache_ttl_s: float = assumed(3600, "GENAI_CACHE_TTL_S")
    state_kb: float = assumed(
        1, "in Redis for each person that asks: counters, a position in the queue"
    )

    @property
    def mean_tokens(self) -> float:
        """Of an answer."""
        return self.answer_tokens * math.exp(self.answer_spread**2 / 2)

    @property
    def full_tokens_per_s(self) -> float:
        """Of a model server with all of its slots taken."""
        return self.slots * self.rate(int(self.slots))

    def rate(self, running: int) -> float:
        """Tokens/s of each of `running` answers at one model server."""
        return self.alone_tokens_per_s / (1 + self.slowdown * (running - 1))


class ModelServer:
    """Answers that run at once and share its speed.

    `written`: tokens that one who was there from the beginning would have by now. An answer that
    starts ends when this has grown by its length, however the speed changes meanwhile.
    """

    def __init__(self, rate: Callable[[int], float]) -> None:
        self._rate = rate
        self._at = 0.0
        self._written = 0.0
        self._ends: list[float] = []
        self.next_end = math.inf  # when the next answer is whole, if none starts before

    @property
    def running(self) -> int:
        return len(self._ends)

    def start(self, at: float, tokens: float) -> None:
        if self._ends:
            self._written += (at - self._at) * self._rate(len(self._ends))
        heapq.heappush(self._ends, self._written + tokens)
        self._foresee(at)

    def end(self) -> None:
        """The next answer is whole, at `next_end`."""
        self._written = heapq.heappop(self._ends)
        self._foresee(self.next_end)

    def _foresee(self, at: float) -> None:
        self._at = at
        if self._ends:
            left = self._ends[0] - self._written
            self.next_end = at + left / self._rate(len(self._ends))
        else:
            self.next_end = math.inf


def waits(
    questions: Iterable[Question], servers: int, slots: int, rate: Callable[[int], float]
) -> list[float]:
    """Returns the seconds that each question waits, in their order.

    One line for all servers, first come first served; a free slot is taken where the fewest run.

    Args:
        questions: moment in seconds, ascending, and tokens to write.
        rate: tokens/s of each answer when so many run at one server.
    """
    pool = [ModelServer(rate) for _ in range(servers)]
    line: deque[Question] = deque()
    waited: list[float] = []

    def serve_until(moment: float) -> None:
        while (server := min(pool, key=lambda each: each.next_end)).next_end < moment:
            now = server.next_end
            server.end()
            if line:
                at, tokens = line.popleft()
                waited.append(now - at)
                server.start(now, tokens)

    for at, tokens in questions:
        serve_until(at)
        server = min(pool, key=lambda each: each.running)
        if server.running < slots:
            waited.append(0.0)
            server.start(at, tokens)
        else:
            line.append((at, tokens))
    serve_until(math.inf)  # nobody comes any more; who waits is still served
    return waited


def questions_of_the_busiest(company: Assumptions, staff: int, seed: int) -> Iterator[Question]:
    """What model servers are asked in the hour before the busiest one and in that one.

    The moments are random, as those of many people who do not know of each other.
    """
    dice = random.Random(f"{seed} {staff}")
    asked = busiest_hour(company, staff) * (1 - company.cache_share)
    at, end = 0.0, 0.0
    for part in DAY[BUSIEST - 1 : BUSIEST + 1]:
        at, end = end, end + HOUR_S
        while (at := at + dice.expovariate(asked * part / HOUR_S)) < end:
            length = dice.lognormvariate(math.log(company.answer_tokens), company.answer_spread)
            yield at, length + company.prompt_tokens


def busiest_hour(company: Assumptions, staff: int) -> float:
    """Questions of all the staff in it."""
    return staff * company.active_share * company.questions_per_hour


def waits_of_the_busiest(company: Assumptions, staff: int, servers: int, seed: int) -> list[float]:
    """Returns the waits in the busiest hour in seconds, ascending."""
    asked = list(questions_of_the_busiest(company, staff, seed))
    before = sum(at < HOUR_S for at, _ in asked)
    return sorted(waits(asked, servers, int(company.slots), company.rate)[before:])


def model_servers(company: Assumptions, staff: int, seed: int) -> tuple[int, list[float]]:
    """The fewest with which the target is held, and the waits then."""
    asked = busiest_hour(company, staff) * (1 - company.cache_share) / HOUR_S
    tokens_per_s = asked * (company.mean_tokens + company.prompt_tokens)
    servers = max(1, math.floor(tokens_per_s / company.full_tokens_per_s))
    while True:
        waited = waits_of_the_busiest(company, staff, servers, seed)
        if quantile(waited, 0.95) <= company.target_wait_s:
            return servers, waited
        servers += 1


def quantile(ascending: Sequence[float], part: float) -> float:
    """0 of nothing."""
    return ascending[min(int(len(ascending) * part), len(ascending) - 1)] if ascending else 0.0


def processes(company: Assumptions, staff: int) -> int:
    """As many as CPU or memory ask for, and one that may be away: at an upgrade, or dead."""
    asked = busiest_hour(company, staff) / HOUR_S
    pages = staff * company.open_pages_share
    cores = asked * company.mean_tokens / 1000 * company.cpu_s_per_1000_tokens
    cores += asked * company.cpu_ms_per_answer / 1000 + pages * company.page_core_percent / 100
    by_cpu = cores / company.busy_share
    by_memory = pages * company.page_mb / (company.process_most_mb - company.process_mb)
    return max(1, math.ceil(max(by_cpu, by_memory))) + 1


def needs(company: Assumptions, staff: int, seed: int) -> dict[str, str]:
    """Words and figure of each line of the table."""
    hour = busiest_hour(company, staff)
    day = hour * sum(DAY)
    servers, waited = model_servers(company, staff, seed)
    written = hour / HOUR_S * (1 - company.cache_share) * company.mean_tokens
    count = processes(company, staff)
    memory_mb = count * company.process_mb + staff * company.open_pages_share * company.page_mb
    characters = company.mean_tokens * company.characters_per_token
    year_gb = day * company.working_days * company.database_bytes / 1e9
    year_gb *= characters + company.question_characters
    state_mb = staff * company.active_share * company.state_kb / 1e3
    kept = hour * company.cache_ttl_s / HOUR_S
    return {
        "questions in the busiest hour / a day": f"{hour:,.0f} / {day:,.0f}",
        "tokens/s that are written in it": f"{written:,.0f}",
        "**model servers** (slots)": f"**{servers}** ({servers * company.slots:,.0f})",
        "wait in the queue, s, p50 / p95 / p99": " / ".join(
            f"{quantile(waited, part):.1f}" for part in (0.5, 0.95, 0.99)
        ),
        "**processes of the product**, one of them to spare": f"**{count}**",
        "memory of all of them, GB": f"{memory_mb / 1000:,.1f}",
        "connections to PostgreSQL": f"{count * (POOL_SIZE + SERVING_LOCK) + OTHERS:,}",
        "PostgreSQL grows in a year by, GB": f"{year_gb:,.0f}",
        "Redis for state, MB": f"{max(1, state_mb):,.0f}",
        "Redis for cached answers, MB": f"{kept * (characters * 2 + 500) / 1e6:,.0f}",
    }


def table(company: Assumptions, sizes: Sequence[int], seed: int) -> str:
    """Markdown, a column for each size."""
    columns = [needs(company, staff, seed) for staff in sizes]
    heads = ["staff", *(f"{staff:,}" for staff in sizes)]
    rows = [[words, *(column[words] for column in columns)] for words in columns[0]]
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines).replace(" --- ", "---")


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.capacity")
    parser.add_argument("--staff", default="1000,10000,100000", help="sizes, with commas between")
    parser.add_argument("--seed", type=int, default=1)
    for each in fields(Assumptions):
        name = f"--{each.name.replace('_', '-')}"
        words = f"{each.metadata['words']} (%(default)s)"
        parser.add_argument(name, type=float, default=each.default, help=words)
    told = vars(parser.parse_args())
    sizes = [int(size) for size in told.pop("staff").split(",")]
    print(table(Assumptions(**{k: v for k, v in told.items() if k != "seed"}), sizes, told["seed"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
