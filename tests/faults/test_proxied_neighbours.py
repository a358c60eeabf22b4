"""The key server and the HTTP origin behind a network that does what networks do."""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from edge.demo.evening import drain
from edge.demo.issuer import Issuer
from edge.demo.ledger import Event
from edge.demo.payloads import Visit
from tests.fakes_http_origin import Receiver, Reply, Request, receiver, take
from tests.faults import faults
from tests.faults.proxy import Proxy
from tests.system.test_http_origin import TOPIC, kept, wait_until_kept, wait_until_told
from tests.system.test_keys import status_of
from tests.system.world import TABLE, World, world

pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(300),  # 12 s on two idle cores; each of its waits may take 20 s
]

CUTS: Final = 5
EVENTS: Final = 10  # said at once: before a fault, in it, and behind it
LATE_S: Final = 0.2
NARROW_BYTES_PER_S: Final = 20_000  # ten events take half a second
TIMEOUT_S: Final = 0.5  # of a request that is to be given up


@contextlib.contextmanager
def key_server(room: Path, issuer: Issuer) -> Generator[tuple[World, Proxy]]:
    """Start a gateway that asks for its keys every second, by a proxy, and has them."""
    port = int(issuer.jwks_url.split(":")[2].split("/")[0])
    with Proxy(("127.0.0.1", port)) as proxy:
        url = issuer.jwks_url.replace(f":{port}/", f":{proxy.address[1]}/")
        issuers = {"jwks_path": None, "jwks_url": url}
        with world(room, {"auth": {"jwks_refresh_s": 1}, "auth.issuers": issuers}) as here:
            here.gateway.start()
            here.wait_until_ready()
            yield here, proxy


def test_a_key_server_that_fails_in_any_way_changes_no_verdict(tmp_path: Path) -> None:
    with Issuer() as issuer, key_server(tmp_path, issuer) as (here, proxy):
        ada = here.visit()
        token = issuer.player(ada)

        def speak_while_it_is_asked() -> None:
            made = proxy.made
            here.wait(lambda: proxy.made > made, "the keys are asked for")
            assert here.say(token, TABLE.spin(ada, 1)).counts == (1, 0)
            assert here.ask("/readyz").status == 200

        with faults.black_hole(proxy.up, proxy.down):
            speak_while_it_is_asked()
        faults.reset(proxy)
        speak_while_it_is_asked()
        with faults.late(proxy.down, latency_s=3, jitter_s=0):
            speak_while_it_is_asked()
        with faults.narrow(proxy.down, bytes_per_s=100):
            speak_while_it_is_asked()
        made = proxy.made
        here.wait(lambda: proxy.made > made, "the keys are asked for")
        faults.half_close(proxy, proxy.down)
        speak_while_it_is_asked()

        with faults.refused(proxy):
            here.wait(lambda: "Connection refused" in str(here.log_lines()), "it is told")
            assert here.say(token, TABLE.spin(ada, 1)).counts == (1, 0)

        speak_while_it_is_asked()
        assert status_of(here, Issuer(kid="never-heard-of")) == (401, "token_invalid")


