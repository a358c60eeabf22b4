"""The source and its keys: what they newly say, and what they cannot make us believe."""

import itertools
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from edge.core.instant import NS_PER_S
from edge.core.revocations import Revocation, Revocations
from edge.shell import directive_file
from edge.shell.directive_file import (
    LINES_MAX,
    SOURCE_BYTES_MAX,
    TOLD_MAX,
    DirectiveFile,
    Reading,
)
from edge.shell.directive_store import Kept
from tests.fakes import ES, NOW, NOW_S, jwks
from tests.fakes_directives import DIRECTIVE_JWKS, FORGER, ORIGIN, directive, lines

LATER: Final = time.time_ns() + 3600 * NS_PER_S


@dataclass
class Mounted:
    """Two files in a directory, and whoever reads them."""

    room: Path
    kept: list[Kept] = field(default_factory=list[Kept])
    told: list[Sequence[Revocation]] = field(default_factory=list[Sequence[Revocation]])

    def __post_init__(self) -> None:
        self.file = self.opened()

    @property
    def source(self) -> Path:
        """One directive per line."""
        return self.room / "directives"

    @property
    def keys(self) -> Path:
        """The key set."""
        return self.room / "keys.json"

    def opened(self) -> DirectiveFile:
        """A reader that knows nothing yet."""
        return DirectiveFile(self.source, self.keys, self.told.append)

    def write(self, path: Path, octets: bytes) -> None:
        """Replace a file, as a mount changes."""
        path.with_suffix(".new").write_bytes(octets)
        path.with_suffix(".new").replace(path)

    def read(self, now_ns: int | None = None) -> Reading:
        """Look; the files are as young as they are."""
        return self.file.read(self._held, now_ns or time.time_ns())

    def say(self, octets: bytes) -> Reading:
        """Replace the source, and look."""
        self.write(self.source, octets)
        return self.read()

    def all(self) -> Sequence[Revocation]:
        """What a reader that knows nothing believes of what stands there, told at once."""
        return self.opened().read(self._held, time.time_ns()).believed

    def _held(self) -> Iterable[Kept]:
        return self.kept


@pytest.fixture
def mounted(tmp_path: Path) -> Mounted:
    """A key set, and an empty source that was read."""
    here = Mounted(tmp_path)
    here.write(here.keys, DIRECTIVE_JWKS)
    here.write(here.source, b"")
    assert here.read() == Reading(is_anew=True)
    return here


def ids(believed: Sequence[Revocation]) -> list[str]:
    return [each.id for each in believed]


def test_what_is_new_is_told_once(mounted: Mounted) -> None:
    one, two = directive(id="1"), directive(id="2")

    assert ids(mounted.say(lines(one)).believed) == ["1"]
    assert mounted.read() == Reading()
    assert ids(mounted.say(lines(one, two)).believed) == ["2"]
    assert mounted.read(LATER) == Reading()
    assert mounted.read(LATER) == Reading()


def test_a_line_that_comes_back_is_told_again(mounted: Mounted) -> None:
    mounted.say(lines(directive()))
    assert mounted.say(b"") == Reading()

    assert ids(mounted.say(lines(directive())).believed) == ["r-1"]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b" \n", b"\n\n\n"])
def test_lines_may_end_as_any_editor_ends_them(end: bytes, mounted: Mounted) -> None:
    assert ids(mounted.say(directive(id="1") + end + directive(id="2") + end).believed) == [
        "1",
        "2",
    ]


def test_a_bad_line_costs_its_neighbours_nothing_and_is_told_once(mounted: Mounted) -> None:
    bad = [b"<html>", directive(FORGER, id="forged"), directive()[:-46], b"\xff\x00"]
    text = lines(directive(id="1"), bad[0], directive(id="2"), *bad[1:], directive(id="3"))

    first = mounted.say(text)
    mounted.write(mounted.source, text + lines(directive(id="4")))
    second = mounted.read()

    assert ids(first.believed) == ["1", "2", "3"]
    assert (first.refused, first.refused_new) == (4, 4)
    assert first.told == (
        "line 2: not in compact form",
        "line 4: Signature verification failed",
        "line 5: Signature verification failed",
        "line 6: not in compact form",
    )
    assert second == Reading(believed=second.believed, refused=4)
    assert ids(second.believed) == ["4"]


