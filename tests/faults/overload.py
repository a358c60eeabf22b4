"""More is asked than the node can do: what it does is done in time, the rest is refused in time.

In: a gateway and a generator, a core each; out: a row for each multiple of each load's
saturation, and one for the loss. A multiple of the saturation is what falls due on a fixed set of
connections; a connection that waits for an answer sends nothing meanwhile, so what the node really
is asked is less, and told beside it. The short form asks whether anything at all is refused properly
and nothing is lost; figures are the full form's, for which :mod:`loadtests.overload` is the tool.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from loadtests.overload.phases import (
    CREWS,
    GOALS,
    MEMORY_MAX_BYTES,
    SLOWER_MAX,
    TOLERANCE_MS,
    WAIT_MS_MAX,
    Crew,
    Phase,
    Result,
    measure,
    typical,
)
from loadtests.overload.stage import Stage, stage
from tests.faults.row import Row, Scale, Tell

SECONDS: Final = 6.0  # of each phase: tens of thousands of requests, and thousands of batches
ROUNDS: Final = 5  # a machine drifts: the middle one counts
FLOOD: Final = Crew("single", few=1, many=512)
FLOOD_S: Final = 2.5  # a line must stand for half a second, and the late wait for one more
FLOOD_REQUESTS: Final = 40_000  # twice what the fastest machine so far takes in it
AFTER_S: Final = 0.3
AFTER_MAX: Final = 50  # tries until nobody is refused: an overload fades within seconds

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
                rounds = [
                    measure(on_stage.gateway, on_stage.conductor, crew, SECONDS, tell)
                    for _ in range(ROUNDS)
                ]
                yield from _rows(typical(rounds))
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
    afterwards = (conductor.closed(AFTER_S).fates for _ in range(AFTER_MAX))
    is_well = any(fates and all(fate.is_accepted for fate in fates) for fates in afterwards)
    conductor.hang_up()
    accepted = sum(fate.is_accepted for fate in during.fates)
    refused = len(during.fates) - accepted
    return Row(
        what=f"{FLOOD.many} connections that never pause",
        goal="some accepted, some refused with Retry-After; afterwards all is well",
        found=f"{accepted:,} accepted, {refused:,} refused; "
        f"afterwards {'all is' if is_well else 'not all is'} well",
        is_reached=bool(accepted and refused and is_well),
    )


def _rows(result: Result) -> Iterator[Row]:
    for phase in result.phases:
        missed = result.misses(phase)
        yield Row(
            what=f"{phase.times:g} x saturation falls due, {result.crew.load}, "
            f"{result.crew.many} connections, of which those that wait send nothing",
            goal=f"≥ {GOALS[phase.times]:.0%} of it accepted, p99 ≤ {SLOWER_MAX:g} x baseline, "
            f"the others unsent, or refused, each in ≤ {WAIT_MS_MAX / 1e3:g} s (and {TOLERANCE_MS:.0f} ms for a "
            "turn of the loop, and the generator's), "
            f"RSS ≤ node.memory_max = {MEMORY_MAX_BYTES >> 20} MiB",
            found=_found(result, phase),
            is_reached=not missed,
            faults=tuple(missed),
        )


def _found(result: Result, phase: Phase) -> str:
    slower = result.slower(phase)
    return (
        f"{phase.sent_per_s:,.0f}/s sent of {phase.offered_per_s:,.0f}/s due, "
        f"{result.share(phase):.0%} of {result.saturation_per_s:,.0f}/s accepted, "
        f"p99 {phase.p99_ms:.0f} ms = {slower:.1f} x, {phase.refused_per_s:,.0f} refused/s, "
        f"the longest wait {phase.longest_refused_ms:,.0f} ms, RSS {phase.rss_bytes >> 20} MiB"
    )
