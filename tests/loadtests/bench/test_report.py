"""Two tables, a line per comparison, the same figures as JSON, and a block in a document."""

import json
import platform

import pytest

from loadtests.bench.figures import Slice
from loadtests.bench.report import BEGIN, END, Report, machine, replace_block
from loadtests.bench.rounds import Course, Paced
from loadtests.bench.scenario import LOADS

NAMES = ("empty application", "gateway", "gateway of abc")
CPU_NS = {
    "empty application": 50_000_000,
    "gateway": 100_000_000,
    "gateway of abc": 200_000_000,
}


def course(*names: str) -> Course:
    """Three equal rounds."""
    slices = {
        (load.name, name): [
            Slice(
                requests=100,
                events=100 * load.events,
                elapsed_ns=500_000_000,
                cpu_ns=CPU_NS[name],
                latencies_ns=[1_000_000, 2_000_000],
                rss_bytes=64_000_000,
            )
        ]
        * 3
        for load in LOADS
        for name in names
    }
    return Course(slices, {("single", "gateway"): Paced(140.0, 1.5, 9.25)}, [[200_000]] * 3)


def test_each_load_has_a_row_per_subject() -> None:
    text = Report(course(*NAMES), NAMES).text()

    assert "| single | empty application | 200 | 200 | 2,000 | 1 | 1.0 | 2.0 | 64 |" in text
    assert (
        "| batch | gateway | 200 | 10,000 | 50,000 | 0.500 (0.500, 0.500) | 1.0 | 2.0 | 64 |"
        in text
    )
    assert text.count("| 64 |") == len(LOADS) * len(NAMES)


def test_latency_under_load_stands_below_what_the_disk_alone_takes() -> None:
    text = Report(course(*NAMES), NAMES).text()

    assert (
        "| none | the disk alone: 4 KiB and fdatasync |  | 0.2 | 0.2 |\n"
        "| single | gateway | 140 | 1.5 | 9.2 |"
    ) in text


def test_the_gateway_is_compared_with_each_other_gateway() -> None:
    text = Report(course(*NAMES), NAMES).text()

    assert text.endswith(
        "- events per CPU-s, gateway / gateway of abc: single 2.000 (2.000, 2.000), "
        "mixed 2.000 (2.000, 2.000), batch 2.000 (2.000, 2.000)"
    )


def test_one_gateway_alone_is_compared_with_nobody() -> None:
    assert "gateway /" not in Report(course(*NAMES[:2]), NAMES[:2]).text()


def test_the_document_has_every_round() -> None:
    document = json.loads(json.dumps(Report(course(*NAMES), NAMES).document()))

    assert document["slices"][1] == {
        "load": "single",
        "subject": "gateway",
        "requests_per_s": [200.0] * 3,
        "events_per_s": [200.0] * 3,
        "events_per_cpu_s": [1_000.0] * 3,
        "rss_bytes": [64_000_000] * 3,
        "p50_ms": 1.0,
        "p99_ms": 2.0,
    }
    assert document["rounds"] == 3
    assert document["fdatasync"] == {"p50_ms": 0.2, "p99_ms": 0.2}
    assert [(row["load"], row["p99_ms"]) for row in document["paced"]] == [("single", 9.25)]


def test_the_machine_is_described_but_not_named() -> None:
    assert platform.python_version() in machine()
    assert platform.node() not in machine()


def test_a_block_is_replaced_and_nothing_else() -> None:
    document = f"before\n{BEGIN}\nold\n{END}\nafter\n"

    fresh = replace_block(document, "new")

    assert fresh == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
    assert replace_block(fresh, "new") == fresh


@pytest.mark.parametrize("document", ["", BEGIN, END, f"{END}\n{BEGIN}"])
def test_a_document_without_the_marks_is_left_alone(document: str) -> None:
    with pytest.raises(ValueError, match="no lines"):
        replace_block(document, "new")
