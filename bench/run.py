import asyncio, json, argparse
from bench.product import Bench
from bench import pages


async def go(a):
    try:
        for n in a.d:
            print(
                json.dumps(await pages.floor(a.b, n, rate=30, ramp_s=a.ramp, window_s=a.w)),
                flush=True,
            )
            print(
                json.dumps(
                    await pages.streams(a.b, n, rate=30, ramp_s=a.ramp, window_s=a.w, kind=a.kind)
                ),
                flush=True,
            )
        print(json.dumps(await pages.idle(a.b, a.idle, window_s=8)))
    finally:
        await a.b.aclose()


p = argparse.ArgumentParser()
p.add_argument("-d", type=int, nargs="*", default=[10])
p.add_argument("--idle", type=int, nargs="*", default=[])
p.add_argument("--ramp", type=float, default=10)
p.add_argument("-w", type=float, default=10)
p.add_argument("--kind", default="stamps")
a = p.parse_args()
with Bench() as b:
    a.b = b
    try:
        asyncio.run(go(a))
    finally:
        print(b.log_text()[-3000:])
