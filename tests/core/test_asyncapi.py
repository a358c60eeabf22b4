"""``/asyncapi.json`` is AsyncAPI 3.0.0, and says of frames what decoding and encoding do."""

import copy
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, cast, get_args

import jsonschema
import msgspec
import pytest

from edge.core.asyncapi import asyncapi_document
from edge.core.catalogue.registry import SPECS
from edge.core.closing import BYES, CLOSE_CODES
from edge.core.contract import EVENT_REASONS, FRAME_REASONS
from edge.core.conversation import Conversation
from edge.core.lane import Lane, LaneState
from edge.core.ops import BATCH_EVENTS_MAX, InOp, OutOp, RefusedEntry, VerdictsOp, encode
from edge.core.push import Push, read_push
from edge.core.reject import Reason
from edge.core.sayings import PUSHED, SAYINGS, Saying
from edge.core.schema import definition_name, event_schema
from tests.core.catalogue.examples import example
from tests.core.player_events import frame
from tests.core.schema_cases import broken_events, is_valid
from tests.core.test_two_doors import TABLE, Doors
from tests.fakes import NOW
from tests.frames_contract import CONTRACT

DOCUMENT: Final = asyncapi_document()
SCHEMAS: Final[dict[str, Any]] = DOCUMENT["components"]["schemas"]
FORMATS: Final = jsonschema.Draft7Validator.FORMAT_CHECKER
OFFICIAL: Final[dict[str, Any]] = json.loads(
    (Path(__file__).parent.parent / "golden/asyncapi/3.0.0.json").read_text()
)

each_saying = pytest.mark.parametrize("saying", SAYINGS, ids=lambda saying: saying.op)
each_type = pytest.mark.parametrize("type_", SPECS)


def is_asyncapi(document: object) -> bool:
    """Whether the official schema accepts *document*."""
    validator: Any = jsonschema.Draft7Validator(OFFICIAL)
    return bool(validator.is_valid(document))


