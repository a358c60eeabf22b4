"""The origin is a receiver behind HTTP: it goes away, wants another token, objects, comes back."""

import json
from pathlib import Path
from typing import Any

import pytest

from edge.demo.evening import drain
from edge.demo.ledger import Event
from tests.fakes_http_origin import Mood, Receiver, Reply, Request, always, receiver, take
from tests.fakes_keys import raw
from tests.system.conftest import Build
from tests.system.world import TABLE, World

pytestmark = pytest.mark.system

TOPIC = "edge.game.v1"
CANARIES = ["player-canary", "canary@example.com", "c4n4ry/token=="]


def kept(there: Receiver) -> list[dict[str, Any]]:
    """The envelopes that the receiver keeps; the same bytes, taken twice, count once."""
    return [json.loads(event) for event in dict.fromkeys(there.events[TOPIC])]


def wait_until_kept(here: World, there: Receiver, *events: Event) -> None:
    """Return when the receiver has all *events*."""
    wanted = {event["id"] for event in events}
    here.wait(lambda: wanted <= {each["id"] for each in kept(there)}, "kept")


def wait_until_told(here: World, cause: str) -> None:
    """Return when readiness, which stays true, names *cause*."""
    here.wait(lambda: cause in str(here.ask("/readyz").json["probes"]), cause)
    assert here.ask("/readyz").status == 200


def test_each_event_arrives_once_and_in_order_though_the_receiver_goes_and_comes(
    build: Build,
) -> None:
    with receiver() as there:
        here = build({"origin": {"url": there.url}})
        here.gateway.start()
        here.wait_until_ready()
        ada = here.visit()
        events = [TABLE.spin(ada, n) for n in range(1, 61)]
        assert here.say(ada, *events[:20]).counts == (20, 0)
        wait_until_kept(here, there, *events[:20])
        there.stop()
        for event in events[20:40]:
            assert here.say(ada, event).counts == (1, 0)
        wait_until_told(here, f"{TOPIC}: the receiver cannot be reached")
        there.start()
        assert here.say(ada, *events[40:]).counts == (20, 0)

        wait_until_kept(here, there, *events)

        assert drain(here.gateway) == []
        assert "unavailable" not in str(here.ask("/readyz").json["probes"])
    assert [each["id"] for each in kept(there)] == [event["id"] for event in events]
    assert len({(each["edgespool"], each["edgeseq"]) for each in kept(there)}) == len(events)


def test_a_token_that_is_not_accepted_kills_no_event_and_is_changed_without_a_restart(
    build: Build, tmp_path: Path
) -> None:
    def believe(request: Request) -> Reply:
        return (
            take(request) if request.headers["authorization"].endswith(" new") else Reply(401)
        )

    token = tmp_path / "token"
    token.write_text("old")
    with receiver(believe) as there:
        options = {"bearer_file": str(token)}
        here = build({"origin": {"url": there.url}, "origin.options": options})
        here.gateway.start()
        here.wait_until_ready()
        ada = here.visit()
        events = [TABLE.spin(ada, n) for n in range(1, 6)]
        assert here.say(ada, *events).counts == (5, 0)
        wait_until_told(here, "put a token it accepts into the file of options.bearer_file")
        token.write_text("new")

        wait_until_kept(here, there, *events)

        assert drain(here.gateway) == []
    assert [each["id"] for each in kept(there)] == [event["id"] for event in events]


def test_whatever_a_receiver_repeats_of_what_it_was_sent_is_shown_nowhere(
    build: Build, tmp_path: Path
) -> None:
    def echo(request: Request) -> bytes:
        return " ".join([*CANARIES, *request.headers.values(), str(request.events)]).encode()

    def babble(request: Request) -> Mood:
        return raw(b"-ERR %s\r\n\r\n" % echo(request))

    def complain(request: Request) -> Reply:
        return Reply(422, echo(request))

    token = tmp_path / "token"
    token.write_text(CANARIES[2])
    with receiver(babble) as there:
        options = {"bearer_file": str(token)}
        here = build({"origin": {"url": there.url}, "origin.options": options})
        here.gateway.start()
        here.wait_until_ready()
        ada = here.visit("canary")
        assert here.say(ada, TABLE.spin(ada, 1)).counts == (1, 0)
        wait_until_told(here, "its answer is not HTTP")
        shown = [str(here.ask("/readyz").json), here.gateway.metrics()]

        there.script = complain
        here.wait(lambda: "not wanted by the origin" in str(here.log_lines()), "refused")

        shown += [str(here.ask("/readyz").json), here.gateway.metrics(), str(here.log_lines())]
    assert "forwarding waits" in shown[-1]
    assert [canary for canary in CANARIES if canary in str(shown)] == []


def test_one_event_that_the_receiver_never_takes_costs_its_neighbours_nothing(
    build: Build,
) -> None:
    with receiver(always(Reply(503))) as there:
        here = build({"origin": {"url": there.url}})
        here.gateway.start()
        here.wait_until_ready()
        ada = here.visit()
        events = [TABLE.spin(ada, n) for n in range(1, 51)]
        bad = events.pop(30)

        def object_to_it(request: Request) -> Reply:
            return Reply(422) if str(bad["id"]) in str(request.events) else take(request)

        assert here.say(ada, *events[:30], bad, *events[30:]).counts == (50, 0)

        there.script = object_to_it
        wait_until_kept(here, there, *events)

        assert drain(here.gateway) == []
        assert 'edge_dead_total{lane="game"} 1.0' in here.gateway.metrics()
    assert [each["id"] for each in kept(there)] == [event["id"] for event in events]