def test_a_source_of_garbage_tells_of_a_few_lines_and_counts_all(mounted: Mounted) -> None:
    reading = mounted.say(b"".join(b"%d\n" % number for number in range(20)))

    assert (reading.refused, reading.refused_new, len(reading.told)) == (20, 20, TOLD_MAX)


def test_the_same_bad_line_counts_once_however_often_it_stands_there(mounted: Mounted) -> None:
    assert mounted.say(b"x\nx\nx\n").refused == 1


def test_a_last_line_without_end_counts_if_it_is_whole(mounted: Mounted) -> None:
    assert ids(mounted.say(directive()).believed) == ["r-1"]


def test_half_a_last_line_is_passed_over_until_it_is_finished(mounted: Mounted) -> None:
    text = lines(directive(id="1"), directive(id="2"))

    half = mounted.say(text[:-40])
    whole = mounted.say(text)

    assert (ids(half.believed), half.refused) == (["1"], 0)
    assert (ids(whole.believed), whole.refused) == (["2"], 0)


def test_half_a_last_line_that_gets_its_end_is_refused(mounted: Mounted) -> None:
    mounted.say(directive()[:-40])

    assert mounted.say(directive()[:-40] + b"\n").refused == 1


def _broken(mounted: Mounted, how: str) -> None:
    path = mounted.source
    if how == "missing":
        path.unlink()
    elif how == "a directory":
        path.unlink()
        path.mkdir()
    elif how == "too large":
        mounted.write(path, b"x" * (SOURCE_BYTES_MAX + 1))
    else:
        mounted.write(path, b"\n" * (LINES_MAX + 1))


BROKEN: Final = {
    "missing": "{}: No such file or directory",
    "a directory": "{}: Is a directory",
    "too large": f"{{}} is larger than {SOURCE_BYTES_MAX} bytes",
    "too many lines": f"more than {LINES_MAX} lines",
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_source_that_cannot_be_read_changes_nothing(how: str, mounted: Mounted) -> None:
    mounted.say(lines(b"bad", directive(id="1")))

    _broken(mounted, how)

    unchanged = Reading(refused=1, errors={"source": BROKEN[how].format(mounted.source)})
    assert [mounted.read(), mounted.read(LATER), mounted.read(LATER)] == [unchanged] * 3
    if how == "a directory":
        mounted.source.rmdir()
    again = mounted.say(lines(b"bad", directive(id="1"), directive(id="2")))
    assert again == Reading(believed=again.believed, refused=1)
    assert ids(again.believed) == ["2"]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"<html>", "not unambiguous JSON in UTF-8"),
        (b"", "not unambiguous JSON in UTF-8"),
        (DIRECTIVE_JWKS[:-9], "not unambiguous JSON in UTF-8"),
        (jwks(), "no usable key"),
        (b" " * 70_000, "{} is larger than 65536 bytes"),
    ],
)
def test_keys_that_are_none_leave_the_good_ones(
    content: bytes, why: str, mounted: Mounted
) -> None:
    mounted.write(mounted.keys, content)
    errors = {"keys": why.format(mounted.keys)}

    reading = mounted.say(lines(directive(id="1")))

    assert reading == Reading(believed=reading.believed, errors=errors)
    assert ids(reading.believed) == ["1"]
    assert mounted.read(LATER).errors == errors
    assert mounted.read(LATER).errors == errors
    assert mounted.file.jwks == DIRECTIVE_JWKS


def test_without_keys_nothing_is_judged_until_there_are_some(tmp_path: Path) -> None:
    here = Mounted(tmp_path)
    missing = Reading(errors={"keys": f"{here.keys}: No such file or directory"})

    assert here.say(lines(directive(id="1"), b"bad")) == missing
    assert here.read() == missing

    here.write(here.keys, DIRECTIVE_JWKS)
    reading = here.read()
    assert (ids(reading.believed), reading.is_anew, reading.refused) == (["1"], True, 1)


