"""Moving windows of `limits` that are immune to changes of the host's clock, which `limits` itself
uses: in Redis they use its clock, which all processes share; in one process the steady clock.
"""

import bisect
from typing import Any

from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.storage.memory import Entry

from genai_app import clock

SWEEP_S = 60.0

# An entry of the future was made before Redis' clock was set back, or by a replaced server whose
# clock was ahead: it would lock its user out until the clock has caught up.
_BEGIN = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local head = redis.call('LINDEX', KEYS[1], 0)
while head and tonumber(head) > now + 1 do
  redis.call('LPOP', KEYS[1])
  head = redis.call('LINDEX', KEYS[1], 0)
end
local limit, expiry = tonumber(ARGV[1]), tonumber(ARGV[2])
"""
TAKE = f"""{_BEGIN}
local amount = tonumber(ARGV[3])
if amount > limit then return 0 end
local entry = redis.call('LINDEX', KEYS[1], limit - amount)
if entry and tonumber(entry) >= now - expiry then return 0 end
for _ = 1, amount do redis.call('LPUSH', KEYS[1], string.format('%.6f', now)) end
redis.call('LTRIM', KEYS[1], 0, limit - 1)
redis.call('EXPIRE', KEYS[1], expiry)
return 1
"""
# Entries are ordered from the newest to the oldest. Returns how many are within the window, and the
# age of the last of them.
LOOK = f"""{_BEGIN}
local low, high = 0, redis.call('LLEN', KEYS[1])
while low < high do
  local middle = math.floor((low + high) / 2)
  if tonumber(redis.call('LINDEX', KEYS[1], middle)) >= now - expiry then
    low = middle + 1
  else
    high = middle
  end
end
low = math.min(low, limit)
if low == 0 then return {{0, '0'}} end
local oldest = tonumber(redis.call('LINDEX', KEYS[1], low - 1))
return {{low, string.format('%.6f', math.max(now - oldest, 0))}}
"""


class SharedWindows(RedisStorage):
    """Windows that all processes share. The start of a window is a time of `clock.now()`."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        bridge: Any = self.bridge
        self._take: Any = bridge.get_connection().register_script(TAKE)
        self._look: Any = bridge.get_connection().register_script(LOOK)

    async def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Takes `amount` units if the window has them. Returns whether it had."""
        keys, arguments = [self.bridge.prefixed_key(key)], [limit, expiry, amount]
        return bool(await self._take(keys=keys, args=arguments))

    async def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """Returns when the oldest unit of the window was taken, and how many are taken."""
        keys = [self.bridge.prefixed_key(key)]
        count, age_s = await self._look(keys=keys, args=[limit, expiry])
        return clock.now().timestamp() - float(age_s), int(count)


class ProcessWindows(MemoryStorage):
    """Windows of this process alone."""

    def __init__(self) -> None:
        super().__init__()
        self._swept_at = clock.steady_s()

    async def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Takes `amount` units if the window has them. Returns whether it had."""
        now = clock.steady_s()
        self._sweep(now)
        entries = self.events.setdefault(key, [])
        if amount > limit or _count(entries, limit, now - expiry) > limit - amount:
            return False
        taken = Entry(expiry)
        taken.atime, taken.expiry = now, now + expiry
        entries[:0] = [taken] * amount
        del entries[limit:]
        return True

    async def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """Returns when the oldest unit of the window was taken, and how many are taken."""
        now, entries = clock.steady_s(), self.events.get(key, [])
        count = _count(entries, limit, now - expiry)
        age_s = now - entries[count - 1].atime if count else 0.0
        return clock.now().timestamp() - age_s, count

    def _sweep(self, now: float) -> None:
        """Deletes expired windows once a minute."""
        if now - self._swept_at < SWEEP_S:
            return
        self._swept_at = now
        for key in [key for key, each in self.events.items() if not each or each[0].expiry < now]:
            del self.events[key]


def _count(entries: list[Entry], limit: int, since: float) -> int:
    """Returns how many of the entries, newest first, are not older than `since`."""
    most = min(limit, len(entries))
    return bisect.bisect_right(entries, -since, hi=most, key=lambda each: -each.atime)
