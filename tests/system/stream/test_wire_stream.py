"""Whatever bytes a socket brings: the answer or close code of threats.md, and nobody is hurt."""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import pytest

from edge.core.push import PUSH_TOPIC
from edge.demo.payloads import Visit
from origin_client.open import open_origin
from origin_client.origin import Outgoing
from tests.fakes_frames import BINARY, CLOSE, PING, PONG, client_frame, closing
from tests.fakes_push import TOPIC, push_value
from tests.system.stream.raw_socket import RawSocket, events, handshake, offer
from tests.system.stream.sockets import ask, hear, welcomed
from tests.system.world import TABLE, World

pytestmark = pytest.mark.system

FRAME_BYTES_MAX: Final = 65_536
EMPTY: Final = client_frame(b'{"op":"events","events":[]}')


@pytest.fixture(autouse=True)
def nothing_is_logged(door: World) -> Iterator[None]:
    """No row is worth a line in the gateway's log, least of all a traceback."""
    before = len(door.log_lines())
    yield
    # That the machine is busy is worth one, and so are an issuer's keys when they come.
    others = {"edge.governor", "edge.keys"}
    assert [line for line in door.log_lines()[before:] if line["logger"] not in others] == []


def closed(door: World, code: int) -> float:
    """How many sockets ended with *code* so far."""
    wanted = f'edge_stream_closed_total{{code="{code}"}} '
    lines = door.gateway.metrics().splitlines()
    return sum(float(line.removeprefix(wanted)) for line in lines if line.startswith(wanted))


def neighbour_is_served(door: World) -> None:
    """See that others are heard as ever."""
    with welcomed(door, door.visit("neighbour")) as found:
        assert ask(found)["refused"] == []


Fields = Mapping[str, str | Sequence[str]]


@pytest.mark.parametrize(
    ("fields", "line", "status"),
    [
        pytest.param({"sec-websocket-key": "c2hvcnQ="}, {}, 400, id="45: a short key"),
        pytest.param({"sec-websocket-key": "no base64!"}, {}, 400, id="45: no key"),
        pytest.param(
            {"sec-websocket-key": ["dGhlIHNhbXBsZSBub25jZQ=="] * 2}, {}, 400, id="45: two keys"
        ),
        pytest.param({"sec-websocket-key": []}, {}, 400, id="45: key missing"),
        pytest.param({"sec-websocket-version": "12"}, {}, 426, id="45: version 12"),
        pytest.param({"sec-websocket-version": "13, 8"}, {}, 426, id="45: two versions"),
        pytest.param({"sec-websocket-version": []}, {}, 426, id="45: no version"),
        pytest.param({"content-length": "7"}, {}, 400, id="45: a body"),
        pytest.param({"transfer-encoding": "chunked"}, {}, 400, id="45: a chunked body"),
        pytest.param({}, {"version": "1.0"}, 400, id="45: HTTP/1.0"),
        pytest.param({}, {"method": "POST"}, 405, id="45: POST"),
        pytest.param({}, {"method": "DELETE"}, 405, id="45: DELETE"),
        pytest.param({"x": ["y"] * 200}, {}, 431, id="6: 200 fields"),
        pytest.param({"x": "y" * 33_000}, {}, 431, id="6: 33 kB of fields"),
        pytest.param({}, {"target": "/v1/stream?k=" + "x" * 9_000}, 414, id="5: 9 kB line"),
        pytest.param({}, {"target": "/v1/streams"}, 404, id="12: another path"),
        pytest.param({}, {"target": "/v1/events"}, 405, id="12: a path that is posted to"),
        pytest.param({"origin": "https://evil.example"}, {}, 403, id="46: another origin"),
        pytest.param({"origin": "null"}, {}, 403, id="46: an origin that has no name"),
        pytest.param({"sec-websocket-protocol": "chat"}, {}, 400, id="67: not our protocol"),
        pytest.param({"sec-websocket-protocol": []}, {}, 400, id="67: no protocol"),
        pytest.param(
            {"sec-websocket-protocol": "bearer.a.b.c"}, {}, 400, id="67: only a token"
        ),
        pytest.param(
            {"sec-websocket-protocol": "edge.v1.json, bearer.a.b.c, bearer.d.e.f"},
            {},
            400,
            id="67: two tokens",
        ),
        pytest.param({}, {"target": "/v1/stream?access_token=x.y.z"}, 400, id="68"),
    ],
)
def test_a_handshake_that_is_wrong_is_answered_by_http_and_is_its_connections_last(
    door: World, ada: Visit, fields: Fields, line: Mapping[str, str], status: int
) -> None:
    frames = EMPTY * 3  # were it taken, they would be heard
    with RawSocket(door) as raw:
        raw.send(handshake(offer(door, ada) | dict(fields), **line) + b'{"a":1}' + frames)
        found, head = raw.answer()
        raw.wait_for_hangup()

    assert found == status
    assert "\r\nconnection: close" in head or "\r\nconnection: upgrade" in head
    assert ("\r\nsec-websocket-version: 13" in head) == (status == 426)
    assert ("\r\nallow: " in head) == (status == 405)
    assert "\r\ncontent-type: application/problem+json" in head
    assert "sec-websocket-accept" not in head
    neighbour_is_served(door)


