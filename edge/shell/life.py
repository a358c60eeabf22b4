"""Where in its life the process is; written by the server, read by the doors."""


class Life:
    """Three stages: serving, leaving (answers close their connections), draining (no events).

    Attributes:
        is_leaving: SIGTERM came: not ready any more, every answer ends its connection.
        is_draining: The listeners are closed: late requests are refused with ``draining``.
    """

    def __init__(self) -> None:
        self.is_leaving = False
        self.is_draining = False

    def leave(self) -> None:
        """Begin to leave: readiness goes at once, requests are still served."""
        self.is_leaving = True

    def drain(self) -> None:
        """Take no more events."""
        self.is_leaving = True
        self.is_draining = True
