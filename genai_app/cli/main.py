"""The command line. Exit codes: 0 done, 1 failed, 2 misused or a bad setting.

What a command needs is imported by the command, so that --help and a misspelt word answer at once.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import getpass
import os
import secrets
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from genai_app.cli import admin as cli_admin
from genai_app.cli import audit as cli_audit
from genai_app.cli import backup as cli_backup
from genai_app.cli import doctor as cli_doctor
from genai_app.errors import AppError, SettingsError

if TYPE_CHECKING:
    from genai_app.db.database import Database
    from genai_app.models import Origin
    from genai_app.services.accounts.users import Users
    from genai_app.services.doctor.directory import Step
    from genai_app.settings.settings import Check, Settings

DONE, FAILED, MISUSED = 0, 1, 2
UMASK = 0o077  # what a command makes is for its own user alone
DEFAULT = "default"
MAX_WORKERS = 64
ROLES = ("user", "reviewer", "admin")  # models.Role; a test compares


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit code; argparse itself exits with 0 (help) or 2 (misuse).

    Where the reader of the output has gone (`genai ... | head`) the command ends without a word.
    """
    try:
        try:
            return _run(argv)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # what is left in the buffer goes nowhere, else Python complains at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def _run(argv: Sequence[str] | None) -> int:
    arguments = _parser().parse_args(argv)
    if arguments.run is not _build:  # whose files a web server or another user may read
        os.umask(UMASK)
    from genai_app import log
    from genai_app.settings.settings import load_settings

    try:
        settings = load_settings(_checks(arguments))
    except SettingsError as error:
        return _misused(error)
    try:
        log.configure(settings)
        if getattr(arguments, "worker", None) is None:  # the parent of a worker has said it
            _warn_of_unknown_names()
        return arguments.run(settings, arguments)
    except AppError as error:
        _complain(error.command_text(settings.locale))
        if error.detail:
            _complain(f"  {log.redact_text(error.detail).splitlines()[0]}")
        return FAILED
    except SettingsError as error:
        return _misused(error)
    except OSError as error:
        if error.filename is None:  # no file of the operator's
            raise
        if settings.data_dir.absolute() in (Path(error.filename), *Path(error.filename).parents):
            _complain(f"GENAI_DATA_DIR: {error.strerror}")
            return MISUSED
        _complain(f"{error.filename}: {error.strerror}")
        return FAILED
    except KeyboardInterrupt:
        return FAILED


def _misused(error: SettingsError) -> int:
    for line in str(error).splitlines():
        _complain(line)
    return MISUSED


def _checks(arguments: argparse.Namespace) -> Sequence[Check]:
    """What is checked for this command before it runs."""
    from genai_app.cli import start_checks

    if arguments.run is _serve:
        shared = (start_checks.shared_state,) if arguments.workers > 1 else ()
        return (*start_checks.SERVE, *shared)
    # these two examine and build without the data directory
    return () if arguments.run in (cli_doctor.examine, _build) else start_checks.COMMAND


