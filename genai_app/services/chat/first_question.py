"""A first question with its dialog, answer and lease, committed by one statement.

Every call of a program is one of these, and each lock, insert and commit would be a round trip that
costs more than the work. For PostgreSQL: SQLite does not write in a WITH.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from genai_app import clock
from genai_app.access import Actor
from genai_app.db.database import Database
from genai_app.db.statements import Row, Statement, table_of
from genai_app.models import Dialog, Generation, Message, UtcDateTime
from genai_app.services.generation.checkpoints import LEASE_END
from genai_app.services.limits.rate import Budget, Unit, granted, user_of_unit

_WHO = user_of_unit().cte("who")
_GOOD = sa.exists().where(
    _WHO.c.disabled_at.is_(None),
    sa.or_(
        _WHO.c.counted_until.is_(None),
        _WHO.c.counted_until <= sa.bindparam("now", type_=UtcDateTime),
    ),
)


def _insert(kind: Any, *prefixes: str, **computed: sa.ColumnElement[Any]) -> sa.CTE:
    """Returns an insert of rows whose values are the parameters `<prefix>_<column>`; it adds none
    where the unit is no good. `computed`: the expressions of computed columns."""
    table = table_of(kind)
    rows = [
        sa.select(
            *(
                computed.get(c.name, sa.bindparam(f"{prefix}_{c.name}", type_=c.type)).label(c.name)
                for c in table.columns
            )
        ).where(_GOOD)
        for prefix in prefixes
    ]
    names = [column.name for column in table.columns]
    return sa.insert(table).from_select(names, sa.union_all(*rows)).cte(f"new_{table.name}")


def _statement(*inserts: sa.CTE) -> Statement:
    return Statement(sa.select(_WHO.c.counted_until, _WHO.c.disabled_at).add_cte(*inserts))


# just after the user's newest dialog where that is dated later: see history.next_moment
_UPDATED_AT = sa.func.greatest(
    sa.bindparam("dialog_updated_at", type_=UtcDateTime),
    sa.select(sa.func.max(table_of(Dialog).c.updated_at) + sa.text("interval '1 microsecond'"))
    .where(table_of(Dialog).c.user_id == sa.bindparam("user_id"))
    .scalar_subquery(),
)
_ANSWERED = (
    _insert(Dialog, "dialog", updated_at=_UPDATED_AT),
    _insert(Message, "question", "answer"),
)
_COMMIT = _statement(*_ANSWERED, _insert(Generation, "lease", lease_until=LEASE_END))
_COMMIT_ANSWERED = _statement(*_ANSWERED)


async def commit_new_dialog(
    db: Database,
    actor: Actor,
    unit: Unit,
    dialog: Row,
    rows: Sequence[Row],
    lease: Row | None,
) -> Budget | None:
    """Commits a dialog of one question and its answer, the two `rows`; an answer from the cache
    needs no `lease`. Returns what is left of the limit.

    Raises:
        CountMessages, NotAuthenticated: as Limits.settle.
        IntegrityError: the question's client_id is taken.
    """
    question, answer = rows
    now = clock.now()
    values = _values("dialog", dialog) | _values("question", question) | _values("answer", answer)
    if lease is not None:
        values |= _values("lease", lease)
    statement = _COMMIT_ANSWERED if lease is None else _COMMIT
    async with db.statement_runner() as runner:
        user_rows = await runner.fetch(statement, user_id=actor.user_id, now=now, **values)
    return granted(user_rows, unit, now)


def _values(prefix: str, row: Row) -> Row:
    return {f"{prefix}_{name}": value for name, value in row.items()}
