"""The command: what it sends, says and returns, against a gateway in another thread."""

import gzip
import json
import threading
from collections import defaultdict
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import cast

import pytest
from typing_extensions import override

from loadtests import replay
from loadtests.batches import Batch
from loadtests.bets import COLUMNS
from loadtests.ruling import Answer, StuckError
from loadtests.sender import Sender
from loadtests.tally import Tally
from tests.fakes_replay import Longest, Mood, MoodyGateway, Nap, Purse, Turn, facts

BETS = 1_000
PLAYERS = 37


def player_of(n: int) -> str:
    return f"player-{n * n % PLAYERS}"


ROWS = [f"{n},r-{n},{player_of(n)},2026-11-22T20:00:00Z,100,0" for n in range(1, BETS + 1)]


class Served(MoodyGateway):
    """A moody gateway behind a real port; judges one batch at a time.

    Attributes:
        visitors: Batches that have come and have no answer yet.
        busiest: The most there were at once.
        server: The port.
    """

    def __init__(self) -> None:
        super().__init__(iter(()))
        self.visitors = 0
        self.busiest = 0
        lock = threading.Lock()
        gateway = self

        class Door(BaseHTTPRequestHandler):
            """Hands each POST to the gateway."""

            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                k = self.path.rpartition("=")[2]
                with lock:
                    gateway.visitors += 1
                    gateway.busiest = max(gateway.busiest, gateway.visitors)
                with lock:
                    answer = gateway.post(k, self.headers["authorization"], body)
                    gateway.visitors -= 1
                self.send_response(answer.status)
                self.send_header("content-length", str(len(answer.content)))
                self.send_header("retry-after", answer.retry_after)
                self.end_headers()
                self.wfile.write(answer.content)

            @override
            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Door)


@pytest.fixture
def gateway() -> Iterator[Served]:
    served = Served()
    thread = threading.Thread(target=served.server.serve_forever, args=(0.01,))
    thread.start()
    yield served
    served.server.shutdown()
    served.server.server_close()
    thread.join()


@pytest.fixture
def room(tmp_path: Path) -> Path:
    """A file of bets, plain and zipped, and a token."""
    text = "\n".join([",".join(COLUMNS), *ROWS, ""])
    (tmp_path / "bets.csv").write_text(text)
    (tmp_path / "bets.csv.gz").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "token").write_text("secret")
    return tmp_path


def arguments(room: Path, gateway: Served, *more: str, csv: str = "bets.csv") -> list[str]:
    host, port = gateway.server.server_address[:2]
    return [
        *("--csv", str(room / csv), "--to", f"http://{host!s}:{port}"),
        *("--token-file", str(room / "token"), "--currency", "EUR", "--brand", "demo"),
        *("--jurisdiction", "MT", *more),
    ]


