"""Lanes are bulkheads: what hurts one changes nothing for the others, measured in one run.

One gateway, several lanes spoken to at a steady pace by a process of its own, slices of calm and
of one fault in turn. What a lane's clients wait for their verdicts is compared, fault with calm, as
the ratio of the medians over all slices: machines are noisy, and both kinds of slices are alike in
that. Each lane is compared with itself, and the worst is what counts: lanes taken together hide
one that suffers. The fault comes first in every other round, so a drift favours neither. A slice of
it counts only if it was one: after each, the origin is asked how many requests it has hung,
delayed or refused meanwhile.
"""

import contextlib
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias, cast

from typing_extensions import override

from edge.demo.gateway import Gateway, Settings
from edge.demo.issuer import AUDIENCE, Issuer
from edge.demo.metrics import Counters
from loadtests.bench.figures import percentile_ms
from loadtests.bench.subjects import cpu_ns
from tests.faults.bulkhead_load import PLAYERS, VOICES, Heard, Load, Speakers, load, player
from tests.faults.bulkhead_origin import KEYS, MoodyOrigin, moody_origin
from tests.faults.row import Row, Scale, Tell
from tests.system.world import World

RATIO_MAX: Final = 1.10
SHARES: Final = (0.5, 0.99)
HURT: Final = "game"
OTHERS: Final = ("bet", "wallet", "telemetry")
MET_S: Final = 10.0  # keys are asked for every second; ten times that, on whatever machine
POLL_S: Final = 0.05
UNKNOWN_KEY: Final[Mapping[str, object]] = {"kid": "lost-1"}

_QUOTA: Final = {"quota": 100_000_000, "window_s": 1, "burst": 100_000_000}
_SETTINGS: Final[Mapping[str, Settings]] = {
    "limits.player": _QUOTA,
    "limits.service": _QUOTA,
    "limits.address": _QUOTA,
    "auth": {"jwks_refresh_s": 1},  # a key server that is dead is asked all the time
}
_WHOLE: Final[Settings] = {"bytes_max": "1GiB"}
# A lane of 1.3 MB is full within a second of the fault; the others are far from it.
_NARROW: Final[Settings] = {
    "bytes_max": "128MiB",
    "reserve_bytes": "16MiB",
    "lane_share_max": 0.01,
}


@dataclass(frozen=True, slots=True)
class Pace:
    """How a scale speaks and how long.

    Attributes:
        per_s: Requests of each voice, at first.
        slice_s: Of calm, and of the fault.
        rounds: Slices of each kind, per fault.
        busy: How much of a core the gateway is to have work for; ``None``: as it comes. On one that
            has hardly any time left everybody waits for everybody, faults or none.
    """

    per_s: float
    slice_s: float
    rounds: int
    busy: float | None = None

    def at(self, busy: float) -> float:
        """Return the requests of each voice, if at first *busy* of a core was at work."""
        return self.per_s if self.busy is None else self.per_s * self.busy / busy


PACES: Final = {
    Scale.SHORT: Pace(per_s=25, slice_s=0.4, rounds=1),
    Scale.FULL: Pace(per_s=300, slice_s=4.0, rounds=21, busy=0.4),
}


@dataclass(frozen=True, slots=True)
class House:
    """A gateway, its origin and its clients.

    Attributes:
        world: The gateway.
        origin: Where its lanes go; serves the other issuer's keys.
        load: The clients.
    """

    world: World
    origin: MoodyOrigin
    load: Load

    def probe(self, name: str) -> str:
        """What readiness says."""
        probes = cast("dict[str, str]", self.world.ask("/readyz").json["probes"])
        return probes[name]

    def busy(self, doing: Callable[[], object]) -> float:
        """Return how much of a core the gateway had work for while somebody was *doing* it."""
        process = self.world.gateway.process
        assert process is not None
        began_ns, before_ns = time.monotonic_ns(), cpu_ns(process.pid)
        doing()
        return (cpu_ns(process.pid) - before_ns) / (time.monotonic_ns() - began_ns)

    def met(self, name: str) -> int:
        """Return how many requests the origin's mood has met; wait for the first, if need be.

        A short slice may end between two questions for the keys, or before the first batch.
        """
        end_s = time.monotonic() + MET_S
        while not (requests := self.origin.met(name)) and time.monotonic() < end_s:
            time.sleep(POLL_S)
        return requests

    def settle(self) -> None:
        """Return when nothing waits for the origin any more."""
        self.world.wait(
            lambda: not Counters(self.world.gateway.metrics()).waiting(), "all forwarded"
        )


