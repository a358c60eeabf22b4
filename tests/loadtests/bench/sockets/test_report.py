"""Rates with their share of the echo's, memory beyond the echo's, pushes; the same as JSON."""

import json

from loadtests.bench.figures import Slice
from loadtests.bench.sockets.contest import ECHO, GATHERED, HTTP, SINGLE, SOCKET, Plan
from loadtests.bench.sockets.report import Report
from loadtests.bench.sockets.spans import Idle

PLAN = Plan(
    3,
    {SINGLE: 6, GATHERED: 5},
    100,
    idle=1_000,
    hold_s=1.0,
    listeners=2_000,
    pushes=2,
    gap_s=1,
)
CPU_NS = {ECHO: 50_000_000, SOCKET: 80_000_000, HTTP: 100_000_000}
IDLE = {ECHO: Idle(1_000, 0, 20 << 20), SOCKET: Idle(1_000, 1 << 20, 41 << 20)}
PUSHES_NS = [1_000_000] * 50 + [3_000_000] * 49 + [9_500_000]


def report() -> Report:
    """Three equal rounds."""
    loads = (SINGLE, GATHERED)
    rows = [*((load, name) for load in loads for name in (ECHO, SOCKET)), (GATHERED, HTTP)]
    slices = {
        (load, name): [Slice(100, 100 * load.events, 500_000_000, CPU_NS[name], (), 64)] * 3
        for load, name in rows
    }
    return Report(PLAN, slices, IDLE, PUSHES_NS)


def test_each_load_has_a_row_per_subject() -> None:
    text = report().text()

    assert "| 1 | 64 | 1 | echo | 200 | 200 | 2,000 | 1 |" in text
    assert "| 1 | 64 | 1 | gateway | 200 | 200 | 1,250 | 0.625 (0.625, 0.625) |" in text
    assert "| 20 | 8 | 1 | gateway | 200 | 4,000 | 1,250 | 0.625 (0.625, 0.625) |" in text
    assert "| 20 | 8 | 1 | gateway, HTTP batches | 200 | 4,000 | 1,000 |  |" in text
    assert "20 a batch by HTTP: 1.250 (1.250, 1.250)" in text
    assert "medians of 3 rounds (quartiles)" in text


def test_memory_is_told_beyond_the_echos() -> None:
    text = report().text()

    assert "| 1,000 | echo | 20.5 |" in text
    assert "| 1,000 | gateway | 41.0 |" in text
    assert "|  | the gateway's beyond the echo's | 20.5 |" in text


def test_pushes_are_told_by_their_percentiles() -> None:
    assert "| 2 | 2,000 | 1.0 | 3.0 | 9.5 |" in report().text()


def test_what_could_not_be_measured_is_said_instead() -> None:
    ours = report()
    poor = Report(PLAN, ours.slices, "Not measured: why.", "Not measured: why.")

    text, document = poor.text(), poor.document()

    assert text.endswith("Not measured: why.\n\nNot measured: why.")
    assert document["idle"] == document["pushes"] == "Not measured: why."


def test_the_document_has_every_round() -> None:
    document = json.loads(json.dumps(report().document()))

    assert document["slices"][1] == {
        "events_per_message": 1,
        "sockets": 64,
        "window": 1,
        "subject": SOCKET,
        "messages_per_s": [200.0] * 3,
        "events_per_s": [200.0] * 3,
        "events_per_cpu_s": [1_250.0] * 3,
        "rss_bytes": [64] * 3,
    }
    assert document["of_the_echo"] == [
        {"events_per_message": 1, "sockets": 64, "window": 1, "median": 0.625},
        {"events_per_message": 20, "sockets": 8, "window": 1, "median": 0.625},
    ]
    assert document["of_http"] == 1.25
    assert document["idle"]["gateway"]["bytes_each"] == (40 << 20) / 1_000
    assert document["pushes"] == {
        "pushes": 2,
        "sockets": 2_000,
        "p50_ms": 1.0,
        "p99_ms": 3.0,
        "slowest_ms": 9.5,
    }
