"""Types that `genai doctor` and `genai ldap check` share: how a check ended, and its facts."""

from enum import StrEnum


class CheckOutcome(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"  # not set up, or pointless after an earlier failure


FactValue = str | int | float | tuple[str, ...]
