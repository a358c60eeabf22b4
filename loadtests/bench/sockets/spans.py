"""What many sockets hold while they do nothing, and how long a push takes to all of them."""

from dataclasses import dataclass
from typing import Final

from loadtests.bench.sockets.contest import Plan
from loadtests.bench.sockets.generator import SocketLoader
from loadtests.bench.subjects import Subject

WARMING: Final = 64  # sockets that come first and go again, so that all code is loaded


@dataclass(frozen=True, slots=True)
class Idle:
    """One server with sockets on which nothing happens but pings.

    Attributes:
        sockets: How many.
        before_bytes: Resident before they came; others had come and gone.
        after_bytes: Resident with them.
    """

    sockets: int
    before_bytes: int
    after_bytes: int

    @property
    def bytes_each(self) -> float:
        """What one of them added."""
        return (self.after_bytes - self.before_bytes) / self.sockets


def idle(subject: Subject, loader: SocketLoader, plan: Plan) -> Idle:
    """Keep sockets to *subject*, which was started for this, and look what it holds.

    Each is opened with a token of its own, has said one word and heard its answer.

    Raises:
        GeneratorError: An answer was wrong.
        SubjectError: A gateway does not answer.
    """
    with loader.opened(subject, min(WARMING, plan.idle)):
        loader.hold(0)
    if subject.is_gateway:
        subject.ask("/metrics")
    before_bytes = subject.rss_bytes()
    with loader.opened(subject, plan.idle):
        loader.hold(plan.hold_s)
        return Idle(plan.idle, before_bytes, subject.rss_bytes())


def pushed(gateway: Subject, url: str, loader: SocketLoader, plan: Plan) -> list[int]:
    """Publish pushes at *url* for sockets to *gateway*; return what each took, ns, ascending.

    Raises:
        GeneratorError: One did not arrive on every socket.
    """
    with loader.opened(gateway, plan.listeners):
        return loader.hear(url, pushes=plan.pushes, gap_s=plan.gap_s)
