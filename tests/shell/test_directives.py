"""Directives as a gateway follows them: in force at once, kept, and never lifted by an accident."""

import asyncio
import contextlib
import logging
import os
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from edge.config import DirectiveSettings
from edge.core.principal import Kind, Principal
from edge.core.revocations import Revocation, Revocations
from edge.shell import directive_file, directives as directives_module
from edge.shell.directives import POLL_S, Directives, DirectiveStatistics
from tests.fakes import ES, NOW_S, PLAYER, SESSION, FakeClock, jwks
from tests.fakes_directives import DIRECTIVE_JWKS, FORGER, HOUR_S, directive, lines

SPEAKER: Final = Principal(
    kind=Kind.PLAYER, subject=PLAYER, client_id="web", session=SESSION, expires_unix_s=0
)
NOTHING_YET: Final = DirectiveStatistics(
    in_force=0, refused=0, refused_total=0, dropped_total=0, age_s=None, complaint=None
)


@dataclass
class Place:
    """Where a gateway starts and ends, again and again."""

    room: Path
    clock: FakeClock = field(default_factory=FakeClock)
    told: list[Sequence[Revocation]] = field(default_factory=list[Sequence[Revocation]])
    revocations_max: int = 100

    @property
    def source(self) -> Path:
        """One directive per line."""
        return self.room / "directives"

    @property
    def keys(self) -> Path:
        """The key set."""
        return self.room / "keys.json"

    @property
    def kept(self) -> Path:
        """What is there for the next start."""
        return self.room / "spool" / "directives" / "last_good.json"

    def open(self, *, keys: Path | None = None) -> Directives:
        """Make one that knows nothing yet."""
        settings = DirectiveSettings(source=str(self.source), keys=str(keys or self.keys))
        made = Directives(
            settings, self.kept.parent, Revocations(self.revocations_max), self.clock
        )
        made.listener = self.told.append
        return made

    def ids(self) -> list[list[str]]:
        """What the listener was told, call by call."""
        return [[each.id for each in new] for new in self.told]

    def covers(self, directives: Directives, principal: Principal = SPEAKER) -> bool:
        """Whether *principal* is shut out now."""
        return directives.revocations.covers(principal, self.clock.now())


def replace(path: Path, octets: bytes) -> None:
    """Replace a file, as a mount changes."""
    path.with_suffix(".new").write_bytes(octets)
    path.with_suffix(".new").replace(path)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A key set, and a source that revokes ``SESSION``."""
    place = Place(tmp_path)
    replace(place.keys, DIRECTIVE_JWKS)
    replace(place.source, lines(directive()))
    return place


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look without pause, so that no test waits for the clock."""
    monkeypatch.setattr(directives_module, "POLL_S", 0.001)


@contextlib.asynccontextmanager
async def running(directives: Directives) -> AsyncGenerator[Directives]:
    """Start, follow, and end."""
    await directives.start()
    task = asyncio.create_task(directives.run())
    try:
        yield directives
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(is_true: Callable[[], bool]) -> None:
    """Wait for something that must come; the test's own timeout says when it did not."""
    while not is_true():  # noqa: ASYNC110  # what is waited for happens in another thread
        await asyncio.sleep(0.002)


async def lived(place: Place) -> None:
    """Let one gateway live until it has written down what it holds."""
    async with running(place.open()):
        await until(place.kept.exists)


def test_a_look_leaves_three_quarters_of_the_promised_second_to_all_else() -> None:
    """Imported before any test is impatient. The whole way: ``system/stream/test_revocation``."""
    assert POLL_S <= 0.25


def test_without_a_source_nothing_is_revoked_and_nothing_is_wrong(tmp_path: Path) -> None:
    place = Place(tmp_path)
    directives = Directives(DirectiveSettings(), tmp_path, Revocations(), place.clock)

    async def story() -> None:
        async with running(directives):
            await directives.tick()

    asyncio.run(story())

    assert not directives.is_followed
    assert directives.statistics() == NOTHING_YET


