"""The open event sockets of this process, by their names in Socket.IO."""

import uuid

# the session of each socket
open_sockets: dict[str, uuid.UUID] = {}
# the page that each socket shows: path and query at its last event
open_addresses: dict[str, str] = {}
