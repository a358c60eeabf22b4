"""What tests do to a broker from outside: topics, their limits, rights and passwords."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, TopicCollection, admin

from tests.kafka.process import POLL_S, BrokerProcess, Seat

ANSWER_TIMEOUT_S: Final = 30.0  # 0.1 s on an idle machine
SCRAM_ITERATIONS: Final = 4096  # the fewest that Kafka takes: tests need no strength
ANYBODY: Final = "User:*"
# Its annotations export half of it, and leave its futures unknown.
_kafka: Final[Any] = admin


class Broker(BrokerProcess):
    """A broker, and what its administrator can do.

    ::

        broker.create_topic("edge.bet.v1", 4)
        with KafkaOrigin(broker.bootstrap, ...): ...
        broker.kill(); broker.start()          # a crash; records and topics stay
        broker.pause(); broker.resume()        # a broker that hangs
        broker.deny("edge.bet.v1"); broker.allow("edge.bet.v1")
        broker.set_topic("edge.bet.v1", max_message_bytes=2000)

    Topics are shared by all who use the same broker: make those of your test first, which
    empties them. Whoever kills or freezes takes a broker of his own (``own_broker``).
    """

    def __init__(self, home: Path, class_path: str, seat: Seat | None = None) -> None:
        super().__init__(home, class_path, seat)
        # One for all lives: it reconnects by itself, and its futures fail when it is dropped.
        self._admin = _kafka.AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})

    def create_topic(
        self, name: str, partitions: int = 4, *, copies: int = 1, **config: object
    ) -> None:
        """Make *name* new, empty and open to everybody, whatever it was before.

        Args:
            name: As the gateway knows it.
            partitions: How many.
            copies: Of each, on so many brokers.
            config: Topic settings, ``_`` for ``.``: ``max_message_bytes=2000``.
        """
        self.delete_topic(name)
        self.allow(name)
        settings = {_dotted(key): str(value) for key, value in config.items()}
        topic = _kafka.NewTopic(name, partitions, replication_factor=copies, config=settings)
        _settle(self._admin.create_topics([topic], operation_timeout=ANSWER_TIMEOUT_S))
        self._wait_for_topic(name, is_there=True)

    def set_topic(self, name: str, **config: object) -> None:
        """Change settings of a topic that is there; names as for :meth:`create_topic`."""
        entries = [
            _kafka.ConfigEntry(
                _dotted(key), str(value), incremental_operation=_kafka.AlterConfigOpType.SET
            )
            for key, value in config.items()
        ]
        resource = _kafka.ConfigResource(
            _kafka.ConfigResource.Type.TOPIC, name, incremental_configs=entries
        )
        _settle(self._admin.incremental_alter_configs([resource]))

    def delete_topic(self, name: str) -> None:
        """Delete *name* with all that is in it, if it is there."""
        try:
            _settle(self._admin.delete_topics([name], operation_timeout=ANSWER_TIMEOUT_S))
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise
        self._wait_for_topic(name, is_there=False)

    def _wait_for_topic(self, name: str, *, is_there: bool) -> None:
        def is_told() -> bool:
            topic = self._admin.list_topics(name, ANSWER_TIMEOUT_S).topics[name]
            return is_there == (topic.error is None)

        wait_until(is_told, f"{name} is {'' if is_there else 'not '}there")

    def deny(self, topic: str, operation: str = "WRITE") -> None:
        """Let nobody write to *topic*, or ``READ`` it; everything else stays allowed."""
        # Once a topic has a rule at all, what no rule allows is denied.
        allow_all = _rule(topic, _kafka.AclOperation.ALL, _kafka.AclPermissionType.ALLOW)
        denial = _rule(topic, _kafka.AclOperation[operation], _kafka.AclPermissionType.DENY)
        _settle(self._admin.create_acls([allow_all, denial]))
        self._wait_for_denial(topic, _kafka.AclOperation[operation])

    def _wait_for_denial(self, topic: str, operation: Any) -> None:
        def is_told() -> bool:
            answers = self._admin.describe_topics(
                TopicCollection([topic]),
                include_authorized_operations=True,
                request_timeout=ANSWER_TIMEOUT_S,
            )
            return operation not in answers[topic].result().authorized_operations

        wait_until(is_told, f"{topic} denies {operation.name}")

    def hide(self, topic: str) -> None:
        """Let nobody use *topic*, nor learn whether it is there."""
        _settle(
            self._admin.create_acls(
                [_rule(topic, _kafka.AclOperation.ALL, _kafka.AclPermissionType.DENY)]
            )
        )

    def allow(self, topic: str) -> None:
        """Take back what :meth:`deny` or :meth:`hide` did, if anything."""
        every = _kafka.AclBindingFilter(
            _kafka.ResourceType.TOPIC,
            topic,
            _kafka.ResourcePatternType.LITERAL,
            None,
            None,
            _kafka.AclOperation.ANY,
            _kafka.AclPermissionType.ANY,
        )
        try:
            _settle(self._admin.delete_acls([every]))
        except KafkaException as error:  # a cluster has no rules
            if error.args[0].code() != KafkaError.SECURITY_DISABLED:
                raise

    def set_password(self, user: str, password: str) -> None:
        """Let *user* in at ``tls_bootstrap`` with *password*, and no longer with another."""
        scram = _kafka.ScramCredentialInfo(
            _kafka.ScramMechanism.SCRAM_SHA_512, SCRAM_ITERATIONS
        )
        change = _kafka.UserScramCredentialUpsertion(user, scram, password.encode())
        _settle(self._admin.alter_user_scram_credentials([change]))


def wait_until(
    is_told: Callable[[], bool], what: str, timeout_s: float = ANSWER_TIMEOUT_S
) -> None:
    """Return when clients are told what the controller knows: it does a moment before.

    Raises:
        TimeoutError: They are not in time; says *what* they should be told.
    """
    end_s = time.monotonic() + timeout_s
    while not is_told():
        if time.monotonic() >= end_s:
            raise TimeoutError(f"clients are not told that {what}")
        time.sleep(POLL_S)


def _rule(topic: str, operation: object, permission: object) -> object:
    literal = _kafka.ResourcePatternType.LITERAL
    return _kafka.AclBinding(
        _kafka.ResourceType.TOPIC, topic, literal, ANYBODY, "*", operation, permission
    )


def _dotted(name: str) -> str:
    return name.replace("_", ".")


def _settle(futures: Mapping[object, Any]) -> None:
    """Wait for the broker's answers; whatever an answer holds says no more than that it came."""
    for future in futures.values():
        future.result(ANSWER_TIMEOUT_S)
