"""`genai doctor`: checks the whole installation; prints what is wrong and how to correct it."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any, Literal

from genai_app.cli.output import DONE, FAILED, MARKS, one_line, replace_unprintable, say

if TYPE_CHECKING:
    from genai_app.services.doctor.doctor import Finding, Installation
    from genai_app.settings.settings import Settings


def add_command(commands: Any) -> None:
    """Adds the command to the parser of cli/main.py."""
    doctor = commands.add_parser(
        "doctor", help="examine everything the product needs; exit 1 if something is wrong"
    )
    doctor.add_argument("--json", action="store_true", help="for programs")
    doctor.set_defaults(run=examine)


def examine(settings: Settings, arguments: argparse.Namespace) -> int:
    """Runs the command. Returns its exit code."""
    from genai_app.i18n import translate
    from genai_app.services.doctor import doctor

    replace_unprintable()
    locale = settings.locale

    async def print_findings() -> list[Finding]:
        """Prints each finding when it is there. If the reader of the output has gone, the command
        ends after the last check: an earlier end would log errors of cut connections."""
        findings: list[Finding] = []
        broken_pipe: BrokenPipeError | None = None
        async with contextlib.aclosing(
            doctor.examine(settings, _installation(settings))
        ) as running:
            async for finding in running:
                findings.append(finding)
                if not arguments.json and broken_pipe is None:
                    try:
                        for line in _lines(finding, locale):
                            say(line)
                        sys.stdout.flush()
                    except BrokenPipeError as error:
                        broken_pipe = error
        if broken_pipe is not None:
            raise broken_pipe
        return findings

    findings = asyncio.run(print_findings())
    outcomes = Counter(str(each.outcome) for each in findings)
    failed, warnings = outcomes["failed"], outcomes["warning"]
    if arguments.json:
        checks = [_as_dict(each, locale) for each in findings]
        report = {"ok": failed == 0, "failed": failed, "warnings": warnings, "checks": checks}
        say(json.dumps(report, ensure_ascii=False, indent=2))
    else:
        key = "doctor.verdict_failed" if failed else "doctor.verdict_well"
        say("")
        say(translate(locale, key, failed=failed, warnings=warnings))
    return FAILED if failed else DONE


def _installation(settings: Settings) -> Installation:
    from genai_app import migrations
    from genai_app.server import build
    from genai_app.services.doctor.doctor import Installation

    def front_end() -> Literal["built", "old", "missing"]:
        if build.built_missing():
            return "missing"
        return "built" if build.is_built() else "old"

    return Installation(
        front_end=front_end, schema=lambda: migrations.state_of(settings.sqlalchemy_url)
    )


def _lines(finding: Finding, locale: str) -> list[str]:
    from genai_app.services.doctor.doctor import facts_of, problem_of, remedy_of, title_of

    head = f"{MARKS[finding.outcome]:4}  {title_of(finding, locale)}"
    problem, remedy = problem_of(finding, locale), remedy_of(finding, locale)
    if finding.outcome == "skipped":
        return [one_line(f"{head}: {problem}")]
    facts = ", ".join(facts_of(finding, locale))
    lines = [f"{head}  {round(finding.seconds * 1000)} ms{'  ' if facts else ''}{facts}"]
    lines += [f"      {sentence}" for sentence in (problem, remedy) if sentence]
    return [one_line(line) for line in lines]


def _as_dict(finding: Finding, locale: str) -> dict[str, object]:
    from genai_app.services.doctor.doctor import facts_of, problem_of, remedy_of

    return {
        "check": finding.check,
        "place": finding.target,
        "outcome": finding.outcome,
        "seconds": round(finding.seconds, 3),
        "cause": finding.step.cause if finding.step else finding.cause or finding.skip,
        "facts": facts_of(finding, locale) if finding.step else dict(finding.facts),
        "problem": problem_of(finding, locale),
        "remedy": remedy_of(finding, locale),
    }
