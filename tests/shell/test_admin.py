"""Operators learn whether to send traffic here, and why not."""

import pytest
from prometheus_client import CollectorRegistry, Counter
from starlette.testclient import TestClient

from edge.shell.admin import Readiness, admin


def client(readiness: Readiness) -> TestClient:
    registry = CollectorRegistry()
    Counter("edge_planted", "One.", registry=registry).inc()
    return TestClient(admin(lambda: readiness, registry))


@pytest.mark.parametrize(("ready", "status"), [(True, 200), (False, 503)])
def test_readiness_is_a_status_and_names_every_probe(ready: bool, status: int) -> None:  # noqa: FBT001  # a row of the table above
    response = client(Readiness(ready=ready, probes={"keys": "ok"})).get("/readyz")

    assert response.status_code == status
    assert response.json() == {"ready": ready, "probes": {"keys": "ok"}}


def test_a_process_that_is_not_ready_is_alive() -> None:
    assert client(Readiness(ready=False, probes={})).get("/livez").status_code == 200


def test_metrics_are_what_the_registry_collects() -> None:
    response = client(Readiness(ready=True, probes={})).get("/metrics")

    assert "edge_planted_total 1.0" in response.text
    assert response.headers["content-type"].startswith("text/plain")
