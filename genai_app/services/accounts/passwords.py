"""Argon2id hashes of local passwords. Apart from login.py because users.py needs them too.

Work is done in two threads of its own: it is slow and holds 19 MiB by design, so many logins at
once must neither stop the event loop nor fill the memory.
"""

import asyncio
import secrets
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

from genai_app.errors import InvalidInput

MIN_CHARACTERS = 8
MAX_BYTES = 1024

with warnings.catch_warnings():
    # passlib 1.7.4 (2020, the last one) imports `crypt` and reads `argon2.__version__`
    warnings.simplefilter("ignore", DeprecationWarning)
    from passlib.context import CryptContext  # pyright: ignore[reportMissingTypeStubs]

    # OWASP's second argon2id profile; passlib's own default takes 64 MiB a login
    _context: Any = CryptContext(
        schemes=["argon2"],
        argon2__type="ID",
        argon2__memory_cost=19456,
        argon2__time_cost=2,
        argon2__parallelism=1,
    )
    _context.handler().set_backend("argon2_cffi")

_threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="argon2")


def check_password(password: str) -> None:
    """Whether `password` may be given to an account.

    Raises:
        InvalidInput: weak_password: under 8 characters, over 1024 bytes, blank, or not text.
    """
    if len(password) < MIN_CHARACTERS or not password.strip() or not _hashable(password):
        raise InvalidInput(code="weak_password", limit=MIN_CHARACTERS, max_bytes=MAX_BYTES)


async def hash_password(password: str) -> str:
    """The argon2id hash to store. Checks nothing: what was good enough once may be hashed anew."""
    return await _in_thread(_context.hash, password)


async def verify_password(password: str, stored: str | None) -> bool:
    """Whether `password` is the one of the hash `stored`; as much work when there is none."""
    if stored is None or not _hashable(password):
        await _in_thread(_context.verify, "", _nobodys_hash())
        return False
    return await _in_thread(_context.verify, password, stored)


def needs_update(stored: str) -> bool:
    """Whether the hash `stored` was made with other costs than those of today."""
    return _context.needs_update(stored)


def prepare() -> None:
    """Make now what the first unknown name would wait for; it would be seen to be slower."""
    _nobodys_hash()


@cache
def _nobodys_hash() -> str:
    return _context.hash(secrets.token_urlsafe())


def _hashable(password: str) -> bool:
    try:
        return len(password.encode()) <= MAX_BYTES and "\0" not in password
    except UnicodeEncodeError:  # lone surrogates
        return False


async def _in_thread(work: Any, *arguments: str) -> Any:
    return await asyncio.get_running_loop().run_in_executor(_threads, work, *arguments)
