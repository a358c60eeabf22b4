"""``edge demo``: one evening from the first line to the exit code.

In: a seed, and where to print. Out: 0 only if every sum of the closing account comes out.
Everything it starts it stops, and everything it writes lies in a temporary directory that goes
with it, also after Ctrl-C.
"""

import asyncio
import json
import random
import signal
import subprocess
import sys
import time
from typing import Final, TextIO, cast

from edge.demo import account, audit
from edge.demo.floor import TRICKSTER, play
from edge.demo.gateway import Gateway, GatewayError
from edge.demo.invitation import invitation
from edge.demo.metrics import Counters
from edge.demo.mischief import TABLE
from edge.demo.narrator import Narrator
from edge.demo.speaker import UnsettledError
from edge.demo.stage import Stage, set_stage

# Of play; starting, killing, draining and comparing take about ten more.
SECONDS: Final = 24.0
# The backlog of an evening is gone in well under a second; ten are an outage.
DRAIN_TIMEOUT_S: Final = 10.0
DRAIN_POLL_S: Final = 0.1
# It reads a few MB.
AUDIT_TIMEOUT_S: Final = 30.0


def main(
    *, seed: int | None = None, is_kept: bool = False, out: TextIO, seconds: float = SECONDS
) -> int:
    """Play one evening and print its account.

    Args:
        seed: Of all chance; ``None`` draws one, and the first line names it.
        is_kept: Stay up at the end, until Ctrl-C.
        out: Where to print.
        seconds: How long the players play.

    Returns:
        0 if every sum comes out, else 1.
    """
    if seed is None:
        seed = random.SystemRandom().randrange(10**6)
    narrator = Narrator(out)
    narrator.tell(f"an evening at the casino, seed {seed} (--seed {seed} plays it again)")
    with set_stage(seed, seconds, narrator) as stage:
        try:
            faults = asyncio.run(_evening(stage, is_kept=is_kept))
        except* (GatewayError, UnsettledError) as failed:
            faults = [str(failure) for failure in failed.exceptions]
        except* (KeyboardInterrupt, asyncio.CancelledError):
            faults = ["it was interrupted"]
        for fault in faults:
            narrator.show(f"  DOES NOT ADD UP: {fault}")
        if faults:
            narrator.show(f"\nThe gateway's last words:\n{stage.gateway.last_words()}\n")
    narrator.tell("does not add up" if faults else "everything adds up")
    return 1 if faults else 0


async def _evening(stage: Stage, *, is_kept: bool) -> list[str]:
    """Play, compare the books and leave; return everything that does not add up.

    Raises:
        GatewayError: It did not start or stop; in a group, if that was during play.
        ExceptionGroup: See :func:`edge.demo.floor.play`.
    """
    end = asyncio.current_task()
    assert end is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end.cancel)
    await asyncio.to_thread(stage.gateway.start)
    stage.narrator.tell("the gateway listens on {}:{}".format(*stage.gateway.public))
    faults = await play(stage)
    stage.narrator.tell("the spool is drained, and the gateway's own counters are added up")
    faults += await asyncio.to_thread(drain, stage.gateway)
    stage.narrator.tell("a program that shares no code with it reads the origin's log")
    books = account.close(stage.ledger, await asyncio.to_thread(_audited, stage))
    faults += books.imbalances()
    stage.narrator.show(f"\n{books.table()}\n")
    if is_kept:
        await _keep(stage)
    exit_code = await asyncio.to_thread(stage.gateway.stop)
    stage.narrator.tell(f"SIGTERM: the gateway leaves with exit code {exit_code}")
    if exit_code:
        faults.append(f"exit code {exit_code} after SIGTERM")
    return faults


def drain(gateway: Gateway, timeout_s: float = DRAIN_TIMEOUT_S) -> list[str]:
    """Wait until everything is forwarded; return what its counters do not account for."""
    end_s = time.monotonic() + timeout_s
    found = [f"records still wait for the origin after {timeout_s:.0f} s"]
    while time.monotonic() < end_s:
        counters = Counters(gateway.metrics())
        if not counters.waiting():
            # Between a lane's acknowledgement and its count one look may find them apart.
            found = [f"/metrics, lane {lane}" for lane in counters.imbalances()]
            if not found:
                break
        time.sleep(DRAIN_POLL_S)
    return found


def _audited(stage: Stage) -> dict[str, object]:
    """Have the origin's log compared with the ledger, by a program that is not us."""
    ledger = stage.room / "ledger.jsonl"
    stage.ledger.save(ledger)
    done = subprocess.run(  # noqa: S603  # our own interpreter and file
        [sys.executable, "-I", audit.__file__, str(stage.room / "origin"), str(ledger)],
        stdout=subprocess.PIPE,
        check=False,
        timeout=AUDIT_TIMEOUT_S,
    )
    findings = cast("dict[str, object]", json.loads(done.stdout))
    assert (done.returncode != 0) is bool(findings["faults"])
    return findings


async def _keep(stage: Stage) -> None:
    """Stay up, with a line to try oneself, until Ctrl-C or SIGTERM."""
    visit = stage.visit((f"{TRICKSTER[0]}-visitor", *TRICKSTER[1:]))
    line = invitation(stage.gateway.public, stage.token(visit), TABLE.spin(visit, 100))
    stage.narrator.show(
        "The gateway stays up until Ctrl-C. Try it; the second time it is a duplicate:\n\n"
        f"{line}\n"
    )
    enough = asyncio.Event()
    for sign in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(sign, enough.set)
    await enough.wait()