def test_what_stands_there_at_the_start_is_in_force_when_the_doors_open(place: Place) -> None:
    directives = place.open()

    asyncio.run(directives.start())

    assert place.covers(directives)
    assert place.ids() == [["r-1"]]
    assert directives.statistics() == DirectiveStatistics(
        in_force=1, refused=0, refused_total=0, dropped_total=0, age_s=0, complaint=None
    )


def test_what_comes_later_is_told_in_the_step_in_which_it_is_in_force(place: Place) -> None:
    replace(place.source, b"")
    directives = place.open()
    covered: list[bool] = []

    def listener(new: Sequence[Revocation]) -> None:
        place.told.append(new)
        covered.append(place.covers(directives))

    async def story() -> None:
        async with running(directives):
            directives.listener = listener
            replace(place.source, lines(directive()))
            await until(lambda: bool(place.told))

    asyncio.run(story())

    assert (place.ids(), covered) == ([["r-1"]], [True])


def test_of_many_the_first_act_while_the_last_are_judged(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directive_file, "PORTION", 2)
    directives, has_acted = place.open(), threading.Event()
    waited: list[bool] = []

    def step_aside(judged: int) -> None:
        if judged == 2:
            waited.append(has_acted.wait(10))

    monkeypatch.setattr(directive_file, "_step_aside", step_aside)

    def listen(new: Sequence[Revocation]) -> None:
        assert place.covers(directives)
        place.told.append(new)
        has_acted.set()

    async def story() -> None:
        replace(place.source, lines())
        async with running(directives):
            directives.listener = listen
            many = [directive(id=f"r-{n}") for n in range(5)]
            replace(place.source, lines(*many))
            await until(lambda: len(place.told) == 3)

    asyncio.run(story())

    assert waited == [True]
    told = [sorted(ids) for ids in place.ids()]
    assert told == [["r-0", "r-1"], ["r-2", "r-3"], ["r-4"]]


@pytest.mark.parametrize("order", [1, -1], ids=["lifted below", "lifted above"])
@pytest.mark.parametrize("when", ["at a start", "later"])
def test_whom_another_of_many_lines_lets_in_is_never_shut_out(
    when: str, order: int, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directive_file, "PORTION", 2)
    first, last = [directive(), directive(issued_at=NOW_S + 1, until=NOW_S)][::order]
    filling = [directive(id=f"f-{n}", subject=f"player-{n}") for n in range(5)]
    many = lines(first, *filling, last)
    replace(place.source, lines(filling[4]))
    asyncio.run(lived(place))
    directives = place.open()
    directives.listener = place.told.append
    place.told.clear()

    async def story() -> None:
        if when == "at a start":
            replace(place.source, many)
        await directives.start()
        replace(place.source, many)
        await directives.tick()

    asyncio.run(story())

    assert not place.covers(directives)
    assert directives.statistics().in_force == len(filling)
    told = {name for ids in place.ids() for name in ids}
    assert told == {f"f-{n}" for n in range(5)}


def test_lines_that_nobody_believes_disturb_nobody(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directive_file, "PORTION", 2)

    async def story() -> None:
        async with running(place.open()) as directives:
            await until(place.kept.exists)
            place.kept.unlink()
            replace(place.source, lines(directive(), *(b"%d" % n for n in range(5))))
            await until(lambda: directives.statistics().refused == 5)
            await asyncio.sleep(0.05)

    asyncio.run(story())

    assert not place.kept.exists()


def test_a_line_that_goes_lifts_nothing_and_a_later_directive_does(place: Place) -> None:
    lifted = directive(issued_at=NOW_S + 1, until=NOW_S)

    async def story() -> None:
        directives = place.open()
        await directives.start()
        replace(place.source, b"")
        await directives.tick()
        assert place.covers(directives)
        replace(place.source, lines(lifted))
        await directives.tick()
        assert not place.covers(directives)
        replace(place.source, lines(directive()))
        await directives.tick()
        assert not place.covers(directives)

    asyncio.run(story())
    assert place.ids() == [["r-1"]]


def test_what_is_lifted_is_told_once(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "edge.directives")
    lifted = directive(issued_at=NOW_S + 1, until=NOW_S)

    async def story() -> None:
        directives = place.open()
        await directives.start()
        replace(place.source, lines(lifted))
        await directives.tick()
        replace(place.source, lines(directive(), lifted))
        await directives.tick()

    asyncio.run(story())

    assert [record.getMessage() for record in caplog.records] == [
        "revocations in force: 1, before: 0",
        "revocations in force: 0, before: 1",
    ]
    assert place.ids() == [["r-1"]]


