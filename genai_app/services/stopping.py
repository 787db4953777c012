"""The orderly end of this process, as its probes, its answers and its server see it."""


class Stopping:
    """Becomes `begun` when the process is told to stop, and stays so.

    From then on `/readyz` is 503 and every answer closes its connection, so that a proxy sends the
    next request to another process before this one refuses connections.
    """

    def __init__(self) -> None:
        self.begun = False

    def begin(self) -> None:
        """Marks the process as one that takes no new work for long."""
        self.begun = True
