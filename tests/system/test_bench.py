"""``make bench`` on a machine without Java measures all but Kafka."""

import pytest

from tests.kafka.jars import KafkaMissing
from tests.system import bench


def test_without_a_broker_the_rest_is_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing() -> str:
        raise KafkaMissing("install Java 17")

    monkeypatch.setattr(bench, "class_path", missing)

    assert bench.main(["--base", "no-such-commit"]) == 1

    without, complaint = capsys.readouterr().err.splitlines()[:2]
    assert without == "without Kafka: install Java 17"
    assert complaint.startswith("bench: fatal")
