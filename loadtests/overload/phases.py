"""Who is asked for what: saturation, baseline, twice, five times; and what is told of it.

In: a gateway that runs and a generator; out: one :class:`Phase` each, and the verdict.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Final

from loadtests.bench.figures import percentile
from loadtests.bench.scenario import LOADS
from loadtests.bench.subjects import Subject
from loadtests.overload.conductor import Conductor
from loadtests.overload.crowd import NS_PER_S, Course, Fate

BASELINE: Final = 0.7  # a node that is well run
FIRST_NS: Final = 1 * NS_PER_S  # of a phase: the node finds out
FIRST_S: Final = FIRST_NS / NS_PER_S

WAIT_MS_MAX: Final = 1_000.0
TOLERANCE_MS: Final = 250.0
"""A node looks for who waited in vain once in a turn of its loop, and the generator reads the
clock when it comes to look, behind what it has to send."""

MEMORY_MAX_BYTES: Final = 384 << 20
"""``node.memory_max``: about the least that is accepted with tables of the default size."""

GOALS: Final = {2.0: 0.9, 5.0: 0.7}
"""Share of the saturation that is accepted, by how many times it is offered."""

_MIDDLE: Final = (
    *("offered_per_s", "sent_per_s", "accepted_per_s", "refused_per_s"),
    *("p50_ms", "p99_ms", "kept_off"),
)

SLOWER_MAX: Final = 3.0  # accepted p99 against the baseline's


@dataclass(frozen=True, slots=True)
class Crew:
    """One kind of load, and who brings it.

    Attributes:
        load: Its name.
        few: Connections of the closed loop that finds the saturation.
        many: Connections of everything else.
    """

    load: str
    few: int
    many: int


CREWS: Final = (Crew("single", 64, 512), Crew("batch", 16, 128))


@dataclass(frozen=True, slots=True)
class Phase:
    """What came of one phase, its first second left out.

    Attributes:
        times: Of the saturation, that fell due.
        offered_per_s: Requests that fell due, whether or not they could be sent.
        sent_per_s: Of them, those whose connection was free: what the node really was asked.
        accepted_per_s: Of those.
        refused_per_s: The rest of those.
        p50_ms: Of the accepted.
        p99_ms: Of the accepted.
        longest_refused_ms: Of the whole phase.
        kept_off: Share of the phase in which the loop could have run and another thread had the
            core: the gateway's own, or, if it is much more than at the baseline, a neighbour's.
        rss_bytes: The most it held in the whole phase.
    """

    times: float
    offered_per_s: float
    sent_per_s: float
    accepted_per_s: float
    refused_per_s: float
    p50_ms: float
    p99_ms: float
    longest_refused_ms: float
    kept_off: float
    rss_bytes: int


@dataclass(frozen=True, slots=True)
class Result:
    """One load.

    Attributes:
        crew: Which.
        saturation_per_s: Requests accepted per second in a closed loop.
        baseline: At 0.7 of it.
        phases: The others.
    """

    crew: Crew
    saturation_per_s: float
    baseline: Phase
    phases: Sequence[Phase]

    def share(self, phase: Phase) -> float:
        """Return what is accepted, of the saturation."""
        return phase.accepted_per_s / self.saturation_per_s

    def slower(self, phase: Phase) -> float:
        """Return the p99 of what is accepted, of the baseline's."""
        return phase.p99_ms / self.baseline.p99_ms

    def misses(self, phase: Phase) -> list[str]:
        """Say which goals *phase* misses."""
        share, slower = self.share(phase), self.slower(phase)
        # Twice as much may find enough connections busy, and all that is sent be served in time.
        must_refuse = phase.times == max(GOALS)
        checks = {
            f"holds {phase.rss_bytes >> 20} MiB": phase.rss_bytes <= MEMORY_MAX_BYTES,
            "refuses nothing: it was no overload": phase.refused_per_s > 0 or not must_refuse,
            f"accepts {share:.2f} of the saturation": share >= GOALS[phase.times],
            f"p99 is {slower:.1f} times the baseline's": slower <= SLOWER_MAX,
            f"a refused one waited {phase.longest_refused_ms:.0f} ms": (
                phase.longest_refused_ms <= WAIT_MS_MAX + TOLERANCE_MS
            ),
        }
        return [what for what, is_reached in checks.items() if not is_reached]