def test_a_revocation_ends_by_itself(place: Place) -> None:
    async def story() -> None:
        directives = place.open()
        await directives.start()
        place.clock.advance(HOUR_S)
        assert not place.covers(directives)
        assert directives.revocations.held()
        await directives.tick()
        assert not directives.revocations.held()

    asyncio.run(story())


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


BAD: Final[dict[str, Callable[[Path], object]]] = {
    "gone": Path.unlink,
    "emptied": lambda path: path.write_bytes(b""),
    "garbage": lambda path: replace(path, b"<html>\n" * 9),
    "forged": lambda path: replace(
        path, lines(directive(FORGER, until=NOW_S, issued_at=NOW_S + 1))
    ),
    "half-written": lambda path: replace(path, directive()[:99]),
    "huge": lambda path: os.truncate(path, 1 << 33),
    "a directory": _directory,
}


@pytest.mark.parametrize("how", BAD)
def test_whatever_becomes_of_the_source_what_was_believed_stays_also_after_a_restart(
    how: str, place: Place
) -> None:
    asyncio.run(lived(place))

    async def story() -> None:
        directives = place.open()
        await directives.start()
        BAD[how](place.source)
        await directives.tick()
        assert place.covers(directives)
        again = place.open()
        await again.start()
        assert place.covers(again)

    asyncio.run(story())


@pytest.mark.parametrize("how", ["gone", "emptied", "garbage", "half-written", "a directory"])
def test_whatever_becomes_of_the_keys_what_was_believed_stays_also_after_a_restart(
    how: str, place: Place
) -> None:
    asyncio.run(lived(place))

    async def story() -> None:
        directives = place.open()
        await directives.start()
        BAD[how](place.keys)
        await directives.tick()
        assert place.covers(directives)
        assert "directives.keys: " in (directives.statistics().complaint or "")
        place.source.unlink()
        again = place.open()
        await again.start()
        assert place.covers(again)

    asyncio.run(story())


def test_a_withdrawn_key_takes_its_directives_with_it(place: Place) -> None:
    async def story() -> None:
        async with running(place.open()) as directives:
            await until(place.kept.exists)
            replace(place.keys, jwks(ES.jwk()))
            await until(lambda: not place.covers(directives))
            await until(lambda: b'directives":[]' in place.kept.read_bytes())

    asyncio.run(story())


def test_a_key_withdrawn_while_nobody_looked_takes_its_directives_with_it(
    place: Place,
) -> None:
    asyncio.run(lived(place))
    replace(place.keys, jwks(ES.jwk()))

    again = place.open()
    asyncio.run(again.start())

    assert not place.covers(again)


def test_keys_that_lie_elsewhere_now_judge_what_was_kept(place: Place) -> None:
    asyncio.run(lived(place))
    place.source.unlink()
    moved = place.room / "moved.json"

    async def story() -> None:
        again = place.open(keys=moved)
        await again.start()
        assert not place.covers(again)
        replace(moved, DIRECTIVE_JWKS)
        await again.tick()
        assert place.covers(again)

    asyncio.run(story())


def test_kept_keys_that_are_none_leave_what_was_kept_to_the_mounted_ones(place: Place) -> None:
    asyncio.run(lived(place))
    place.kept.write_bytes(place.kept.read_bytes().replace(b"OKP", b"???"))
    place.source.unlink()

    again = place.open()
    asyncio.run(again.start())

    assert place.covers(again)


def test_what_lifts_is_kept_too_so_that_no_old_copy_revokes_again(place: Place) -> None:
    replace(
        place.source, lines(directive(), directive(issued_at=NOW_S + 1, until=NOW_S - HOUR_S))
    )
    asyncio.run(lived(place))
    replace(place.source, lines(directive()))

    again = place.open()
    asyncio.run(again.start())

    assert not place.covers(again)


