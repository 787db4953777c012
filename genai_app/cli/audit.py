"""`genai audit`: verifies that the audit log is complete and unchanged."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from genai_app.cli.database import run_on_database
from genai_app.cli.output import DONE, FAILED, say
from genai_app.errors import Conflict

if TYPE_CHECKING:
    from genai_app.db.database import Database
    from genai_app.services.audit.chain import AuditChain, ChainCheck
    from genai_app.settings.settings import Settings


def add_commands(commands: Any) -> None:
    """Adds `audit` and its verbs to the parser of cli/main.py."""
    audit = commands.add_parser("audit", help="the record of who did what")
    verbs = audit.add_subparsers(required=True, metavar="VERB")
    verify = verbs.add_parser(
        "verify", help="check every row and the signed end; exit 1 names the first broken link"
    )
    verify.set_defaults(run=_verify)
    accept = verbs.add_parser(
        "accept", help="sign the end as it is, after a backup was restored; the reason is recorded"
    )
    accept.add_argument("reason")
    accept.set_defaults(run=_accept)


def _verify(settings: Settings, _arguments: argparse.Namespace) -> int:
    shows = sys.stderr.isatty()

    def progress(count: int, head: int) -> None:
        if shows:
            sys.stderr.write(f"\r{count} / {head}")
            sys.stderr.flush()

    async def work(chain: AuditChain) -> ChainCheck:
        await chain.seal()
        return await chain.verify(progress)

    verdict = _with_chain(settings, work)
    if shows:
        sys.stderr.write("\r")
    return _print_verdict(verdict, settings.locale)


def _accept(settings: Settings, arguments: argparse.Namespace) -> int:
    async def work(chain: AuditChain) -> ChainCheck:
        await chain.accept("command line", arguments.reason)
        return await chain.verify()

    verdict = _with_chain(settings, work)
    return _print_verdict(verdict, settings.locale)


def _print_verdict(verdict: ChainCheck, locale: str) -> int:
    from genai_app.services.audit.chain import sentence_of

    say(sentence_of(verdict, locale))
    return DONE if verdict.broken is None else FAILED


def _with_chain(
    settings: Settings, work: Callable[[AuditChain], Awaitable[ChainCheck]]
) -> ChainCheck:
    from genai_app import migrations
    from genai_app.services.audit.chain import AuditChain

    if not migrations.is_current(settings.sqlalchemy_url):
        raise Conflict(code="database_not_migrated")

    async def with_chain(db: Database) -> ChainCheck:
        return await work(AuditChain(db, settings.anchor_path, settings.secret))

    return run_on_database(settings, with_chain)
