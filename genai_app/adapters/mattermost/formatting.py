"""A model's Markdown for Mattermost, which draws Markdown itself.

An image becomes its text: each reader's program would fetch it from an address that the model
chose. The code of the text stays as it is.
"""

import re
from collections.abc import Sequence

from genai_app.adapters.mattermost.buttons import legend
from genai_app.adapters.messenger import Button
from genai_app.text import clean_text

# code first, so that nothing within it is taken for an image
_CODE_OR_IMAGE = re.compile(
    r"(?P<fence>^[ \t]*(?P<marks>`{3,}|~{3,})[^\n]*\n.*?(?:^[ \t]*(?P=marks)[`~]*[ \t]*$|\Z))"
    r"|(?P<code>(?P<ticks>`+)(?!`).*?(?<!`)(?P=ticks)(?!`))"
    r"|(?P<image>!(?=\[))",
    re.DOTALL | re.MULTILINE,
)
_MARKS = re.compile(r"([\\`*_{}\[\]()#+\-.!|>~:@])")


def with_legend(markdown: str, buttons: Sequence[Button]) -> str:
    """Returns the text with a last line that says what the emoji of its buttons mean."""
    return "\n\n".join(filter(None, (markdown, legend(buttons))))


def formatted_text(markdown: str) -> str:
    """Returns Markdown without images."""

    def replace(match: re.Match[str]) -> str:
        return "" if match["image"] else match[0]

    return _CODE_OR_IMAGE.sub(replace, clean_text(markdown))


def literal_text(text: str) -> str:
    """Returns Markdown that shows the text as it is written."""
    return _MARKS.sub(r"\\\1", clean_text(text))
