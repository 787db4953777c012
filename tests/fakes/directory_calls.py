"""Calls to a directory that are to fail, and how."""

from collections.abc import Awaitable, Callable, Mapping
from typing import cast

import pytest

from genai_app.adapters.directory.client import Directory
from genai_app.errors import AppError, DirectoryUnavailable, Forbidden, NotAuthenticated
from tests.fakes.ldap_server import LdapServer

MakeDirectory = Callable[..., Directory]
MakeLdapServer = Callable[..., LdapServer]


async def refusal(login: Awaitable[object]) -> str:
    """Why a login was refused in the words for a wrong password; anything else is an error."""
    with pytest.raises(NotAuthenticated) as caught:
        await login
    assert caught.value.code == "wrong_credentials"
    return caught.value.detail


async def stated_refusal(login: Awaitable[object]) -> str:
    """Why a login with the right password was refused, as its user reads it."""
    with pytest.raises(Forbidden) as caught:
        await login
    assert caught.value.code == f"account_{caught.value.detail}"
    assert caught.value.user_text("ru").startswith("Пароль верный")
    return caught.value.detail


async def failure(call: Awaitable[object]) -> str:
    """Why the directory did not serve; anything else, "wrong password" too, is an error."""
    with pytest.raises(AppError) as caught:
        await call
    assert type(caught.value) is DirectoryUnavailable, caught.value.detail
    return caught.value.detail


def as_environment(settings: Mapping[str, object]) -> dict[str, str]:
    """Settings of a directory as AppProcess hands them on: lists joined as the product splits
    them."""
    return {
        name: (("," if name == "ldap_urls" else ";").join(map(str, cast("tuple[str, ...]", value))))
        if isinstance(value, tuple)
        else str(value)
        for name, value in settings.items()
    }
