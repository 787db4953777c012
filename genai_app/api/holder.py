"""The caller of routes that scripts and browsers use, such as downloads: by bearer or by cookie."""

from typing import Annotated

from fastapi import Depends, Request

from genai_app.access import Actor
from genai_app.api.bearer import current_actor, get_bearer
from genai_app.errors import NotAuthenticated
from genai_app.services import services
from genai_app.services.accounts.current_actor import act_as
from genai_app.web.cookies import session_token, zone_of
from genai_app.web.origins import is_foreign
from genai_app.zones import set_viewer_zone


async def current_holder(request: Request) -> Actor:
    """Returns the owner of the bearer token, or without one the user of the browser's session.

    Raises NotAuthenticated, also if another site caused the browser's request.
    """
    if get_bearer(request) is not None:
        actor = await current_actor(request, None)
    else:
        token = None if is_foreign(request) else session_token(request.headers.get("cookie"))
        user = await services().sessions.find_actor(token)
        if user is None:
            raise NotAuthenticated
        act_as(actor := user)
        set_viewer_zone(zone_of(request.headers.get("cookie")))
    request.state.actor = actor
    return actor


Holder = Annotated[Actor, Depends(current_holder)]
