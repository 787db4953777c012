"""The presence of a page: an event may be served after its page is gone."""

from reflex_base.event.context import EventContext
from reflex_base.registry import RegistrationContext


class Page:
    """The page of the present background event. A page that was loaded again is another one, and
    is served by its own events."""

    def __init__(self) -> None:
        self._app = RegistrationContext.get().app
        namespace = self._app.event_namespace
        assert namespace is not None  # there is no event without it
        self._namespace = namespace.namespace
        self._token = EventContext.get().token
        # not token_to_sid, which is a copy
        self._sockets = namespace._token_manager.token_to_socket
        self._socket = self._sockets.get(self._token)

    @property
    def is_there(self) -> bool:
        socket = self._socket
        return (
            socket is not None
            and self._sockets.get(self._token) is socket
            and self._is_open(socket.sid)
        )

    def _is_open(self, sid: str) -> bool:
        """Returns whether the connection is open. Reflex learns of its end a moment later, and
        until then each delta would be a line in the log."""
        sio = self._app.sio
        if sio is None:
            return False
        connection = sio.manager.eio_sid_from_sid(sid, self._namespace)
        return connection in sio.eio.sockets
