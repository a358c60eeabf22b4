"""The key server and the HTTP origin behind a network that does what networks do."""

import contextlib
import json
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Final

import pytest

from edge.demo.evening import drain
from edge.demo.issuer import Issuer
from tests.fakes_http_origin import Receiver, Reply, Request, receiver, take
from tests.faults import faults
from tests.faults.proxy import Proxy
from tests.system.test_http_origin import kept, wait_until_kept
from tests.system.test_keys import status_of
from tests.system.world import TABLE, World, world

pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(300),  # 12 s on two idle cores; each of its waits may take 20 s
]

CUTS: Final = 5


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


@contextlib.contextmanager
def proxy_of(there: Receiver) -> Generator[tuple[Proxy, str]]:
    """Yield a proxy to a receiver, and the URL by which it is reached."""
    host, port = there.authority.split(":")
    with Proxy((host, int(port))) as proxy:
        url = there.url.replace(there.authority, f"{host}:{proxy.address[1]}")
        there.authority = f"{host}:{proxy.address[1]}"
        yield proxy, url
