"""``edge spool`` finds the spool, calls what it names, and ends with the code scripts rely on."""

import json
import os
import shutil
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pytest

from edge.cli import run
from edge.config import SpoolSettings
from edge.core.lane import Lane
from edge.shell import dead
from edge.shell.dead import DeadLetters
from edge.shell.spool import process
from edge.shell.spool.claim import Lock
from edge.shell.spool.disk import OsDisk
from origin_client.kafka import KafkaOrigin
from origin_client.log import LogOrigin
from origin_client.origin import Outgoing, Refusal
from tests.shell.spool.test_inspect import GOLDEN
from tests.shell.test_dead import DEAD_MS, FRAME, RECORD
from tests.test_cli import settings_file

__all__ = ["settings_file"]


@pytest.fixture
def spool_path(tmp_path: Path) -> Path:
    """A spool in which nothing is yet."""
    path = tmp_path / "spool"
    process.Spool.open(SpoolSettings(path=str(path), allow_volatile=True)).close()
    return path


def test_spool_is_found_by_its_path_or_by_the_settings(
    spool_path: Path, settings_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["spool", "stats", "--json", "--path", str(spool_path)], {}) == 0
    by_path = capsys.readouterr().out
    assert run(["spool", "stats", "--json", "--config", str(settings_file)], {}) == 0

    assert capsys.readouterr().out == by_path
    assert {json.loads(line)["lane"] for line in by_path.splitlines()} == {*Lane}


@pytest.mark.parametrize("command", ["ls", "cat", "verify"])
def test_a_sound_spool_is_read_without_complaint(
    command: str, spool_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["spool", command, "--path", str(spool_path)], {}) == 0
    assert capsys.readouterr().err == ""