def is_of(instance: object, name: str) -> bool:
    """Whether *instance* is of the document's own schema of that name."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    validator: Any = jsonschema.Draft7Validator(schema, format_checker=FORMATS)
    return bool(validator.is_valid(instance))


def instance_of(saying: Saying) -> Any:
    """The example as it stands in the document."""
    [written] = DOCUMENT["components"]["messages"][saying.op]["examples"]
    return written["payload"]


def test_the_document_is_asyncapi() -> None:
    validator: Any = jsonschema.Draft7Validator(OFFICIAL)

    assert [
        f"{each.json_path}: {each.message}" for each in validator.iter_errors(DOCUMENT)
    ] == []
    assert DOCUMENT["asyncapi"] == OFFICIAL["properties"]["asyncapi"]["const"] == "3.0.0"


def without_a_channel(document: dict[str, Any]) -> None:
    del document["operations"]["push"]["channel"]


def doing_something_else(document: dict[str, Any]) -> None:
    document["operations"]["push"]["action"] = "publish"


def with_an_unknown_member(document: dict[str, Any]) -> None:
    document["channels"]["stream"]["close-codes"] = {}


def with_an_example_of_nothing(document: dict[str, Any]) -> None:
    document["components"]["messages"]["push"]["examples"] = [{}]


def with_a_type_there_is_not(document: dict[str, Any]) -> None:
    document["components"]["schemas"]["ByeOp"]["properties"]["code"] = {"type": "int"}


@pytest.mark.parametrize(
    "spoil",
    [
        without_a_channel,
        doing_something_else,
        with_an_unknown_member,
        with_an_example_of_nothing,
        with_a_type_there_is_not,
    ],
)
def test_the_official_schema_sees_what_is_not_asyncapi(
    spoil: Callable[[dict[str, Any]], None],
) -> None:
    document = copy.deepcopy(DOCUMENT)
    spoil(document)

    assert not is_asyncapi(document)


def test_the_document_is_json() -> None:
    assert json.loads(msgspec.json.encode(DOCUMENT)) == DOCUMENT


def references(part: object) -> Iterator[str]:
    """Every ``$ref`` in *part*."""
    if isinstance(part, dict):
        members = cast("dict[str, object]", part)
        yield from (str(each) for name, each in members.items() if name == "$ref")
        for each in members.values():
            yield from references(each)
    elif isinstance(part, list):
        for each in cast("list[object]", part):
            yield from references(each)


def test_whatever_is_referred_to_is_there() -> None:
    for reference in set(references(DOCUMENT)):
        found: Any = DOCUMENT
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]
        assert found, reference


def test_every_op_is_one_message_that_goes_its_own_way() -> None:
    def ops(alias: object) -> set[str]:
        structs = [getattr(op, "__origin__", op) for op in get_args(alias)]
        return {str(struct.__struct_config__.tag) for struct in structs}

    assert CONTRACT.received == ops(InOp)
    assert CONTRACT.sent == ops(OutOp)
    assert len(SAYINGS) == len(CONTRACT.received) + len(CONTRACT.sent)
    assert DOCUMENT["channels"]["stream"]["messages"].keys() == {s.op for s in SAYINGS}


@each_saying
def test_an_example_is_valid_as_its_own_message_and_as_no_other(saying: Saying) -> None:
    assert CONTRACT.faults_of(instance_of(saying)) == []
    assert CONTRACT.ops_of(instance_of(saying)) == {saying.op}


@each_saying
def test_a_member_of_a_frame_that_is_missing_or_of_another_type_is_seen(
    saying: Saying,
) -> None:
    whole = instance_of(saying)

    for name in whole:
        assert not CONTRACT.ops_of({n: m for n, m in whole.items() if n != name}), name
        assert not CONTRACT.ops_of(whole | {name: {"no": "such thing"}}), name


@each_saying
def test_the_document_shows_each_example(saying: Saying) -> None:
    assert instance_of(saying) == json.loads(msgspec.json.encode(saying.example))


@each_saying
def test_a_member_that_is_not_known_is_refused_from_clients_and_may_be_added_by_us(
    saying: Saying,
) -> None:
    is_ours = saying.action == "send"

    assert bool(CONTRACT.ops_of(instance_of(saying) | {"unknown": 1})) == is_ours


def test_a_frame_has_a_greatest_number_of_events() -> None:
    assert SCHEMAS["EventsOp"]["properties"]["events"]["maxItems"] == BATCH_EVENTS_MAX


@each_type
def test_the_document_knows_each_type(type_: str) -> None:
    assert is_of(example(type_), "Event")
    assert is_of(example(type_), definition_name(type_))
    assert not is_of(example(type_) | {"extension": 1}, "Event")


@each_type
def test_draft_07_sees_the_faults_of_an_event_that_2020_12_sees(type_: str) -> None:
    """Planted: arrays of fixed places left as they were."""
    schema, name = event_schema(type_), definition_name(type_)

    for label, event, _ in broken_events(schema):
        assert is_of(event, name) == is_valid(event, schema), label


@pytest.mark.parametrize("places", [[], [58], [58, 60, 61], [58, "60"]], ids=str)
def test_a_missing_range_has_two_ends(places: list[object]) -> None:
    [verdicts] = [instance_of(s) for s in SAYINGS if s.op == "verdicts"]

    assert CONTRACT.ops_of(verdicts | {"missing": [[58, 60], [70, 70]]})
    assert not CONTRACT.ops_of(verdicts | {"missing": [places]})


def test_no_keyword_is_unknown_to_draft_07() -> None:
    later = {"prefixItems", "$defs", "$anchor", "dependentRequired", "unevaluatedProperties"}

    assert not later & set(re.findall(r'"([^"]+)":', json.dumps(DOCUMENT)))


def refused(reason: Reason) -> dict[str, Any]:
    """Verdicts that refuse one event."""
    entry = RefusedEntry(
        frame=1,
        index=None,
        id=None,
        seq=None,
        code=reason.code,
        pointer=None,
        retryable=reason.is_retryable,
    )
    told = VerdictsOp(settled=0, highest=0, missing=[], refused=[entry], retry_after_ms=None)
    found: dict[str, Any] = json.loads(encode(told))
    return found


@pytest.mark.parametrize("reason", Reason, ids=lambda reason: reason.code)
def test_a_refusal_has_a_code_of_those_that_events_and_frames_may_have(
    reason: Reason,
) -> None:
    is_known = reason in EVENT_REASONS | FRAME_REASONS

    assert bool(CONTRACT.ops_of(refused(reason))) == is_known


def test_a_welcome_knows_every_lane_and_every_state_of_one() -> None:
    [welcome] = [instance_of(saying) for saying in SAYINGS if saying.op == "welcome"]

    for state in LaneState:
        lanes = {lane.value: state.value for lane in Lane}
        assert CONTRACT.ops_of(welcome | {"lanes": lanes}) == {"welcome"}
        assert not CONTRACT.ops_of(welcome | {"lanes": lanes | {"bet": "asleep"}})
        del lanes["bet"]
        assert not CONTRACT.ops_of(welcome | {"lanes": lanes})


def test_a_bye_has_a_reason_and_a_code_that_there_are() -> None:
    for reason, code in BYES.items():
        bye = {"op": "bye", "code": code, "reason": reason, "reconnect_after_ms": 0}

        assert CONTRACT.ops_of(bye) == {"bye"}
        assert not CONTRACT.ops_of(bye | {"code": 1000})
        assert not CONTRACT.ops_of(bye | {"reason": "boredom"})
    assert DOCUMENT["channels"]["stream"]["x-close-codes"].keys() == set(map(str, CLOSE_CODES))


@pytest.mark.parametrize(
    "members",
    [
        {"pushto": "player:ada-1"},
        {"pushto": "session:019856ef-1d0a-7c42-9a77-5b8e0c6f3d21"},
        {"pushto": "brand:north"},
        {"pushto": "all", "data": None, "more": True, "less": 1},
        {"pushto": "player:"},
        {"pushto": "player:ada-1 "},
        {"pushto": "everybody"},
        {"pushto": "brand:north|all"},
        {"pushto": 7},
        {"pushtopic": "Jackpots"},
        {"pushtopic": ""},
        {"pushkey": ""},
        {"pushkey": "x" * 128},
        {"pushkey": "x" * 129},
        {"source": ""},
        {"id": 7},
        {"specversion": "0.3"},
    ],
    ids=str,
)
def test_a_push_is_what_the_feed_takes_for_one(members: dict[str, object]) -> None:
    event = PUSHED | members
    is_push = isinstance(read_push(json.dumps(event).encode()), Push)

    assert bool(CONTRACT.ops_of({"op": "push", "event": event})) == is_push


def test_what_is_told_of_every_kind_of_event_is_as_the_document_says() -> None:
    doors = Doors()
    talk = doors.conversation
    frames = [frame(sent) for sent in TABLE.values()]
    frames += [frame(*TABLE.values()), b"{", frame(*[7] * 201)]

    told = [report for text in frames if (report := told_of(talk, text)) is not None]

    assert len(told) == len(frames)
    for report in told:
        assert CONTRACT.faults_of(json.loads(report)) == []


def told_of(talk: Conversation, text: bytes) -> bytes | None:
    """The report of one frame, once its syncs held."""
    for commit in talk.hear(text, NOW).awaited:
        talk.settle(commit, None)
    return talk.report()
