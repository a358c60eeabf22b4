"""Two events share a hash exactly when recall must take them for the same thing."""

import msgspec
import pytest

from edge.core.catalogue.registry import SPECS
from edge.core.decode import Shape, decode
from edge.core.event import Event, Spec
from edge.core.footprint import SECRET_BYTES_MAX, SECRET_BYTES_MIN, Footprints
from edge.core.lane import Authority
from edge.core.principal import Principal
from edge.core.record import Footprint
from tests.core.catalogue.examples import example
from tests.fakes_stages import (
    FACT,
    INTENT,
    OBSERVATION,
    PLAYER,
    SECRET,
    SERVICE,
    SESSION_FACT,
    Note,
    client_event,
    event_id,
    fact,
    with_wire,
)

OTHER_SESSION = "0190aaaa-0000-7000-8000-000000000002"
OTHER_BRAND = msgspec.structs.replace(PLAYER, brand="other")
OTHER_PLACE = msgspec.structs.replace(PLAYER, jurisdiction="DE")
GOLDEN_CLIENT = Footprint(
    time_ms=1800000000000,
    id_key=1452132798867279001,
    digest=12246113489778348967,
    key=13090669511775949944,
    key2=11563383376168691201,
    digest2=12246113489778348967,
    session=6742378855407353849,
    seq=1,
)
GOLDEN_FACT = Footprint(
    time_ms=1800000000000,
    id_key=14288980471005034010,
    digest=16453496251869264371,
    key=13594813845624773992,
    key2=12043330252290196431,
    digest2=11331641767692134046,
    session=0,
    seq=0,
)
OTHER_SERVICE = msgspec.structs.replace(SERVICE, client_id="games-2")


def taken(event: Event, principal: Principal, secret: bytes = SECRET) -> Footprint:
    return Footprints(secret).of(event, principal)


def differing(one: Footprint, other: Footprint) -> set[str]:
    """The hashes in which two footprints differ."""
    fields = ("id_key", "digest", "key", "key2", "digest2", "session", "seq")
    return {field for field in fields if getattr(one, field) != getattr(other, field)}


CLIENT = (client_event(), PLAYER)
STATED = (fact(), SERVICE)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        pytest.param(
            CLIENT,
            (with_wire(client_event(), source="/web", time="later"), PLAYER),
            set[str](),
            id="source and time count for nothing",
        ),
        pytest.param(
            CLIENT,
            (with_wire(client_event(), brand="acme", jurisdiction="GB"), PLAYER),
            set[str](),
            id="a brand left out is the token's",
        ),
        pytest.param(
            CLIENT,
            (client_event(), msgspec.structs.replace(PLAYER, client_id="web")),
            set[str](),
            id="another app of the same player",
        ),
        pytest.param(
            CLIENT, (with_wire(client_event(), seq=2), PLAYER), {"seq"}, id="another number"
        ),
        pytest.param(
            CLIENT,
            (with_wire(client_event(), session=OTHER_SESSION), PLAYER),
            {"session"},
            id="another session",
        ),
        pytest.param(
            CLIENT,
            (with_wire(client_event(), id=event_id(9)), PLAYER),
            {"id_key"},
            id="another id",
        ),
        pytest.param(
            CLIENT,
            (with_wire(client_event(), subject="bob-0001"), PLAYER),
            {"id_key", "digest", "key", "key2", "digest2"},
            id="another player's id, key and body",
        ),
        pytest.param(
            CLIENT, (client_event(), OTHER_BRAND), {"digest", "digest2"}, id="a client's brand"
        ),
        pytest.param(
            CLIENT,
            (client_event(), OTHER_PLACE),
            {"digest", "digest2"},
            id="a client's jurisdiction",
        ),
        pytest.param(
            CLIENT,
            (client_event(note=Note(first="a1", second="b1", body=1)), PLAYER),
            {"digest", "digest2"},
            id="another body under both keys",
        ),
        pytest.param(
            CLIENT,
            (client_event(note=Note(first="z", second="b1")), PLAYER),
            {"digest", "digest2", "key"},
            id="another first key",
        ),
        pytest.param(
            STATED,
            (fact(), OTHER_SERVICE),
            {"id_key"},
            id="another service's id, the same fact",
        ),
        pytest.param(
            STATED,
            (with_wire(fact(), subject="bob-0001"), SERVICE),
            {"digest", "digest2"},
            id="a fact's key holds for all players of its brand",
        ),
        pytest.param(
            STATED,
            (with_wire(fact(), brand="other"), SERVICE),
            {"digest", "digest2", "key", "key2"},
            id="a fact's key holds within its brand",
        ),
        pytest.param(
            STATED,
            (with_wire(fact(), jurisdiction="DE"), SERVICE),
            {"digest", "digest2"},
            id="a fact's jurisdiction",
        ),
        pytest.param(
            STATED,
            (fact(note=Note(first="z")), SERVICE),
            {"digest", "key"},
            id="the second digest leaves out what its key ignores",
        ),
        pytest.param(
            STATED,
            (fact(note=Note(body=1)), SERVICE),
            {"digest", "digest2"},
            id="the second digest keeps what its key does not ignore",
        ),
    ],
)
def test_a_difference_shows_in_exactly_the_hashes_it_concerns(
    one: tuple[Event, Principal], other: tuple[Event, Principal], expected: set[str]
) -> None:
    assert differing(taken(*one), taken(*other)) == expected


