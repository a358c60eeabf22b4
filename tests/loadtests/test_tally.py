"""The counts add up, and are put into words for people and programs."""

import json

from loadtests.ruling import Refusal, Ruling
from loadtests.tally import REFUSALS_LISTED_MAX, Tally
from tests.fakes_replay import facts

ALL = range(4)


def test_every_answer_is_counted() -> None:
    tally = Tally(total=10)
    stated = facts("ann-1", "bob-1")

    tally.count(stated, Ruling(1, 0, (), [1, 2, 3], 0.0, "rate_exceeded"))
    tally.count(stated[1:], Ruling(1, 1, [Refusal(2, "pii_leak", False, "/data")], [], 0, ""))

    assert tally.sent == 4
    assert (tally.accepted, tally.duplicate, tally.refused) == (2, 1, {"pii_leak": 1})
    assert tally.retries == 1
    assert tally.listed == ["line 3, bet.round.settled: pii_leak at /data"]
    assert tally.cause == ""


def test_a_refusal_of_nothing_in_particular_names_no_place() -> None:
    tally = Tally(total=2)

    tally.count(facts("ann-1"), Ruling(1, 0, [Refusal(0, "scope_missing", False)], [], 0, ""))

    assert tally.listed == ["line 2, bet.round.staked: scope_missing"]


def test_only_the_first_refusals_are_listed_and_all_are_counted() -> None:
    tally = Tally(total=200)
    stated = facts(*["ann-1"] * 100)
    refused = [Refusal(index, "pii_leak", False, "") for index in range(200)]

    tally.count(stated, Ruling(0, 0, refused, [], 0, ""))

    assert len(tally.listed) == REFUSALS_LISTED_MAX
    assert tally.refused.total() == 200


def test_an_event_put_off_behind_which_a_later_one_is_taken_is_overtaken() -> None:
    tally = Tally(total=4)

    tally.count(facts("ann-1", "ann-1"), Ruling(2, 0, (), [0, 2], 0, "lane_full"))

    assert tally.overtaken == 2


def test_another_players_event_overtakes_nobody() -> None:
    tally = Tally(total=4)

    tally.count(facts("ann-1", "bob-1"), Ruling(2, 0, (), [0, 1], 0, "lane_full"))

    assert tally.overtaken == 0


def test_a_later_event_that_is_not_taken_either_overtakes_nobody() -> None:
    tally = Tally(total=4)
    refused = [Refusal(3, "pii_leak", False, "")]

    tally.count(facts("ann-1", "ann-1"), Ruling(1, 0, refused, [1, 2], 0, "lane_full"))

    assert tally.overtaken == 0


def test_the_bar_says_how_far_and_how_long_yet() -> None:
    tally = Tally(total=400, accepted=90, duplicate=10, cause="draining")

    assert tally.bar(1.0) == (
        "[##--------]  25% 100/s ETA 0:03  (draining)  90 accepted, 10 duplicate, 0 refused"
    )


def test_a_bar_before_anything_happened_promises_nothing() -> None:
    assert Tally(total=0).bar(0.0) == (
        "[----------]   0% 0/s ETA 0:00  0 accepted, 0 duplicate, 0 refused"
    )


def test_the_summary_says_how_it_ended() -> None:
    tally = Tally(total=2000, accepted=1200, duplicate=799, retries=3)
    tally.refused["pii_leak"] = 1

    assert tally.summary(2.5) == (
        "2,000 events sent: 1,200 accepted, 799 duplicate, 1 refused (1 pii_leak); "
        "3 retries, 2.5 s"
    )


def test_the_summary_says_that_nothing_was_new() -> None:
    assert "all duplicate: nothing was new" in Tally(total=2, duplicate=2).summary(1.0)


def test_the_summary_says_what_is_not_settled_and_what_was_overtaken() -> None:
    told = Tally(total=2000, accepted=500, overtaken=2).summary(1.0)

    assert "1,500 of 2,000 not settled, 2 overtaken" in told


def test_a_program_is_told_the_same() -> None:
    tally = Tally(total=10, accepted=6, duplicate=1, retries=2, overtaken=1)
    tally.refused["pii_leak"] = 1

    assert json.loads(tally.as_json(1.23456)) == {
        "total": 10,
        "sent": 8,
        "accepted": 6,
        "duplicate": 1,
        "refused": {"pii_leak": 1},
        "retries": 2,
        "overtaken": 1,
        "seconds": 1.235,
    }
