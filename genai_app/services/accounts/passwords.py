"""Argon2id hashes of local passwords.

A hash takes long and 19 MiB of memory by design. Two threads compute them, so that many concurrent
logins neither block the event loop nor fill the memory.
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

    # the second argon2id profile of OWASP; the default of passlib needs 64 MiB for each login
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
    """Raises InvalidInput (weak_password) for a password with fewer than 8 characters, with more
    than 1024 bytes, of spaces only, or that is not valid text."""
    if len(password) < MIN_CHARACTERS or not password.strip() or not _hashable(password):
        raise InvalidInput(code="weak_password", limit=MIN_CHARACTERS, max_bytes=MAX_BYTES)


async def hash_password(password: str) -> str:
    """Returns the argon2id hash to store. Does not check the password, because an old one may be
    rehashed that would be too weak today."""
    return await _in_thread(_context.hash, password)


async def verify_password(password: str, stored: str | None) -> bool:
    """Returns whether `password` fits the hash `stored`. Takes the same time when `stored` is
    None."""
    if stored is None or not _hashable(password):
        await _in_thread(_context.verify, "", _dummy_hash())
        return False
    return await _in_thread(_context.verify, password, stored)


def needs_update(stored: str) -> bool:
    """Returns whether the hash `stored` was made with other parameters than the present ones."""
    return _context.needs_update(stored)


def prepare() -> None:
    """Computes the dummy hash, so that the first login with an unknown name is not slower."""
    _dummy_hash()


@cache
def _dummy_hash() -> str:
    return _context.hash(secrets.token_urlsafe())


def _hashable(password: str) -> bool:
    try:
        return len(password.encode()) <= MAX_BYTES and "\0" not in password
    except UnicodeEncodeError:  # lone surrogates
        return False


async def _in_thread(work: Any, *arguments: str) -> Any:
    return await asyncio.get_running_loop().run_in_executor(_threads, work, *arguments)
