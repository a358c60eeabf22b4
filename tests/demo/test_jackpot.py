"""A jackpot is for one brand's players: who else hears it, or who does not, is a fault."""

import asyncio
import io
import json
import random
from pathlib import Path

import pytest

from edge.demo import jackpot as falling
from edge.demo.gateway import Gateway
from edge.demo.issuer import Issuer
from edge.demo.jackpot import fall, jackpot, judge, publish
from edge.demo.ledger import Event, Ledger
from edge.demo.narrator import Narrator
from edge.demo.stage import Stage
from edge.demo.stream import StreamSpeaker
from edge.demo.wire import Traffic
from origin_client.cat import cat

SEED = 7


def stream(name: str, *pushes: Event, is_back: bool = True) -> StreamSpeaker:
    rng = random.Random(name)  # noqa: S311  # no secret
    address = ("127.0.0.1", 1)
    speaker = StreamSpeaker(name, "t", address, Ledger(), Traffic(), rng, lambda _: None)
    speaker.pushes += pushes
    if is_back:
        speaker.returned.set()
    return speaker


def test_it_is_published_as_it_is(tmp_path: Path) -> None:
    publish(tmp_path / "origin", jackpot(SEED))

    out = io.StringIO()
    assert cat(f"log:{tmp_path / 'origin'}", {}, "edge.push.v1", out, as_json=True) == 1
    assert json.loads(out.getvalue())["value"] == jackpot(SEED)


def test_the_same_seed_lets_the_same_jackpot_fall() -> None:
    assert jackpot(SEED) == jackpot(SEED) != jackpot(SEED + 1)


def test_it_is_right_if_each_winner_heard_it_once_and_nobody_else() -> None:
    won = jackpot(SEED)

    assert list(judge(SEED, [stream("jun", won), stream("kim", won)], [stream("eve")])) == []


@pytest.mark.parametrize(
    ("winner", "other", "fault"),
    [
        (stream("jun"), stream("eve"), "jun: 0 pushes arrived, 1 were due"),
        (
            stream("jun", jackpot(SEED), jackpot(SEED)),
            stream("eve"),
            "jun: 2 pushes arrived, 1 were due",
        ),
        (
            stream("jun", jackpot(SEED)),
            stream("eve", jackpot(SEED)),
            "eve: 1 pushes arrived, 0 were due",
        ),
        (
            stream("jun", jackpot(SEED), is_back=False),
            stream("eve"),
            "jun: never came back on a socket after the kill",
        ),
    ],
    ids=["unheard", "heard twice", "heard by another", "not back"],
)
def test_whatever_else_is_a_fault(
    winner: StreamSpeaker, other: StreamSpeaker, fault: str
) -> None:
    assert list(judge(SEED, [winner], [other])) == [fault]


@pytest.mark.parametrize("is_back", [True, False])
def test_nobody_is_waited_for_beyond_patience(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_back: bool
) -> None:
    monkeypatch.setattr(falling, "PATIENCE_S", 0.1)
    out = io.StringIO()
    gateway = Gateway(tmp_path, {})
    stage = Stage(SEED, 0.0, Issuer(), Issuer(), gateway, Narrator(out), tmp_path)
    jun = stream("jun", is_back=is_back)

    asyncio.run(fall(stage, [jun]))

    assert "edge origin put, for brand:west" in out.getvalue()
    assert out.getvalue().endswith(": at nobody\n")
