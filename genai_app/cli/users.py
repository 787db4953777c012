"""`genai user`: accounts.

Like cli/main.py it imports what a command needs when the command runs.
"""

from __future__ import annotations

import argparse
import getpass
import secrets
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from genai_app.cli.database import on_database
from genai_app.cli.output import DONE, say

if TYPE_CHECKING:
    from genai_app.db.database import Database
    from genai_app.models import Origin
    from genai_app.services.accounts.users import Users
    from genai_app.settings.settings import Settings

BY = "command line"
DEFAULT = "default"
ROLES = ("user", "reviewer", "admin")  # models.Role; a test compares


def add_commands(commands: Any) -> None:
    """Adds `user` and its verbs to the parser of cli/main.py."""
    user = commands.add_parser("user", help="accounts")
    verbs = user.add_subparsers(required=True, metavar="VERB")

    add = verbs.add_parser("add", help="make an account; without a password one is made up")
    add.add_argument("name")
    add.add_argument("--role", choices=ROLES, default="user")
    add.add_argument("--full-name", default="", metavar="TEXT")
    add.add_argument("--department", default="", metavar="TEXT")
    add.set_defaults(run=_on_users(_add))

    password = verbs.add_parser("password", help="set a password and end the account's sessions")
    password.add_argument("name")
    password.set_defaults(run=_on_users(_set_password))

    for verb in (add, password):
        verb.add_argument(
            "--password-stdin", action="store_true", help="read the password from standard input"
        )

    _add_verbs_of_any_account(verbs)

    listing = verbs.add_parser(
        "list", help="all accounts, tab separated: name, role, state, origin"
    )
    listing.set_defaults(run=_on_users(_list))


def _add_verbs_of_any_account(verbs: Any) -> None:
    """Adds the verbs for accounts of the directory as well as of this product."""
    role = verbs.add_parser("role", help="change what an account may do")
    role.add_argument("name")
    role.add_argument("role", choices=ROLES)
    role.set_defaults(run=_on_users(_set_role))

    disable = verbs.add_parser("disable", help="shut an account and end its sessions")
    disable.add_argument("name")
    disable.set_defaults(run=_on_users(_disable))

    enable = verbs.add_parser("enable", help="open an account again")
    enable.add_argument("name")
    enable.set_defaults(run=_on_users(_enable))

    unlock = verbs.add_parser("unlock", help="lift the pause after wrong passwords")
    unlock.add_argument("name")
    unlock.set_defaults(run=_unlock)

    limit = verbs.add_parser("limit", help="give an account a rate limit of its own")
    limit.add_argument("name")
    limit.add_argument(
        "limit", type=_limit, metavar="LIMIT", help="such as 100/minute; default: its role's"
    )
    limit.set_defaults(run=_on_users(_set_limit))

    for verb in (role, disable, enable, limit):
        verb.add_argument(
            "--directory", action="store_true", help="the account of the company's directory"
        )


def origin_of(arguments: argparse.Namespace) -> Origin:
    """Returns the origin of the account that a command names."""
    from genai_app.models import Origin

    return Origin.DIRECTORY if arguments.directory else Origin.LOCAL


def _on_users(
    command: Callable[[Users, argparse.Namespace], Awaitable[None]],
) -> Callable[[Settings, argparse.Namespace], int]:
    """Wraps a command on accounts: opens the database for it."""

    def run(settings: Settings, arguments: argparse.Namespace) -> int:
        from genai_app.services.accounts.users import Users

        async def work(db: Database) -> int:
            await command(Users(db, by=BY), arguments)
            return DONE

        return on_database(settings, work)

    return run


def _unlock(settings: Settings, arguments: argparse.Namespace) -> int:
    from genai_app.services.accounts.login_failures import FailureCounter
    from genai_app.services.accounts.staff_login import account_name

    async def work(db: Database) -> int:
        name = account_name(arguments.name) if settings.directory else arguments.name
        await FailureCounter(db).unlock(name, by=BY)
        return DONE

    return on_database(settings, work)


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
    say(f"{user.username}\t{user.role}")
    if typed is None:
        say(password)


async def _set_password(users: Users, arguments: argparse.Namespace) -> None:
    typed = _ask_password(from_stdin=arguments.password_stdin)
    password = secrets.token_urlsafe(18) if typed is None else typed
    await users.set_password(arguments.name, password)
    if typed is None:
        say(password)


async def _set_role(users: Users, arguments: argparse.Namespace) -> None:
    from genai_app.models import Role

    await users.set_role(arguments.name, Role(arguments.role), origin_of(arguments))


async def _disable(users: Users, arguments: argparse.Namespace) -> None:
    await users.disable(arguments.name, origin_of(arguments))


async def _enable(users: Users, arguments: argparse.Namespace) -> None:
    await users.enable(arguments.name, origin_of(arguments))


async def _set_limit(users: Users, arguments: argparse.Namespace) -> None:
    limit = None if arguments.limit == DEFAULT else arguments.limit
    await users.set_limit(arguments.name, limit, origin_of(arguments))


async def _list(users: Users, _arguments: argparse.Namespace) -> None:
    for user in await users.list_all():
        state = "active" if user.disabled_at is None else "disabled"
        say(f"{user.username}\t{user.role}\t{state}\t{user.origin}")


def _limit(text: str) -> str:
    from genai_app.settings.notations import parse_limit

    if text != DEFAULT:
        try:
            parse_limit(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _ask_password(*, from_stdin: bool) -> str | None:
    """Returns the operator's password; None where there is no terminal, or nothing was typed."""
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if sys.stdin.isatty():
        return getpass.getpass("Password (empty: one is made up): ") or None
    return None
