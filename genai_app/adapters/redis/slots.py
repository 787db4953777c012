"""Slots at the model servers and the queue before them, in Redis. One script does each step of a
process, so that it is atomic and uses Redis' clock.

Keys, of which each may vanish at any moment:

    genai:{slots}:at:<endpoint>        sorted set: runs that hold a slot, by the end of their lease
    genai:{slots}:line:<endpoints>     sorted set: the queue, runs by their rank
    ...:seen                           sorted set: the same runs, by the time of their last request
    ...:processes                      sorted set: processes, by the time of their last step
    ...:counter                        the highest rank so far
    ...:since                          the time in ms at which this state was first written
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
WARM_MS = 3_000  # within it every live process has reported the slots that it holds
KEEP_MS = 60_000

# The run with the lowest rank goes first. A rank is assigned once, when a run joins (`rank_of`
# below). An order that is fair to users would only assign other ranks.
SCRIPT = """
local since_key, counter, queue, seen, processes =
  KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local at = 0
local function arg() at = at + 1; return ARGV[at] end
local function num() return tonumber(arg()) end

local process, most, queue_most = arg(), num(), num()
local known_processes, top, last_since, reports_held = num(), num(), num(), num()
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

-- 1. end runs, renew leases, remove what nobody has renewed
for _ = 1, num() do
  local id = arg()
  redis.call('ZREM', queue, id)
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
  redis.call('ZREM', queue, id)
  redis.call('ZREM', seen, id)
end
redis.call('ZADD', processes, now, process)
redis.call('ZREMRANGEBYSCORE', processes, '-inf', now - process_ms)

-- 2. after Redis was emptied nothing is granted until all processes have reported what they hold
local since = tonumber(redis.call('GET', since_key))
if not since or since > now then
  since = now
  redis.call('SET', since_key, now)
end
local was_emptied = last_since > 0 and last_since ~= since and reports_held == 0
local count = redis.call('ZCARD', processes)
if now - since < warm then count = math.max(count, known_processes) end
if was_emptied or (known_processes > 1 and now - since < warm) then total = 0 end
if top > tonumber(redis.call('GET', counter) or 0) then redis.call('SET', counter, top) end

