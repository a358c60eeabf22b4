"""The documents and the code agree: every path, every code, every answer."""

import json
from typing import Any

import msgspec
import pytest
from openapi_spec_validator import validate

from edge.core.answer import Refused, Verdicts, problem
from edge.core.catalogue.registry import SPECS
from edge.core.contract import EVENT_REASONS, HANDSHAKE_REASONS, REQUEST_REASONS
from edge.core.decode import Shape, decode
from edge.core.event import Event
from edge.core.openapi import catalogue_document, openapi_document
from edge.core.ops import BATCH_EVENTS_MAX
from edge.core.reject import Reason
from edge.core.schema import event_schema
from tests.core.catalogue.examples import example
from tests.core.schema_cases import is_valid

DOCUMENT = openapi_document()
RESPONSES: dict[str, Any] = DOCUMENT["paths"]["/v1/events"]["post"]["responses"]
DENIALS: dict[str, Any] = DOCUMENT["paths"]["/v1/stream"]["get"]["responses"]
BODIES: dict[str, Any] = DOCUMENT["paths"]["/v1/events"]["post"]["requestBody"]["content"]


def is_of(instance: object, name: str) -> bool:
    """Whether *instance* is of the document's own schema of that name."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    return is_valid(instance, schema)


def test_the_document_is_openapi() -> None:
    validate(DOCUMENT)


def test_both_documents_are_json() -> None:
    for document in (DOCUMENT, catalogue_document()):
        assert json.loads(msgspec.json.encode(document)) == document


def test_each_path_is_there() -> None:
    assert {path: set(methods) for path, methods in DOCUMENT["paths"].items()} == {
        "/v1/events": {"post"},
        "/v1/stream": {"get"},
        "/v1/time": {"get"},
        "/v1/catalogue": {"get"},
        "/openapi.json": {"get"},
        "/asyncapi.json": {"get"},
    }


@pytest.mark.parametrize(
    "reason",
    [reason for reason in Reason if reason in REQUEST_REASONS | EVENT_REASONS],
    ids=lambda reason: reason.code,
)
def test_each_code_is_told_with_its_status(reason: Reason) -> None:
    response = RESPONSES[str(reason.status)]

    assert f"`{reason.code}`" in response["description"]
    assert ("application/problem+json" in response["content"]) or reason in EVENT_REASONS
    assert ("application/json" in response["content"]) or reason in REQUEST_REASONS


def test_no_other_status_is_told() -> None:
    assert set(RESPONSES) == {"202", "default"} | {str(reason.status) for reason in Reason}


@pytest.mark.parametrize(
    "reason",
    [reason for reason in Reason if reason in HANDSHAKE_REASONS],
    ids=lambda reason: reason.code,
)
def test_each_refusal_of_a_handshake_is_told_with_its_status(reason: Reason) -> None:
    response = DENIALS[str(reason.status)]

    assert f"`{reason.code}`" in response["description"]
    assert response["content"].keys() == {"application/problem+json"}
    assert response["headers"] == RESPONSES[str(reason.status)]["headers"]


def test_too_many_sockets_of_one_player_are_told_as_429() -> None:
    assert "`too_many_connections`" in DENIALS["429"]["description"]
    statuses = {str(reason.status) for reason in HANDSHAKE_REASONS}
    assert DENIALS.keys() == statuses | {"101", "429", "default"}


@pytest.mark.parametrize("status", sorted(set(RESPONSES) - {"default"}))
def test_an_answer_tells_its_headers(status: str) -> None:
    always = {"WWW-Authenticate"} if status == "401" else {"RateLimit", "RateLimit-Policy"}
    retry = {"Retry-After"} if status in {"429", "503"} else set[str]()

    assert set(RESPONSES[status]["headers"]) == always | retry
    assert set(RESPONSES[status]["headers"]) <= set(DOCUMENT["components"]["headers"])


def test_the_answer_that_opens_a_socket_tells_its_quotas() -> None:
    assert DENIALS["101"]["headers"] == RESPONSES["202"]["headers"]


@pytest.mark.parametrize(
    "reason",
    [reason for reason in Reason if reason in REQUEST_REASONS | HANDSHAKE_REASONS],
)
def test_a_problem_is_as_the_document_says(reason: Reason) -> None:
    assert is_of(msgspec.to_builtins(problem(reason, "r-1")), "Problem")


def test_a_verdict_is_as_the_document_says() -> None:
    verdicts = Verdicts(
        accepted=1,
        duplicate=2,
        refused=[
            Refused(index=3, id=None, code=reason.code, pointer="/x", retryable=False)
            for reason in EVENT_REASONS
        ],
        retry_after_ms=None,
    )
    document: Any = msgspec.to_builtins(verdicts)

    assert is_of(document, "Verdicts")
    document["refused"][0]["code"] = "body_malformed"
    assert not is_of(document, "Verdicts")


@pytest.mark.parametrize(
    ("media_type", "shape"),
    [
        ("application/cloudevents+json", Shape.OBJECT),
        ("application/cloudevents-batch+json", Shape.ARRAY),
        ("application/json", Shape.EITHER),
    ],
)
def test_the_example_of_each_media_type_is_decoded(media_type: str, shape: Shape) -> None:
    instance = BODIES[media_type]["example"]

    [arrival] = decode(json.dumps(instance).encode(), shape)
    assert isinstance(arrival, Event)
    schema = BODIES[media_type]["schema"] | {"components": DOCUMENT["components"]}
    assert is_valid(instance, schema)


def test_there_is_no_other_media_type() -> None:
    assert len(BODIES) == len(Shape)


@pytest.mark.parametrize("type_", SPECS)
def test_the_document_knows_each_type(type_: str) -> None:
    event = example(type_)
    mapping = DOCUMENT["components"]["schemas"]["Event"]["discriminator"]["mapping"]

    assert is_of(event, "Event")
    assert is_of(event, mapping[type_].removeprefix("#/components/schemas/"))
    assert not is_of(event | {"extension": 1}, "Event")


def test_a_batch_has_a_greatest_length() -> None:
    assert DOCUMENT["components"]["schemas"]["Batch"]["maxItems"] == BATCH_EVENTS_MAX


def test_the_catalogue_is_as_the_document_says() -> None:
    catalogue = catalogue_document()

    assert is_of(catalogue, "Catalogue")
    assert [(row["type"], row["lane"], row["authority"], row["version"]) for row in catalogue["types"]] == [
        (spec.type, spec.lane, spec.authority, spec.versions[-1]) for spec in SPECS.values()
    ]  # fmt: skip


def test_the_catalogue_serves_the_schema_of_each_type() -> None:
    for row in catalogue_document()["types"]:
        assert row["schema"]["$id"] == f"urn:edge:schema:{row['type']}:{row['version']}"
        assert row["schema"] == event_schema(row["type"])


def test_the_time_is_a_whole_number_of_ms() -> None:
    assert is_of({"unix_ms": 1}, "Time")
    assert not is_of({"unix_ms": 1.5}, "Time")
