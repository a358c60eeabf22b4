"""One short story of a spool, told the same way whatever call goes wrong in it; and its account.

In: a gateway under the library (:mod:`tests.faults.preload`), with orders. Out: what must not
have happened, in words.

The story: a start; commits in two lanes, each of which begins a segment; everything forwarded,
but for one event that the origin refuses, which becomes a dead letter; the cursor moves and
segments go. Then the origin is away, more is accepted, and the process is killed. A second
start recovers that, knows what was said last, takes more, forwards all and leaves in order.

A start that meets the error may refuse (exit 78, one line), and the next one must not. An event
that meets it may be put off (503), and must be taken in the end, by the same process: once.
"""

import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from edge.demo.gateway import GatewayError, Settings
from edge.demo.ledger import Event
from edge.demo.payloads import deposit_requested
from tests.fakes_http_origin import TAKE, Receiver, Reply, Request, always
from tests.faults.as_said import unlike
from tests.system.raw import NoAnswerError
from tests.system.world import TABLE, World

BOUNDS: Final = {"segment_bytes_max": 1500}  # a commit: two events
RETAINED_BYTES: Final = 3000  # two such segments: the third goes
BAD_STAKE: Final = 777
"""By this the origin knows what it will not take."""

HEAL_S: Final = 60.0
"""A lane tries again every second, a forwarder and a full disk's probe within five; a machine
that has other work may take its time."""

PAUSE_S: Final = 0.03  # between two tries: the sender heeds no ``Retry-After``, and need not
ANY_PORT: Final = ("127.0.0.1", 0)
PUT_OFF: Final = frozenset({"lane_failed", "lane_full"})
AWAY: Final = always(Reply(503))
SETTINGS: Final[Settings] = {"retained_bytes_max": RETAINED_BYTES}
_EXIT: Final = re.compile(r"exit code (-?\d+) before it listened")
_CONFIGURATION: Final = 78