def _warn_of_unknown_names() -> None:
    """A slip in `genai migrate` must not make a database nobody meant."""
    import structlog

    from genai_app.settings.settings import unknown_names

    for unknown in unknown_names():
        where = {"in": ".env"} if unknown.in_file else {}
        near = {"nearest": unknown.nearest} if unknown.nearest else {}
        structlog.get_logger(__name__).warning(
            "settings.unknown", name=unknown.name, **near, **where
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="genai", description="The corporate assistant.", allow_abbrev=False
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="serve web and API on one port")
    serve.add_argument(
        "--workers", type=int, default=1, metavar="N", help="processes; needs PostgreSQL and Redis"
    )
    serve.add_argument("--worker", type=int, help=argparse.SUPPRESS)  # what a parent tells its own
    serve.set_defaults(run=_serve)
    build = commands.add_parser("build", help="build the front end, once (needs bun)")
    build.add_argument("--check", action="store_true", help="build nothing; exit 1 if it is due")
    build.set_defaults(run=_build)
    migrate = commands.add_parser("migrate", help="bring the database to this version's schema")
    migrate.set_defaults(run=_migrate)

    user = commands.add_parser("user", help="accounts")
    verbs = user.add_subparsers(required=True, metavar="VERB")

    add = verbs.add_parser("add", help="make an account; without a password one is made up")
    add.add_argument("name")
    add.add_argument("--role", choices=ROLES, default="user")
    add.add_argument("--full-name", default="", metavar="TEXT")
    add.add_argument("--department", default="", metavar="TEXT")
    add.set_defaults(run=_user(_add))

    password = verbs.add_parser("password", help="set a password and end the account's sessions")
    password.add_argument("name")
    password.set_defaults(run=_user(_set_password))

    for verb in (add, password):
        verb.add_argument(
            "--password-stdin", action="store_true", help="read the password from standard input"
        )

    role = verbs.add_parser("role", help="change what an account may do")
    role.add_argument("name")
    role.add_argument("role", choices=ROLES)
    role.set_defaults(run=_user(_set_role))

    disable = verbs.add_parser("disable", help="shut an account and end its sessions")
    disable.add_argument("name")
    disable.set_defaults(run=_user(_disable))

    enable = verbs.add_parser("enable", help="open an account again")
    enable.add_argument("name")
    enable.set_defaults(run=_user(_enable))

    unlock = verbs.add_parser("unlock", help="lift the pause after wrong passwords")
    unlock.add_argument("name")
    unlock.set_defaults(run=_unlock)

    limit = verbs.add_parser("limit", help="give an account a rate limit of its own")
    limit.add_argument("name")
    limit.add_argument(
        "limit", type=_limit, metavar="LIMIT", help="such as 100/minute; default: its role's"
    )
    limit.set_defaults(run=_user(_set_limit))

    for verb in (role, disable, enable, limit):
        verb.add_argument(
            "--directory", action="store_true", help="the account of the company's directory"
        )

    listing = verbs.add_parser(
        "list", help="all accounts, tab separated: name, role, state, origin"
    )
    listing.set_defaults(run=_user(_list))

    ldap = commands.add_parser("ldap", help="the company's directory")
    verbs = ldap.add_subparsers(required=True, metavar="VERB")
    check = verbs.add_parser("check", help="examine every controller; exit 1 if something is wrong")
    check.add_argument("user", nargs="?", default="", help="look for this account as well")
    check.set_defaults(run=_check_directory)
    cli_audit.add_verbs(commands.add_parser("audit", help="the record of who did what"))

    cli_admin.add_commands(commands)
    cli_backup.add_commands(commands)
    cli_doctor.add_command(commands)
    return parser


def _serve(settings: Settings, arguments: argparse.Namespace) -> int:
    from genai_app.server import serve
    from genai_app.services.backup.private_files import mend_private_files

    if arguments.worker is not None:
        return serve.run_worker(settings, arguments.worker)
    if not 1 <= arguments.workers <= MAX_WORKERS:
        raise SettingsError(f"--workers: a number from 1 to {MAX_WORKERS}")
    mend_private_files(settings)
    return serve.run(settings, arguments.workers)


def _build(_settings: Settings, arguments: argparse.Namespace) -> int:
    from genai_app.server import build

    if build.is_built():
        return DONE
    if arguments.check:
        return FAILED
    build.build()
    return DONE


def _migrate(settings: Settings, _arguments: argparse.Namespace) -> int:
    from genai_app import migrations
    from genai_app.services.backup.private_files import mend_private_files

    mend_private_files(settings)
    migrations.upgrade(settings.sqlalchemy_url)
    return DONE


def _check_directory(settings: Settings, arguments: argparse.Namespace) -> int:
    from genai_app.i18n import translate
    from genai_app.services.doctor.directory import CheckOutcome, check

    locale = settings.locale
    if not settings.directory:
        _complain(translate(locale, "ldap.not_set"))
        return MISUSED
    if reconfigure := getattr(sys.stdout, "reconfigure", None):
        reconfigure(errors="replace")  # a terminal may lack letters of a name

    async def work() -> Counter[CheckOutcome]:
        ends: Counter[CheckOutcome] = Counter()
        controller = ""
        async with contextlib.aclosing(check(settings, arguments.user)) as steps:
            async for step in steps:
                if step.controller != controller:
                    _say(step.controller)
                controller = step.controller
                for line in _step_lines(step, locale):
                    _say(line)
                sys.stdout.flush()
                ends[step.outcome] += 1
        return ends

    ends = asyncio.run(work())
    failed, warnings = ends[CheckOutcome.FAILED], ends[CheckOutcome.WARNING]
    _say("")
    if failed:
        _say(translate(locale, "ldap.verdict_failed", failed=failed, warnings=warnings))
        return FAILED
    _say(translate(locale, "ldap.verdict_well", warnings=warnings))
    return DONE


