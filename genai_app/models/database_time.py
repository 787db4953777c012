"""The database's clock in SQL statements, for times that several processes compare, as leases."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from genai_app.models.columns import UtcDateTime


class database_now(FunctionElement[datetime]):
    """The start time of the statement by the database's clock, plus `plus_s` seconds."""

    type = UtcDateTime()
    inherit_cache = True

    def __init__(self, plus_s: float = 0.0) -> None:
        super().__init__(sa.literal(plus_s, sa.Float))


@compiles(database_now, "postgresql")
def _postgresql(element: database_now, compiler: Any, **options: Any) -> str:
    seconds = compiler.process(element.clauses, **options)
    return f"(statement_timestamp() + make_interval(secs => {seconds}))"


@compiles(database_now, "sqlite")
def _sqlite(element: database_now, compiler: Any, **options: Any) -> str:
    # six digits, as SQLAlchemy writes times, because SQLite compares them as text
    seconds = compiler.process(element.clauses, **options)
    return f"(strftime('%Y-%m-%d %H:%M:%f', 'now', {seconds} || ' seconds') || '000')"
