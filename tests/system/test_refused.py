"""Refusals reach the origin as a few samples, which count all and show nothing of anybody."""

import json
import time
from typing import Any, Final, cast

import pytest

from edge.core.sampling import CODE_BURST, CODE_QUOTA
from edge.demo.ledger import Event
from edge.demo.payloads import Visit
from tests.system.conftest import Build
from tests.system.world import TABLE, World

pytestmark = pytest.mark.system

TOPIC: Final = "edge.refused.v1"
FLOOD: Final = 10
"""Batches of 200."""

TOKEN: Final = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl"
CANARIES: Final = (TOKEN, "ada.lovelace@example.com", "4111111111111111", "Lovelace")


def leaking(ada: Visit, canary: str) -> list[Event]:
    """Events that are refused, with *canary* wherever somebody might write it."""
    spin = TABLE.spin(ada, 100)
    data = cast("Event", spin["data"])
    return [
        spin | {"data": data | {"game_id": f"{canary} "}},
        spin | {"data": data | {canary: canary}},
        spin | {canary: canary},
        spin | {"type": canary},
        spin | {"id": canary},
        spin | {"subject": canary},
        spin | {"source": f"{canary} <"},
        spin | {"data": canary},
        spin | {"data": [canary]},
    ]


def told(here: World) -> list[dict[str, Any]]:
    """What lies at the origin's topic now."""
    files = (here.origin / TOPIC).glob("*/*.jsonl")
    return [
        json.loads(line)["value"] for file in files for line in file.read_text().splitlines()
    ]


def test_no_canary_of_any_refusal_reaches_the_origin_or_the_log(build: Build) -> None:
    here = build({})
    here.gateway.start()
    here.wait_until_ready()
    ada = here.visit()
    for canary in CANARIES:
        for event in leaking(ada, canary):
            assert here.say(ada, event).status >= 400
        assert here.say(canary, TABLE.spin(ada, 100)).status == 401
    here.wait(lambda: len(told(here)) >= CODE_BURST, "samples")
    assert here.gateway.stop() == 0

    notices = told(here)
    assert {notice["data"]["code"] for notice in notices} >= {
        "schema_violation",
        "unknown_type",
        "token_invalid",
    }
    written = [path.read_text() for path in (here.origin / TOPIC).glob("*/*.jsonl")]
    written.append(here.gateway.log.read_text())
    for text in written:
        for canary in CANARIES:
            assert canary not in text
    keys = {json.loads(line)["key"] for text in written[:-1] for line in text.splitlines()}
    assert keys <= {ada.subject, "test-1"}


def test_a_flood_costs_the_origin_a_few_records_and_none_goes_uncounted(build: Build) -> None:
    here = build(
        {"limits.player": {"quota": 1_000_000, "window_s": 60, "burst": 100_000}},
    )
    here.gateway.start()
    here.wait_until_ready()
    ada = here.visit()
    bad: Event = TABLE.spin(ada, 100) | {"data": None}
    began_s = time.monotonic()
    for _ in range(FLOOD):
        assert here.say(ada, *[bad] * 200).status == 422
    elapsed_s = time.monotonic() - began_s
    here.wait(lambda: len(told(here)) >= CODE_BURST, "samples")
    figures = here.gateway.metrics()
    assert here.gateway.stop() == 0

    counted = [notice["data"]["counted"] for notice in told(here)]
    assert len(counted) <= CODE_BURST + CODE_QUOTA * elapsed_s + 1
    assert sum(counted) <= FLOOD * 200
    refused = f'reason="schema_violation"}} {FLOOD * 200}.0'
    assert refused in figures
    assert 'edge_refused_samples_total{outcome="dropped"} 0.0' in figures
    assert 'edge_refused_samples_total{outcome="published"}' in figures
