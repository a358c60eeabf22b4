"""A few faults of a real broker, and the books compared: the short form of the campaign."""

from collections import Counter
from pathlib import Path

import pytest

from tests.faults.broker_faults import SEED, endure, row, sequence
from tests.faults.broker_kinds import SHARES, fail_what_is_written
from tests.faults.broker_stage import make_topics
from tests.faults.row import Scale
from tests.kafka.broker import Broker


@pytest.mark.system
@pytest.mark.timeout(180)  # 20 s on two idle cores
def test_nothing_is_lost_or_inverted_whatever_befalls_the_broker(
    broker: Broker, tmp_path: Path
) -> None:
    kinds = sequence(Scale.SHORT, SEED)
    make_topics(broker)

    outcome = endure(kinds, tmp_path, broker, print, seed=SEED)

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
