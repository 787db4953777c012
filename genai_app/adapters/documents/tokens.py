"""Reckons the tokens of a text without a model, rather too many than too few."""

_CHARS = 2.5  # to a token: Russian has 2.5 to 4, tables and logs have 2 to 3


def tokens_of(text: str) -> int:
    """Returns roughly how many tokens a text is."""
    return int(len(text) / _CHARS) + 1 if text else 0
