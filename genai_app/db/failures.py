"""Errors of the drivers and of SQLAlchemy, told apart: what is no bug becomes one of ours."""

import asyncpg  # pyright: ignore[reportMissingTypeStubs]
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_dbapi
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from genai_app.errors import StorageUnavailable

# SQLSTATE classes: connection, authorization, no such database, deadlock, out of resources, in use,
# shutting down or starting up, system error. asyncpg's own have no class of their own in SQLAlchemy
UNAVAILABLE_STATES = ("08", "28", "3D", "40", "53", "55", "57", "58")
UNDONE_STATES = ("40001", "40P01")  # serialization failure, deadlock


class Undone(StorageUnavailable):
    """Rolled back in favour of another transaction: nothing of it is there, and the same again may
    succeed at once."""


class translated:
    """Raises StorageUnavailable while the database is out of reach; lets other errors pass."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _type: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, asyncpg.UniqueViolationError):
            raise IntegrityError(None, None, error) from error
        if sqlstate_of(getattr(error, "orig", error)) in UNDONE_STATES:
            raise Undone(str(error)[:300]) from error
        lost = isinstance(
            error, OperationalError | InterfaceError | PoolTimeout | OSError
        ) or is_lost(error)
        if lost:
            raise StorageUnavailable(str(error)[:300]) from error


def is_lost(error: object) -> bool:
    """Returns whether the connection is lost, or the database cannot work now."""
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or sqlstate_of(error.orig)[:2] in UNAVAILABLE_STATES
    # of the driver itself: closed, not yet open, or (internal) at the server's last words
    if isinstance(error, asyncpg.InterfaceError | asyncpg.InternalClientError):
        return not isinstance(error, asyncpg.DataError)
    # the last as the dialect words it, for a connection that is taken without SQLAlchemy's engine
    has_state = isinstance(error, asyncpg.PostgresError | AsyncAdapt_asyncpg_dbapi.Error)
    return has_state and sqlstate_of(error)[:2] in UNAVAILABLE_STATES


def sqlstate_of(error: object) -> str:
    """Returns PostgreSQL's code of an error, or ""; its first two characters are a class."""
    return str(getattr(error, "sqlstate", None) or "")