def test_what_an_http_origin_took_without_being_heard_is_sent_again_as_it_was(
    tmp_path: Path,
) -> None:
    left, guard = CUTS, threading.Lock()

    def take_unheard(request: Request) -> Reply:
        """Keep the events, and have the connection reset instead of the answer."""
        nonlocal left
        with guard:
            left -= 1
            if left >= 0:
                faults.cut_before_answer(proxy)
        return take(request)

    with (
        receiver(take_unheard) as there,
        proxy_of(there) as (proxy, url),
        world(tmp_path, {"origin": {"url": url}}) as here,
    ):
        here.gateway.start()
        here.wait_until_ready()
        ada = here.visit()
        events = [TABLE.spin(ada, n) for n in range(1, 31)]
        for event in events:
            assert here.say(ada, event).counts == (1, 0)

        wait_until_kept(here, there, *events)

        assert drain(here.gateway) == []
        assert proxy.cuts == CUTS
        envelopes = [json.loads(each) for each in there.events["edge.game.v1"]]

    assert [each["id"] for each in kept(there)] == [event["id"] for event in events]
    assert len(envelopes) > len(events)
    numbers = {(each["edgespool"], each["edgeseq"]) for each in envelopes}
    assert len(numbers) == len(events)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A gateway, and a receiver that it reaches through a proxy only."""

    here: World
    there: Receiver
    proxy: Proxy
    ada: Visit
    said: list[Event]

    def say(self) -> None:
        """Have ten more events accepted."""
        first = len(self.said) + 1
        events = [TABLE.spin(self.ada, n) for n in range(first, first + EVENTS)]
        assert self.here.say(self.ada, *events).counts == (EVENTS, 0)
        self.said.extend(events)

    def say_unheard(self) -> None:
        """Have ten more accepted and kept, while no answer of the receiver passes."""
        heard = self.proxy.down.passed_bytes
        self.say()
        self.wait_until_kept()
        assert self.proxy.down.passed_bytes == heard

    def wait_until_kept(self) -> None:
        """Return when the receiver has all that was said."""
        wait_until_kept(self.here, self.there, *self.said)


def be_late(some: Delivery) -> None:
    began_s = time.monotonic()
    with faults.late(some.proxy.up, some.proxy.down, latency_s=LATE_S, jitter_s=LATE_S):
        some.say()
        some.wait_until_kept()
        assert time.monotonic() - began_s >= LATE_S


def be_narrow(some: Delivery) -> None:
    began_s, passed_bytes = time.monotonic(), some.proxy.up.passed_bytes
    with faults.narrow(some.proxy.up, bytes_per_s=NARROW_BYTES_PER_S):
        some.say()
        some.wait_until_kept()
        took_s = time.monotonic() - began_s
    passed_bytes = some.proxy.up.passed_bytes - passed_bytes
    assert 0 < passed_bytes <= took_s * NARROW_BYTES_PER_S


def be_black(some: Delivery) -> None:
    ways = some.proxy.up, some.proxy.down
    passed_bytes = [way.passed_bytes for way in ways]
    with faults.black_hole(*ways):
        some.say()
        wait_until_told(some.here, f"{TOPIC}: the receiver does not answer in time")
        assert [way.passed_bytes for way in ways] == passed_bytes


def be_reset(some: Delivery) -> None:
    with faults.black_hole(some.proxy.down):
        some.say_unheard()
        faults.reset(some.proxy)


def be_half_closed_by_the_receiver(some: Delivery) -> None:
    with faults.black_hole(some.proxy.down):
        some.say_unheard()
        faults.half_close(some.proxy, some.proxy.down)


def be_half_closed_by_the_gateway(some: Delivery) -> None:
    with faults.black_hole(some.proxy.down):
        some.say_unheard()
        faults.half_close(some.proxy, some.proxy.up)


def be_refused(some: Delivery) -> None:
    with faults.refused(some.proxy):
        some.say()
        wait_until_told(some.here, f"{TOPIC}: the receiver cannot be reached")
        assert (some.proxy.made, len(kept(some.there))) == (1, EVENTS)


@pytest.mark.parametrize(
    ("be", "is_reconnected", "is_repeated"),
    [
        (be_late, False, False),
        (be_narrow, False, False),
        (be_black, True, True),  # what was given up arrives all the same, and was sent again
        (be_reset, True, True),
        (be_half_closed_by_the_receiver, True, True),
        (be_half_closed_by_the_gateway, True, False),  # the answer still comes
        (be_refused, True, False),
    ],
)
def test_whatever_the_network_does_each_event_reaches_an_http_origin_under_one_number(
    tmp_path: Path, be: Callable[[Delivery], None], *, is_reconnected: bool, is_repeated: bool
) -> None:
    options = {"timeout_s": TIMEOUT_S} if be is be_black else {}
    with (
        receiver() as there,
        proxy_of(there) as (proxy, url),
        world(tmp_path, {"origin": {"url": url}, "origin.options": options}) as here,
    ):
        here.gateway.start()
        here.wait_until_ready()
        some = Delivery(here, there, proxy, here.visit(), [])
        some.say()
        assert drain(here.gateway) == []

        be(some)

        some.wait_until_kept()
        some.say()
        some.wait_until_kept()
        taken = there.events[TOPIC]
        here.wait(lambda: len(taken) > len(some.said) or not is_repeated, "repeated")
        assert drain(here.gateway) == []
        assert (proxy.made > 1) == is_reconnected
        envelopes = [json.loads(each) for each in taken]

    assert [each["id"] for each in kept(there)] == [event["id"] for event in some.said]
    assert len({(each["edgespool"], each["edgeseq"]) for each in envelopes}) == len(some.said)
    assert (len(envelopes) > len(some.said)) == is_repeated


@contextlib.contextmanager
def proxy_of(there: Receiver) -> Generator[tuple[Proxy, str]]:
    """Yield a proxy to a receiver, and the URL by which it is reached."""
    host, port = there.authority.split(":")
    with Proxy((host, int(port))) as proxy:
        url = there.url.replace(there.authority, f"{host}:{proxy.address[1]}")
        there.authority = f"{host}:{proxy.address[1]}"
        yield proxy, url
