"""The generator as who orders it sees it."""

from pathlib import Path
from typing import Any

from loadtests.bench.generator import Loader
from loadtests.overload.crowd import Course, Fate


class Conductor(Loader):
    """Orders, each done when its method returns.

    Each raises ``GeneratorError`` if an answer was neither an acceptance nor a proper refusal.
    """

    def stock(self, load: str, count: int) -> None:
        """Have so many requests of *load* ready."""
        self._order("prepare", load=load, count=count)

    def connect(self, address: tuple[str, int], connections: int) -> None:
        """Open *connections*; :meth:`hang_up` closes them."""
        host, port = address
        self._order("connect", host=host, port=port, connections=connections)

    def hang_up(self) -> None:
        """Close them."""
        self._order("hang up")

    def closed(self, seconds: float) -> Course:
        """Send as fast as answers come."""
        return _course(self._order("closed", seconds=seconds))

    def open(self, per_s: float, seconds: float) -> Course:
        """Send what falls due."""
        return _course(self._order("open", per_s=per_s, seconds=seconds, seed=round(per_s)))

    def list_accepted(self, path: Path) -> int:
        """Have the ids of all accepted events written there; return how many."""
        return int(self._order("accepted", path=str(path))["events"])


def _course(told: dict[str, Any]) -> Course:
    return Course(told["elapsed_ns"], told["due"], [Fate(*fate) for fate in told["fates"]])