def _step_lines(step: Step, locale: str) -> list[str]:
    from genai_app.services.doctor.directory import facts_of, name_of, sentences_of

    head = f"  {cli_doctor.MARKS[step.outcome]:4}  {name_of(step, locale)}"
    if step.outcome == "skipped":
        return [head]
    facts = ", ".join(cli_doctor.one_line(fact) for fact in facts_of(step, locale))
    lines = [f"{head}  {round(step.seconds * 1000)} ms{'  ' if facts else ''}{facts}"]
    lines += [f"        {sentence}" for sentence in sentences_of(step, locale) or ()]
    return lines


def _user(
    command: Callable[[Users, argparse.Namespace], Awaitable[None]],
) -> Callable[[Settings, argparse.Namespace], int]:
    """A command on accounts, given a database with this version's schema."""

    def run(settings: Settings, arguments: argparse.Namespace) -> int:
        from genai_app.services.accounts.users import Users

        async def work(db: Database) -> int:
            await command(Users(db, by="command line"), arguments)
            return DONE

        return cli_admin.on_database(settings, work)

    return run


def _unlock(settings: Settings, arguments: argparse.Namespace) -> int:
    from genai_app.services.accounts.login_failures import FailureCounter
    from genai_app.services.accounts.staff_login import account_name

    async def work(db: Database) -> int:
        name = account_name(arguments.name) if settings.directory else arguments.name
        await FailureCounter(db).unlock(name, by="command line")
        return DONE

    return cli_admin.on_database(settings, work)


async def _add(users: Users, arguments: argparse.Namespace) -> None:
    from genai_app.models import Role

    typed = _ask_password(from_stdin=arguments.password_stdin)
    password = secrets.token_urlsafe(18) if typed is None else typed
    user = await users.add(
        arguments.name,
        password,
        Role(arguments.role),
        full_name=arguments.full_name,
        department=arguments.department,
    )
    _say(f"{user.username}\t{user.role}")
    if typed is None:
        _say(password)


async def _set_password(users: Users, arguments: argparse.Namespace) -> None:
    typed = _ask_password(from_stdin=arguments.password_stdin)
    password = secrets.token_urlsafe(18) if typed is None else typed
    await users.set_password(arguments.name, password)
    if typed is None:
        _say(password)


async def _set_role(users: Users, arguments: argparse.Namespace) -> None:
    from genai_app.models import Role

    await users.set_role(arguments.name, Role(arguments.role), _origin(arguments))


async def _disable(users: Users, arguments: argparse.Namespace) -> None:
    await users.disable(arguments.name, _origin(arguments))


async def _enable(users: Users, arguments: argparse.Namespace) -> None:
    await users.enable(arguments.name, _origin(arguments))


async def _set_limit(users: Users, arguments: argparse.Namespace) -> None:
    chosen = arguments.limit
    await users.set_limit(arguments.name, None if chosen == DEFAULT else chosen, _origin(arguments))


async def _list(users: Users, _arguments: argparse.Namespace) -> None:
    for user in await users.list_all():
        state = "active" if user.disabled_at is None else "disabled"
        _say(f"{user.username}\t{user.role}\t{state}\t{user.origin}")


def _origin(arguments: argparse.Namespace) -> Origin:
    from genai_app.models import Origin

    return Origin.DIRECTORY if arguments.directory else Origin.LOCAL


def _limit(text: str) -> str:
    from genai_app.settings.notations import parse_limit

    if text != DEFAULT:
        try:
            parse_limit(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _ask_password(*, from_stdin: bool) -> str | None:
    """The password that the operator gives; None where nobody is there to give one."""
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if sys.stdin.isatty():
        return getpass.getpass("Password (empty: one is made up): ") or None
    return None


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _complain(line: str) -> None:
    sys.stderr.write(f"{line}\n")