def measure(
    gateway: Subject,
    conductor: Conductor,
    crew: Crew,
    seconds: float,
    tell: Callable[[str], object],
) -> Result:
    """Find the saturation, then ask for shares and multiples of it.

    Args:
        gateway: Has only this to do.
        conductor: Whose tokens it believes.
        crew: Who sends what.
        seconds: Of each phase, besides its first.
        tell: Is told what comes next.

    Raises:
        GeneratorError: An answer was neither an acceptance nor a proper refusal.
        SubjectError: The gateway does not forward what it accepted.
    """
    tell(f"{crew.load}: saturation over {crew.few} connections")
    conductor.stock(crew.load, _enough(crew.load, seconds))
    conductor.connect(gateway.public, crew.few)
    course = conductor.closed(seconds + FIRST_S)
    conductor.hang_up()
    gateway.cpu_when_forwarded_ns()
    saturation_per_s = _per_s([fate for fate in _late(course) if fate.is_accepted], course)
    phases: list[Phase] = []
    for times in (BASELINE, *GOALS):
        tell(f"{crew.load}: {times:.1f} x {saturation_per_s:,.0f}/s, {crew.many} connections")
        conductor.stock(
            crew.load, round(1.5 * saturation_per_s * (seconds + FIRST_S)) + crew.many
        )
        conductor.connect(gateway.public, crew.many)
        gateway.forget_peak()
        off_ns = gateway.kept_off_ns()
        course = conductor.open(times * saturation_per_s, seconds + FIRST_S)
        kept_off = (gateway.kept_off_ns() - off_ns) / course.elapsed_ns
        conductor.hang_up()
        gateway.cpu_when_forwarded_ns()
        phases.append(_phase(times, course, kept_off, gateway.peak_bytes()))
    return Result(crew, saturation_per_s, phases[0], phases[1:])


def typical(rounds: Sequence[Result]) -> Result:
    """Put rounds of one crew together; a machine drifts, so each is its own measure.

    Shares and multiples are the medians of the rounds', as are all figures but those that must
    never be exceeded: of these it is the largest.
    """
    saturation_per_s = median(each.saturation_per_s for each in rounds)
    baseline = _middle([each.baseline for each in rounds])
    phases = [
        _middle(
            [
                replace(
                    phase,
                    accepted_per_s=each.share(phase) * saturation_per_s,
                    p99_ms=each.slower(phase) * baseline.p99_ms,
                )
                for each, phase in zip(rounds, same, strict=True)
            ]
        )
        for same in zip(*(each.phases for each in rounds), strict=True)
    ]
    return Result(rounds[0].crew, saturation_per_s, baseline, phases)


def _middle(phases: Sequence[Phase]) -> Phase:
    middle = {each: median(getattr(phase, each) for phase in phases) for each in _MIDDLE}
    return replace(
        phases[0],
        **middle,
        longest_refused_ms=max(phase.longest_refused_ms for phase in phases),
        rss_bytes=max(phase.rss_bytes for phase in phases),
    )


def _enough(load: str, seconds: float) -> int:
    """More than any machine takes in a closed loop."""
    events = next(each.events for each in LOADS if each.name == load)
    return round((seconds + FIRST_S) * (20_000 if events == 1 else 2_000))


def _phase(times: float, course: Course, kept_off: float, rss_bytes: int) -> Phase:
    late = _late(course)
    accepted_ns = sorted(fate.took_ns for fate in late if fate.is_accepted)
    refused = [fate for fate in late if not fate.is_accepted]
    longest_ns = max((f.took_ns for f in course.fates if not f.is_accepted), default=0)
    return Phase(
        times=times,
        offered_per_s=course.due * NS_PER_S / course.elapsed_ns,
        sent_per_s=_per_s(late, course),
        accepted_per_s=len(accepted_ns) * NS_PER_S / (course.elapsed_ns - FIRST_NS),
        refused_per_s=_per_s(refused, course),
        p50_ms=percentile(accepted_ns, 0.5) / 1e6,
        p99_ms=percentile(accepted_ns, 0.99) / 1e6,
        longest_refused_ms=longest_ns / 1e6,
        kept_off=kept_off,
        rss_bytes=rss_bytes,
    )


def _late(course: Course) -> list[Fate]:
    """Leave out the first second, and what was only answered behind the end."""
    return [
        fate
        for fate in course.fates
        if fate.began_ns >= FIRST_NS and fate.began_ns + fate.took_ns <= course.elapsed_ns
    ]


def _per_s(fates: Sequence[Fate], course: Course) -> float:
    return len(fates) * NS_PER_S / (course.elapsed_ns - FIRST_NS)