-- 3. the queue: add new runs, grant slots, report positions
local by_id, requests = {}, {}
for _ = 1, num() do
  local id, rank, avoid = arg(), num(), num()
  local run = {id = id, rank = rank, avoid = avoid, new = rank == 0, endpoint = 0, position = 0}
  if run.new then run.rank = rank_of(id) end
  redis.call('ZADD', queue, run.rank, id)
  redis.call('ZADD', seen, now, id)
  by_id[id] = run
  requests[#requests + 1] = run
end
local function best(avoid)
  local choice
  for n = 1, endpoints do
    if free[n] > 0 and room[n] > 0 then
      local cost = (n == avoid and 2 or 0) + (rests[n] > 0 and 1 or 0)
      if not choice or cost < choice.cost or (cost == choice.cost and free[n] > free[choice.n]) then
        choice = {n = n, cost = cost}
      end
    end
  end
  return choice and choice.n
end
local first = total > 0 and redis.call('ZRANGE', queue, 0, total - 1) or {}
for _, id in ipairs(first) do
  local run = by_id[id]
  local n = best(run and run.avoid or 0)
  if not n then break end
  free[n] = free[n] - 1  -- kept for the run of another process until it asks
  if run then
    room[n] = room[n] - 1
    hold(n, id)
    redis.call('ZREM', queue, id)
    redis.call('ZREM', seen, id)
    run.endpoint = n
  end
end
for _, run in ipairs(requests) do
  if run.endpoint == 0 then
    if run.new and redis.call('ZCARD', queue) > queue_most then
      redis.call('ZREM', queue, run.id)
      redis.call('ZREM', seen, run.id)
      run.endpoint = -1
    else
      run.position = redis.call('ZRANK', queue, run.id) + 1
    end
  end
end
for n = 1, 5 do redis.call('PEXPIRE', KEYS[n], keep) end

local answer =
  {count, since, tonumber(redis.call('GET', counter) or 0)}
for n = 1, endpoints do answer[#answer + 1] = redis.call('ZCARD', slots(n)) end
for _, run in ipairs(requests) do
  answer[#answer + 1] = run.rank
  answer[#answer + 1] = run.endpoint
  answer[#answer + 1] = run.position
end
return answer
"""


@dataclass(frozen=True, slots=True)
class SlotRequest:
    """A run that wants a slot."""

    id: str
    rank: int = 0  # 0: not in the queue yet
    avoid: int | None = None  # an endpoint to use only if no other has a slot


@dataclass(frozen=True, slots=True)
class SlotReply:
    """The reply to a request."""

    rank: int
    endpoint: int | None  # at which the run has a slot now
    position: int  # in the queue, from 1 on; 0: has a slot, or, without one, the queue is full


@dataclass(frozen=True, slots=True)
class SlotsState:
    """The state after a step, over all processes."""

    processes: int
    since: int  # another number than before means that Redis was emptied
    top: int  # the highest rank
    used: list[int]  # slots taken, by endpoint
    replies: list[SlotReply]  # in the order of the requests


class SharedSlots:
    """The slots and the queue that all processes share. Endpoints are numbered from 0 in the order
    of `urls`. Steps must not overlap.

    Args:
        process: the unique name of this process.
        most: slots of each endpoint.
        queue_most: runs in the queue.
    """

    def __init__(
        self, url: str, urls: Sequence[str], *, process: str, most: int, queue_most: int
    ) -> None:
        self._client = redis_client(url)
        self._script: Any = self._client.register_script(SCRIPT)
        queue = f"genai:{{slots}}:line:{_digest(*sorted(urls))}"
        suffixes = (":since", ":counter", "", ":seen", ":processes")
        self._keys = [
            *(queue + suffix for suffix in suffixes),
            *(f"genai:{{slots}}:at:{_digest(url)}" for url in urls),
        ]
        self._fixed = (process, most, queue_most)

    async def step(
        self,
        *,
        ended: Sequence[str] = (),
        held: Sequence[tuple[str, int]] | None = None,
        room: Sequence[tuple[int, bool]],
        requests: Sequence[SlotRequest] = (),
        processes: int = 1,
        top: int = 0,
        since: int = 0,
    ) -> SlotsState:
        """Releases the slots of ended runs, renews the leases of held ones, and grants slots to
        requests.

        Args:
            held: all runs that hold a slot, each with its endpoint; None: renew nothing now.
            room: for each endpoint the most requests to grant, and whether to prefer others.
            processes, top, since: as in the last SlotsState.

        Raises:
            Unavailable: no answer within a second. The step may have been made.
        """
        arguments: list[str | int] = [
            *self._fixed,
            *(processes, top, since, int(held is not None)),
            *(LEASE_MS, WAITER_MS, PROCESS_MS, WARM_MS, KEEP_MS),
            *(len(ended), *ended, len(held or ())),
        ]
        for run, endpoint in held or ():
            arguments += (run, endpoint + 1)
        for most, rests in room:
            arguments += (most, int(rests))
        arguments.append(len(requests))
        for each in requests:
            arguments += (each.id, each.rank, 0 if each.avoid is None else each.avoid + 1)
        try:
            async with asyncio.timeout(SOCKET_TIMEOUT_S):
                answer: list[int] = await self._script(keys=self._keys, args=arguments)
        except (RedisError, TimeoutError, OSError) as error:
            raise Unavailable(f"redis: {type(error).__name__}") from error
        count = len(room)
        replies = [
            SlotReply(rank, endpoint - 1 if endpoint > 0 else None, position)
            for rank, endpoint, position in zip(*[iter(answer[3 + count :])] * 3, strict=True)
        ]
        processes, since, top = answer[:3]
        return SlotsState(processes, since, top, answer[3 : 3 + count], replies)

    async def aclose(self) -> None:
        await self._client.aclose()


def _digest(*urls: str) -> str:
    """Returns a short digest of addresses, which may contain passwords."""
    return hashlib.sha256(" ".join(urls).encode()).hexdigest()[:16]
