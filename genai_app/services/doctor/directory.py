"""The check of the directory: the adapter's steps, then a user's role, with their sentences."""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from genai_app.adapters.directory.check.examination import examine
from genai_app.adapters.directory.check.steps import DirectoryCause, Fact, Step, StepName
from genai_app.adapters.findings import CheckOutcome, FactValue
from genai_app.i18n import translate
from genai_app.services.accounts.entry import role_of
from genai_app.settings.settings import Settings

__all__ = ["CheckOutcome", "Step", "check", "facts_of", "name_of", "sentences_of"]


async def check(settings: Settings, username: str = "") -> AsyncGenerator[Step]:
    """Yields the steps at every controller, each when it ends. With a username the last step is the
    role that the user's groups give, as the first controller reported them.

    Raises:
        SettingsError: the file with the authority's certificate cannot be read.
    """
    groups: tuple[str, ...] | None = None
    async with aclosing(examine(settings, username)) as steps:
        async for step in steps:
            fact = step.facts.get(Fact.GROUPS)
            if step.name is StepName.USER_GROUPS and groups is None and isinstance(fact, tuple):
                groups = fact
            yield step
    if username:
        yield _role(settings, groups)


def _role(settings: Settings, groups: tuple[str, ...] | None) -> Step:
    if groups is None:
        return Step("", StepName.ROLE, CheckOutcome.SKIPPED)
    began = time.monotonic()
    role = role_of(settings, groups)
    seconds = time.monotonic() - began
    if role is None:
        facts: dict[Fact, FactValue] = {Fact.ALLOWED: settings.ldap_allowed_groups}
        cause = DirectoryCause.NO_ALLOWED_GROUP
        return Step("", StepName.ROLE, CheckOutcome.FAILED, seconds, facts, cause)
    return Step("", StepName.ROLE, CheckOutcome.OK, seconds, {Fact.ROLE: str(role)})


def name_of(step: Step, locale: str) -> str:
    """Returns the title of a step."""
    return translate(locale, f"ldap.step.{step.name}")


def facts_of(step: Step, locale: str) -> list[str]:
    """Returns the facts of a step, each as `name: value`."""
    lines: list[str] = []
    for fact, value in step.facts.items():
        if isinstance(value, bool):
            text = translate(locale, "ldap.yes" if value else "ldap.no")
        elif isinstance(value, tuple):
            text = "; ".join(value) or translate(locale, "ldap.none")
        else:
            text = str(value)
        if text:
            lines.append(f"{translate(locale, f'ldap.fact.{fact}')}: {text}")
    return lines


def sentences_of(step: Step, locale: str) -> tuple[str, str] | None:
    """Returns what is wrong and how to correct it; None if the step has no cause."""
    if step.cause is None:
        return None
    return (
        translate(locale, f"ldap.cause.{step.cause}"),
        translate(locale, f"ldap.remedy.{step.cause}"),
    )
