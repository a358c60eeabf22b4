"""What was measured on sockets, as tables for people, as JSON, and as the block in README."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from loadtests.bench.figures import Slice, Spread, percentile, ratio
from loadtests.bench.report import machine, table
from loadtests.bench.sockets.contest import (
    ECHO,
    GATHERED,
    HTTP,
    MANY,
    SOCKET,
    Load,
    Plan,
    Row,
)
from loadtests.bench.sockets.spans import Idle

BEGIN: Final = "<!-- sockets: make bench -->"
END: Final = "<!-- end of sockets -->"

KIB: Final = 1024

_RATES: Final = (
    *("events", "sockets", "under way", "subject", "messages/s", "events/s"),
    *("messages per CPU-s", "of the echo"),
)
_IDLE: Final = ("idle sockets", "subject", "KiB each")
_PUSHES: Final = ("pushes", "to sockets", "p50 ms", "p99 ms", "slowest ms")


@dataclass(frozen=True, slots=True)
class Report:
    """One run, told.

    Attributes:
        plan: How much was asked.
        slices: One per round.
        idle: By name; or why there are none.
        pushes_ns: What each took to each socket, ascending; or why there are none.
    """

    plan: Plan
    slices: Mapping[Row, Sequence[Slice]]
    idle: Mapping[str, Idle] | str
    pushes_ns: Sequence[int] | str

    def text(self) -> str:
        """Write tables and comparisons, in Markdown."""
        plan = self.plan
        head = f"{machine()}; medians of {plan.rounds} rounds (quartiles)."
        parts = (
            head,
            table(_RATES, 4, map(self._rate, self.slices)),
            f"- events per CPU-s, {MANY} a message on a socket / {MANY} a batch by HTTP: "
            + _told(self._against_http()),
            self._idle_text(),
            self._pushes_text(),
        )
        return "\n\n".join(parts)

    def document(self) -> dict[str, Any]:
        """Return all figures, for other programs."""
        return {
            "machine": machine(),
            "rounds": self.plan.rounds,
            "slices": [
                {
                    "events_per_message": load.events,
                    "sockets": load.sockets,
                    "window": load.window,
                    "subject": name,
                    "messages_per_s": [each.requests_per_s for each in slices],
                    "events_per_s": [each.events_per_s for each in slices],
                    "events_per_cpu_s": [each.events_per_cpu_s for each in slices],
                    "rss_bytes": [each.rss_bytes for each in slices],
                }
                for (load, name), slices in self.slices.items()
            ],
            "of_the_echo": [
                {
                    "events_per_message": load.events,
                    "sockets": load.sockets,
                    "window": load.window,
                    "median": self._of_the_echo(load).median,
                }
                for load in self.plan.messages
            ],
            "of_http": self._against_http().median,
            "idle": self._idle_document(),
            "pushes": self._pushes_document(),
        }

    def _rate(self, row: Row) -> tuple[str, ...]:
        load, name = row
        slices = self.slices[row]
        per_cpu_s = Spread.of([each.events_per_cpu_s / load.events for each in slices]).median
        shares = {ECHO: "1", HTTP: ""}
        return (
            str(load.events),
            str(load.sockets),
            str(load.window),
            name,
            f"{Spread.of([each.requests_per_s for each in slices]).median:,.0f}",
            f"{Spread.of([each.events_per_s for each in slices]).median:,.0f}",
            f"{per_cpu_s:,.0f}",
            shares[name] if name in shares else _told(self._of_the_echo(load)),
        )

    def _of_the_echo(self, load: Load) -> Spread:
        return ratio(self.slices[load, SOCKET], self.slices[load, ECHO])

    def _against_http(self) -> Spread:
        return ratio(self.slices[GATHERED, SOCKET], self.slices[GATHERED, HTTP])

    def _idle_text(self) -> str:
        if isinstance(self.idle, str):
            return self.idle
        return table(_IDLE, 2, _idle_rows(self.idle))

    def _idle_document(self) -> object:
        if isinstance(self.idle, str):
            return self.idle
        return {
            name: {
                "sockets": each.sockets,
                "before_bytes": each.before_bytes,
                "after_bytes": each.after_bytes,
                "bytes_each": each.bytes_each,
            }
            for name, each in self.idle.items()
        }

    def _pushes_text(self) -> str:
        if isinstance(self.pushes_ns, str):
            return self.pushes_ns
        told = [f"{ms:.1f}" for ms in _times_ms(self.pushes_ns)]
        counts = str(self.plan.pushes), f"{self.plan.listeners:,}"
        return table(_PUSHES, 0, [(*counts, *told)])

    def _pushes_document(self) -> object:
        if isinstance(self.pushes_ns, str):
            return self.pushes_ns
        p50_ms, p99_ms, slowest_ms = _times_ms(self.pushes_ns)
        return {
            "pushes": self.plan.pushes,
            "sockets": self.plan.listeners,
            "p50_ms": p50_ms,
            "p99_ms": p99_ms,
            "slowest_ms": slowest_ms,
        }


def _idle_rows(idle: Mapping[str, Idle]) -> Iterable[tuple[str, ...]]:
    for name, each in idle.items():
        yield f"{each.sockets:,}", name, f"{each.bytes_each / KIB:.1f}"
    echo, gateway = idle[ECHO], idle[SOCKET]
    beyond = gateway.bytes_each - echo.bytes_each
    yield "", "the gateway's beyond the echo's", f"{beyond / KIB:.1f}"


def _times_ms(ascending_ns: Sequence[int]) -> tuple[float, float, float]:
    """Return p50, p99 and the slowest."""
    p50_ns, p99_ns = percentile(ascending_ns, 0.5), percentile(ascending_ns, 0.99)
    return p50_ns / 1e6, p99_ns / 1e6, ascending_ns[-1] / 1e6


def _told(spread: Spread) -> str:
    return f"{spread.median:.3f} ({spread.low:.3f}, {spread.high:.3f})"
