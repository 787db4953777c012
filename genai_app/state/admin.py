"""The administrators' page, and the check of the directory on it."""

from dataclasses import dataclass

import reflex as rx

from genai_app.errors import AppError, SettingsError
from genai_app.i18n import LOCALES
from genai_app.services import services
from genai_app.services.acting import acting
from genai_app.services.directory_check import (
    Outcome,
    Step,
    check,
    facts_of,
    name_of,
    sentences_of,
)
from genai_app.state.overview import OverviewState
from genai_app.state.page import open_page

MAX_NAME_CHARS = 256


@dataclass
class StepRow:
    """One step of the check; texts by language. `controller`: of the first step there, else ""."""

    controller: str
    outcome: str
    milliseconds: int
    name: dict[str, str]
    facts: dict[str, str]
    wrong: dict[str, str]
    remedy: dict[str, str]


class AdminState(rx.State):
    """Whether the page is there."""

    loaded: bool = False
    directory: bool = False

    @rx.event
    async def open(self):
        """Build the page from cookie and database. Runs at every load and reconnect."""
        (await self.get_state(DirectoryState)).rechecked = -1
        self.directory = services().settings.directory
        await (await self.get_state(OverviewState))._load(acting())
        self.loaded = True
        return await open_page(self, OverviewState.watch)


class DirectoryState(rx.State):
    """The check of the directory, step by step as it goes on."""

    steps: list[StepRow] = []
    checking: bool = False
    failed: int = 0
    warnings: int = 0
    ended: bool = False
    error_code: str = ""
    rechecked: int = -1  # accounts that were made due; -1: not asked for

    @rx.event
    async def recheck(self):
        """Look everybody who is logged in up in the directory now."""
        rechecks = services().rechecks
        if rechecks is None:
            return
        try:
            self.rechecked = await rechecks.hurry(acting())
        except AppError as error:
            self.error_code = error.code

    @rx.event(background=True, supersedes=True)
    async def check(self, username: str):
        """Examine every controller, and look for `username` if there is one."""
        settings = services().settings
        if not isinstance(username, str) or len(username) > MAX_NAME_CHARS:
            async with self:
                self.error_code = "invalid_input"
            return
        if not settings.directory:
            return
        async with self:
            self.steps, self.error_code = [], ""
            self.failed = self.warnings = 0
            self.checking, self.ended = True, False
        before = ""
        try:
            async for step in check(settings, username.strip()):
                async with self:
                    self.steps = [*self.steps, _row(step, before)]
                    self.failed += step.outcome is Outcome.FAILED
                    self.warnings += step.outcome is Outcome.WARNING
                before = step.controller
            async with self:
                self.ended = True
        except SettingsError:  # the authority's file is away since the start
            async with self:
                self.error_code = "directory_ca_file"
        finally:
            async with self:
                self.checking = False


def _row(step: Step, before: str) -> StepRow:
    told = {locale: sentences_of(step, locale) or ("", "") for locale in LOCALES}
    return StepRow(
        controller=step.controller if step.controller != before else "",
        outcome=str(step.outcome),
        milliseconds=max(1, round(step.seconds * 1000)),
        name={locale: name_of(step, locale) for locale in LOCALES},
        facts={locale: " · ".join(facts_of(step, locale)) for locale in LOCALES},
        wrong={locale: told[locale][0] for locale in LOCALES},
        remedy={locale: told[locale][1] for locale in LOCALES},
    )
