"""The administrators' page, and the check of the directory on it."""

import asyncio
from dataclasses import dataclass

import reflex as rx

from genai_app.errors import AppError, SettingsError
from genai_app.i18n import LOCALES, translate
from genai_app.models import Role
from genai_app.rights import allowed
from genai_app.services import services
from genai_app.services.accounts.current_actor import acting
from genai_app.services.doctor.directory import (
    CheckOutcome,
    Step,
    check,
    facts_of,
    name_of,
    sentences_of,
)
from genai_app.state.admin.overview import REFRESH_S, OverviewState
from genai_app.state.page import open_page, query_of, stays
from genai_app.state.presence import Page

MAX_NAME_CHARS = 256


@dataclass
class StepRow:
    """A step of the check; texts by language. `controller`: of the first step there, else ""."""

    controller: str
    outcome: str
    milliseconds: int
    name: dict[str, str]
    facts: dict[str, str]
    wrong: dict[str, str]
    remedy: dict[str, str]


class AdminState(rx.State):
    """Opens the overview. Its parts have States of their own."""

    loaded: bool = False
    directory: bool = False

    @rx.event
    @allowed(Role.REVIEWER)
    async def open(self):
        """Build the page from cookie and database. Runs at every load and reconnect."""
        directory = await self.get_state(DirectoryState)
        directory.rechecked = -1
        if acting().has(Role.ADMIN):
            directory._show_alarms()
        self.directory = services().settings.directory
        overview = await self.get_state(OverviewState)
        chosen = query_of(self, ("period", "department", "model"), MAX_NAME_CHARS)
        if (
            not await stays(self)
            or {k: v for k, v in chosen.items() if v} != overview._in_address()
        ):
            overview._choose(chosen)
            await overview._load(acting())
        self.loaded = True
        watches = [OverviewState.watch]
        if self.directory and acting().has(Role.ADMIN):
            watches.append(DirectoryState.watch)
        return await open_page(self, *watches)


class DirectoryState(rx.State):
    """The check of the directory, step by step as it goes on."""

    steps: list[StepRow] = []
    checking: bool = False
    failed: int = 0
    warnings: int = 0
    ended: bool = False
    error_code: str = ""
    alarms: list[dict[str, str]] = []  # what cannot be found or read, by language
    rechecked: int = -1  # accounts that were made due; -1: not asked for

    def _show_alarms(self) -> None:
        rechecks = services().rechecks
        standing = rechecks.alarms.standing if rechecks else []
        self.alarms = [
            {
                locale: translate(locale, f"directory.alarm.{alarm.cause}", name=alarm.name)
                for locale in LOCALES
            }
            for alarm in standing
        ]

    @rx.event(background=True, supersedes=True)
    @allowed(Role.ADMIN)
    async def watch(self):
        """Shows the alarms that stand, as long as the page is there."""
        page = Page()
        while page.is_there:
            async with self:
                self._show_alarms()
            await asyncio.sleep(REFRESH_S)

    @rx.event
    @allowed(Role.ADMIN)
    async def recheck(self):
        """Look everybody who is logged in up in the directory now."""
        rechecks = services().rechecks
        if rechecks is None:
            return
        try:
            self.rechecked = await rechecks.make_all_due(acting())
        except AppError as error:
            self.error_code = error.code

    @rx.event(background=True, supersedes=True)
    @allowed(Role.ADMIN)
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
                    self.failed += step.outcome is CheckOutcome.FAILED
                    self.warnings += step.outcome is CheckOutcome.WARNING
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
    sentences = {locale: sentences_of(step, locale) or ("", "") for locale in LOCALES}
    return StepRow(
        controller=step.controller if step.controller != before else "",
        outcome=str(step.outcome),
        milliseconds=max(1, round(step.seconds * 1000)),
        name={locale: name_of(step, locale) for locale in LOCALES},
        facts={locale: " · ".join(facts_of(step, locale)) for locale in LOCALES},
        wrong={locale: sentences[locale][0] for locale in LOCALES},
        remedy={locale: sentences[locale][1] for locale in LOCALES},
    )
