"""A few faults of a real broker, and the books compared: the short form of the campaign."""

import random
from collections import Counter
from pathlib import Path
from typing import cast

import pytest

from tests.faults import broker_stage
from tests.faults.broker_faults import SEED, endure, row, sequence, undone
from tests.faults.broker_kinds import SHARES, fail_what_is_written
from tests.faults.broker_stage import SHAPES, Stage, make_topics
from tests.faults.fakes_gateway import fake_gateway
from tests.faults.ledger import Findings, ledger
from tests.faults.proxy import Proxy
from tests.faults.row import Scale
from tests.kafka.broker import Broker
from tests.system.raw import Line
from tests.system.world import world


@pytest.mark.system
@pytest.mark.timeout(900)  # 18 s on two idle cores; each of its waits may take a minute
def test_nothing_is_lost_or_inverted_whatever_befalls_the_broker(
    broker: Broker, tmp_path: Path
) -> None:
    kinds = sequence(Scale.SHORT, SEED)
    make_topics(broker)

    outcome = endure(Scale.SHORT, tmp_path, broker, print, seed=SEED)

    assert outcome.faults == ()
    assert row(outcome, kinds).is_reached
    assert fail_what_is_written in kinds
    assert outcome.closing.findings.repeated > 0  # or nothing was written that was denied


def test_the_full_form_has_200_faults_in_an_order_that_a_seed_replays() -> None:
    kinds = sequence(Scale.FULL, SEED)

    assert len(kinds) == 200
    assert Counter(kinds) == SHARES
    assert kinds == sequence(Scale.FULL, SEED)
    assert kinds != sequence(Scale.FULL, SEED + 1)


def test_a_record_that_was_denied_and_does_not_lie_there_twice_was_not_written() -> None:
    done = Counter([fail_what_is_written.__name__])

    assert undone(done, Findings(repeated=1)) == []
    assert len(undone(done, Findings(repeated=0))) == 1
    assert undone(Counter(["deny"]), Findings(repeated=0)) == []


def test_the_ledger_has_several_records_of_a_key_under_way() -> None:
    assert {shape.subjects for shape in SHAPES.values()} == {1}


def test_a_fault_that_cuts_no_connection_is_a_fault_of_the_campaign(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(broker_stage, "TOLD_S", 0.3)
    rng = random.Random(1)  # noqa: S311  # nothing is drawn
    with (
        fake_gateway() as server,
        Proxy(server.address) as proxy,
        ledger(tmp_path, 1) as book,
        world(tmp_path) as here,
    ):
        on = Stage(here, book, cast("Broker", None), proxy, rng, print)
        on.wait_until_cut(proxy.made, proxy.cuts)
        unhurt = list(on.faults)
        with Line(proxy.address):
            here.wait(lambda: proxy.made > 0, "a connection")
        on.wait_until_cut(0, 0)
        hurt = on.faults[len(unhurt) :]
        on.wait_until_cut(0, 1)

    assert unhurt == ["0 connections made anew, 0 more to be cut"]
    assert hurt == []
    assert on.faults[-1] == "1 connections made anew, 1 more to be cut"
