"""`genai bot`: the services without pages and routes, until SIGTERM or Ctrl-C."""

import asyncio
import signal

from genai_app import log, migrations
from genai_app.composition import running_services
from genai_app.server.serve import sole_user
from genai_app.settings.settings import Settings


def run_bot(settings: Settings) -> None:
    """Migrates the database, then runs the background work of the product, the bots with it."""
    log.configure(settings)
    import uvloop

    with sole_user(settings):
        migrations.upgrade(settings.sqlalchemy_url)
        uvloop.run(_until_stopped(settings))


async def _until_stopped(settings: Settings) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    async with running_services(settings):
        await stopped.wait()