def summary(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    out, _ = capsys.readouterr()
    told: dict[str, object] = json.loads(out)
    return told


@pytest.mark.parametrize("csv", ["bets.csv", "bets.csv.gz"])
def test_every_bet_is_sent_in_its_players_order(
    room: Path, gateway: Served, csv: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert replay.main(arguments(room, gateway, "--json", csv=csv)) == replay.DONE

    assert summary(capsys)["accepted"] == 2 * BETS
    said: dict[str, list[int]] = defaultdict(list)
    for event in gateway.taken:
        payload = cast("dict[str, str]", event["data"])
        said[str(event["subject"])].append(int(payload["round_id"].removeprefix("r-")))
    assert said == {
        player: [n for n in range(1, BETS + 1) for _ in range(2) if player_of(n) == player]
        for player in map(player_of, range(1, BETS + 1))
    }


def test_no_more_batches_wait_than_may(
    room: Path,
    gateway: Served,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With room for one, each is settled before the next is made."""
    monkeypatch.setattr(replay, "BATCHES_WAITING_MAX", 1)

    assert replay.main(arguments(room, gateway, "--json")) == replay.DONE

    assert summary(capsys)["accepted"] == 2 * BETS
    assert gateway.busiest == 1


def test_a_second_run_is_all_duplicate_and_says_so(
    room: Path, gateway: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    replay.main(arguments(room, gateway))
    capsys.readouterr()

    assert replay.main(arguments(room, gateway)) == replay.DONE

    out, error = capsys.readouterr()
    assert out.startswith("2,000 events sent: 0 accepted, 2,000 duplicate, 0 refused, all dup")
    assert out.count("\n") == 1
    assert error == ""


def test_a_final_refusal_is_listed_and_the_rest_is_sent(
    room: Path, gateway: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.turns = iter([Turn(Mood.STRICT)])

    assert replay.main(arguments(room, gateway, "--json")) == replay.FAILED

    out, error = capsys.readouterr()
    assert json.loads(out)["refused"] == {"schema_violation": 1}
    assert json.loads(out)["accepted"] == 2 * BETS - 1
    assert error.count("schema_violation at /x\n") == 1


def test_refusals_for_now_end_in_everything_taken(
    room: Path,
    gateway: Served,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("loadtests.sender.RETRY_AFTER_MAX_S", 0.01)
    gateway.turns = iter([Turn(Mood.CUTTING, 3), Turn(Mood.BUSY), Turn(Mood.CUTTING, 0)])

    assert replay.main(arguments(room, gateway, "--json")) == replay.DONE

    told = summary(capsys)
    assert (told["accepted"], told["retries"], told["overtaken"]) == (2 * BETS, 3, 0)


def test_a_gateway_that_stays_away_ends_it_with_a_summary(
    room: Path, gateway: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.turns = iter([Turn(Mood.BUSY)] * 1000)

    assert replay.main(arguments(room, gateway, "--patience-s", "0")) == replay.FAILED

    out, error = capsys.readouterr()
    assert out.startswith("0 events sent: ")
    assert "2,000 of 2,000 not settled" in out
    assert error == "draining for 0 s\n"


def test_who_gives_up_wakes_those_who_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were the other to sleep on, this would take an hour."""
    monkeypatch.setattr("loadtests.sender.JITTER_MIN_S", 3600.0)
    stop, is_asleep = threading.Event(), threading.Event()
    pause = replay.interruptible(stop)

    def fall_asleep(seconds: float) -> None:
        is_asleep.set()
        pause(seconds)

    class Stranger:
        """Is no gateway, and says so once somebody sleeps."""

        def post(self, k: str, token: str, body: bytes) -> Answer:
            """Answer what no gateway answers."""
            assert is_asleep.wait(10), (k, token, body)
            return Answer(404, "", b"")

    away = MoodyGateway(iter([Turn(Mood.AWAY)]))
    senders = [
        Sender(
            connection=connection,
            token=Purse(),
            tally=Tally(total=2),
            patience_s=60,
            steady_s=Nap().steady_s,
            pause=fall_asleep,
            rng=Longest(),
        )
        for connection in (away, Stranger())
    ]
    all_batches = [Batch(shard, facts("player-1")) for shard in range(2)]

    with pytest.raises(StuckError, match="404"):
        replay.send_all(all_batches, senders, stop, lambda: None)

    assert away.taken == []


def test_a_refused_token_ends_it(
    room: Path, gateway: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.turns = iter([Turn(Mood.SEALED)] * 1000)

    assert replay.main(arguments(room, gateway)) == replay.FAILED

    assert capsys.readouterr().err == "token_expired, and the file holds no other token\n"


def test_a_bad_row_is_told_before_anything_is_sent(
    room: Path, gateway: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    path = room / "bets.csv"
    path.write_text(path.read_text() + "1001,r,player-1,2026-11-22T20:00:00Z,-5,0\n7\n")

    assert replay.main(arguments(room, gateway)) == replay.WRONG_USAGE

    out, error = capsys.readouterr()
    assert out == ""
    assert error == (
        f"{path}, line 1002: stake_minor is not valid\n{path}, line 1003: 1 fields, not 6\n"
    )
    assert gateway.requests == []


def test_only_the_first_bad_rows_are_told(
    room: Path, gateway: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    (room / "bets.csv").write_text("\n".join([",".join(COLUMNS), *["bad"] * 1000]))

    replay.main(arguments(room, gateway))

    assert capsys.readouterr().err.count("\n") == replay.BAD_ROWS_LISTED_MAX


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("none.csv", None),
        ("bytes.csv", b"\xff\xfe\n"),
        ("plain.csv.gz", b"bet_id\n"),
        ("torn.csv.gz", gzip.compress(",".join(COLUMNS).encode() * 100)[:-20]),
        ("broken.csv.gz", gzip.compress(b"bet_id\n")[:10] + b"\xff" * 20),
    ],
)
def test_a_file_that_cannot_be_read_is_wrong_usage(
    room: Path,
    gateway: Served,
    name: str,
    content: bytes | None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if content is not None:
        (room / name).write_bytes(content)

    assert replay.main(arguments(room, gateway, csv=name)) == replay.WRONG_USAGE

    assert capsys.readouterr().err.startswith(f"cannot read {room / name}: ")


def test_a_missing_token_is_wrong_usage(
    room: Path, gateway: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    (room / "token").unlink()

    assert replay.main(arguments(room, gateway)) == replay.WRONG_USAGE

    assert "cannot read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--currency", "euro"),
        ("--brand", "D"),
        ("--jurisdiction", "Malta"),
        ("--to", "localhost"),
    ],
)
def test_terms_that_no_gateway_takes_are_wrong_usage(
    room: Path,
    gateway: Served,
    option: str,
    value: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        replay.main(arguments(room, gateway, option, value))

    assert ended.value.code == replay.WRONG_USAGE
    assert option in capsys.readouterr().err


def test_a_file_that_turns_bad_on_the_way_ends_it(
    room: Path,
    gateway: Served,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def count(path: Path) -> int:
        path.write_text(path.read_text() + "torn")
        return BETS + 1

    monkeypatch.setattr(replay, "count_bets", count)

    assert replay.main(arguments(room, gateway)) == replay.FAILED

    assert "line 1002: 1 fields, not 6, since we began" in capsys.readouterr().err


def test_ctrl_c_ends_it_with_a_summary(
    room: Path,
    gateway: Served,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(replay, "wait", interrupted)

    assert replay.main(arguments(room, gateway)) == replay.FAILED

    out, error = capsys.readouterr()
    assert "events sent: " in out
    assert error == "interrupted; run it again to go on\n"
