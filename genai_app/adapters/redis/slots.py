"""Slots at the model servers and the line before them, in Redis: one script, so that each step of
any process is atomic, by Redis' own clock, so that no process' clock matters.

Keys, of which each may vanish at any moment:

    genai:{slots}:at:<endpoint>        sorted set: runs that hold a slot, by the end of their lease
    genai:{slots}:line:<endpoints>     sorted set: runs that wait, by their rank
    ...:seen                           sorted set: the same runs, by when they were last asked for
    ...:processes                      sorted set: processes, by when they were last heard of
    ...:counter                        the highest rank that was given
    ...:since                          since when the above are known, in ms
"""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis.exceptions import RedisError

from genai_app.adapters.redis.client import SOCKET_TIMEOUT_S, redis_client
from genai_app.errors import Unavailable

LEASE_MS = 10_000
WAITER_MS = 4_000
PROCESS_MS = 10_000
WARM_MS = 3_000  # within it every process that lives has said what it holds
KEEP_MS = 60_000

# Whose turn it is, is decided by the rank alone: the lowest goes first. It is given once, when a
# run joins (`rank_of` below). An order that is fair to users gives other ranks, nothing else.
SCRIPT = """
local since_key, counter, line, seen, processes =
  KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local at = 0
local function arg() at = at + 1; return ARGV[at] end
local function num() return tonumber(arg()) end

local process, most, line_most = arg(), num(), num()
local known, top, heard_since, whole = num(), num(), num(), num()
local lease, waiter, process_ms, warm, keep = num(), num(), num(), num(), num()
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local endpoints = #KEYS - 5

local function slots(n) return KEYS[5 + n] end
local function hold(n, id)
  redis.call('ZADD', slots(n), now + lease, id)
  redis.call('PEXPIRE', slots(n), keep)
end
local function rank_of(id)
  return redis.call('INCR', counter)
end

-- 1. what is over, what goes on, and what nobody has renewed
for _ = 1, num() do
  local id = arg()
  redis.call('ZREM', line, id)
  redis.call('ZREM', seen, id)
  for n = 1, endpoints do redis.call('ZREM', slots(n), id) end
end
for _ = 1, num() do
  local id = arg()
  hold(num(), id)
end
local free, room, rests, total = {}, {}, {}, 0
for n = 1, endpoints do
  redis.call('ZREMRANGEBYSCORE', slots(n), '-inf', now)
  free[n] = most - redis.call('ZCARD', slots(n))
  room[n], rests[n] = num(), num()
  total = total + math.max(0, math.min(free[n], room[n]))
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', seen, '-inf', now - waiter)) do
  redis.call('ZREM', line, id)
  redis.call('ZREM', seen, id)
end
redis.call('ZADD', processes, now, process)
redis.call('ZREMRANGEBYSCORE', processes, '-inf', now - process_ms)

-- 2. a store that was emptied grants nothing until all, or the only one, have said what they hold
local since = tonumber(redis.call('GET', since_key))
if not since or since > now then
  since = now
  redis.call('SET', since_key, now)
end
local forgot = heard_since > 0 and heard_since ~= since and whole == 0
local count = redis.call('ZCARD', processes)
if now - since < warm then count = math.max(count, known) end
if forgot or (known > 1 and now - since < warm) then total = 0 end
if top > tonumber(redis.call('GET', counter) or 0) then redis.call('SET', counter, top) end

-- 3. the line: who joins, whose turn it is, who has which place
local mine, asked = {}, {}
for _ = 1, num() do
  local id, rank, avoid = arg(), num(), num()
  local one = {id = id, rank = rank, avoid = avoid, new = rank == 0, at = 0, place = 0}
  if one.new then one.rank = rank_of(id) end
  redis.call('ZADD', line, one.rank, id)
  redis.call('ZADD', seen, now, id)
  mine[id] = one
  asked[#asked + 1] = one
end
local function best(avoid)
  local found
  for n = 1, endpoints do
    if free[n] > 0 and room[n] > 0 then
      local cost = (n == avoid and 2 or 0) + (rests[n] > 0 and 1 or 0)
      if not found or cost < found.cost or (cost == found.cost and free[n] > free[found.n]) then
        found = {n = n, cost = cost}
      end
    end
  end
  return found and found.n
end
local first = total > 0 and redis.call('ZRANGE', line, 0, total - 1) or {}
for _, id in ipairs(first) do
  local one = mine[id]
  local n = best(one and one.avoid or 0)
  if not n then break end
  free[n] = free[n] - 1  -- of another process' run it is kept for that one
  if one then
    room[n] = room[n] - 1
    hold(n, id)
    redis.call('ZREM', line, id)
    redis.call('ZREM', seen, id)
    one.at = n
  end
end
for _, one in ipairs(asked) do
  if one.at == 0 then
    if one.new and redis.call('ZCARD', line) > line_most then
      redis.call('ZREM', line, one.id)
      redis.call('ZREM', seen, one.id)
      one.at = -1
    else
      one.place = redis.call('ZRANK', line, one.id) + 1
    end
  end
end
for n = 1, 5 do redis.call('PEXPIRE', KEYS[n], keep) end

local answer =
  {count, since, tonumber(redis.call('GET', counter) or 0)}
for n = 1, endpoints do answer[#answer + 1] = redis.call('ZCARD', slots(n)) end
for _, one in ipairs(asked) do
  answer[#answer + 1] = one.rank
  answer[#answer + 1] = one.at
  answer[#answer + 1] = one.place
end
return answer
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """A run that wants a slot. `rank`: 0 until it has one. `avoid`: an endpoint to take last."""

    id: str
    rank: int = 0
    avoid: int | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """`endpoint`: where it has a slot now; None where it waits at `place`, from 1 on, or where the
    line is full and it does not: place 0."""

    rank: int
    endpoint: int | None
    place: int


@dataclass(frozen=True, slots=True)
class Answer:
    """`since`: another number than before: Redis was emptied. `top`: the highest rank. `used`:
    slots that are taken, by endpoint, over all processes. `told`: as it was asked."""

    processes: int
    since: int
    top: int
    used: list[int]
    told: list[Told]


class SharedSlots:
    """One step at a time; endpoints are numbered from 0 in the order of `urls`.

    Args:
        process: a name of this process that no other has.
        most: slots of each endpoint.
    """

    def __init__(
        self, url: str, urls: Sequence[str], *, process: str, most: int, line_most: int
    ) -> None:
        self._client = redis_client(url)
        self._script: Any = self._client.register_script(SCRIPT)
        at = [_digest(each) for each in urls]
        line = f"genai:{{slots}}:line:{_digest(*sorted(urls))}"
        ends = (":since", ":counter", "", ":seen", ":processes")
        self._keys = [*(line + end for end in ends), *(f"genai:{{slots}}:at:{one}" for one in at)]
        self._fixed = (process, most, line_most)

    async def step(
        self,
        *,
        over: Sequence[str] = (),
        held: Sequence[tuple[str, int]] | None = None,
        room: Sequence[tuple[int, bool]],
        asked: Sequence[Asked] = (),
        processes: int = 1,
        top: int = 0,
        since: int = 0,
    ) -> Answer:
        """Give back what is over, renew what is held, and see who of those asked gets a slot.

        Args:
            held: all runs that hold a slot, and the endpoint of each; None: not this time.
            room: how many of the asked each endpoint may get, and whether others go before it.
            processes, top, since: the number of processes, the highest rank and `Answer.since`, as
                last heard.

        Raises:
            Unavailable: no answer within a second. What was asked may have been done.
        """
        arguments: list[str | int] = [
            *self._fixed,
            *(processes, top, since, int(held is not None)),
            *(LEASE_MS, WAITER_MS, PROCESS_MS, WARM_MS, KEEP_MS),
            *(len(over), *over, len(held or ())),
        ]
        for run, endpoint in held or ():
            arguments += (run, endpoint + 1)
        for most, rests in room:
            arguments += (most, int(rests))
        arguments.append(len(asked))
        for one in asked:
            arguments += (one.id, one.rank, 0 if one.avoid is None else one.avoid + 1)
        try:
            async with asyncio.timeout(SOCKET_TIMEOUT_S):
                answer: list[int] = await self._script(keys=self._keys, args=arguments)
        except (RedisError, TimeoutError, OSError) as error:
            raise Unavailable(f"redis: {type(error).__name__}") from error
        count = len(room)
        told = [
            Told(rank, at - 1 if at > 0 else None, place)
            for rank, at, place in zip(*[iter(answer[3 + count :])] * 3, strict=True)
        ]
        processes, since, top = answer[:3]
        return Answer(processes, since, top, answer[3 : 3 + count], told)

    async def aclose(self) -> None:
        await self._client.aclose()


def _digest(*urls: str) -> str:
    """An address may hold a password."""
    return hashlib.sha256(" ".join(urls).encode()).hexdigest()[:16]