def test_other_keys_have_everything_judged_anew(mounted: Mounted) -> None:
    held = [directive(id="held"), directive(ES, id="held-by-another")]
    mounted.kept = [Kept(signed=signed.decode(), forget_unix_s=0) for signed in held]
    mounted.say(lines(directive(id="1"), directive(ES, id="2")))

    mounted.write(mounted.keys, jwks(ES.jwk()))
    reading = mounted.read()

    assert (ids(reading.believed), reading.is_anew) == (["held-by-another", "2"], True)
    assert reading.refused == 1
    assert reading.told == ("line 1: signed with a key we do not have",)


def test_the_same_keys_written_otherwise_change_nothing(mounted: Mounted) -> None:
    mounted.say(lines(directive()))
    other = DIRECTIVE_JWKS.replace(b'{"keys"', b'{ "keys"')

    mounted.write(mounted.keys, other)

    assert mounted.read() == Reading()
    assert mounted.file.jwks == other


def test_what_only_lifts_is_remembered_as_long_as_it_was_kept_for(mounted: Mounted) -> None:
    signed = directive(id="lift", until=5)

    reading = mounted.file.recover(
        DIRECTIVE_JWKS, [Kept(signed=signed.decode(), forget_unix_s=9)]
    )

    (lift,) = reading.believed
    assert (lift.until_unix_s, lift.forget_unix_s, reading.is_anew) == (5, 9, True)


def test_what_was_kept_is_verified_again(mounted: Mounted) -> None:
    kept = [
        Kept(signed=signed.decode(), forget_unix_s=0)
        for signed in (directive(FORGER, id="forged"), directive(id="good"))
    ]

    assert ids(mounted.file.recover(DIRECTIVE_JWKS, kept).believed) == ["good"]
    assert mounted.opened().recover(b"", kept) == Reading()


def test_recovered_keys_are_good_until_there_are_others(tmp_path: Path) -> None:
    here = Mounted(tmp_path)
    here.file.recover(DIRECTIVE_JWKS, [])

    reading = here.say(lines(directive()))

    assert (ids(reading.believed), reading.is_anew) == (["r-1"], False)
    assert reading.errors == {"keys": f"{here.keys}: No such file or directory"}


def test_many_are_told_in_portions_and_each_once(
    mounted: Mounted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directive_file, "PORTION", 2)
    mounted.write(mounted.source, lines(directive(id="r-0")))
    assert ids(mounted.read().believed) == ["r-0"]
    bad = directive(FORGER, id="bad")

    reading = mounted.say(
        lines(*(directive(id=f"r-{n}") for n in range(4)), bad, bad, directive(id="r-4"))
    )

    assert list(map(ids, mounted.told)) == [["r-1", "r-2"], ["r-3"]]
    assert ids(reading.believed) == ["r-4"]
    assert reading.refused == 1


def test_by_new_keys_all_are_told_at_once(
    mounted: Mounted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directive_file, "PORTION", 1)
    mounted.say(lines(directive(id="r-1")))
    mounted.told.clear()
    mounted.write(mounted.keys, jwks(ORIGIN.jwk(), ES.jwk()))

    reading = mounted.say(lines(*(directive(id=f"r-{n}") for n in range(3))))

    assert reading.is_anew
    assert sorted(ids(reading.believed)) == ["r-0", "r-1", "r-2"]
    assert mounted.told == []


OLD: Final = directive(id="lifted", issued_at=NOW_S)
LIFT: Final = directive(id="lifted", issued_at=NOW_S + 1, until=0)
FILLING: Final = [directive(id=f"r-{number}") for number in range(4)]


@pytest.mark.parametrize("first", [OLD, LIFT], ids=["old first", "lift first"])
@pytest.mark.parametrize(
    "known", [[], [directive(id="known")]], ids=["a first look", "a file that grows"]
)
def test_lines_of_one_id_are_told_together_wherever_they_stand(
    known: list[bytes], first: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directive_file, "PORTION", 2)
    here = Mounted(tmp_path)
    here.file.recover(DIRECTIVE_JWKS, [])
    here.write(here.keys, DIRECTIVE_JWKS)
    here.say(lines(*known))
    second = LIFT if first == OLD else OLD

    reading = here.say(lines(*known, FILLING[0], first, *FILLING[1:], second))

    assert list(map(ids, here.told)) == [["r-0", "lifted", "lifted"], ["r-1", "r-2"]]
    assert ids(reading.believed) == ["r-3"]


