"""Reader of Server-Sent Events.

On bytes, not text: line readers of HTTP libraries also split at U+2028 and U+0085, which stand
unescaped inside JSON strings and would tear an event apart.
"""

from genai_app.errors import ModelFailed

MAX_EVENT_BYTES = 1024 * 1024
BOM = b"\xef\xbb\xbf"


class SseDecoder:
    """Turns reads of any size into the data of whole events.

    Only `data` fields count; comments, `event`, `id` and `retry` are dropped. Several data lines
    of one event are joined by a line feed. Lines end at LF, CRLF or CR.

    Args:
        max_event_bytes: an event, or a line of any kind, longer than this is an error.
    """

    def __init__(self, *, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max = max_event_bytes
        self._between_events = True  # nothing is kept from earlier reads
        self._line = bytearray()  # the begin of a line whose end has not come
        self._data: list[bytes] = []  # the data lines of the event at hand
        self._size = 0  # bytes in _data
        self._after_cr = False  # an LF that comes next belongs to a CR already seen
        self._first_line = True  # only there may a byte order mark stand

    def feed(self, data: bytes) -> list[bytes]:
        """Returns the data of each event that these bytes complete.

        Raises:
            ModelFailed: an event is larger than the bound.
        """
        if (
            self._between_events
            and data.startswith(b"data: ")
            and data.endswith(b"\n\n")
            and b"\r" not in data
            and len(data) <= self._max
        ):
            events = data[6:-2].split(b"\n\ndata: ")
            if data.count(b"\n") == 2 * len(events):  # else a line of another kind is among them
                self._after_cr = self._first_line = False
                return events
        return self._feed_lines(data)

    def end(self) -> list[bytes]:
        """Returns the last event of a stream without a blank line at its end. Call it once."""
        self._after_cr = False
        return self._feed_lines(b"\n\n" if self._line else b"\n")

    def _feed_lines(self, data: bytes) -> list[bytes]:
        if not data:
            return []
        if self._after_cr and data.startswith(b"\n"):
            data = data[1:]
            self._after_cr = False
            if not data:
                return []
        self._after_cr = data.endswith(b"\r")
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        begin, newline, rest = data.partition(b"\n")
        self._line += begin
        events: list[bytes] = []
        if newline:
            lines = rest.split(b"\n")
            self._take(bytes(self._line), events)
            self._line = bytearray(lines.pop())
            for line in lines:
                self._take(line, events)
        self._bound(len(self._line))
        self._between_events = not self._line and not self._data
        return events

    def _take(self, line: bytes, events: list[bytes]) -> None:
        self._bound(len(line))
        if self._first_line:
            self._first_line = False
            line = line.removeprefix(BOM)
        if not line:
            if self._data:
                events.append(b"\n".join(self._data))
                self._data.clear()
                self._size = 0
            return
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
            self._size += len(value)

    def _bound(self, more: int) -> None:
        if self._size + more > self._max:
            raise ModelFailed(f"an event of the model server is over {self._max} bytes")
