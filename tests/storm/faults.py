"""What breaks, one thing after the other, in an order that comes from a seed."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from tests.fakes.app_process import AppProcess
from tests.fakes.edge import Nginx
from tests.fakes.services import PostgresServer, RedisServer

PAUSE_S = (1.5, 4.0)


@dataclass
class Storm:
    """The things that can be broken, and when each was. Times are time.monotonic()."""

    apps: Sequence[AppProcess]
    postgres: PostgresServer
    redis: RedisServer
    nginx: Nginx
    random: random.Random
    log: list[tuple[str, float, float]] = field(default_factory=list[tuple[str, float, float]])

    async def blow(self, until: float) -> None:
        """One fault after another until the loop's time `until`; everything is whole then."""
        loop = asyncio.get_running_loop()
        faults: list[Callable[[], Awaitable[None]]] = [
            *(self.kill, self.kill, self.freeze, self.restart),
            *(self.kill_redis, self.freeze_redis, self.empty_redis, self.restart_postgres),
            self.restart_nginx,
        ]
        while faults and loop.time() < until:
            await asyncio.sleep(self.random.uniform(*PAUSE_S))
            fault = self.random.choice(faults)
            begin = time.monotonic()
            await fault()
            self.log.append((fault.__name__, begin, time.monotonic()))
            print(f"  {fault.__name__}, {time.monotonic() - begin:.1f} s", flush=True)

    def broken(self, name: str, begin: float, end: float) -> bool:
        """Whether that fault was on at any time between `begin` and `end`."""
        return any(each == name and b < end and e > begin for each, b, e in self.log)

    async def kill(self) -> None:
        """A process, as by the kernel when memory runs out."""
        app = self.random.choice(self.apps)
        await asyncio.to_thread(app.kill)
        await asyncio.to_thread(app.restart)

    async def restart(self) -> None:
        """A process, in order, as at an upgrade."""
        app = self.random.choice(self.apps)
        await asyncio.to_thread(app.stop)
        await asyncio.to_thread(app.restart)

    async def freeze(self) -> None:
        """A process, as on an overloaded host; at times for longer than its leases."""
        app = self.random.choice(self.apps)
        app.freeze()
        await asyncio.sleep(self.random.choice((2.0, 12.0)))
        app.thaw()

    async def kill_redis(self) -> None:
        await asyncio.to_thread(self.redis.kill)
        await asyncio.sleep(self.random.uniform(0.5, 3.0))
        await asyncio.to_thread(self.redis.start)

    async def freeze_redis(self) -> None:
        self.redis.freeze()
        await asyncio.sleep(3.0)
        self.redis.thaw()

    async def empty_redis(self) -> None:
        await asyncio.to_thread(self.redis.command, "FLUSHALL")

    async def restart_nginx(self) -> None:
        """All sockets are cut."""
        await asyncio.to_thread(self.nginx.stop)
        await asyncio.to_thread(self.nginx.start)

    async def restart_postgres(self) -> None:
        await asyncio.to_thread(self.postgres.stop)
        await asyncio.sleep(self.random.uniform(0.5, 3.0))
        await asyncio.to_thread(self.postgres.start)
