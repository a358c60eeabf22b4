"""A burst is served whole and in order; what stands is served fresh, and the rest sent away."""

from dataclasses import dataclass, field
from heapq import heappop, heappush
from random import Random
from typing import Final

import pytest
from hypothesis import given, settings, strategies as st

from edge.core.instant import NS_PER_MS, NS_PER_S
from edge.core.waiting_line import (
    CALM_NS,
    CALM_TURN_NS,
    FRESH_NS_MIN,
    FRESH_TURNS,
    FUTILE_MAX,
    FUTILE_REFUSED,
    INTERVAL_NS,
    LOOK_NS,
    PACE_NS_AT_FIRST,
    REFUSED_PER_SPARE,
    REFUSED_PER_TURN,
    STANDING_NS_MIN,
    STANDING_TURNS,
    TURN_NS,
    WAIT_NS_MAX,
    WaitingLine,
)

SERVICE_NS: Final = 1 * NS_PER_MS
STANDING_NS: Final = max(STANDING_NS_MIN, STANDING_TURNS * SERVICE_NS)


@dataclass
class Node:
    """A processor that takes a fixed time for each request, and has nothing else to do.

    Attributes:
        served: Who, and how long each had waited.
        refused: The same.
    """

    service_ns: int = SERVICE_NS
    now_ns: int = 0
    line: WaitingLine[int] = field(default_factory=WaitingLine[int])
    came_ns: dict[int, int] = field(default_factory=dict[int, int])
    served: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    refused: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])

    def come(self, count: int) -> None:
        """Let so many more come now."""
        for _ in range(count):
            number = len(self.came_ns)
            self.came_ns[number] = self.now_ns
            self.line.join(number, self.now_ns)

    def turn(self) -> None:
        """Have one turn, and its work; without any, until the next look."""
        turn = self.line.take_turn(self.now_ns, 0)
        self.served += [(each, self.now_ns - self.came_ns[each]) for each in turn.served]
        self.refused += [(each, self.now_ns - self.came_ns[each]) for each in turn.refused]
        self.now_ns += len(turn.served) * self.service_ns or LOOK_NS

    def run(self, duration_ns: int, times: float = 0) -> None:
        """Have turns for so long, and so many times what can be done asked meanwhile."""
        before_ns, before = self.now_ns, len(self.came_ns)
        while self.now_ns < before_ns + duration_ns:
            due = int(times * (self.now_ns - before_ns) / self.service_ns)
            self.come(due - (len(self.came_ns) - before))
            self.turn()