class Story:
    """One telling.

    Args:
        here: Its gateway not started; its origin is *origin*.
        origin: What the gateway forwards to.

    Attributes:
        faults: What must not have happened, in words.
        refusals: Starts that were refused, as they may be.
    """

    def __init__(self, here: World, origin: Receiver) -> None:
        self.faults: list[str] = []
        self.refusals = 0
        self._here: Final = here
        self._origin: Final = origin
        self._ada: Final = here.visit()
        self._said: Final[list[Event]] = []

    def tell(self) -> list[str]:
        """Tell it to its end; return the faults."""
        try:
            self._first_life()
            last = self._origin_is_away()
            self._here.gateway.kill()
            self._second_life(last)
        except (AssertionError, GatewayError, NoAnswerError, OSError) as failed:
            self.faults.append(f"{type(failed).__name__}: {failed}")
        self.faults += self._account()
        return self.faults

    def _first_life(self) -> None:
        ada = self._ada
        self._origin.script = _refuse_the_stake
        self._start()
        for stakes in ((1, 2), (3, BAD_STAKE), (5, 6)):
            self._say(*(TABLE.spin(ada, stake) for stake in stakes))
        self._say(deposit_requested(ada, 500), deposit_requested(ada, 600))
        self._wait(self._is_all_forwarded, "all is forwarded")

    def _origin_is_away(self) -> list[Event]:
        self._origin.script = AWAY
        last = [TABLE.spin(self._ada, 7), TABLE.spin(self._ada, 8)]
        self._say(*last)
        self._say(deposit_requested(self._ada, 900))
        return last

    def _second_life(self, last: Sequence[Event]) -> None:
        self._origin.script = _refuse_the_stake
        self._start()
        answer = self._here.say(self._ada, *last)
        if answer.status != 202 or answer.counts != (0, len(last)):
            self.faults.append(f"said again after a kill: {answer.status} {answer.body!r}")
        self._say(TABLE.spin(self._ada, 9))
        self._wait(self._is_all_forwarded, "all is forwarded after a kill")
        self._wait(lambda: self._here.ask("/readyz").status == 200, "it is ready again")
        if code := self._here.gateway.stop():
            self.faults.append(f"exit code {code} after SIGTERM")

    def _start(self) -> None:
        """Start it; a start that was refused must succeed when it is tried again."""
        gateway = self._here.gateway
        # Between two lives the others' connections may take a port that was known.
        gateway.public = gateway.admin = ANY_PORT
        before = gateway.log.read_text("utf-8") if gateway.log.exists() else ""
        try:
            gateway.start()
        except GatewayError as refused:
            code = _EXIT.search(str(refused))
            lines = gateway.log.read_text("utf-8")[len(before) :].splitlines()
            said = [line for line in lines if not line.startswith("{")]
            if code is None or int(code[1]) != _CONFIGURATION or len(said) != 1:
                self.faults.append(f"a start was refused by {refused}")
            self.refusals += 1
            gateway.start()

    def _say(self, *events: Event) -> None:
        """Say *events* until each has been accepted; nothing else may be said of any.

        What was said is kept in the order of acceptance: of one request some may be put off.
        """
        left, end_s = list(events), time.monotonic() + HEAL_S
        while left:
            answer = self._here.say(self._ada, *left)
            refused = answer.refusals if answer.status in (202, 422, 503) else None
            if refused is None or not PUT_OFF.issuperset(str(code) for _, code, _ in refused):
                raise AssertionError(f"answered {answer.status} {answer.body!r}")
            if answer.json["duplicate"]:
                raise AssertionError("told to be a duplicate of what was put off")
            put_off = {at for at, _, _ in refused}
            self._said.extend(event for at, event in enumerate(left) if at not in put_off)
            left = [event for at, event in enumerate(left) if at in put_off]
            assert not left or time.monotonic() < end_s, f"still put off: {answer.body!r}"
            time.sleep(PAUSE_S if left else 0)

    def _wait(self, until: Callable[[], bool], what: str) -> None:
        end_s = time.monotonic() + HEAL_S
        while not until():
            assert time.monotonic() < end_s, f"not within {HEAL_S:.0f} s: {what}"
            time.sleep(PAUSE_S)

    def _is_all_forwarded(self) -> bool:
        topics = ("edge.game.v1", "edge.wallet.v1")
        come = {each["id"] for topic in topics for each in self._forwarded(topic)}
        return {each["id"] for each in self._said if not _is_bad(each)} <= come and bool(
            list(self._buried())
        )

    def _forwarded(self, topic: str) -> list[dict[str, Any]]:
        return [json.loads(event) for event in list(self._origin.events[topic])]

    def _buried(self) -> Iterator[str]:
        """Name the events that lie in the dead letters."""
        for file in sorted(self._here.spool.glob("0/*/dead/*.jsonl")):
            for line in file.read_text("utf-8").splitlines():
                letter = json.loads(line)
                yield letter["value"]["id"] if "value" in letter else letter["reason"]

    def _account(self) -> Iterator[str]:
        """Compare what was said with what came: each once, as it was said, in its order."""
        for lane in ("game", "wallet"):
            said = [each for each in self._said if str(each["type"]).startswith(lane)]
            come = self._distinct(f"edge.{lane}.v1")
            yield from unlike(lane, [each for each in said if not _is_bad(each)], come)
        buried = set(self._buried())
        if buried != {each["id"] for each in self._said if _is_bad(each)}:
            yield f"dead letters: {buried}"

    def _distinct(self, topic: str) -> list[dict[str, Any]]:
        """Leave out what came again under its numbers, with the same bytes."""
        first: dict[tuple[str, str], dict[str, Any]] = {}
        for envelope in self._forwarded(topic):
            known = first.setdefault((envelope["edgespool"], envelope["edgeseq"]), envelope)
            if known != envelope:
                self.faults.append(f"{topic}: two records under one number")
        return list(first.values())


def _is_bad(event: Event) -> bool:
    return f'"amount_minor": {BAD_STAKE},' in json.dumps(event)


def _refuse_the_stake(request: Request) -> Reply:
    """Object to a body of the lane's own topic with the one bad event in it."""
    bad = b'"amount_minor":%d,' % BAD_STAKE
    is_bad = request.topic == "edge.game.v1" and any(bad in each for each in request.events)
    return Reply(422) if is_bad else TAKE
