"""Check of `genai doctor` that asks each messenger for the account of the bot."""

from contextlib import suppress

from genai_app.adapters.messenger import Messenger, MessengerError, TokenRefused
from genai_app.services.doctor.findings import (
    CheckName,
    DoctorCause,
    FactName,
    Finding,
    Skip,
    failed,
    skipped,
    well,
)
from genai_app.settings.settings import Settings


async def check_messengers(settings: Settings) -> list[Finding]:
    """Returns a finding for each messenger that is set up. The adapters are imported only then."""
    messengers: list[Messenger] = []
    if settings.telegram_token is not None:
        from genai_app.adapters.telegram.bot import TelegramMessenger

        messengers.append(TelegramMessenger(settings))
    if settings.mattermost_token is not None:
        from genai_app.adapters.mattermost.client import MattermostMessenger

        messengers.append(MattermostMessenger(settings))
    if not messengers:
        return [skipped(CheckName.MESSENGERS, Skip.NOT_SET)]
    return [await _check(each) for each in messengers]


async def _check(messenger: Messenger) -> Finding:
    name = messenger.name
    try:
        account = await messenger.account()
    except TokenRefused:
        return failed(CheckName.MESSENGERS, DoctorCause.BOT_TOKEN, name)
    except MessengerError as error:
        facts = {FactName.DETAIL: type(error).__name__}
        return failed(CheckName.MESSENGERS, DoctorCause.MESSENGER_GONE, name, facts)
    finally:
        with suppress(MessengerError):
            await messenger.close()
    return well(CheckName.MESSENGERS, name, {FactName.NAMES: account})
