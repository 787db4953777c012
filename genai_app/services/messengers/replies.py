"""Short messages of the bot itself: replies to commands, refusals."""

import asyncio
from collections.abc import Sequence

import structlog

from genai_app.adapters.messenger import (
    Button,
    ChatClosed,
    FormattingRefused,
    Messenger,
    MessengerAway,
    MessengerError,
    TooManyCalls,
)
from genai_app.services.messengers.pace import Pace

log = structlog.stdlib.get_logger(__name__)

TRIES = 5
LONGEST_WAIT_S = 120.0


class Replies:
    """Sends replies at the messenger's pace. One that cannot be sent for minutes is given up: it
    would answer a question that is long forgotten."""

    def __init__(self, messenger: Messenger, pace: Pace) -> None:
        self._messenger = messenger
        self._pace = pace

    async def say(self, chat_id: str, text: str, buttons: Sequence[Button] = ()) -> None:
        """Sends a reply. Raises ChatClosed."""
        formatted = True
        for number in range(TRIES):
            try:
                async with self._pace.turn(chat_id):
                    await self._messenger.send(chat_id, text, buttons, formatted=formatted)
            except TooManyCalls as error:
                if error.retry_after_s > LONGEST_WAIT_S:
                    break
                self._pace.hold(chat_id, error.retry_after_s)
            except MessengerAway:
                await asyncio.sleep(2.0**number)
            except FormattingRefused:
                formatted = False
            except ChatClosed:
                raise
            except MessengerError:
                break
            else:
                return
        log.warning("messenger.reply_lost", messenger=self._messenger.name)

    async def acknowledge(self, button_id: str, text: str = "") -> None:
        """Ends the waiting state of a button, if the messenger is there."""
        try:
            await self._messenger.acknowledge(button_id, text)
        except MessengerError as error:
            log.info("messenger.button_lost", messenger=self._messenger.name, detail=str(error))