def test_verify_ends_with_1_when_there_is_damage(
    spool_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (spool_path / "0/bet/cursor").write_bytes(b"damage")

    assert run(["spool", "verify", "--json", "--path", str(spool_path)], {}) == 1
    assert json.loads(capsys.readouterr().out)["lane"] == "bet"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_spool_that_cannot_be_read_ends_with_1(
    spool_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (spool_path / "0/bet").chmod(0)

    assert run(["spool", "stats", "--path", str(spool_path)], {}) == 1
    assert capsys.readouterr().err.startswith(f"edge: cannot read {spool_path}: ")


@pytest.mark.parametrize(
    ("arguments", "instead"),
    [
        (["ls"], "--path DIR"),
        (["drain", "--path", "DIR"], "--to URL"),
        (["redrive", "--path", "DIR"], "--to URL"),
        (["drain", "--to", "log:L"], "--path DIR"),
        (["redrive"], "--path DIR and --to URL"),
    ],
)
def test_whoever_has_no_settings_is_told_what_to_give_instead(
    arguments: list[str], instead: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["spool", *arguments], {"EDGE_PORT_8080_TCP": "tcp://10.0.0.1"}) == 78

    told = f"edge: there are no settings: give {instead} or --config FILE\n"
    assert capsys.readouterr().err == told


def test_whoever_has_some_settings_is_told_what_they_lack(
    capsys: pytest.CaptureFixture[str],
) -> None:
    environ = {"EDGE_ORIGIN__URL": "log:L"}

    assert run(["spool", "drain", "--path", "DIR"], environ) == 78
    assert capsys.readouterr().err.startswith("edge: auth.issuers: ")


def test_no_spool_ends_with_78(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["spool", "ls", "--path", str(tmp_path)], {}) == 78
    assert capsys.readouterr().err.startswith("edge: spool.path: there is no spool in")


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    """Four of fourteen records are forwarded."""
    shutil.copytree(GOLDEN / "spool", tmp_path / "golden")
    return tmp_path / "golden"


@pytest.fixture
def letters(golden: Path) -> DeadLetters:
    """One letter and one frame, dead in lane ``bet``."""
    dead_letters = DeadLetters(OsDisk(), golden / "0/bet/dead", bytes_max=1 << 20)
    dead_letters.bury([dead.refused(RECORD, "too large", dead_ms=DEAD_MS)])
    dead_letters.bury([dead.quarantined(FRAME, dead_ms=DEAD_MS)])
    return dead_letters


class Ended(NamedTuple):
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str


class Spool(Protocol):
    """Runs ``edge spool``."""

    def __call__(self, *arguments: str | Path, **environ: str) -> Ended:
        """Run it."""
        ...


@pytest.fixture
def spool(
    settings_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Spool]:
    """Runs a command here, with the settings' ``allow_volatile``; logging and signals stay ours."""
    monkeypatch.setattr("edge.cli_spool.keep_journal", lambda: None)
    monkeypatch.setattr("edge.shell.redrive.PAUSE_S", 0)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def ended(*arguments: str | Path, **environ: str) -> Ended:
        name, *rest = map(str, arguments)
        code = run(["spool", name, "--config", str(settings_file), *rest], environ)
        printed = capsys.readouterr()
        return Ended(code, printed.out, printed.err)

    yield ended
    for number, handler in handlers.items():
        signal.signal(number, handler)


def published(log: Path) -> dict[str, list[dict[str, object]]]:
    """What lies in an embedded log, by topic."""
    return {
        topic.name: [
            json.loads(line)["value"]
            for file in sorted(topic.glob("*/*.jsonl"))
            for line in file.read_text().splitlines()
        ]
        for topic in log.glob("edge.*")
    }


@pytest.mark.parametrize(("arguments", "records"), [([], 10), (["--all"], 14)])
def test_export_writes_what_waits_or_all_there_is(
    golden: Path, arguments: list[str], records: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["spool", "export", "--path", str(golden), *arguments], {}) == 0

    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == records
    assert printed.err == f"edge: {records} records exported; places where one is missing: 0\n"


def test_export_into_a_file_says_how_many(
    golden: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.jsonl"

    assert run(["spool", "export", "--path", str(golden), "--out", str(out)], {}) == 0

    assert (len(out.read_text().splitlines()), capsys.readouterr().out) == (10, "")


def test_export_of_a_damaged_spool_writes_the_rest_and_ends_with_1(
    golden: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    segment = golden / "0/bet/0000000003.seg"
    octets = bytearray(segment.read_bytes())
    octets[200] ^= 1
    segment.write_bytes(octets)

    assert run(["spool", "export", "--path", str(golden)], {}) == 1

    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 9
    assert printed.err.startswith("edge: bet: segment 3, ")
    assert printed.err.endswith("edge: 9 records exported; places where one is missing: 1\n")


def test_export_into_a_device_without_room_ends_with_1(
    golden: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["spool", "export", "--path", str(golden), "--out", "/dev/full"], {}) == 1
    assert capsys.readouterr().err.startswith(f"edge: cannot export {golden}: ")


def test_export_to_where_nobody_can_write_ends_with_1(
    golden: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(golden / "none" / "out")

    assert run(["spool", "export", "--path", str(golden), "--out", out], {}) == 1
    assert capsys.readouterr().err.startswith(f"edge: cannot export {golden}: ")


def test_drain_forwards_everything_and_a_second_has_nothing_to_do(
    spool: Spool, golden: Path, tmp_path: Path
) -> None:
    arguments = ("drain", "--path", golden, "--to", f"log:{tmp_path}/origin")

    ended = spool(*arguments)

    assert (ended.code, ended.out) == (0, "")
    assert ended.err.splitlines()[-1] == "edge: 10 forwarded, 0 left"
    indexes = [each["index"] for each in published(tmp_path / "origin")["edge.bet.v1"]]
    assert sorted(map(int, map(str, indexes))) == list(range(4, 14))
    assert spool(*arguments).code == 0
    assert len(published(tmp_path / "origin")["edge.bet.v1"]) == 10


@pytest.mark.usefixtures("letters")
def test_drain_names_the_lanes_whose_dead_letters_stay(
    spool: Spool, golden: Path, tmp_path: Path
) -> None:
    ended = spool("drain", "--path", golden, "--to", f"log:{tmp_path}/origin")

    assert ended.code == 0
    assert "edge: dead letters stay: bet; edge spool redrive sends them\n" in ended.err


def test_drain_that_runs_out_of_time_says_what_is_left(
    spool: Spool, golden: Path, tmp_path: Path
) -> None:
    (tmp_path / "origin").mkdir()
    (tmp_path / "origin/edge.bet.v1").write_text("in the way")
    arguments = ("--path", golden, "--to", f"log:{tmp_path}/origin", "--timeout-s", "0")

    ended = spool("drain", *arguments)

    assert ended.code == 1
    assert ended.err.endswith("edge: 0 forwarded, 10 left: bet 10\n")


def test_drain_of_no_spool_ends_with_78_and_makes_none(spool: Spool, tmp_path: Path) -> None:
    ended = spool("drain", "--path", tmp_path / "typo", "--to", f"log:{tmp_path}/origin")

    assert ended.code == 78
    assert ended.err.startswith("edge: spool.path: there is no spool in ")
    assert list(tmp_path.glob("typo*")) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_drain_of_a_spool_that_cannot_be_read_ends_with_1(
    spool: Spool, golden: Path, tmp_path: Path
) -> None:
    (golden / "0").chmod(0)

    ended = spool("drain", "--path", golden, "--to", f"log:{tmp_path}/origin")

    (golden / "0").chmod(0o700)
    assert ended.code == 1
    assert ended.err.startswith(f"edge: cannot drain {golden}: ")


@pytest.mark.parametrize("command", ["drain", "redrive"])
@pytest.mark.parametrize("duration", ["nan", "-1", "inf", "soon"])
def test_a_time_that_is_none_is_a_wrong_usage(
    golden: Path, command: str, duration: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(["spool", command, "--path", str(golden), f"--timeout-s={duration}"], {})

    assert ended.value.code == 2
    assert f"{duration!r} is no number of seconds" in capsys.readouterr().err


def test_drain_of_a_spool_in_use_ends_with_1(
    spool: Spool, golden: Path, tmp_path: Path
) -> None:
    lock = Lock(golden / "0/lock", wait_s=0)
    try:
        ended = spool("drain", "--path", golden, "--to", f"log:{tmp_path}/origin")
    finally:
        lock.release()

    assert (ended.code, ended.err.count("\n")) == (1, 1)
    assert ended.err.startswith("edge: another process owns ")


@pytest.mark.usefixtures("letters")
def test_redrive_tells_each_lane_and_leaves_what_nobody_can_send(
    spool: Spool, golden: Path, tmp_path: Path
) -> None:
    arguments = ("redrive", "--path", golden, "--to", f"log:{tmp_path}/origin")

    told = spool(*arguments, "--json", "--lane", "bet")
    again = spool(*arguments)

    assert (told.code, told.err) == (0, "")
    assert json.loads(told.out) == {
        "lane": "bet",
        "redriven": 1,
        "refused": 0,
        "damaged": 0,
        "quarantined": 1,
    }
    assert again.out == "bet: 0 redriven, 0 refused, 0 damaged, 1 quarantined\n"
    assert len(published(tmp_path / "origin")["edge.bet.v1"]) == 1


def test_redrive_of_another_lane_leaves_this_one_alone(
    spool: Spool, golden: Path, tmp_path: Path, letters: DeadLetters
) -> None:
    before = letters.bytes_used()

    ended = spool(
        "redrive", "--path", golden, "--to", f"log:{tmp_path}/origin", "--lane", "game"
    )

    letters.measure()
    assert (ended.code, ended.out, letters.bytes_used()) == (0, "", before)


@pytest.mark.usefixtures("letters")
def test_redrive_says_why_the_last_was_refused_and_nothing_that_moves_the_cursor(
    spool: Spool, golden: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: LogOrigin, __: str, records: Sequence[Outgoing]) -> list[Refusal]:
        return [Refusal(n, "no\x1b[2J such\nmarket") for n in range(len(records))]

    monkeypatch.setattr(LogOrigin, "publish", refuse)

    ended = spool("redrive", "--path", golden, "--to", f"log:{tmp_path}/origin")

    assert (ended.code, ended.out) == (
        1,
        "bet: 0 redriven, 1 refused, 0 damaged, 1 quarantined\n",
    )
    assert ended.err.startswith("edge: bet: last refused because: no")
    assert ended.err.count("\n") == 1
    assert "\x1b" not in ended.err


def test_redrive_without_letters_says_so(spool: Spool, golden: Path, tmp_path: Path) -> None:
    ended = spool("redrive", "--path", golden, "--to", f"log:{tmp_path}/origin")

    assert ended == (0, "", "edge: no dead letters\n")


def test_redrive_of_a_damaged_letter_ends_with_1(
    spool: Spool, golden: Path, tmp_path: Path
) -> None:
    (golden / "0/bet/dead").mkdir()
    dead.letter_path(golden / "0/bet/dead", 1).write_text("?\n")

    ended = spool("redrive", "--path", golden, "--to", f"log:{tmp_path}/origin")

    assert (ended.code, ended.err) == (1, "")
    assert ended.out == "bet: 0 redriven, 0 refused, 1 damaged, 0 quarantined\n"


@pytest.mark.usefixtures("letters")
def test_redrive_beside_another_ends_with_1(spool: Spool, golden: Path, tmp_path: Path) -> None:
    lock = Lock(golden / "0/bet/dead/redrive.lock", wait_s=0)
    try:
        ended = spool("redrive", "--path", golden, "--to", f"log:{tmp_path}/origin")
    finally:
        lock.release()

    assert (ended.code, ended.err) == (1, "edge: another redrive of lane bet runs\n")


@pytest.mark.usefixtures("letters")
def test_redrive_to_an_origin_that_is_away_keeps_all_and_ends_with_1(
    spool: Spool, golden: Path, tmp_path: Path, letters: DeadLetters
) -> None:
    (tmp_path / "origin").mkdir()
    (tmp_path / "origin/edge.bet.v1").write_text("in the way")
    before = letters.bytes_used()

    ended = spool(
        "redrive", "--path", golden, "--to", f"log:{tmp_path}/origin", "--timeout-s", "0.3"
    )

    letters.measure()
    assert (ended.code, letters.bytes_used()) == (1, before)
    assert ended.err.splitlines()[-1].startswith("edge: origin unavailable: edge.bet.v1: ")


def test_redrive_to_a_kafka_that_is_down_ends_when_its_time_is_over(
    spool: Spool, golden: Path, letters: DeadLetters
) -> None:
    before = letters.bytes_used()

    ended = spool(
        "redrive", "--path", golden, "--to", "kafka://127.0.0.1:1", "--timeout-s", "2"
    )

    letters.measure()
    assert (ended.code, letters.bytes_used()) == (1, before)
    assert ended.err.splitlines()[-1].startswith(
        "edge: origin unavailable: a broker cannot be reached: 127.0.0.1:1: "
    )


@pytest.mark.usefixtures("letters")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_redrive_to_a_kafka_that_is_down_ends_when_told_to(
    spool: Spool, golden: Path, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    def publish(origin: KafkaOrigin, *arguments: Any) -> list[Refusal]:
        """Be told as soon as nobody but another thread can end it."""
        signal.raise_signal(number)
        return actual(origin, *arguments)

    actual = KafkaOrigin.publish
    monkeypatch.setattr(KafkaOrigin, "publish", publish)

    ended = spool("redrive", "--path", golden, "--to", "kafka://127.0.0.1:1")

    assert (ended.code, ended.err.count("\n")) == (1, 1)
    assert ended.err.endswith("; what it has not acknowledged stays\n")


def test_redrive_from_a_disk_that_refuses_ends_with_1(
    spool: Spool, golden: Path, tmp_path: Path
) -> None:
    (golden / "0/bet/dead/0000000001.jsonl").mkdir(parents=True)
    (golden / "0/bet/dead/0000000002.jsonl").symlink_to("0000000002.jsonl")

    ended = spool("redrive", "--path", golden, "--to", f"log:{tmp_path}/origin")

    assert (ended.code, ended.err[:26]) == (1, "edge: cannot redrive: [Err")


@pytest.mark.parametrize("command", ["drain", "redrive"])
def test_an_origin_that_is_none_ends_with_78(spool: Spool, golden: Path, command: str) -> None:
    ended = spool(command, "--path", golden, "--to", "carrier:pigeon")

    assert ended.code == 78
    assert ended.err.startswith("edge: origin.url: ")


def test_options_go_with_another_url_only_to_the_same_kind(
    spool: Spool, golden: Path, tmp_path: Path
) -> None:
    options = {"EDGE_ORIGIN__OPTIONS": '{"partitions": 2}'}

    same = spool("drain", "--path", golden, "--to", f"log:{tmp_path}/same", **options)
    other = spool("redrive", "--path", golden, "--to", "http://127.0.0.1:9/in", **options)

    assert (same.code, other.code) == (0, 0)
    (log,) = (tmp_path / "same").glob("*.json")
    assert json.loads(log.read_text())["partitions"] == 2


def test_path_and_url_are_all_a_redrive_needs(
    golden: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.cli_spool.keep_journal", lambda: None)

    assert (
        run(["spool", "redrive", "--path", str(golden), "--to", f"log:{tmp_path}/o"], {}) == 0
    )
