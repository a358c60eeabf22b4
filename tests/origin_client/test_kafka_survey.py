"""``origin_client.kafka_survey``: what topics lack, told before anything is published.

What a real broker answers: ``tests/contract``.
"""

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicCollection, admin

from origin_client.kafka_options import Configuration, KafkaOptions
from origin_client.kafka_survey import Right, survey
from origin_client.origin import OriginUnavailable
from tests.fakes_kafka import TOPIC, kafka_error

_ADMIN: Final[Any] = admin
OTHER = "edge.game.v1"
URL = "kafka://here"


@dataclass
class FakeDescription:
    """A topic as brokers describe it."""

    authorized_operations: Sequence[object] | None


@dataclass
class FakeAdmin:
    """Answers for topics as told; all rights where nothing is said."""

    answers: dict[str, KafkaError | FakeDescription]
    says: list[KafkaError] = field(default_factory=list[KafkaError])
    configuration: Configuration = field(default_factory=dict[str, Any])

    def connect(self, configuration: Configuration) -> "FakeAdmin":
        """Be the client."""
        self.configuration = configuration
        return self

    def describe_topics(
        self,
        topics: TopicCollection,
        *,
        include_authorized_operations: bool,
        request_timeout: float,
    ) -> dict[str, Future[FakeDescription]]:
        """Answer at once."""
        assert include_authorized_operations
        assert request_timeout == 10
        futures: dict[str, Future[FakeDescription]] = {}
        for name in topics.topic_names:
            futures[name] = Future()
            answer = self.answers.get(name, FakeDescription([_ADMIN.AclOperation.WRITE]))
            if isinstance(answer, FakeDescription):
                futures[name].set_result(answer)
            else:
                futures[name].set_exception(KafkaException(answer))
        return futures

    def poll(self, timeout: float) -> None:
        """Tell of connections."""
        assert timeout == 0
        for error in self.says:
            self.configuration["error_cb"](error)


def lacks(fake: FakeAdmin, right: Right = Right.WRITE) -> list[str]:
    return survey(KafkaOptions(URL, {}), [TOPIC, OTHER], 10, fake.connect, right=right)


def test_topics_that_can_be_written_lack_nothing() -> None:
    """A broker that knows no rights tells none."""
    assert lacks(FakeAdmin({OTHER: FakeDescription(None)})) == []


def test_what_is_missing_or_may_not_be_written_is_named() -> None:
    read = FakeDescription([_ADMIN.AclOperation.READ])

    assert lacks(FakeAdmin({TOPIC: kafka_error("UNKNOWN_TOPIC_OR_PART"), OTHER: read})) == [
        f"{TOPIC} does not exist; create it, the gateway never does",
        f"{OTHER} may not be written; allow this user to",
    ]


def test_what_is_only_read_need_not_be_written() -> None:
    read = FakeDescription([_ADMIN.AclOperation.READ])

    assert lacks(FakeAdmin({OTHER: read}), Right.READ) == [
        f"{TOPIC} may not be read; allow this user to"
    ]


def test_brokers_that_do_not_answer_are_told_with_their_cause() -> None:
    silent: dict[str, KafkaError | FakeDescription] = {TOPIC: kafka_error("_TIMED_OUT", "late")}
    with pytest.raises(OriginUnavailable, match="the brokers fail: late"):
        lacks(FakeAdmin(silent))
    with pytest.raises(OriginUnavailable, match="check DNS"):
        lacks(FakeAdmin(silent, says=[kafka_error("_RESOLVE", "no such name")]))


def test_a_file_that_is_gone_is_told(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("x")
    options = KafkaOptions(URL, {"sasl.password_file": str(password)})
    password.unlink()

    with pytest.raises(OriginUnavailable, match="names cannot be used"):
        survey(options, [TOPIC], 10, FakeAdmin({}).connect)
