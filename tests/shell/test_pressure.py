"""Telemetry is shed as soon as anything is scarce, and no longer."""

from itertools import product

from edge.shell.pressure import Pressure


def test_pressure_is_high_while_anything_is_scarce() -> None:
    scarce = {"spool": False, "memory": False}
    pressure = Pressure({"spool": lambda: scarce["spool"], "memory": lambda: scarce["memory"]})

    for scarce["spool"], scarce["memory"] in product([False, True], repeat=2):
        assert pressure.is_high is (scarce["spool"] or scarce["memory"])
        assert pressure.causes() == scarce


def test_without_a_reason_there_is_no_pressure() -> None:
    assert not Pressure({}).is_high