@pytest.mark.parametrize("upgrade", [[], "h2c", "websockets"], ids=str)
def test_45_who_asks_for_no_upgrade_or_another_is_told_which(
    door: World, ada: Visit, upgrade: str | list[str]
) -> None:
    with RawSocket(door) as raw:
        raw.send(handshake({**offer(door, ada), "upgrade": upgrade}))
        status, head = raw.answer()
        raw.wait_for_hangup()

    assert status == 426
    assert "\r\nupgrade: websocket" in head
    assert "\r\nsec-websocket-version: 13" in head


def test_6_one_field_of_9_kB_fits_into_the_head_of_a_handshake(  # noqa: N802  # the unit's name
    door: World, ada: Visit
) -> None:
    """All fields together may have 32 KiB. Planted: 8 KiB for each, and 431."""
    with RawSocket(door) as raw:
        raw.send(handshake({**offer(door, ada), "x": "y" * 9_000}))
        assert raw.answer()[0] == 101
        raw.hear(1)

        assert raw.ask(events(TABLE.spin(ada, 100)))["refused"] == []


def test_19_deflate_is_declined_and_the_socket_lives_without_it(
    door: World, ada: Visit
) -> None:
    """Planted: what is offered is accepted, by the field alone."""
    offered = "permessage-deflate; client_max_window_bits"
    with RawSocket(door) as raw:
        raw.send(handshake({**offer(door, ada), "sec-websocket-extensions": offered}))
        status, head = raw.answer()
        raw.hear(1)
        told = raw.ask(events(TABLE.spin(ada, 100)))

    assert status == 101
    assert "sec-websocket-extensions" not in head
    assert (told["settled"], told["refused"]) == (1, [])


def test_a_handshake_may_come_octet_by_octet_and_frames_with_it(
    door: World, ada: Visit
) -> None:
    with RawSocket(door) as raw:
        for octet in handshake(offer(door, ada)):
            raw.send(bytes((octet,)))
        raw.send(EMPTY)
        assert raw.answer()[0] == 101
        raw.hear(2)

        assert [frame["op"] for frame in raw.said] == ["welcome", "verdicts"]


def test_what_is_sent_in_one_write_with_the_handshake_is_heard_behind_the_welcome(
    door: World, ada: Visit
) -> None:
    with RawSocket(door) as raw:
        raw.shake(door, ada, client_frame(b"!", PING) + EMPTY + closing(1000, "brief"))

        assert raw.end() == (1000, "brief")
        assert raw.frames.pongs == [b"!"]
        assert not raw.was_reset


HEADS_48: Final = {
    "RSV1": client_frame(b"{}", 0xC1),
    "RSV2": client_frame(b"{}", 0xA1),
    "RSV3": client_frame(b"{}", 0x91),
    "reserved opcode 3": client_frame(b"{}", 0x83),
    "reserved opcode 11": client_frame(b"", 0x8B),
    "text not masked": b"\x81\x02{}",
    "ping not masked": b"\x89\x00",
    "fragmented ping": client_frame(b"", 0x09),
    "ping of 126": client_frame(b"x" * 126, PING),
    "continues nothing": client_frame(b"{}", 0x80),
    "a text within a text": client_frame(b"{", 0x01) + client_frame(b"{}"),
    "length in too many octets": client_frame(b"{}", octets=8),
    "close of one octet": client_frame(b"x", CLOSE),
    "close code 1005": closing(1005),
}


