"""More is asked than the node can do: what it does is done in time, the rest is refused in time.

In: a gateway and a generator, a core each; out: a row for each multiple of each load's
saturation, and one for the loss. The short form asks whether anything at all is refused properly
and nothing is lost; figures are the full form's, for which :mod:`loadtests.overload` is the tool.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from loadtests.overload.phases import CREWS, GOALS, SLOWER_MAX, Crew, Phase, Result, measure
from loadtests.overload.stage import Stage, stage
from tests.faults.row import Row, Scale, Tell

SECONDS: Final = 20.0  # of each phase: tens of thousands of requests, and thousands of batches
FLOOD: Final = Crew("single", few=1, many=512)
FLOOD_S: Final = 2.5  # a line must stand for half a second, and the late wait for one more
FLOOD_REQUESTS: Final = 40_000  # twice what the fastest machine so far takes in it
AFTER_S: Final = 0.3

LOSS: Final = "0 lost, each at the origin once"


def overload(scale: Scale, room: Path, tell: Tell) -> Iterable[Row]:
    """Ask for twice and five times what the node can do; or, in short, for too much.

    Raises:
        GeneratorError: An answer was neither an acceptance nor a proper refusal.
        SubjectError: The gateway did not start, or did not forward what it accepted.
    """
    with stage(room) as on_stage:
        if scale is Scale.SHORT:
            yield _flood(on_stage, tell)
        else:
            for crew in CREWS:
                result = measure(on_stage.gateway, on_stage.conductor, crew, SECONDS, tell)
                yield from _rows(result)
        events, faults = on_stage.settle()
    found = f"{events:,} accepted, {len(faults)} kinds of faults"
    yield Row("overload: what was accepted", LOSS, found, not faults, tuple(faults))


def _flood(on_stage: Stage, tell: Tell) -> Row:
    """Send as fast as answers come over far too many connections; then over one."""
    conductor = on_stage.conductor
    tell(f"{FLOOD.many} connections, {FLOOD_S} s")
    conductor.stock(FLOOD.load, FLOOD_REQUESTS)
    conductor.connect(on_stage.gateway.public, FLOOD.many)
    during = conductor.closed(FLOOD_S)
    conductor.hang_up()
    conductor.connect(on_stage.gateway.public, FLOOD.few)
    after = conductor.closed(AFTER_S)
    conductor.hang_up()
    accepted = sum(fate.is_accepted for fate in during.fates)
    refused = len(during.fates) - accepted
    is_well = all(fate.is_accepted for fate in after.fates)
    return Row(
        what=f"{FLOOD.many} connections that never pause",
        goal="some accepted, some refused with Retry-After; afterwards all is well",
        found=f"{accepted:,} accepted, {refused:,} refused; "
        f"afterwards {'all is' if is_well else 'not all is'} well",
        is_reached=bool(accepted and refused and after.fates and is_well),
    )


def _rows(result: Result) -> Iterator[Row]:
    for phase in result.phases:
        missed = result.misses(phase)
        yield Row(
            what=f"{phase.times:g} x saturation, {result.crew.load}, "
            f"{result.crew.many} connections",
            goal=f"≥ {GOALS[phase.times]:.0%} of it accepted, p99 ≤ {SLOWER_MAX:g} x baseline, "
            "the rest refused in ≤ 1 s",
            found=_found(result, phase),
            is_reached=not missed,
        )


def _found(result: Result, phase: Phase) -> str:
    slower = phase.p99_ms / result.baseline.p99_ms
    return (
        f"{result.share(phase):.0%} of {result.saturation_per_s:,.0f}/s, "
        f"p99 {phase.p99_ms:.0f} ms = {slower:.1f} x, {phase.refused_per_s:,.0f} refused/s, "
        f"the longest wait {phase.longest_refused_ms:,.0f} ms, RSS {phase.rss_bytes / 1e6:.0f} MB"
    )
