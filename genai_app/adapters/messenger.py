"""Types of a messenger for its adapter and for services/messengers. The adapter (telegram/)
implements `Messenger`; the services use nothing else of it.

Ids of a messenger are text here, whatever it uses itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class UpdateKind(StrEnum):
    """Kind of an update."""

    TEXT = "text"
    BUTTON = "button"
    FILE = "file"  # files or pictures, with or without words; or a voice message, a place, ...
    EDITED = "edited"  # a message that its user changed later
    BLOCKED = "blocked"  # the user blocked the bot
    GROUP = "group"  # anything from a chat that is not private


@dataclass(frozen=True, slots=True)
class ChatFile:
    """A file in a message. `id`: the messenger's; `size`: in bytes as announced, 0: not known."""

    id: str
    name: str
    size: int = 0


@dataclass(frozen=True, slots=True)
class ChatUpdate:
    """Something that a user did in a chat with the bot.

    Args:
        id: of the update, the same whenever the messenger sends it again.
        sender_id: the account that did it.
        sender_name: its name in the messenger, for its owner's list of links.
        text: of a message, or beside its files, without formatting; of a button the `action` of its
            `Button`.
        language: the language of the sender's messenger, as `ru`; "" where it is not known.
        forwarded: the message was written by somebody else or elsewhere.
        button_id: acknowledges the press of a button; "" for other kinds.
        files: those of a message that the bot can read; none of a voice message.
        album: the same for messages that were sent as one; "" for others.
    """

    id: str
    kind: UpdateKind
    chat_id: str
    sender_id: str
    sender_name: str = ""
    text: str = ""
    language: str = ""
    forwarded: bool = False
    button_id: str = ""
    files: tuple[ChatFile, ...] = ()
    album: str = ""


@dataclass(frozen=True, slots=True)
class UpdateBatch:
    """Updates in the order in which they happened, and the position from which to go on once they
    are kept."""

    updates: Sequence[ChatUpdate]
    position: str


@dataclass(frozen=True, slots=True)
class Button:
    """A button below a message. `action`: at most 64 ASCII characters, which its press brings."""

    action: str
    label: str


@dataclass(frozen=True, slots=True)
class MessengerLimits:
    """The limits of a messenger.

    Args:
        max_chars: the longest message, as `Messenger.length` counts it.
        edit_interval_s: the shortest time between the beginnings of two calls in one chat, messages
            or edits.
        pause_s: the shortest time from the end of a call in a chat to the next one there: however
            long calls are on their way, they arrive no closer.
        most_in_second: the most calls that may arrive in a second, over all chats: those on their
            way, and those that ended less than a second ago.
        per_second: the most calls in a second over all chats.
    """

    max_chars: int
    edit_interval_s: float
    per_second: float
    pause_s: float = 0.0
    most_in_second: int = 100


class MessengerError(Exception):
    """A call of a messenger failed. `str` of it holds no token and no text of a user."""


class MessengerAway(MessengerError):
    """The messenger cannot be reached, or has a fault of its own. A retry may succeed."""


class TooManyCalls(MessengerError):
    """The messenger asks to wait."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"retry after {retry_after_s:g} s")
        self.retry_after_s = retry_after_s


class ChatClosed(MessengerError):
    """The user blocked the bot, or the account or chat is gone. No retry succeeds."""


class MessageGone(MessengerError):
    """The message to edit was deleted, or is too old to be edited."""


class FormattingRefused(MessengerError):
    """The messenger cannot parse the formatting; the same text without any may arrive."""


class FileTooLong(MessengerError):
    """A file is larger than the messenger hands out, or than was asked for."""

    def __init__(self, most_bytes: int) -> None:
        super().__init__(f"more than {most_bytes} bytes")
        self.most_bytes = most_bytes


class OtherPoller(MessengerError):
    """Another program reads the updates of this bot."""


class TokenRefused(MessengerError):
    """The messenger does not know the token, or it was revoked."""


class Messenger(Protocol):
    """A messenger. All methods raise MessengerError."""

    name: str  # a value of Channel
    limits: MessengerLimits
    mark: str  # what commands begin with, "/"; "" where the word alone is the command

    async def close(self) -> None: ...

    async def account(self) -> str:
        """Returns the name of the bot's account."""
        ...

    def link_url(self, account: str, code: str) -> str:
        """Returns the address that opens the chat with the bot, where possible with the code in
        it."""
        ...

    async def introduce(self, commands: dict[str, dict[str, str]]) -> None:
        """Registers the commands for the menu of the messenger: {locale: {command: meaning}}."""
        ...

    async def receive(self, position: str) -> UpdateBatch:
        """Waits for updates after `position`, "" for the oldest that the messenger has. Returns
        none after half a minute. Everything before `position` may be forgotten by the messenger.

        Raises OtherPoller.
        """
        ...

    def length(self, markdown: str) -> int:
        """Returns how long a text is for `MessengerLimits.max_chars`, once it is formatted."""
        ...

    async def send(
        self, chat_id: str, markdown: str, buttons: Sequence[Button] = (), *, formatted: bool = True
    ) -> str:
        """Sends a message. Returns its id.

        Args:
            markdown: the text, shown as it is written unless `formatted`.

        Raises:
            ChatClosed, FormattingRefused
        """
        ...

    async def edit(
        self,
        chat_id: str,
        message_id: str,
        markdown: str,
        buttons: Sequence[Button] = (),
        *,
        formatted: bool = True,
    ) -> None:
        """Replaces text and buttons of a message. Does nothing where they are the same already.

        Raises:
            MessageGone, ChatClosed, FormattingRefused
        """
        ...

    async def acknowledge(self, button_id: str, text: str = "") -> None:
        """Ends the waiting state of a pressed button; `text` is shown for a moment. A press that is
        too old is ignored."""
        ...

    async def download(self, file: ChatFile, most_bytes: int) -> bytes:
        """Returns the bytes of a file. Raises FileTooLong."""
        ...

    async def leave(self, chat_id: str) -> None:
        """Leaves a chat that is not private, without a word."""
        ...