Trouble: TypeAlias = Callable[[House], contextlib.AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class Fault:
    """One way of hurting one lane, or nobody.

    Attributes:
        name: In the table.
        trouble: Lasts as long as it is entered.
        hurt: Whom it hurts.
        says: How the events of the hurt may end meanwhile.
        spool: Settings of the gateway's.
        complaint: What readiness must say something about.
        struck: Of the origin: the lane, or the keys, whose requests it must meet.
    """

    name: str
    trouble: Trouble
    hurt: str = HURT
    says: frozenset[str] = frozenset({"accepted"})
    spool: Settings = field(default_factory=lambda: _WHOLE)
    complaint: str = ""
    struck: str = HURT


@contextlib.contextmanager
def stuck_topic(house: House) -> Generator[None]:
    """The origin reads one topic's batches and never answers."""
    house.origin.become(game="hang")
    yield
    house.origin.become(game="take")


@contextlib.contextmanager
def slow_partition(house: House) -> Generator[None]:
    """The origin takes one topic's batches half a second late."""
    house.origin.become(game=0.5)
    yield
    house.origin.become(game="take")


@contextlib.contextmanager
def full_lane(house: House) -> Generator[None]:
    """The origin refuses one topic, and its lane has no room any more."""
    house.origin.become(game="refuse")
    house.world.wait(lambda: _is_refused(house), "a full lane")
    yield
    house.origin.become(game="take")


def _is_refused(house: House) -> bool:
    return "lane_full" in house.load.speak({HURT: 1500}, 0.5, HURT)[HURT].codes


@contextlib.contextmanager
def dead_key_server(house: House) -> Generator[None]:
    """One issuer's key server takes connections and never answers."""
    house.origin.become(keys="hang")
    yield
    house.origin.become(keys="take")


FAULTS: Final = (
    Fault("stuck topic", stuck_topic, complaint="forward.game"),
    Fault(
        "full lane",
        full_lane,
        says=frozenset({"lane_full", "accepted"}),
        spool=_NARROW,
        complaint="forward.game",
    ),
    Fault("slow partition", slow_partition),
    Fault(
        "dead key server",
        dead_key_server,
        hurt="stranger",
        says=frozenset({"token_invalid", "keys_unavailable", "unanswered"}),
        struck=KEYS,
    ),
)


def bulkheads(scale: Scale, room: Path, tell: Tell) -> Iterator[Row]:
    """Hurt one lane after the other, and look at the rest."""
    # Little is said in short: whatever is not forwarded fits into the narrow one.
    spools = (_NARROW,) if scale is Scale.SHORT else (_WHOLE, _NARROW)
    for number, spool in enumerate(spools):
        place = room / f"bulkheads-{number}"
        place.mkdir()
        with house_of(place, spool) as house:
            for fault in FAULTS:
                if fault.spool is spool or len(spools) == 1:
                    yield measure(fault, house, scale, tell)


@contextlib.contextmanager
def house_of(room: Path, spool: Settings) -> Generator[House]:
    """Run all of it in *room*: two issuers, one of whom has a key server that may die."""
    good, other = Issuer(), Issuer("https://other.example")
    (room / "jwks.json").write_bytes(good.jwks())
    with contextlib.ExitStack() as running:
        origin = running.enter_context(moody_origin(other.jwks()))
        issuers: list[Settings] = [
            {"issuer": good.name, "audience": AUDIENCE, "jwks_path": str(room / "jwks.json")},
            {"issuer": other.name, "audience": AUDIENCE, "jwks_url": origin.keys_url},
        ]
        settings: dict[str, Settings | list[Settings]] = {
            **_SETTINGS,
            "auth.issuers": issuers,
            "spool": {"path": str(room / "spool"), "retained_bytes_max": "1MiB", **spool},
            "origin": {"url": origin.url},
            "origin.options": {"timeout_s": 1},
        }
        gateway = Gateway(room, settings)
        running.callback(gateway.close)
        gateway.start()
        world = World(room, good, gateway)
        world.wait_until_ready()
        speakers = Speakers(*gateway.public, tokens=_tokens(good, other))
        yield House(world, origin, running.enter_context(load(speakers)))


def _tokens(good: Issuer, other: Issuer) -> dict[str, list[str]]:
    players = [good.player(player(number)) for number in range(PLAYERS)]
    strangers = [other.player(player(number), UNKNOWN_KEY) for number in range(PLAYERS)]
    service = [good.service("game-server", "bet")]
    return dict.fromkeys(VOICES, players) | {"bet": service, "stranger": strangers}


def measure(fault: Fault, house: House, scale: Scale, tell: Tell) -> Row:
    """Compare slices of *fault* with slices of calm."""
    pace = PACES[scale]
    unheard = fault.hurt if "unanswered" in fault.says else ""
    calm: list[dict[str, Heard]] = []
    hurt: list[dict[str, Heard]] = []
    faults: list[str] = []
    met: list[int] = []
    rates = _rates(fault, house, pace, unheard)
    tell(f"{fault.name}: {rates[fault.hurt]:.0f} requests/s of each")
    for number in range(pace.rounds):
        for is_calm in (number % 2 == 0, number % 2 == 1):
            if is_calm:
                calm.append(house.load.speak(rates, pace.slice_s, unheard))
            else:
                with fault.trouble(house):
                    hurt.append(house.load.speak(rates, pace.slice_s, unheard))
                    met.append(house.met(fault.struck))
                    faults += _complaints(fault, house)
                house.settle()
        tell(f"{fault.name}: round {number + 1} of {pace.rounds}: {_found(calm, hurt)}")
    faults += _endings(fault, calm, hurt)
    faults += _unfelt(fault, met)
    is_small = scale is Scale.SHORT or (
        not faults and max(worst.ratio for worst in worsts(calm, hurt)) <= RATIO_MAX
    )
    return Row(
        what=f"{fault.name}: verdict latency of the worst of the other lanes, p50 and p99, "
        "to its calm",
        goal=f"≤ {RATIO_MAX:.2f}",
        found=f"{_found(calm, hurt)}; ≥ {min(met)} requests met it in each slice",
        is_reached=is_small and not faults,
        faults=tuple(faults),
    )


def _rates(fault: Fault, house: House, pace: Pace, unheard: str) -> dict[str, float]:
    """Fill caches and tables before anything counts; return how often each voice speaks."""
    voices = (*OTHERS, fault.hurt)

    def speak() -> None:
        house.load.speak(dict.fromkeys(voices, pace.per_s), pace.slice_s, unheard)

    speak()
    return dict.fromkeys(voices, pace.at(house.busy(speak)))


def _complaints(fault: Fault, house: House) -> Iterable[str]:
    """Look whether operators are told."""
    if fault.complaint:
        with contextlib.suppress(AssertionError):
            house.world.wait(lambda: house.probe(fault.complaint) != "ok", "told")
            return []
        return [f"{fault.name}: readiness says nothing of {fault.complaint}"]
    return []


def _unfelt(fault: Fault, met: Sequence[int]) -> list[str]:
    """A fault that nobody meets is calm by another name."""
    unfelt = sum(not requests for requests in met)
    what = (
        f"{fault.name}: no request met it in {unfelt} of {len(met)} slices: it proves nothing"
    )
    return [what] if unfelt else []


def _endings(
    fault: Fault, calm: Sequence[Mapping[str, Heard]], hurt: Sequence[Mapping[str, Heard]]
) -> Iterator[str]:
    """Tell of every event that ended as it must not."""
    for when, slices in (("calm", calm), (fault.name, hurt)):
        for heard in slices:
            for voice in OTHERS:
                if set(heard[voice].codes) != {"accepted"}:
                    yield f"{when}: {voice} heard {dict(heard[voice].codes)}"
    for heard in hurt:
        codes = set(heard[fault.hurt].codes)
        if not codes <= fault.says or (len(fault.says) > 1 and codes == {"accepted"}):
            yield f"{fault.name}: {fault.hurt} heard {dict(heard[fault.hurt].codes)}"


@dataclass(frozen=True, slots=True)
class Worst:
    """The lane that suffers most.

    Attributes:
        share: The percentile, up to 1.
        voice: Whose lane.
        calm_ms: The median over all slices of calm.
        ratio: The same over those of the fault, to that.
    """

    share: float
    voice: str
    calm_ms: float
    ratio: float

    @override
    def __str__(self) -> str:
        return f"{self.ratio:.2f} ({self.voice}: calm {self.calm_ms:.1f} ms)"


def worsts(
    calm: Sequence[Mapping[str, Heard]], hurt: Sequence[Mapping[str, Heard]]
) -> list[Worst]:
    """Compare each of the other lanes with itself; return the worst for p50 and for p99."""
    return [
        max((_compared(share, voice, calm, hurt) for voice in OTHERS), key=lambda w: w.ratio)
        for share in SHARES
    ]


def _compared(
    share: float,
    voice: str,
    calm: Sequence[Mapping[str, Heard]],
    hurt: Sequence[Mapping[str, Heard]],
) -> Worst:
    quiet, loud = (
        percentile_ms([sorted(heard[voice].latencies_ns) for heard in slices], share)
        for slices in (calm, hurt)
    )
    return Worst(share, voice, quiet, loud / quiet)


def _found(calm: Sequence[Mapping[str, Heard]], hurt: Sequence[Mapping[str, Heard]]) -> str:
    heard = [each[voice].latencies_ns for each in (*calm, *hurt) for voice in OTHERS]
    if not all(heard) or not calm or not hurt:
        return "not answered"
    return ", ".join(map(str, worsts(calm, hurt)))
