"""How limits and rules of retention are written."""

from limits import RateLimitItem, parse

MAX_WINDOW_S = 31 * 86400
MAX_RULE_DAYS = 36500
ROLES = ("user", "reviewer", "admin")
DEPARTMENT = "department:"


def parse_limit(text: str) -> RateLimitItem:
    """A limit in the notation of `limits`: `30/minute`, `1000 per 8 hours`.

    Raises:
        ValueError: not of that notation, nothing at all, or a window of more than 31 days.
    """
    try:
        item = parse(text)
    except ValueError:
        raise ValueError("must look like 30/minute or 500 per 8 hours") from None
    if item.amount < 1 or item.get_expiry() > MAX_WINDOW_S:
        raise ValueError("must let at least one through and look back at most 31 days")
    return item


def limit_text(item: RateLimitItem) -> str:
    """`30/minute`, `1000/8 hours`: what parse_limit reads again."""
    unit = item.GRANULARITY.name
    return f"{item.amount}/{unit if item.multiples == 1 else f'{item.multiples} {unit}s'}"


def parse_rules(text: str) -> dict[str, int]:
    """Days by role or department: `reviewer=365; department:Legal=1825`.

    Raises:
        ValueError: not of that form.
    """
    rules: dict[str, int] = {}
    for part in filter(None, map(str.strip, text.split(";"))):
        name, _, days = (piece.strip() for piece in part.rpartition("="))
        known = name in ROLES or name.removeprefix(DEPARTMENT) not in ("", name)
        if not known or not days.isdecimal() or int(days) > MAX_RULE_DAYS:
            raise ValueError("must look like reviewer=365; department:Legal=1825")
        rules[name] = int(days)
    return rules