def test_hashes_of_different_kinds_never_meet() -> None:
    """An id, a key and a session of the same text are still three things."""
    same = Note(first="same", second="same")

    footprint = taken(client_event(note=same), PLAYER)

    assert len({footprint.id_key, footprint.key, footprint.key2, footprint.session}) == 4


def test_a_type_without_keys_has_none() -> None:
    footprint = taken(client_event(OBSERVATION), PLAYER)

    assert (footprint.key, footprint.key2, footprint.digest2) == (0, 0, 0)


def test_a_fact_has_no_number_even_if_its_key_is_the_session() -> None:
    footprint = taken(fact(SESSION_FACT), SERVICE)

    assert footprint.key != 0
    assert (footprint.session, footprint.seq, footprint.key2) == (0, 0, 0)


def test_the_key_of_another_session_is_another_key() -> None:
    one = fact(SESSION_FACT)

    assert differing(
        taken(one, SERVICE), taken(with_wire(one, session=OTHER_SESSION), SERVICE)
    ) == {"key"}


@pytest.mark.parametrize("spec", SPECS.values(), ids=lambda spec: spec.type)
def test_every_type_of_the_catalogue_has_the_keys_its_row_names(spec: Spec) -> None:
    (event,) = decode(msgspec.json.encode(example(spec.type)), Shape.OBJECT)
    assert isinstance(event, Event)

    footprint = taken(event, SERVICE if spec.authority is Authority.FACT else PLAYER)

    assert [bool(footprint.key), bool(footprint.key2)] == [len(spec.keys) > n for n in (0, 1)]
    ignored = {name for key in spec.keys for name in key.ignoring}
    assert ignored <= {field.name for field in msgspec.structs.fields(spec.payload)}


def test_parts_cannot_be_shifted_into_each_other() -> None:
    left = client_event(note=Note(first="ab", second="c"))
    right = client_event(note=Note(first="a", second="bc"))

    assert taken(left, PLAYER).digest != taken(right, PLAYER).digest
    assert taken(left, PLAYER).key != taken(right, PLAYER).key


def test_the_time_is_the_events_own() -> None:
    assert taken(client_event(time_ms=77), PLAYER).time_ms == 77


def test_a_session_is_named_alike_in_the_event_and_in_the_token() -> None:
    footprints = Footprints(SECRET)

    assert footprints.session(PLAYER.session) == taken(client_event(), PLAYER).session
    assert footprints.session("") != footprints.session(PLAYER.session)


def test_another_secret_knows_nothing_again() -> None:
    one, other = (taken(client_event(), PLAYER, secret) for secret in (SECRET, SECRET + b"!"))

    assert differing(one, other) == {"id_key", "digest", "key", "key2", "digest2", "session"}


def test_a_hash_never_changes_because_it_lies_on_disk() -> None:
    """Golden: whoever changes a hash makes every spool forget what it accepted."""
    assert taken(client_event(), PLAYER) == GOLDEN_CLIENT
    assert taken(fact(), SERVICE) == GOLDEN_FACT


@pytest.mark.parametrize("length", [SECRET_BYTES_MIN - 1, SECRET_BYTES_MAX + 1])
def test_a_secret_of_the_wrong_length_is_our_mistake(length: int) -> None:
    with pytest.raises(AssertionError):
        Footprints(bytes(length))


def test_every_hash_fits_a_word_and_is_never_none() -> None:
    for spec in (INTENT, FACT):
        event = client_event(spec) if spec is INTENT else fact(spec)
        footprint = taken(event, PLAYER if spec is INTENT else SERVICE)
        hashes = (footprint.id_key, footprint.digest, footprint.key, footprint.key2)
        assert all(0 < each < 1 << 64 for each in hashes)
