"""The messengers that are set up, each with its bot."""

import asyncio
from dataclasses import dataclass
from datetime import datetime

from genai_app.access import Actor
from genai_app.adapters.messenger import Messenger
from genai_app.db.database import Database
from genai_app.errors import NotFound
from genai_app.services.chat.chat import Chat
from genai_app.services.dialogs.history import History
from genai_app.services.files.incoming import IncomingFiles
from genai_app.services.messengers.bot import Bot
from genai_app.services.messengers.files import BotFiles
from genai_app.services.messengers.links import Links
from genai_app.settings.settings import Settings


@dataclass(frozen=True, slots=True)
class MadeCode:
    """A code for a link. It is stored nowhere."""

    code: str
    url: str
    expires_at: datetime


class Messengers:
    """Runs the bots of this process, and links their users.

    Args:
        owner: the name of this process in leases.

    Attributes:
        bots: by the name of their messenger.
    """

    def __init__(
        self,
        db: Database,
        settings: Settings,
        chat: Chat,
        history: History,
        files: IncomingFiles,
        *,
        owner: str,
    ) -> None:
        groups = {"telegram": settings.telegram_groups, "mattermost": settings.mattermost_groups}
        self.links = Links(db, settings.secret, groups)
        self.bots = {
            each.name: Bot(
                *(db, chat, history, self.links, each),
                BotFiles(files, each, settings.file_max_mb),
                owner=owner,
                url=settings.url,
            )
            for each in _adapters(settings)
        }

    async def make_code(self, actor: Actor, messenger: str) -> MadeCode:
        """Returns a new code of the actor, with the address that opens the bot.

        Raises:
            NotFound: messenger_off.
            Forbidden: messenger_not_allowed.
            Unavailable: messenger_unavailable: its address is not known yet.
        """
        bot = self.bots.get(messenger)
        if bot is None:
            raise NotFound(code="messenger_off")
        await bot.link_url("")  # before a code is made that nobody could use
        code, expires_at = await self.links.make_code(actor, messenger)
        return MadeCode(code, await bot.link_url(code), expires_at)

    async def run(self) -> None:
        """Runs the bots until cancelled."""
        await asyncio.gather(*(bot.run() for bot in self.bots.values()))

    async def close(self) -> None:
        """Closes the connections to the messengers."""
        for bot in self.bots.values():
            await bot.close()


def _adapters(settings: Settings) -> list[Messenger]:
    """Returns the messengers of the settings. Their libraries are imported only then."""
    adapters: list[Messenger] = []
    if settings.telegram_token is not None:
        from genai_app.adapters.telegram.bot import TelegramMessenger

        adapters.append(TelegramMessenger(settings))
    if settings.mattermost_token is not None:
        from genai_app.adapters.mattermost.client import MattermostMessenger

        adapters.append(MattermostMessenger(settings))
    return adapters
