"""Is this node short of something? Each part's own answer in, one for all who ask out.

Under pressure telemetry is shed (:mod:`edge.core.shed`): what is scarce is left to those who are
never shed. Asked for each event of telemetry, so each answer is a look at what others found out.
"""

from collections.abc import Callable, Mapping
from typing import Final

from typing_extensions import override

from edge.core import shed


class Pressure(shed.Pressure):
    """All that telemetry is shed for.

    Args:
        signals: By what is scarce, whether it is. Another reason to shed is another row.
    """

    def __init__(self, signals: Mapping[str, Callable[[], bool]]) -> None:
        self._signals: Final = signals
        self._answers: Final = tuple(signals.values())

    @property
    @override
    def is_high(self) -> bool:
        """Whether anything is scarce."""
        for is_scarce in self._answers:  # noqa: SIM110  # any() makes a generator: twice the time
            if is_scarce():
                return True
        return False

    def causes(self) -> dict[str, bool]:
        """Tell of each, whether it is scarce."""
        return {name: is_scarce() for name, is_scarce in self._signals.items()}