def test_a_source_that_hangs_keeps_no_door_shut_and_no_process_from_leaving(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directives_module, "START_TIMEOUT_S", 0.05)
    asyncio.run(lived(place))
    place.source.unlink()
    os.mkfifo(place.source)

    async def story() -> None:
        async with running(place.open()) as again:
            assert place.covers(again)
            assert again.statistics().complaint == "never read well"
            place.source.open("wb").close()  # let the reader go: it finds nothing
            await until(lambda: again.statistics().complaint is None)

    asyncio.run(story())
    assert not any(
        thread.is_alive() and not thread.daemon for thread in threading.enumerate()[1:]
    )


def test_what_is_wrong_is_told_once_and_stays_in_readiness(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "edge.directives")

    async def story() -> None:
        directives = place.open()
        await directives.start()
        replace(place.source, b"bad\n" + lines(directive()))
        await directives.tick()
        place.clock.advance(2)
        place.source.rename(place.room / "away")
        for _ in range(3):
            await directives.tick()
        place.clock.advance(4)
        missing = f"directives.source: {place.source}: No such file or directory"
        found = directives.statistics()
        assert (found.age_s, found.refused, found.refused_total) == (6, 1, 1)
        assert found.complaint == (
            f"{missing}; lines of the source that are not believed: 1; last read well 6 s ago"
        )
        (place.room / "away").rename(place.source)
        await directives.tick()
        assert (
            directives.statistics().complaint == "lines of the source that are not believed: 1"
        )

    asyncio.run(story())

    messages = [record.getMessage() for record in caplog.records]
    assert messages == [
        "revocations in force: 1, before: 0",
        "not believed: line 1: not in compact form",
        f"directives.source: {place.source}: No such file or directory; what was believed stays",
        "read well again",
    ]
    assert not any(SESSION in message for message in messages)


def test_garbage_is_told_in_a_few_lines(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    replace(place.source, b"".join(b"%d\n" % number for number in range(1000)))

    asyncio.run(place.open().start())

    assert len(caplog.records) == 6
    assert caplog.records[-1].getMessage() == "not believed: more lines: 995"


def test_what_there_is_no_room_for_is_told_and_counted(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    place.revocations_max = 2
    replace(
        place.source,
        lines(
            *(directive(id=f"{n}", subject=f"player-{n}", until=NOW_S + n) for n in range(1, 6))
        ),
    )
    directives = place.open()

    asyncio.run(directives.start())

    assert directives.statistics().dropped_total == 3
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert [sorted(new) for new in place.ids()] == [["4", "5"]]


def test_what_cannot_be_written_down_is_as_good_and_tried_again(
    place: Place, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directives_module, "SAVE_RETRY_S", 0.01)
    obstacle = place.kept.parent
    obstacle.parent.mkdir()
    obstacle.write_bytes(b"")

    async def story() -> None:
        async with running(place.open()) as directives:
            await until(lambda: bool(caplog.records))
            await asyncio.sleep(0.05)
            assert place.covers(directives)
            obstacle.unlink()
            await until(place.kept.exists)

    asyncio.run(story())

    told = [record.getMessage() for record in caplog.records]
    assert len(told) == len(set(told))
    assert all("not written down for the next start: " in line for line in told)


def test_a_look_nobody_waited_for_any_more_is_not_lost(place: Place) -> None:
    """The line was judged; only its message to the loop was never taken."""

    async def story() -> None:
        directives = place.open()
        look = asyncio.create_task(directives.tick())
        await asyncio.sleep(0)
        look.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await look
        assert not place.covers(directives)
        while not place.covers(directives):
            with contextlib.suppress(TimeoutError):
                await directives.tick()
            await asyncio.sleep(0.002)

    asyncio.run(story())
    assert place.ids() == [["r-1"]]


def test_following_that_begins_again_after_a_bug_goes_on_where_it_was(place: Place) -> None:
    async def story() -> None:
        async with running(place.open()) as directives:
            pass
        replace(place.source, lines(directive(id="r-2", subject="player-2")))
        again = asyncio.create_task(directives.run())
        await until(lambda: len(place.told) > 1)
        again.cancel()
        assert place.covers(directives)

    asyncio.run(story())
    assert place.ids() == [["r-1"], ["r-2"]]
