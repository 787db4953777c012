"""The check of the directory for people: the steps of the doctor, then a user's role."""

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
    """The steps at every controller, each as it ends; with a user last of all the role that the
    groups give, as the first controller that could tell them has it.

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
    """What the step looked at."""
    return translate(locale, f"ldap.step.{step.name}")


def facts_of(step: Step, locale: str) -> list[str]:
    """What it saw, `name: value` each."""
    shown: list[str] = []
    for fact, value in step.facts.items():
        if isinstance(value, bool):
            text = translate(locale, "ldap.yes" if value else "ldap.no")
        elif isinstance(value, tuple):
            text = "; ".join(value) or translate(locale, "ldap.none")
        else:
            text = str(value)
        if text:
            shown.append(f"{translate(locale, f'ldap.fact.{fact}')}: {text}")
    return shown


def sentences_of(step: Step, locale: str) -> tuple[str, str] | None:
    """What is wrong and how to mend it; None where nothing is."""
    if step.cause is None:
        return None
    return (
        translate(locale, f"ldap.cause.{step.cause}"),
        translate(locale, f"ldap.remedy.{step.cause}"),
    )