@pytest.mark.parametrize(
    ("octets", "code"),
    [
        pytest.param(client_frame(b"{}", BINARY), 1003, id="17: binary"),
        pytest.param(client_frame(b"{", 0x02), 1003, id="17: fragmented binary"),
        pytest.param(
            client_frame(b" " * (FRAME_BYTES_MAX + 1)), 1009, id="14: a frame of 64 KiB + 1"
        ),
        pytest.param(b"\x81\xff" + (1 << 40).to_bytes(8), 1009, id="14: 1 TiB, announced"),
        pytest.param(
            client_frame(b" " * FRAME_BYTES_MAX, 0x01) + client_frame(b" ", 0x80),
            1009,
            id="15: fragments of 64 KiB + 1 together",
        ),
        pytest.param(
            client_frame(b" ", 0x01) + client_frame(b" ", 0x00) * 64,
            1009,
            id="15: 65 fragments",
        ),
        pytest.param(client_frame(b'{"op":"\xff"}'), 1007, id="21: no UTF-8"),
        pytest.param(client_frame(b'"\xed\xa0\x80"'), 1007, id="21: a surrogate as UTF-8"),
        *(pytest.param(each, 1002, id=f"48: {name}") for name, each in HEADS_48.items()),
        pytest.param(client_frame(b"", PING) * 200, 1008, id="49: pings"),
        pytest.param(client_frame(b"", PONG) * 200, 1008, id="49: pongs"),
    ],
)
def test_what_breaks_the_wires_rules_is_closed_with_its_code(
    door: World, ada: Visit, octets: bytes, code: int
) -> None:
    before = closed(door, code)
    with RawSocket(door) as raw:
        raw.shake(door, ada)
        raw.send(EMPTY + octets + EMPTY * 100)
        close = raw.end()
        said = [frame["op"] for frame in raw.said]

    assert close is not None
    assert close[0] == code
    assert said == ["welcome", "verdicts"], "what was heard before is told"
    assert len(raw.frames.pongs) <= 51
    door.wait(lambda: closed(door, code) == before + 1, "counted")
    neighbour_is_served(door)


def test_14_a_frame_of_64_KiB_and_15_one_of_64_fragments_are_heard(  # noqa: N802  # the unit's name
    door: World, ada: Visit
) -> None:
    text = b'{"op":"events","events":[]}'.ljust(FRAME_BYTES_MAX)
    parts = [text[at : at + 1_024] for at in range(0, FRAME_BYTES_MAX, 1_024)]
    fragments = [client_frame(part, 0x00) for part in parts]
    fragments[0], fragments[-1] = client_frame(parts[0], 0x01), client_frame(parts[-1], 0x80)
    pinged = client_frame(b"?", PING).join(fragments[:40])  # as many pings as are no flood
    with RawSocket(door) as raw:
        raw.shake(door, ada)
        raw.send(client_frame(text))
        raw.hear(2)
        raw.send(b"".join((pinged, *fragments[40:])))
        raw.hear(3)

        assert [frame["refused"] for frame in raw.said[1:]] == [[], []]
        assert raw.frames.pongs == [b"?"] * 39


def test_49_too_many_texts_are_a_flood_and_told_so(door: World, ada: Visit) -> None:
    with RawSocket(door) as raw:
        raw.shake(door, ada)
        raw.send(EMPTY * 2_000)

        assert raw.end() == (4429, "flood")
        assert raw.said[-1]["op"] == "bye"
        assert (raw.said[-1]["code"], raw.said[-1]["reason"]) == (4429, "flood")
    neighbour_is_served(door)


def test_67_a_flood_of_tokens_is_a_flood(door: World, ada: Visit) -> None:
    token = door.issuer.player(ada)
    with RawSocket(door) as raw:
        raw.shake(door, ada)
        raw.send(client_frame(json.dumps({"op": "token", "token": token}).encode()) * 600)

        assert raw.end() == (4429, "flood")
    neighbour_is_served(door)


def test_67_who_subscribes_to_what_is_no_topic_is_let_in_and_subscribed_to_nothing(
    door: World, ada: Visit
) -> None:
    """Not to what could be made of it either. Planted: names are mended; none is all."""
    names = ",../etc,%00," + "x" * 99
    pushes = [push_value(0, pushtopic="etc"), push_value(1, pushtopic="x" * 64), push_value(2)]
    with (
        contextlib.closing(open_origin(f"log:{door.origin}", {})) as origin,
        welcomed(door, door.visit("listener"), f"?topics={TOPIC}") as listener,
        RawSocket(door) as raw,
    ):
        raw.send(handshake(offer(door, ada), target=f"/v1/stream?topics={names}"))
        assert raw.answer()[0] == 101
        raw.hear(1)
        origin.publish(PUSH_TOPIC, [Outgoing(b"one", each) for each in pushes])
        assert hear(listener)["op"] == "push", "the last; so the others would be there, too"
        told = raw.ask(EMPTY)

    assert told["op"] == "verdicts"


def test_66_who_vanishes_behind_its_events_has_them_accepted(door: World, ada: Visit) -> None:
    spin = TABLE.spin(ada, 100)
    with RawSocket(door) as raw:
        raw.shake(door, ada)
        raw.send(client_frame(json.dumps({"op": "events", "events": [spin]}).encode()))
        raw.reset()

    door.wait_until_forwarded(spin)
