"""An origin with moods: each does what it is called, and is counted."""

import select
from collections.abc import Callable

import pytest

from tests.faults.bulkhead_origin import KEYS, MoodyOrigin, moody_origin
from tests.system.raw import Line

KEY_SET = b'{"keys":[]}'


def line(origin: MoodyOrigin) -> Line:
    """Connect to it."""
    host, port = origin.url.split("/")[2].split(":")
    return Line((host, int(port)))


def wait_until(is_so: Callable[[], bool]) -> None:
    """Ask again and again; a test that waits for ever runs into its time limit."""
    while not is_so():
        pass


def is_silent(to: Line) -> bool:
    """Whether nothing came yet."""
    return select.select([to], [], [], 0) == ([], [], [])


def test_what_is_taken_meets_no_mood() -> None:
    with moody_origin(KEY_SET) as origin, line(origin) as to:
        to.post(b"[]", {}, "/in/edge.game.v1")
        assert to.answer().status == 200
        to.send(b"GET /jwks.json HTTP/1.1\r\n\r\n")
        assert to.answer().body == KEY_SET
        assert [origin.met(name) for name in ("game", KEYS)] == [0, 0]


@pytest.mark.parametrize(("mood", "status"), [("refuse", 503), (0.01, 200)])
def test_a_topic_that_is_refused_or_delayed_is_counted(mood: str | float, status: int) -> None:
    with moody_origin(KEY_SET) as origin, line(origin) as to:
        origin.become(game=mood)
        for topic in ("game", "game", "wallet"):
            to.post(b"[]", {}, f"/in/edge.{topic}.v1")
            assert to.answer().status == (status if topic == "game" else 200)
        assert [origin.met(name) for name in ("game", "wallet")] == [2, 0]


def test_a_topic_that_hangs_is_answered_when_its_mood_changes_and_counted_anew() -> None:
    with moody_origin(KEY_SET) as origin, line(origin) as to, line(origin) as other:
        origin.become(keys="hang", game="hang")
        to.send(b"GET /jwks.json HTTP/1.1\r\n\r\n")
        wait_until(lambda: origin.met(KEYS) == 1)
        assert is_silent(to)
        other.post(b"[]", {}, "/in/edge.wallet.v1")
        assert other.answer().status == 200
        origin.become(keys="take")
        assert to.answer().body == KEY_SET
        assert [origin.met(name) for name in (KEYS, "game")] == [0, 0]


def test_one_that_ends_while_it_hangs_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with moody_origin(KEY_SET) as origin, line(origin) as to, line(origin):
        origin.become(game="hang")
        to.post(b"[]", {}, "/in/edge.game.v1")
        wait_until(lambda: origin.met("game") == 1)

    assert capfd.readouterr() == ("", "")
