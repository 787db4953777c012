"""Buttons as reactions: the bot puts an emoji below its message, and a click on it is a press.

Buttons of Mattermost's own need a way from its server into the product. Reactions come by the
websocket, which the bot has open anyway.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, cast

from genai_app.adapters.mattermost.rest import MattermostApi
from genai_app.adapters.messenger import Button, MessengerError

PROP = "genai_actions"  # of a post: {emoji: action}
EMOJI = {
    "stop": "octagonal_sign",
    "up": "+1",
    "down": "-1",
    "again": "arrows_counterclockwise",
    "new": "new",
}
SELF_EVIDENT = ("up", "down")  # their emoji says all
NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "keycap_ten")
MAX_POSTS = 5_000


def with_emoji(buttons: Sequence[Button]) -> dict[str, Button]:
    """Returns the emoji of each button; a number for an action that has none of its own."""
    numbers = iter(NUMBERS)
    by_emoji: dict[str, Button] = {}
    for button in buttons:
        emoji = EMOJI.get(_verb(button)) or next(numbers, "")
        if emoji:
            by_emoji[emoji] = button
    return by_emoji


def legend(buttons: Sequence[Button]) -> str:
    """Returns a line that says what the emoji mean; "" where they say it themselves."""
    return "  ".join(
        f":{emoji}: {button.label}"
        for emoji, button in with_emoji(buttons).items()
        if _verb(button) not in SELF_EVIDENT and not button.label.isdigit()
    )


def actions(buttons: Sequence[Button]) -> dict[str, str]:
    """Returns what a post keeps of its buttons."""
    return {emoji: button.action for emoji, button in with_emoji(buttons).items()}


def action_of(props: Mapping[str, Any] | None, emoji: str) -> str | None:
    """Returns the action of an emoji below a post with these properties; None where it has none."""
    kept = (props or {}).get(PROP)
    if not isinstance(kept, dict):
        return None
    action = cast("dict[str, Any]", kept).get(emoji)
    return action if isinstance(action, str) else None


class ReactionButtons:
    """Puts the bot's reactions below its posts and takes them away. They are an offer: one that
    fails costs no answer."""

    def __init__(self, api: MattermostApi) -> None:
        self._api = api
        self._shown: OrderedDict[str, frozenset[str]] = OrderedDict()

    async def show(
        self, bot_id: str, post_id: str, buttons: Sequence[Button], *, is_new: bool
    ) -> None:
        """Brings the reactions below a post in line with its buttons.

        Args:
            is_new: the post was just made, so that it has none.
        """
        wanted = with_emoji(buttons)
        shown = frozenset[str]() if is_new else self._shown.pop(post_id, None)
        # a post of an earlier process may have any of them
        stale = frozenset(EMOJI.values()) if shown is None else shown
        with suppress(MessengerError):
            for emoji in sorted(stale - wanted.keys()):
                await self._remove(bot_id, post_id, emoji)
            for emoji in wanted:
                if shown is None or emoji not in shown:
                    await self._add(bot_id, post_id, emoji)
        self._shown[post_id] = frozenset(wanted)
        while len(self._shown) > MAX_POSTS:
            self._shown.popitem(last=False)

    async def _add(self, bot_id: str, post_id: str, emoji: str) -> None:
        body = {"user_id": bot_id, "post_id": post_id, "emoji_name": emoji}
        await self._api.call(dict[str, Any], "POST", "/reactions", body)

    async def _remove(self, bot_id: str, post_id: str, emoji: str) -> None:
        path = f"/users/{bot_id}/posts/{post_id}/reactions/{emoji}"
        with suppress(_NotThere):
            await self._api.call(dict[str, Any], "DELETE", path, refusal=_NotThere)


class _NotThere(MessengerError):
    """The reaction was not there."""


def _verb(button: Button) -> str:
    return button.action.partition(":")[0]