def test_a_forged_line_of_an_id_holds_up_none_but_its_own(
    mounted: Mounted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directive_file, "PORTION", 2)
    forged = directive(FORGER, id="r-1")

    reading = mounted.say(lines(*FILLING[:2], b"x", *FILLING[2:], forged, b"y"))

    assert list(map(ids, mounted.told)) == [["r-0", "r-1"], ["r-2"], ["r-3"]]
    assert reading.told == (
        "line 3: not in compact form",
        "line 6: Signature verification failed",
        "line 7: not in compact form",
    )


def test_what_is_known_is_told_once_more_beside_what_is_new_under_its_id(
    mounted: Mounted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directive_file, "PORTION", 2)
    known = [LIFT, *FILLING[:2]]
    mounted.say(lines(*known))
    mounted.told.clear()

    portioned = mounted.say(lines(*known, OLD, FILLING[2], FILLING[3]))
    again = directive(id="r-3", issued_at=NOW_S + 1)
    alone = mounted.say(lines(*known, OLD, FILLING[2], FILLING[3], again))

    assert list(map(ids, mounted.told)) == [["lifted", "r-2", "lifted"]]
    assert (ids(portioned.believed), ids(alone.believed)) == (["r-3"], ["r-3", "r-3"])


def test_a_portion_that_nobody_believes_is_not_told(
    mounted: Mounted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directive_file, "PORTION", 2)

    reading = mounted.say(lines(b"1", b"2", b"3", b"4", b"5", *FILLING[:2]))

    assert list(map(ids, mounted.told)) == [["r-0"]]
    assert ids(reading.believed) == ["r-1"]


_CASES: Final = [
    directive(ORIGIN, id=name, session=f"00000000-0000-0000-0000-00000000000{session}", **times)
    for name, session in itertools.product("ab", "12")
    for times in (
        {"issued_at": NOW_S - 2, "until": NOW_S + 60},
        {"issued_at": NOW_S - 1, "until": 0},
        {"issued_at": NOW_S, "until": NOW_S + 30},
        {"issued_at": NOW_S + 1, "until": NOW_S - 60},
    )
]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    looks=st.lists(st.lists(st.sampled_from([*_CASES, b"x"]), max_size=6), max_size=4),
    portion=st.integers(1, 3),
)
def test_a_file_that_grows_says_at_each_look_what_it_says_at_once(
    looks: list[list[bytes]], portion: int, mounted: Mounted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nobody is shut out in between whom the same look lets in."""
    monkeypatch.setattr(directive_file, "PORTION", portion)
    mounted.file = mounted.opened()
    mounted.say(b"")
    table, text = Revocations(), b""
    for added in looks:
        text += lines(*added)
        mounted.told.clear()
        before, passed = _sessions(table), set[str]()

        reading = mounted.say(text)
        for told in (*mounted.told, reading.believed):
            passed |= {each.session for each in table.learn(told, NOW)}

        at_once = Revocations()
        at_once.learn(mounted.all(), NOW)
        assert _sessions(table) == _sessions(at_once)
        assert passed <= _sessions(table) | before


def _sessions(table: Revocations) -> set[str]:
    held = [each for each in table.held() if each.until_unix_s > NOW_S]
    return {each.session for each in held}


def test_many_lines_are_all_judged(mounted: Mounted) -> None:
    reading = mounted.say(lines(*(directive(id=str(number)) for number in range(50))))

    assert ids(reading.believed) == [str(number) for number in range(50)]


_LINE = st.sampled_from(
    [directive(id="1"), directive(id="2"), directive(FORGER), b"", b"x", b"\xff", b"  "]
)
_BREAK = st.sampled_from([b"\n", b"\r\n", b" ", b""])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.lists(st.tuples(_LINE, _BREAK), max_size=5), max_size=4))
def test_whatever_is_written_only_whole_signed_lines_are_believed(
    texts: list[list[tuple[bytes, bytes]]], mounted: Mounted
) -> None:
    mounted.file = mounted.opened()
    known: set[bytes] = set()
    for text in texts:
        octets = b"".join(line + end for line, end in text)
        stand = {line.strip() for line in octets.split(b"\n")} & {
            directive(id="1"),
            directive(id="2"),
        }

        believed = {each.signed for each in mounted.say(octets).believed}

        assert believed == stand - known
        known = stand
