"""A pytest plugin: brokers for whoever asks, and one rule for machines that cannot run any.

``broker``
    One for the whole run (5 s at first use, then nothing). Topics are shared: make yours with
    ``broker.create_topic(...)``, which empties them.
``own_broker``
    One for this test alone, which may kill it, freeze it, or change its passwords.

Where Java or Maven is missing, tests that need a broker are skipped, in one line that says what
to install; with ``CI=true`` that is a failure, for there nobody reads the line.
"""

import os
from collections.abc import Generator, Iterator
from typing import Final

import pytest

from tests.kafka import jars
from tests.kafka.broker import Broker

FOUND: Final = pytest.StashKey[str | jars.KafkaMissing]()
"""The class path, or why there is none."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    call: pytest.CallInfo[None],
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let all who miss a broker be told in one line: as one place, lines fold."""
    report = yield
    if report.skipped and call.excinfo is not None:
        reason = call.excinfo.value
        if isinstance(reason.__cause__, jars.KafkaMissing):
            report.longrepr = (__file__, 1, str(reason))
    return report


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Fetch the jars before any test's own time runs: Maven may need most of a minute.

    A test that asks for its broker only when it runs says "kafka" in its name or parameters.
    """
    is_wanted = any(
        "class_path" in getattr(test, "fixturenames", ()) or "kafka" in test.name
        for test in session.items
    )
    if is_wanted and not session.config.option.collectonly:
        session.config.stash[FOUND] = _find()


@pytest.fixture(scope="session")
def class_path(pytestconfig: pytest.Config) -> str:
    """The broker's jars; without them the test is skipped, or fails in CI."""
    found = pytestconfig.stash.get(FOUND, None) or _find()
    if isinstance(found, str):
        return found
    if os.environ.get("CI") == "true":  # noqa: TID251  # told by whoever runs the tests
        pytest.fail(f"no Kafka broker, which CI must have: {found}", pytrace=False)
    raise pytest.skip.Exception(f"no Kafka broker: {found}") from found


def _find() -> str | jars.KafkaMissing:
    try:
        return jars.class_path()
    except jars.KafkaMissing as missing:
        return missing


@pytest.fixture(scope="session")
def broker(class_path: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A running broker that all tests share."""
    with Broker(tmp_path_factory.mktemp("kafka"), class_path) as running:
        yield running


@pytest.fixture
def own_broker(class_path: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A running broker of this test's own."""
    with Broker(tmp_path_factory.mktemp("own-kafka"), class_path) as running:
        yield running