def experienced(service_ns: int = SERVICE_NS) -> Node:
    """A node that knows its pace, and has nothing to do."""
    node = Node(service_ns)
    node.come(400 * NS_PER_MS // service_ns)
    node.run(800 * NS_PER_MS)
    assert not node.line
    return node


def overloaded(service_ns: int = SERVICE_NS) -> Node:
    """A node of which too much has been asked for a while."""
    node = Node(service_ns)
    node.run(3 * INTERVAL_NS, times=3)
    assert node.line.is_overloaded
    return node


def test_who_comes_first_is_served_first() -> None:
    node = Node()
    node.come(100)

    node.run(NS_PER_S)

    assert [each for each, _ in node.served] == list(range(100))


def test_a_burst_that_ends_in_time_is_served_whole() -> None:
    node = Node()
    node.come(INTERVAL_NS // SERVICE_NS)

    node.run(2 * NS_PER_S)

    assert len(node.served) == len(node.came_ns)
    assert not node.refused


def test_a_short_line_is_no_overload_however_long_it_lasts() -> None:
    node = experienced()
    node.come(STANDING_NS // SERVICE_NS - 4)

    node.run(10 * NS_PER_S, times=1)

    assert not node.line.is_overloaded
    assert not node.refused


def test_a_standing_line_is_an_overload() -> None:
    node = experienced()
    node.come(3 * STANDING_NS // SERVICE_NS)

    node.run(INTERVAL_NS // 2, times=1)
    assert not node.line.is_overloaded
    node.run(INTERVAL_NS, times=1)
    assert node.line.is_overloaded


@pytest.mark.parametrize(("percent", "is_overload"), [(45, False), (60, True)])
def test_a_line_that_ends_again_and_again_stands_if_it_is_there_most_of_the_time(
    percent: int, *, is_overload: bool
) -> None:
    node = experienced()
    for _ in range(40):
        node.come(INTERVAL_NS // SERVICE_NS * percent // 100)
        node.run(INTERVAL_NS)

    assert node.line.is_overloaded is is_overload


def test_two_bursts_far_apart_are_no_overload_though_nobody_looked_in_between() -> None:
    node = experienced(NS_PER_MS // 10)
    for _ in range(2):
        node.come(3 * CALM_TURN_NS // node.service_ns // 2)
        node.turn()
        node.turn()
        assert not node.line
        node.now_ns += 2 * INTERVAL_NS

    assert not node.line.is_overloaded


def test_in_an_overload_the_last_is_served_first() -> None:
    node = overloaded()
    newest = len(node.came_ns) + 9
    node.come(10)

    turn = node.line.take_turn(node.now_ns, 0)

    assert turn.served == [newest - at for at in range(len(turn.served))]


def test_in_an_overload_nobody_is_served_late() -> None:
    node = overloaded()
    before = len(node.served)

    node.run(5 * NS_PER_S, times=2)

    assert len(node.served) > before + 1000
    assert max(waited_ns for _, waited_ns in node.served[before:]) <= FRESH_NS_MIN


def test_what_takes_longer_stays_fresh_for_longer() -> None:
    long_ns = 10 * NS_PER_MS
    node = overloaded(service_ns=long_ns)
    node.come(1)

    turn = node.line.take_turn(node.now_ns + (FRESH_TURNS - 1) * long_ns, 0)

    assert (FRESH_TURNS - 1) * long_ns > FRESH_NS_MIN
    assert turn.served == [len(node.came_ns) - 1]


def test_in_an_overload_the_processor_is_kept_busy() -> None:
    node = overloaded()
    before = len(node.served)

    node.run(5 * NS_PER_S, times=2)

    assert len(node.served) - before > 0.95 * 5 * NS_PER_S / SERVICE_NS


@dataclass
class Crowd:
    """A fixed set of clients, each of which asks again a while after its answer, and their node.

    Attributes:
        times: Of what the node can do, that they would ask if nobody ever waited.
        served: So many.
        refused: So many.
    """

    times: float
    clients: int = 512
    service_ns: int = 150_000
    served: int = 0
    refused: int = 0
    now_ns: int = 0

    def __post_init__(self) -> None:
        self.line = WaitingLine[int]()
        self._random = Random(1)  # noqa: S311  # replayable, no secret
        self._due: list[tuple[int, int]] = []  # when, and who
        for each in range(self.clients):
            self._ask_again(each)

    def run(self, duration_ns: int) -> None:
        """Have turns for so long."""
        end_ns = self.now_ns + duration_ns
        while self.now_ns < end_ns:
            while self._due and self._due[0][0] <= self.now_ns:
                self.line.join(heappop(self._due)[1], self.now_ns)
            turn = self.line.take_turn(self.now_ns, 0)
            next_ns = min([self.now_ns + LOOK_NS, *(due_ns for due_ns, _ in self._due[:1])])
            self.now_ns += len(turn.served) * self.service_ns
            for each in (*turn.served, *turn.refused):
                self._ask_again(each)
            self.served += len(turn.served)
            self.refused += len(turn.refused)
            if not turn.is_full:
                self.now_ns = max(self.now_ns, next_ns)

    def _ask_again(self, client: int) -> None:
        mean_ns = self.clients * self.service_ns / self.times
        after_ns = int(self._random.expovariate(1 / mean_ns))
        heappush(self._due, (self.now_ns + after_ns, client))


@pytest.mark.parametrize("times", [1.6, 2, 5])
def test_those_whom_a_stall_made_late_leave_the_processor_nothing_to_wait_for(
    times: float,
) -> None:
    crowd = Crowd(times)
    crowd.run(3 * NS_PER_S)
    assert crowd.line.is_overloaded
    crowd.served = 0

    for _ in range(5):
        crowd.now_ns += 60 * NS_PER_MS
        crowd.run(500 * NS_PER_MS)

    assert crowd.served > 0.95 * 5 * 500 * NS_PER_MS / crowd.service_ns


def test_without_a_stall_hardly_anybody_is_refused_before_the_time() -> None:
    crowd = Crowd(times=5)
    crowd.run(3 * NS_PER_S)
    crowd.refused = 0

    crowd.run(5 * NS_PER_S)

    assert crowd.refused * WAIT_NS_MAX < 1.1 * crowd.clients * 5 * NS_PER_S


def with_late_ones(late: int) -> WaitingLine[int]:
    """A line of an overloaded node that knows its pace, with nobody but so many late ones."""
    node = overloaded()
    for each in list(node.line.waiting):
        node.line.leave(each)
    for each in range(late):
        node.line.join(-each - 1, node.now_ns - 2 * FRESH_NS_MIN)
    node.line.join(0, node.now_ns)
    assert node.line.take_turn(node.now_ns, 0).served == [0]
    node.line.join(0, node.now_ns)
    return node.line


def test_for_each_who_could_have_been_served_the_oldest_are_refused() -> None:
    line, now_ns = with_late_ones(40), overloaded().now_ns
    turn = line.take_turn(now_ns + LOOK_NS, 0)
    spare = LOOK_NS // SERVICE_NS - 1

    assert turn.served == [0]
    assert turn.refused == [-each - 1 for each in range(REFUSED_PER_SPARE * spare)]
    assert not turn.is_full


def test_what_began_took_its_time_and_left_less_to_spare() -> None:
    line, now_ns = with_late_ones(40), overloaded().now_ns

    now_ns += SERVICE_NS * 3 // 4
    assert not line.take_turn(now_ns, 0).refused
    for at in range(1, 7):
        line.join(0, now_ns)
        now_ns += SERVICE_NS * 5 // 4
        refused = line.take_turn(now_ns, 0).refused
        assert len(refused) == (at % 2 == 0)


def test_a_pause_of_the_process_is_no_time_to_spare() -> None:
    line, now_ns = with_late_ones(40), overloaded().now_ns

    line.leave(0)
    line.join(0, now_ns + 500 * NS_PER_MS)
    refused = line.take_turn(now_ns + 500 * NS_PER_MS, 0).refused

    assert len(refused) == REFUSED_PER_SPARE * (LOOK_NS // SERVICE_NS - 1)


def test_whoever_waits_in_vain_is_refused_in_time() -> None:
    node = overloaded()

    node.run(3 * NS_PER_S, times=2)

    waits_ns = [waited_ns for _, waited_ns in node.refused]
    assert WAIT_NS_MAX <= max(waits_ns) < WAIT_NS_MAX + 50 * NS_PER_MS


def test_with_nobody_fresh_the_oldest_are_refused_and_then_the_last_are_served() -> None:
    node = overloaded()
    waiting = [each for each in node.came_ns if node.line.leave(each)]
    for each in waiting:
        node.line.join(each, node.now_ns - 2 * FRESH_NS_MIN)

    looks = [node.line.take_turn(node.now_ns, 0) for _ in range(FUTILE_MAX)]
    turn = node.line.take_turn(node.now_ns, 0)

    refused = [each for look in looks for each in look.refused]
    assert refused == waiting[: FUTILE_MAX * FUTILE_REFUSED]
    assert not any(look.served or look.is_full for look in looks)
    assert list(turn.served) == waiting[: -len(turn.served) - 1 : -1]
    assert turn.is_full
    assert not turn.refused

    node.line.join(-1, node.now_ns)
    assert node.line.take_turn(node.now_ns, 10**6).served == [-1]
    assert len(node.line.take_turn(node.now_ns, 0).refused) == FUTILE_REFUSED


def test_so_many_are_refused_in_one_turn_and_no_more() -> None:
    line = WaitingLine[int]()
    for each in range(REFUSED_PER_TURN + 5):
        line.join(each, 0)

    turn = line.take_turn(WAIT_NS_MAX, 0)

    assert turn.refused == list(range(REFUSED_PER_TURN))
    assert turn.is_full


def test_it_is_over_when_the_line_was_short_for_a_while() -> None:
    node = overloaded()

    node.run(CALM_NS // 2, times=0.5)
    assert node.line.look(node.now_ns)
    node.run(2 * CALM_NS, times=0.5)
    assert not node.line.look(node.now_ns)


def test_an_overload_ends_though_the_line_is_long_for_a_moment_again_and_again() -> None:
    node = overloaded()

    for _ in range(10):
        node.come(STANDING_NS // SERVICE_NS + 20)
        node.run(CALM_NS // 3, times=0.5)

    assert not node.line.is_overloaded


def test_an_overload_that_goes_on_for_long_ends_no_later() -> None:
    node = overloaded()
    node.run(5 * NS_PER_S, times=3)

    node.run(WAIT_NS_MAX + CALM_NS + INTERVAL_NS)

    assert not node.line.is_overloaded


def test_twice_what_can_be_done_stays_an_overload() -> None:
    node = overloaded()

    for _ in range(200):
        node.run(CALM_NS // 20, times=2)
        assert node.line.is_overloaded


@pytest.mark.parametrize(("more", "is_over"), [(-3, True), (3, False)])
def test_it_is_over_when_the_whole_line_late_or_not_is_too_short_to_stand(
    more: int, *, is_over: bool
) -> None:
    node = overloaded()
    length = STANDING_NS // SERVICE_NS + more

    while node.now_ns < 4 * CALM_NS:
        node.come(max(length - len(node.line), 0))
        node.turn()
        for each in list(node.line.waiting)[length:]:
            node.line.leave(each)

    assert node.line.is_overloaded is not is_over


def test_it_is_over_when_all_who_wait_hang_up() -> None:
    node = overloaded()
    for each in list(node.line.waiting):
        node.line.leave(each)

    assert node.line.look(node.now_ns + CALM_NS - 2 * CALM_TURN_NS)
    assert not node.line.look(node.now_ns + CALM_NS)


def test_an_overload_lasts_as_long_as_the_last_who_is_refused_waits() -> None:
    line, now_ns = WaitingLine[int](), 0
    for each in range(5000):
        line.join(each, 0)

    while not line.is_overloaded:
        now_ns += CALM_TURN_NS
        line.take_turn(now_ns, 0)
    for each in range(5000):
        line.leave(each)

    assert line.look(now_ns + CALM_NS - 1)
    assert not line.look(now_ns + CALM_NS)


def test_the_turn_is_shorter_as_soon_as_it_is_an_overload() -> None:
    line, now_ns = WaitingLine[int](), 0
    for each in range(5000):
        line.join(each, 0)

    while not line.is_overloaded:
        line.take_turn(now_ns, 0)
        now_ns += CALM_TURN_NS

    assert line.turn_share == TURN_NS // PACE_NS_AT_FIRST


def test_behind_an_overload_a_line_has_to_stand_anew() -> None:
    node = overloaded()
    node.run(NS_PER_S)
    node.now_ns += CALM_NS
    assert not node.line.look(node.now_ns)
    assert node.line.turn_share == CALM_TURN_NS // SERVICE_NS

    node.come(3 * STANDING_NS // SERVICE_NS)
    node.run(INTERVAL_NS // 2, times=1)
    assert not node.line.is_overloaded
    node.run(INTERVAL_NS, times=1)
    assert node.line.turn_share == TURN_NS // SERVICE_NS
    assert node.line.is_overloaded


def test_it_is_over_when_nobody_comes_any_more() -> None:
    node = overloaded()
    node.run(NS_PER_S)

    assert not node.line.look(node.now_ns + CALM_NS)
    assert len(node.line) == 0


def test_who_leaves_is_neither_served_nor_refused() -> None:
    node = Node()
    node.come(3)

    assert node.line.leave(1)
    assert not node.line.leave(1)
    node.run(NS_PER_S)

    assert [each for each, _ in node.served] == [0, 2]


def test_what_begins_beside_the_line_takes_its_share() -> None:
    line = WaitingLine[int]()
    share = line.turn_share
    for each in range(2 * share):
        line.join(each, 0)

    assert len(line.take_turn(0, share - 2).served) == 2
    assert len(line.take_turn(0, 5 * share).served) == 1


@pytest.mark.parametrize("service_ns", [NS_PER_MS // 10, NS_PER_MS // 2, 1 * NS_PER_MS])
def test_a_turn_begins_what_it_has_time_for(service_ns: int) -> None:
    node = experienced(service_ns)

    assert node.line.turn_share == pytest.approx(CALM_TURN_NS // service_ns, rel=0.2)


def test_what_was_begun_beside_the_line_tells_the_pace_too() -> None:
    line = WaitingLine[int]()

    for _ in range(30):
        line.learn(8 * NS_PER_MS, 2)
        line.learn(NS_PER_S, 0)

    assert line.turn_share == CALM_TURN_NS // (4 * NS_PER_MS)


def test_a_process_that_was_stopped_soon_knows_its_pace_again() -> None:
    node = Node()
    node.come(100)
    node.run(20 * NS_PER_MS)

    node.now_ns += 10 * NS_PER_S
    node.turn()
    node.run(3 * INTERVAL_NS, times=3)

    assert node.line.turn_share == TURN_NS // SERVICE_NS
    assert node.line.is_overloaded


STEPS: Final = st.lists(
    st.one_of(
        st.tuples(st.just("come"), st.integers(1, 40)),
        st.tuples(st.just("leave"), st.integers(0, 200)),
        st.tuples(st.just("turn"), st.integers(0, 300)),
    ),
    max_size=120,
)


@settings(deadline=None)
@given(STEPS)
def test_each_has_one_end_and_nobody_is_forgotten(steps: list[tuple[str, int]]) -> None:
    line, now_ns, number = WaitingLine[int](), 0, 0
    waiting: dict[int, int] = {}
    for what, count in steps:
        if what == "come":
            for _ in range(count):
                line.join(number, now_ns)
                waiting[number] = now_ns
                number += 1
        elif what == "leave":
            assert line.leave(count) == (waiting.pop(count, None) is not None)
        else:
            now_ns += count * NS_PER_MS
            turn = line.take_turn(now_ns, 0)
            for each in turn.served:
                assert now_ns - waiting.pop(each) < WAIT_NS_MAX
            for each in turn.refused:
                waiting.pop(each)
            late = [
                each for each, came_ns in waiting.items() if now_ns - came_ns >= WAIT_NS_MAX
            ]
            assert not late or len(turn.refused) == REFUSED_PER_TURN
            assert turn.served or turn.refused or not waiting or line.is_overloaded
        assert len(line) == len(waiting)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([0, 0, 1, 3]), st.integers(0, 4), st.sampled_from([0, 0, 1, 9])
        ),
        max_size=40,
    )
)
def test_an_overload_is_weighed_in_and_out(stretches: list[tuple[int, int, int]]) -> None:
    node = Node()
    there_ns = 0  # somebody
    for bursts, duration, leavers in stretches:
        node.come(bursts * 100)
        before_ns, was_overloaded = node.now_ns, node.line.is_overloaded
        while node.now_ns < before_ns + duration * 50 * NS_PER_MS:
            began_ns, is_there = node.now_ns, bool(node.line)
            node.turn()
            there_ns += is_there * (node.now_ns - began_ns)
        if node.line.is_overloaded:
            assert there_ns >= INTERVAL_NS
        if was_overloaded and not node.line.is_overloaded:
            there_ns = 0
        for each in list(node.line.waiting)[: leavers * 100]:
            node.line.leave(each)

    for each in list(node.line.waiting):
        node.line.leave(each)
    assert not node.line.look(node.now_ns + CALM_NS)
