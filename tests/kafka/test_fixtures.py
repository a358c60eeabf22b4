"""Without Java, tests that need a broker are skipped in one line; in CI they fail."""

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

# As many as share a session's fixture, in two files: still one line.
SUITE = """
def test_one(broker): ...
def test_two(broker): ...
def test_three(own_broker): ...
"""


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Tests of a broker, on a machine without Java."""
    pytester.makeini("[pytest]\naddopts = -ra --import-mode=importlib")
    pytester.makepyfile(test_here=SUITE, test_there=SUITE, test_else="def test_else(): ...")
    monkeypatch.setenv("PATH", str(pytester.mkdir("bin")))
    monkeypatch.setenv("XDG_CACHE_HOME", str(pytester.mkdir("cache")))
    return pytester


def run(suite: pytest.Pytester) -> pytest.RunResult:
    return suite.runpytest_inprocess("-p", "tests.kafka.fixtures", "-p", "no:cacheprovider")


def test_whoever_has_no_java_reads_one_line(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CI", raising=False)

    result = run(suite)

    result.assert_outcomes(skipped=6, passed=1)
    (told,) = (line for line in result.outlines if line.startswith("SKIPPED"))
    assert "[6]" in told
    assert told.endswith("no Kafka broker: install Java 17 (no java on the PATH)")


def test_ci_without_java_fails(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")

    result = run(suite)

    result.assert_outcomes(errors=6, passed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*CI must have: install Java 17*"])


def test_nothing_is_fetched_for_tests_that_need_no_broker(suite: pytest.Pytester) -> None:
    run_else = suite.runpytest_inprocess("-p", "tests.kafka.fixtures", "-k", "test_else")

    run_else.assert_outcomes(passed=1, deselected=6)
    assert list(Path(suite.path / "cache").iterdir()) == []
