"""What was measured, as tables for people, as JSON, and as the block in README."""

import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from loadtests.bench.figures import Spread, percentile_ms, ratio
from loadtests.bench.rounds import PACED_SHARE, Course
from loadtests.bench.scenario import LOADS

BEGIN: Final = "<!-- bench: make bench -->"
END: Final = "<!-- end of bench -->"

_RATES: Final = (
    *("load", "subject", "requests/s", "events/s", "events per CPU-s"),
    *("of the empty one", "p50 ms", "p99 ms", "RSS MB"),
)
_PACED: Final = (f"at {PACED_SHARE:.0%} load", "subject", "requests/s", "p50 ms", "p99 ms")


@dataclass(frozen=True, slots=True)
class Report:
    """One run, told.

    Attributes:
        course: What was measured.
        names: The subjects in their order: the empty application, the gateway, others.
    """

    course: Course
    names: Sequence[str]

    def text(self) -> str:
        """Write tables and comparisons, in Markdown."""
        rates = [self._rates(load.name, name) for load in LOADS for name in self.names]
        parts = [
            f"{machine()}; medians of {len(self.course.syncs_ns)} rounds (quartiles).",
            table(_RATES, 2, rates),
            table(_PACED, 2, self._paced()),
        ]
        if comparisons := list(self._comparisons()):
            parts.append("\n".join(comparisons))
        return "\n\n".join(parts)

    def document(self) -> dict[str, Any]:
        """Return all figures, for other programs."""
        return {
            "machine": machine(),
            "rounds": len(self.course.syncs_ns),
            "fdatasync": self._device(),
            "slices": [
                {
                    "load": load.name,
                    "subject": name,
                    "requests_per_s": self._all(load.name, name, "requests_per_s"),
                    "events_per_s": self._all(load.name, name, "events_per_s"),
                    "events_per_cpu_s": self._all(load.name, name, "events_per_cpu_s"),
                    "rss_bytes": self._all(load.name, name, "rss_bytes"),
                    "p50_ms": self._percentile_ms(load.name, name, 0.5),
                    "p99_ms": self._percentile_ms(load.name, name, 0.99),
                }
                for load in LOADS
                for name in self.names
            ],
            "paced": [
                {
                    "load": load,
                    "subject": name,
                    "requests_per_s": paced.requests_per_s,
                    "p50_ms": paced.p50_ms,
                    "p99_ms": paced.p99_ms,
                }
                for (load, name), paced in self.course.paced.items()
            ],
        }

    def _rates(self, load: str, name: str) -> tuple[str, ...]:
        per_cpu_s = Spread.of(self._all(load, name, "events_per_cpu_s")).median
        return (
            load,
            name,
            f"{Spread.of(self._all(load, name, 'requests_per_s')).median:,.0f}",
            f"{Spread.of(self._all(load, name, 'events_per_s')).median:,.0f}",
            f"{per_cpu_s:,.0f}",
            "1" if name == self.names[0] else self._ratio(load, name, self.names[0]),
            f"{self._percentile_ms(load, name, 0.5):.1f}",
            f"{self._percentile_ms(load, name, 0.99):.1f}",
            f"{max(self._all(load, name, 'rss_bytes')) / 1e6:.0f}",
        )

    def _paced(self) -> Iterable[tuple[str, ...]]:
        device = self._device()
        p50_ms, p99_ms = f"{device['p50_ms']:.1f}", f"{device['p99_ms']:.1f}"
        yield "none", "the disk alone: 4 KiB and fdatasync", "", p50_ms, p99_ms
        for (load, name), paced in self.course.paced.items():
            p50_ms, p99_ms = f"{paced.p50_ms:.1f}", f"{paced.p99_ms:.1f}"
            yield load, name, f"{paced.requests_per_s:,.0f}", p50_ms, p99_ms

    def _comparisons(self) -> Iterable[str]:
        """Divide the gateway by each of the others, but for the empty application."""
        _, gateway, *others = self.names
        for other in others:
            ratios = [f"{load.name} {self._ratio(load.name, gateway, other)}" for load in LOADS]
            yield f"- events per CPU-s, {gateway} / {other}: {', '.join(ratios)}"

    def _ratio(self, load: str, name: str, other: str) -> str:
        slices = self.course.slices
        spread = ratio(slices[load, name], slices[load, other])
        return f"{spread.median:.3f} ({spread.low:.3f}, {spread.high:.3f})"

    def _all(self, load: str, name: str, figure: str) -> list[float]:
        return [getattr(each, figure) for each in self.course.slices[load, name]]

    def _percentile_ms(self, load: str, name: str, share: float) -> float:
        slices = self.course.slices[load, name]
        return percentile_ms([each.latencies_ns for each in slices], share)

    def _device(self) -> dict[str, float]:
        syncs_ns = self.course.syncs_ns
        return {
            "p50_ms": percentile_ms(syncs_ns, 0.5),
            "p99_ms": percentile_ms(syncs_ns, 0.99),
        }


def table(heads: Sequence[str], texts: int, rows: Iterable[Sequence[str]]) -> str:
    """Write a Markdown table whose first *texts* columns are words, the rest numbers."""
    rule = ["---"] * texts + ["---:"] * (len(heads) - texts)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, rule, *rows))


def machine() -> str:
    """Tell what it runs on, without telling whose it is."""
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    model = f"{len(names)} cores of {names[0]}" if names else platform.machine()
    return f"{model}, {platform.system()}, Python {platform.python_version()}"


def replace_block(document: str, fresh: str, begin: str = BEGIN, end: str = END) -> str:
    """Put *fresh* between the two marks.

    Raises:
        ValueError: They are not there.
    """
    before, has_begun, rest = document.partition(begin)
    _, has_ended, after = rest.partition(end)
    if not has_begun or not has_ended:
        raise ValueError(f"no lines {begin} and {end}")
    return f"{before}{begin}\n{fresh}\n{end}{after}"
