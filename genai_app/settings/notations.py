"""Parses limits, retention rules, and groups and filters of a directory."""

import re
from collections.abc import Mapping

from limits import RateLimitItem, parse

from genai_app.i18n import catalogue, plural, plural_of, translate

MAX_WINDOW_S = 31 * 86400
MAX_RULE_DAYS = 36500
ROLES = ("user", "reviewer", "admin")
DEPARTMENT = "department:"
_UNITS = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))
# the placeholders of the user name in filters of other products
PLACEHOLDERS = ("{username}", "{user}", "{login}", "{0}", "%(user)s", "%s", "%u")


def parse_groups(text: str) -> tuple[str, ...]:
    """Returns names or DNs of groups, which semicolons or line ends separate, as both may hold
    commas. A text without these separators and without the `=` of a DN is split at commas. A
    separator after a backslash, or within quotation marks of a DN, belongs to the name:
    `cn=a\\;b,dc=corp`, `sales\\, north`.
    """
    parts = [part.strip() for part in _split(text, ";\r\n")]
    if len(parts) == 1 and "=" not in text:
        parts = [part.strip() for part in _split(text, ",")]
    # backslashes are part of a DN
    return tuple(
        part if "=" in part else re.sub(r"\\([,;])", r"\1", part) for part in parts if part
    )


def _split(text: str, separators: str) -> list[str]:
    """Splits a text at separators that are neither after a backslash nor in quotation marks."""
    parts, quoted, position = [""], False, 0
    while position < len(text):
        character = text[position]
        if character == "\\":
            character = text[position : position + 2]
        elif character == '"' and "=" in parts[-1]:
            quoted = not quoted
        if character in separators and not quoted:
            parts.append("")
        else:
            parts[-1] += character
        position += len(character)
    return parts


def parse_limit(text: str) -> RateLimitItem:
    """Parses a limit in the notation of `limits`: `30/minute`, `1000 per 8 hours`.

    Raises:
        ValueError: another notation, an amount of 0, or a window of more than 31 days.
    """
    try:
        item = parse(text)
    except ValueError:
        raise ValueError("must look like 30/minute or 500 per 8 hours") from None
    if item.amount < 1 or item.get_expiry() > MAX_WINDOW_S:
        raise ValueError("must let at least one through and look back at most 31 days")
    return item


def limit_text(item: RateLimitItem) -> str:
    """Returns a text that parse_limit reads: `30/minute`, `1000/8 hours`."""
    unit = item.GRANULARITY.name
    return f"{item.amount}/{unit if item.multiples == 1 else f'{item.multiples} {unit}s'}"


def parse_rules(text: str) -> dict[str, int]:
    """Returns days by role or department of a text such as `reviewer=365; department:Legal=1825`.

    Raises:
        ValueError: the text has another form.
    """
    rules: dict[str, int] = {}
    for part in filter(None, map(str.strip, text.split(";"))):
        name, _, days = (piece.strip() for piece in part.rpartition("="))
        valid = name in ROLES or name.removeprefix(DEPARTMENT) not in ("", name)
        if not valid or not days.isdecimal() or int(days) > MAX_RULE_DAYS:
            raise ValueError("must look like reviewer=365; department:Legal=1825")
        rules[name] = int(days)
    return rules


def kept_days(rules: Mapping[str, int], days: int, department: str, role: str) -> int:
    """Returns the retention period of a user in days, 0 for ever: by the first rule that fits, of
    the department or the role, else `days`."""
    return rules.get(f"{DEPARTMENT}{department}", rules.get(role, days))


def limit_words(text: str, locale: str) -> str:
    """Returns `30/minute` as `30 вопросов в минуту`, `100/60s` as well.

    Any other text becomes "by role", for an account without a limit of its own.
    """
    seconds = re.fullmatch(r"(\d+)/(\d+)s", text)
    try:
        item = parse(f"{seconds[1]} per {seconds[2]} second") if seconds else parse(text)
    except ValueError:
        return translate(locale, "people.of_role")
    amount, window_s = item.amount, item.get_expiry()
    size, unit = next(each for each in _UNITS if window_s % each[0] == 0)
    questions = plural(locale, amount, "limit.questions")
    count = window_s // size
    key = f"limit.per_{unit}" if count == 1 else f"limit.per_{unit}s"
    period = catalogue(locale)[key]
    return f"{amount} {questions} {plural_of(locale, count, period).format(count=count)}"


def parse_filter(text: str) -> str:
    """Returns the filter of a user in parentheses, with the placeholder `{username}`.

    Raises:
        ValueError: the filter has no placeholder, or an unmatched parenthesis.
    """
    for placeholder in PLACEHOLDERS:
        text = text.replace(placeholder, PLACEHOLDERS[0])
    if PLACEHOLDERS[0] not in text:
        raise ValueError("must hold {username}, as in (uid={username})")
    if text.count("(") != text.count(")"):
        raise ValueError("has an odd parenthesis")
    return text if text.startswith("(") else f"({text})"
