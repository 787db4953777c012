"""`genai ldap check`: the steps at every controller of the directory."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

from genai_app.cli.output import (
    DONE,
    FAILED,
    MARKS,
    MISUSED,
    complain,
    one_line,
    replace_unprintable,
    say,
)

if TYPE_CHECKING:
    from genai_app.services.doctor.directory import Step
    from genai_app.settings.settings import Settings


def add_command(commands: Any) -> None:
    """Adds the command to the parser of cli/main.py."""
    ldap = commands.add_parser("ldap", help="the company's directory")
    verbs = ldap.add_subparsers(required=True, metavar="VERB")
    check = verbs.add_parser("check", help="examine every controller; exit 1 if something is wrong")
    check.add_argument("user", nargs="?", default="", help="look for this account as well")
    check.set_defaults(run=_check)


def _check(settings: Settings, arguments: argparse.Namespace) -> int:
    from genai_app.i18n import translate
    from genai_app.services.doctor.directory import CheckOutcome, check

    locale = settings.locale
    if not settings.directory:
        complain(translate(locale, "ldap.not_set"))
        return MISUSED
    replace_unprintable()

    async def print_steps() -> Counter[CheckOutcome]:
        outcomes: Counter[CheckOutcome] = Counter()
        controller = ""
        async with contextlib.aclosing(check(settings, arguments.user)) as steps:
            async for step in steps:
                if step.controller != controller:
                    say(step.controller)
                controller = step.controller
                for line in _lines_of(step, locale):
                    say(line)
                sys.stdout.flush()
                outcomes[step.outcome] += 1
        return outcomes

    outcomes = asyncio.run(print_steps())
    failed, warnings = outcomes[CheckOutcome.FAILED], outcomes[CheckOutcome.WARNING]
    say("")
    if failed:
        say(translate(locale, "ldap.verdict_failed", failed=failed, warnings=warnings))
        return FAILED
    say(translate(locale, "ldap.verdict_well", warnings=warnings))
    return DONE


def _lines_of(step: Step, locale: str) -> list[str]:
    from genai_app.services.doctor.directory import facts_of, name_of, sentences_of

    head = f"  {MARKS[step.outcome]:4}  {name_of(step, locale)}"
    if step.outcome == "skipped":
        return [head]
    facts = ", ".join(one_line(fact) for fact in facts_of(step, locale))
    lines = [f"{head}  {round(step.seconds * 1000)} ms{'  ' if facts else ''}{facts}"]
    lines += [f"        {sentence}" for sentence in sentences_of(step, locale) or ()]
    return lines
