"""One broker as a process: formatted, started, frozen, killed, started again.

In: a directory and the class path of :mod:`tests.kafka.jars`. Owns the child process from start
to reaping. However this process ends, by SIGKILL too, the broker ends with it: a second child
holds the other end of a pipe and kills the broker when the pipe breaks. (The kernel's own
parent-death signal follows the *thread* that started the child, and so would end a broker that
some test's thread has restarted.)

Source: Kafka 4.3, "KRaft"; every setting that is not needed by that says why it is there.
"""

import base64
import contextlib
import secrets
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tests.kafka.certificates import Certificates, issue

# Below the ephemeral range, or a client that reconnects could be given the port of a broker
# that is down, and connect to itself.
PORTS: Final = range(20_000, 32_000)
START_TIMEOUT_S: Final = 60.0  # 4 to 5 s; 17.6 s were seen at a load of 20
STOP_TIMEOUT_S: Final = 20.0  # under a second when nothing is wrong
FORMAT_TIMEOUT_S: Final = 60.0  # 2 s
POLL_S: Final = 0.05
LOG_LINES_SHOWN: Final = 20
# Two seconds of start each: the little that runs here is not worth optimising for the JVM.
_JAVA: Final = ("java", "-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
_LEASH: Final = (
    "import os, signal, sys; sys.stdin.read(); os.kill(int(sys.argv[1]), signal.SIGKILL)"
)
_PROPERTIES: Final = """\
process.roles=broker,controller
node.id={node}
controller.quorum.voters={voters}
listeners=PLAINTEXT://127.0.0.1:{ports.plain},SASL_SSL://127.0.0.1:{ports.tls},\
BEHIND://127.0.0.1:{ports.behind},CONTROLLER://127.0.0.1:{ports.controller}
# A client goes where it is told: whoever should come by the proxy is told the proxy's port.
advertised.listeners=PLAINTEXT://127.0.0.1:{ports.plain},SASL_SSL://127.0.0.1:{ports.tls},\
BEHIND://127.0.0.1:{ports.proxy}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,\
BEHIND:PLAINTEXT
# The first holds the metadata, without which nothing goes on; the second may be lost.
log.dirs={home}/data,{home}/second
# One broker cannot keep the three copies that are asked for by default.
offsets.topic.replication.factor={brokers}
transaction.state.log.replication.factor={brokers}
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor={brokers}
share.coordinator.state.topic.min.isr=1
# 50 of each by default, and every one costs the first client that comes some of its time.
offsets.topic.num.partitions=4
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
# A gateway never creates a topic; neither may a broker behind its back.
auto.create.topics.enable=false
# After a SIGKILL the controller believes in the dead broker for this long: 9 s by default.
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=\
org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl_ssl.ssl.keystore.type=PEM
listener.name.sasl_ssl.ssl.keystore.location={home}/server.pem
"""

# Everybody may do everything until a test says otherwise. Not in a cluster: before rules are
# loaded only ``super.users`` may speak, so that its controllers could not agree on the first.
_RIGHTS: Final = """\
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=true
"""


class BrokerError(Exception):
    """The broker did not start; the message quotes the end of its log."""


class Ports(NamedTuple):
    """Where one broker listens, and where a proxy to it would."""

    plain: int
    tls: int
    behind: int
    proxy: int
    controller: int


@dataclass(frozen=True, slots=True)
class Seat:
    """A broker's place in its cluster.

    Attributes:
        node: Which of the brokers, from 0.
        brokers: The ports of each.
        cluster: Its id, the same for all.
    """

    node: int
    brokers: tuple[Ports, ...]
    cluster: str


def seats(count: int) -> list[Seat]:
    """Lay out a cluster of so many brokers."""
    chosen = iter(free_ports(count * len(Ports._fields)))
    brokers = tuple(Ports(*ports) for ports in zip(*[chosen] * len(Ports._fields), strict=True))
    # It must not begin with "-", which the tool that formats would take for an option.
    cluster = base64.urlsafe_b64encode(b"\0" + secrets.token_bytes(15))[:22].decode()
    return [Seat(node, brokers, cluster) for node in range(count)]


class BrokerProcess:
    """A broker in a directory of its own, through all its lives: same ports, same records.

    Attributes:
        bootstrap: ``host:port`` for clients in plain text.
        tls_bootstrap: ``host:port`` for SASL_SSL with SCRAM-SHA-512.
        proxy_port: Where a proxy to ``behind`` must listen; who connects there is told no other.
        behind: Address that such a proxy leads to, in plain text.
        certificates: Whose authority a client of ``tls_bootstrap`` must trust.
        lives: How often it was started.
    """

    def __init__(self, home: Path, class_path: str, seat: Seat | None = None) -> None:
        """Prepare a broker that keeps its things in *home*; nothing runs yet.

        Args:
            home: An existing directory, empty.
            class_path: Of :func:`tests.kafka.jars.class_path`.
            seat: Among others; ``None``: it is alone.
        """
        seat = seat or seats(1)[0]
        ports = seat.brokers[seat.node]
        self.bootstrap = f"127.0.0.1:{ports.plain}"
        self.tls_bootstrap = f"127.0.0.1:{ports.tls}"
        self.behind = "127.0.0.1", ports.behind
        self.proxy_port = ports.proxy
        self.certificates: Certificates = issue("the broker's authority")
        self.lives = 0
        self._port = ports.plain
        self._cluster = seat.cluster
        self._home = home
        self._java = [*_JAVA, "-cp", class_path]
        self._process: subprocess.Popen[bytes] | None = None
        self._leash: subprocess.Popen[bytes] | None = None
        (home / "server.pem").write_text(self.certificates.server)
        self._settings = home / "server.properties"
        self._settings.write_text(
            (_PROPERTIES + _RIGHTS * (len(seat.brokers) == 1)).format(
                home=home,
                node=seat.node,
                brokers=len(seat.brokers),
                voters=",".join(
                    f"{node}@127.0.0.1:{each.controller}"
                    for node, each in enumerate(seat.brokers)
                ),
                ports=ports,
            )
        )

    def __enter__(self) -> Self:
        """Start it."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing running, whatever happened before."""
        self.kill()

    @property
    def log(self) -> Path:
        """What it wrote, all lives together: little, for its logger is silent."""
        return self._home / "broker.log"

    def start(self) -> None:
        """Start it, for the first time or again, and return when it answers.

        Raises:
            BrokerError: It does not.
        """
        try:
            self.launch()
            self.wait_until_ready()
        except BaseException:
            self.kill()
            raise

    def launch(self) -> None:
        """Start the process, and wait for nothing.

        Raises:
            BrokerError: It cannot be formatted.
        """
        assert self._process is None
        try:
            if not self.lives:
                self._format()
            with self.log.open("ab") as log:
                self._process = subprocess.Popen(
                    [*self._java, "kafka.Kafka", str(self._settings)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    # A Ctrl-C at the terminal is for us; we end the broker in our own time.
                    start_new_session=True,
                )
            self._leash = subprocess.Popen(
                [sys.executable, "-ISc", _LEASH, str(self._process.pid)],
                stdin=subprocess.PIPE,
                start_new_session=True,
            )
            self.lives += 1
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Ask it to leave, and return when it has; killed when it takes too long."""
        assert self._process is not None
        self.resume()
        self._process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_TIMEOUT_S)
        self.kill()

    def kill(self) -> None:
        """End it without a word, as a power failure would end the process; once or twice."""
        if self._process is None:
            return
        self._process.kill()
        if self._leash is not None:  # before the process id is anybody else's
            self._leash.kill()
            self._leash.communicate()
        self._process.wait()
        self._process = self._leash = None

    def pause(self) -> None:
        """Freeze it: connections stay open, nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on where it was frozen."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def restart(self) -> None:
        """Stop it, and start it again on the same records."""
        self.stop()
        self.start()

    @property
    def second_directory(self) -> Path:
        """Where half of the partitions lie, and nothing that the broker itself needs."""
        return self._home / "second"

    def _format(self) -> None:
        command = [*self._java, "kafka.tools.StorageTool", "format"]
        with self.log.open("ab") as log:
            done = subprocess.run(
                [*command, "-t", self._cluster, "-c", str(self._settings)],
                stdout=log,
                stderr=subprocess.STDOUT,
                check=False,
                timeout=FORMAT_TIMEOUT_S,
            )
        if done.returncode != 0:
            raise BrokerError(f"cannot be formatted\n{self._last_words()}")

    def wait_until_ready(self) -> None:
        """Return when it answers, which in a cluster needs most of the others.

        Raises:
            BrokerError: It does not.
        """
        process = self._process
        assert process is not None
        end_s = time.monotonic() + START_TIMEOUT_S
        # librdkafka's own patience would begin with a refused connection and double from there.
        while not (_listens(self._port) and _answers(self.bootstrap)):
            if process.poll() is not None:
                raise BrokerError(f"ended with {process.returncode}\n{self._last_words()}")
            if time.monotonic() > end_s:
                raise BrokerError(f"silent for {START_TIMEOUT_S} s\n{self._last_words()}")
            time.sleep(POLL_S)

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(lines[-LOG_LINES_SHOWN:])


def free_ports(count: int) -> list[int]:
    """Choose ports that nobody listens on."""
    ports: list[int] = []
    for port in secrets.SystemRandom().sample(PORTS, len(PORTS)):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            ports.append(port)
        if len(ports) == count:
            break
    return ports


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def _answers(bootstrap: str) -> bool:
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    with contextlib.suppress(KafkaException):
        return bool(admin.list_topics(timeout=1).brokers)
    return False
