"""The envelopes that are promised to whoever reads the origin, and the schema they obey."""

from pathlib import Path
from typing import Final

import msgspec
from jsonschema import Draft7Validator, ValidationError

from origin_client.envelope import Envelope, mark_dead, number

HERE: Final = Path(__file__).parent
GOLDEN: Final = HERE / "golden"
_CLOUDEVENTS: Final = Draft7Validator(
    msgspec.json.decode((HERE / "cloudevents.schema.json").read_bytes()),
    format_checker=Draft7Validator.FORMAT_CHECKER,
)
EDGESPOOL: Final = "0198c0de-0000-7000-8000-00000000beef"

MINIMAL_FACT: Final = Envelope(
    specversion="1.0",
    id="0198c0de-1111-7111-8111-000000000001",
    source="/psp/alpha",
    type="bonus.grant.closed",
    time="2026-02-14T20:00:00.000Z",
    subject="player-0001",
    dataschema="urn:edge:schema:bonus.grant.closed:1.0",
    brand="aurora",
    jurisdiction="MT",
    edgenode="mt-1",
    edgeregion="eu-mt",
    edgetime="2026-02-14T20:00:00.125Z",
    authority="fact",
    data=msgspec.Raw(
        b'{"grant_id":"g-1","outcome":"won","wagered_minor":0,"converted_minor":5000,'
        b'"initiator":"operator"}'
    ),
)
FULL_INTENT: Final = Envelope(
    specversion="1.0",
    id="0198c0de-2222-7222-8222-000000000002",
    source="https://play.example/app?v=3#lobby",
    type="wallet.withdrawal.requested",
    time="2026-02-14T20:00:01.999Z",
    subject="player-0001",
    dataschema="urn:edge:schema:wallet.withdrawal.requested:1.0",
    brand="aurora",
    jurisdiction="US-NJ",
    session="0192f3c4-7a10-7c3e-8d52-6b1f0a9e4c11",
    seq=2147483647,
    traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    tracestate="vendor=opaque",
    edgenode="mt-1",
    edgeregion="eu-mt",
    edgetime="2026-02-14T20:00:02.004Z",
    authority="intent",
    flags="late,seq_gap",
    data=msgspec.Raw(
        b'{"withdrawal_id":"w-1","amount":{"amount_minor":9007199254740991,"currency":"USD"},'
        b'"method":"bank","destination_token":"tok-1"}'
    ),
)
OBSERVATION: Final = Envelope(
    specversion="1.0",
    id="0198c0de-3333-7333-8333-000000000003",
    source="/sdk/web",
    type="telemetry.interaction.batch",
    time="2026-02-14T20:00:03.000Z",
    subject="player-0001",
    dataschema="urn:edge:schema:telemetry.interaction.batch:1.0",
    brand="aurora",
    jurisdiction="GB",
    session="0192f3c4-7a10-7c3e-8d52-6b1f0a9e4c11",
    seq=1,
    edgenode="mt-1",
    edgeregion="eu-mt",
    edgetime="2026-02-14T20:00:03.000Z",
    authority="observation",
    # A character beyond ASCII is written as itself.
    data=msgspec.Raw(
        '{"t0_ms":1771099203000,"viewport":{"w":1280,"h":720},"samples":[[0,"m",1,2,0,1]],'
        '"target":"tür"}'.encode()
    ),
)

NUMBERED: Final = {
    "minimal_fact": number(msgspec.json.encode(MINIMAL_FACT), EDGESPOOL, 1),
    "full_intent": number(msgspec.json.encode(FULL_INTENT), EDGESPOOL, 2),
    "observation": number(
        msgspec.json.encode(OBSERVATION), EDGESPOOL, 18_446_744_073_709_551_616
    ),
    "dead_letter": mark_dead(
        number(msgspec.json.encode(MINIMAL_FACT), EDGESPOOL, 3), 'too "large" for\nthe topic'
    ),
}
"""What is written now, by the name of the golden file that says what must be."""


def cloudevents_complaints(value: bytes) -> list[str]:
    """What the CloudEvents schema says against *value*, each with its place."""
    errors: list[ValidationError] = list(_CLOUDEVENTS.iter_errors(msgspec.json.decode(value)))  # pyright: ignore[reportUnknownMemberType]  # jsonschema's stubs
    return [f"{error.json_path} {error.message}" for error in errors]
