"""An export holds every record there is, and tells of each place where one may be missing."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from edge.config import ConfigError
from edge.core.frame import HEADER_BYTES
from edge.shell.spool.cursor import Position, store
from edge.shell.spool.disk import OsDisk
from edge.shell.spool.export import durable_file, export
from edge.shell.spool.segment import LaneFiles
from tests.shell.spool.test_inspect import FIRST_RUN, GOLDEN, SECOND_RUN, START_MS


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of the golden spool: four of fourteen records forwarded."""
    shutil.copytree(GOLDEN / "spool", tmp_path / "spool")
    return tmp_path / "spool"


def read(root: Path, *, with_retained: bool = False) -> tuple[list[dict[str, Any]], list[str]]:
    """Every line, and every complaint."""
    complaints: list[str] = []
    exported = export(root, complaints.append, with_retained=with_retained)
    return [json.loads(line) for line in exported], complaints


def damage(segment: Path, at: int) -> None:
    """Change one byte."""
    octets = bytearray(segment.read_bytes())
    octets[at] ^= 1
    segment.write_bytes(octets)


def test_what_waits_is_exported_as_the_origin_would_get_it(root: Path) -> None:
    lines, complaints = read(root)

    assert complaints == []
    assert [line["value"]["index"] for line in lines] == list(range(4, 14))
    assert lines[0] == {
        "topic": "edge.bet.v1",
        "key": "player-1",
        "headers": {"content-type": "application/cloudevents+json; charset=UTF-8"},
        "value": {"edgespool": FIRST_RUN, "edgeseq": "5", "index": 4, "padding": "xxxx"},
        "lane": "bet",
        "edgespool": FIRST_RUN,
        "edgeseq": 5,
        "accepted_ms": lines[0]["accepted_ms"],
        "is_forwarded": False,
    }
    assert START_MS <= lines[0]["accepted_ms"] <= lines[-1]["accepted_ms"]
    assert {line["edgespool"] for line in lines} == {FIRST_RUN, SECOND_RUN}


def test_all_is_what_is_retained_too(root: Path) -> None:
    lines, complaints = read(root, with_retained=True)

    assert complaints == []
    assert [line["is_forwarded"] for line in lines] == [True] * 4 + [False] * 10


@pytest.mark.parametrize(
    ("segment", "with_retained", "complaints"),
    [(3, False, 1), (3, True, 1), (1, True, 1), (1, False, 0)],
    ids=["waiting", "waiting, all", "forwarded, all", "forwarded"],
)
def test_a_damaged_place_is_told_where_it_matters(
    root: Path,
    segment: int,
    with_retained: bool,  # noqa: FBT001  # a row
    complaints: int,
) -> None:
    damage(root / f"0/bet/{segment:010d}.seg", HEADER_BYTES + 50)

    lines, told = read(root, with_retained=with_retained)

    assert len(told) == complaints
    assert len(lines) == (14 if with_retained else 10) - complaints
    for each in told:
        assert each.startswith(f"bet: segment {segment}, ")
        assert each.endswith("(forwarded before)" if segment == 1 else "(waiting)")


def test_the_torn_end_of_a_write_was_never_accepted(root: Path) -> None:
    last = root / "0/bet/0000000004.seg"
    last.write_bytes(last.read_bytes()[:-7])

    lines, complaints = read(root)

    assert (len(lines), complaints) == (9, [])


def test_a_segment_that_vanished_is_told_unless_it_was_forwarded_meanwhile(root: Path) -> None:
    files = LaneFiles(OsDisk(), root / "0/bet")
    for is_forwarded in (False, True):
        complaints: list[str] = []
        exported = export(root, complaints.append, with_retained=False)
        next(exported)
        (root / "0/bet/0000000003.seg").rename(root / "aside")
        if is_forwarded:
            store(files, Position(4))
        left = len(list(exported))
        (root / "aside").rename(root / "0/bet/0000000003.seg")

        assert left == 3
        assert bool(complaints) is not is_forwarded


@pytest.mark.parametrize("is_forwarded", [False, True])
def test_a_segment_that_was_gone_before_is_told_by_its_successor(
    root: Path, *, is_forwarded: bool
) -> None:
    files = LaneFiles(OsDisk(), root / "0/bet")
    (root / "0/bet/0000000003.seg").unlink()
    if is_forwarded:
        store(files, Position(3, 920, 6))

    lines, complaints = read(root)

    told = [] if is_forwarded else ["bet: segment 3, 920 bytes: it is missing (waiting)"]
    assert complaints == told
    assert len(lines) == (2 if is_forwarded else 4)


def test_an_empty_file_is_a_segment_that_was_lost(root: Path) -> None:
    (root / "0/bet/0000000004.seg").write_bytes(b"")
    (root / "0/bet/0000000001.seg").unlink()
    store(LaneFiles(OsDisk(), root / "0/bet"), Position(2))

    assert read(root)[1] == ["bet: segment 4, 0 bytes from 128: no readable record (waiting)"]


def test_a_spool_of_another_version_is_a_wrong_setting() -> None:
    with pytest.raises(ConfigError, match="has format 2"):
        read(GOLDEN / "spool_of_version_2")


def test_where_no_spool_is_nothing_can_be_exported(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no spool"):
        read(tmp_path)


def test_a_durable_file_is_there_whole_and_for_nobody_else(tmp_path: Path) -> None:
    with durable_file(tmp_path / "out") as file:
        file.write(b"all")
        assert not (tmp_path / "out").exists()

    (out,) = tmp_path.iterdir()
    assert (out.name, out.read_bytes(), out.stat().st_mode & 0o777) == ("out", b"all", 0o600)


def test_a_pipe_is_written_to_and_stays_one(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "out")
    reader = os.open(tmp_path / "out", os.O_RDONLY | os.O_NONBLOCK)
    try:
        with durable_file(tmp_path / "out") as file:
            file.write(b"all")
        assert os.read(reader, 10) == b"all"
    finally:
        os.close(reader)

    (out,) = tmp_path.iterdir()
    assert out.is_fifo()


@pytest.mark.parametrize("size", [10, 100_000], ids=["at the end", "at once"])
def test_a_device_that_takes_nothing_is_told_once(size: int) -> None:
    with pytest.raises(OSError, match="No space left"), durable_file(Path("/dev/full")) as full:
        full.write(b"1" * size)


def test_a_link_is_followed_and_stays_one(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("out")

    with durable_file(tmp_path / "link") as file:
        file.write(b"all")

    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "out").read_bytes() == b"all"


def test_a_durable_file_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("before")

    def fail_half_way() -> None:
        with durable_file(tmp_path / "out") as file:
            file.write(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_half_way()
    assert [each.read_text() for each in tmp_path.iterdir()] == ["before"]
