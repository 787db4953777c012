"""Whether the page that an event serves is still there."""

from reflex_base.event.context import EventContext
from reflex_base.registry import RegistrationContext


class Page:
    """The page of the present background event. A page that was loaded again is another one, and
    is served by its own events."""

    def __init__(self) -> None:
        namespace = RegistrationContext.get().app.event_namespace
        assert namespace is not None  # there is no event without it
        self._token = EventContext.get().token
        # not token_to_sid, which is a copy
        self._sockets = namespace._token_manager.token_to_socket
        self._socket = self._sockets.get(self._token)

    @property
    def is_there(self) -> bool:
        return self._socket is not None and self._sockets.get(self._token) is self._socket
