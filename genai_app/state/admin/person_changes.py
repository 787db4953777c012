"""Changes of the account that is open at `/admin/users`."""

from collections.abc import Awaitable, Callable
from typing import Any

import reflex as rx

from genai_app.errors import AppError
from genai_app.models import Role
from genai_app.rights import allowed
from genai_app.services import services
from genai_app.services.accounts.current_actor import acting
from genai_app.state.admin.people import PeopleState, PersonState

MAX_FIELD = 200


class PersonChangesState(rx.State):
    """Changes the account that PersonState shows. After each change the account and the list are
    read again."""

    @rx.event
    @allowed(Role.ADMIN)
    async def give_role(self, role: str):
        if role in set(Role):
            await self._apply(services().account_changes.set_role, Role(role))

    @rx.event
    @allowed(Role.ADMIN)
    async def give_limit(self, text: str):
        if isinstance(text, str):
            await self._apply(services().account_changes.set_limit, text[:MAX_FIELD])

    @rx.event
    @allowed(Role.ADMIN)
    async def move(self, department: str):
        if isinstance(department, str):
            await self._apply(services().account_changes.set_department, department[:MAX_FIELD])

    @rx.event
    @allowed(Role.ADMIN)
    async def disable(self):
        await self._apply(services().account_changes.disable)

    @rx.event
    @allowed(Role.ADMIN)
    async def enable(self):
        await self._apply(services().account_changes.enable)

    @rx.event
    @allowed(Role.ADMIN)
    async def unlock(self):
        await self._apply(services().account_changes.unlock)

    @rx.event
    @allowed(Role.ADMIN)
    async def end_login(self, session_id: str):
        await self._apply(services().account_changes.end_sessions, session_id)

    @rx.event
    @allowed(Role.ADMIN)
    async def end_logins(self):
        await self._apply(services().account_changes.end_sessions)

    @rx.event
    @allowed(Role.ADMIN)
    async def revoke(self, key_id: str):
        await self._apply(services().account_changes.revoke_key, key_id)

    async def _apply(self, change: Callable[..., Awaitable[Any]], *arguments: object) -> None:
        """Calls a method of AccountChanges for the open account and shows the result."""
        person = await self.get_state(PersonState)
        try:
            await change(acting(), person.id, *arguments)
        except AppError as error:
            person.error_code = error.code
            return
        await person._load(person.id)
        await (await self.get_state(PeopleState))._load()
