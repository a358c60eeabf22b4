"""The keyring against a key server that fails in every way there is, under a clock we move."""

import asyncio
import contextlib
import json
import logging
import socket
import threading
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Final

import msgspec
import pytest

from edge.config import Auth, ConfigError, Issuer
from edge.core.authenticate import Gate, IssuerKeys, TokenCache, authenticate
from edge.core.instant import Instant
from edge.core.keyset import KEY_SET_BYTES_MAX, KeySet
from edge.core.reject import Reason, Reject
from edge.shell.keys import keyring as keyring_module, source as key_source
from edge.shell.keys.keyring import Keyring, KeyStatistics
from edge.shell.keys.refetched import Refetched
from tests.fakes import (
    AUDIENCE,
    ED,
    ES,
    ISSUER,
    JWKS,
    NOW_S,
    PLAYER,
    RS,
    FakeClock,
    bearer,
    jwks,
    later,
    player_claims,
)
from tests.fakes_keys import Script, drip, hang, key_server, raw, reply

OTHER_ISSUER: Final = "https://other.example"
STALE_MAX_S: Final = 3600
FIRST: Final = jwks(ED.jwk())
SECOND: Final = jwks(ED.jwk(), ES.jwk())
THIRD: Final = jwks(ES.jwk())
DOWN: Final = reply(b"", status="500 Internal Server Error")


def _auth(**sources: str) -> Auth:
    """One issuer per source, each named after its keyword: ``url`` or ``path``, other or not."""
    issuers = tuple(
        Issuer(
            issuer=OTHER_ISSUER if name.startswith("other") else ISSUER,
            audience=AUDIENCE,
            jwks_url=source if name.endswith("url") else None,
            jwks_path=source if name.endswith("path") else None,
        )
        for name, source in sources.items()
    )
    return Auth(issuers=issuers, jwks_stale_max_s=STALE_MAX_S, lifetime_max_s=86400)


def _keyring(directory: Path, clock: FakeClock, **sources: str) -> Keyring:
    return Keyring(_auth(**sources), directory / "keys", clock)


def _gate(keys: Keyring) -> Gate:
    return Gate(
        audiences={ISSUER: AUDIENCE}, keys=keys, cache=TokenCache(), lifetime_max_s=86400
    )


def _held(keys: Keyring, issuer: str = ISSUER) -> tuple[int, set[str]]:
    """The generation and the names of what is believed."""
    held = keys.keys_of(issuer)
    assert held is not None
    return held.generation, set(held.keys)


@contextlib.asynccontextmanager
async def _running(keys: Keyring) -> AsyncGenerator[None]:
    task = asyncio.create_task(keys.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _until(is_true: Callable[[], bool]) -> None:
    """Wait for something that must come; the test's own timeout says when it did not."""
    while not is_true():  # noqa: ASYNC110  # what is waited for happens in another thread
        await asyncio.sleep(0.005)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a fetch time out after 0.5 s, so that a test need not wait for two."""
    monkeypatch.setattr(key_source, "FETCH_TIMEOUT_S", 0.5)


def test_a_url_that_may_not_be_fetched_stops_the_start(
    tmp_path: Path, clock: FakeClock
) -> None:
    with pytest.raises(ConfigError) as refused:
        _keyring(tmp_path, clock, url="https://id.example/", other_url="http://id.example/")

    assert refused.value.path == "auth.issuers[1].jwks_url"


def test_after_the_start_there_are_keys(tmp_path: Path, clock: FakeClock) -> None:
    with key_server(reply(JWKS)) as server:
        keys = _keyring(tmp_path, clock, url=server.url)
        asyncio.run(keys.start())

    clock.advance(7)
    assert _held(keys) == (1, {"ed-1", "es-1", "rs-1"})
    assert keys.keys_of(OTHER_ISSUER) is None
    assert keys.statistics() == (
        KeyStatistics(ISSUER, keys=3, generation=1, age_s=7.0, is_stale=False, error=None),
    )


def test_before_the_start_there_are_none(tmp_path: Path, clock: FakeClock) -> None:
    keys = _keyring(tmp_path, clock, url="http://127.0.0.1:9/")

    assert keys.keys_of(ISSUER) is None
    assert keys.statistics() == (
        KeyStatistics(ISSUER, keys=0, generation=0, age_s=None, is_stale=False, error=None),
    )


_BAD: Final[dict[str, tuple[Script, str]]] = {
    "hangs": (hang, "within 0.5 s"),
    "drips": (drip(b" " * 100 + JWKS, pause_s=0.05), "within 0.5 s"),
    "redirects": (reply(b"", status="302 F", head="Location: /x\r\n"), "status 302"),
    "answers HTML": (reply(b"<!doctype html><p>Sign in"), "JSON"),
    "answers nothing": (reply(b""), "JSON"),
    "closes at once": (raw(b""), "no answer"),
    "ends too early": (
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n" + JWKS[:99]),
        "JSON",
    ),
    "answers 500": (DOWN, "status 500"),
    "sends 65 KiB": (reply(JWKS + b" " * (65 << 10)), f"larger than {KEY_SET_BYTES_MAX}"),
    "sends 33 keys": (reply(jwks(*(ED.jwk(kid=f"k{n}") for n in range(33)))), "32 keys"),
    "sends no keys": (reply(b'{"keys":[]}'), "no usable key"),
    "sends private members": (reply(jwks(RS.jwk(d="AQAB"))), "secret"),
    "sends one kid twice": (reply(jwks(ED.jwk(), ES.jwk(kid="ed-1"))), "same kid"),
    "mixes families": (
        reply(jwks(RS.jwk(), {"kty": "oct", "kid": "hs", "alg": "HS256", "k": "c2Vj"})),
        "secret",
    ),
}


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize(("script", "why"), _BAD.values(), ids=_BAD.keys())
def test_whatever_the_server_does_the_last_good_keys_stay(
    script: Script, why: str, tmp_path: Path, clock: FakeClock
) -> None:
    with key_server(reply(FIRST)) as server:
        keys = _keyring(tmp_path, clock, url=server.url)
        asyncio.run(keys.start())
        server.script = script
        clock.advance(30)
        asyncio.run(keys.tick())

    assert _held(keys) == (1, {"ed-1"})
    (statistics,) = keys.statistics()
    assert statistics.age_s == 30.0
    assert statistics.error is not None
    assert why in statistics.error


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize(("script", "why"), _BAD.values(), ids=_BAD.keys())
def test_whatever_the_server_does_at_the_start_there_are_no_keys(
    script: Script, why: str, tmp_path: Path, clock: FakeClock
) -> None:
    with key_server(script) as server:
        keys = _keyring(tmp_path, clock, url=server.url)
        asyncio.run(keys.start())

    with pytest.raises(Reject) as refused:
        authenticate(bearer(ED.token(player_claims())), _gate(keys), clock.now())

    assert refused.value.reason is Reason.KEYS_UNAVAILABLE
    assert why in (keys.statistics()[0].error or "")
    assert not list((tmp_path / "keys").glob("*"))


def test_keys_rotate_twice_and_tokens_follow(tmp_path: Path, clock: FakeClock) -> None:
    old, new = (bearer(signer.token(player_claims())) for signer in (ED, ES))
    with key_server(reply(FIRST)) as server:
        keys = _keyring(tmp_path, clock, url=server.url)
        at = _gate(keys)
        believed: list[tuple[int, bool, bool]] = []
        for document in (FIRST, SECOND, THIRD):
            server.script = reply(document)
            clock.advance(30)
            asyncio.run(keys.tick())
            answers = [_is_believed(token, at, clock) for token in (old, new)]
            believed.append((_held(keys)[0], answers[0], answers[1]))

    assert believed == [(1, True, False), (2, True, True), (3, False, True)]


def _is_believed(authorization: list[bytes], at: Gate, clock: FakeClock) -> bool:
    try:
        return authenticate(authorization, at, clock.now()).subject == PLAYER
    except Reject as refused:
        assert refused.reason is Reason.TOKEN_INVALID  # noqa: PT017  # the rest is the test's to see
        return False


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(SECOND, id="the same document"),
        pytest.param(jwks(ES.jwk(), ED.jwk()), id="the same keys in another order"),
        pytest.param(jwks(ED.jwk(x5t="AA"), ES.jwk(), RS.jwk(use="enc")), id="more beside"),
    ],
)
def test_the_same_keys_again_are_younger_and_of_the_same_generation(
    document: bytes, tmp_path: Path, clock: FakeClock
) -> None:
    with key_server(reply(SECOND)) as server:
        keys = _keyring(tmp_path, clock, url=server.url)
        asyncio.run(keys.start())
        before = keys.keys_of(ISSUER)
        server.script = reply(document)
        clock.advance(30)
        asyncio.run(keys.tick())

    after = keys.keys_of(ISSUER)
    assert isinstance(before, IssuerKeys)
    assert isinstance(after, IssuerKeys)
    assert after.generation == before.generation
    assert after.stale_steady_ns == before.stale_steady_ns + 30 * 10**9


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(jwks(ED.jwk(kid="ed-2")), id="another name"),
        pytest.param(jwks(ES.jwk(kid="ed-1")), id="another key under the name"),
    ],
)
def test_other_keys_are_another_generation(
    document: bytes, tmp_path: Path, clock: FakeClock
) -> None:
    with key_server(reply(FIRST)) as server:
        keys = _keyring(tmp_path, clock, url=server.url)
        asyncio.run(keys.start())
        server.script = reply(document)
        clock.advance(30)
        asyncio.run(keys.tick())

    assert _held(keys)[0] == 2


def test_a_server_down_for_too_long_ends_what_was_believed(
    tmp_path: Path, clock: FakeClock
) -> None:
    authorization = bearer(ED.token(player_claims(exp=NOW_S + 7200)))
    with key_server(reply(FIRST)) as server:
        keys = _keyring(tmp_path, clock, url=server.url)
        at = _gate(keys)
        asyncio.run(keys.start())
        server.script = DOWN
        for _ in range(STALE_MAX_S // 60 - 1):
            clock.advance(60)
            asyncio.run(keys.tick())
            assert authenticate(authorization, at, clock.now()).subject == PLAYER
        clock.advance(60)
        asyncio.run(keys.tick())

        with pytest.raises(Reject) as refused:
            authenticate(authorization, at, clock.now())
        assert refused.value.reason is Reason.KEYS_UNAVAILABLE
        assert keys.statistics()[0].is_stale

        server.script = reply(FIRST)
        clock.advance(60)
        asyncio.run(keys.tick())
        assert authenticate(authorization, at, clock.now()).subject == PLAYER


def test_a_url_is_fetched_once_per_refresh(tmp_path: Path, clock: FakeClock) -> None:
    with key_server(reply(FIRST)) as server:
        keys = _keyring(tmp_path, clock, url=server.url)
        for _ in range(100):
            asyncio.run(keys.tick())
            clock.advance(1)

    assert len(server.requests) == 4  # at 0, 30, 60 and 90 s


def test_failures_are_repeated_ever_more_slowly_up_to_a_bound(
    tmp_path: Path, clock: FakeClock
) -> None:
    tries: list[int] = []
    with key_server(DOWN) as server:
        keys = _keyring(tmp_path, clock, url=server.url)
        for second in range(125):
            before = len(server.requests)
            asyncio.run(keys.tick())
            if len(server.requests) > before:
                tries.append(second)
            clock.advance(1)

    assert tries == [0, 1, 3, 7, 15, 31, 61, 91, 121]


def test_the_log_is_told_once_per_cause_and_quotes_nothing(
    tmp_path: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "edge.keys")
    with key_server(reply(b"<p>secret-body")) as server:
        keys = _keyring(tmp_path, clock, url=server.url)
        for script in (server.script, server.script, DOWN, DOWN, reply(FIRST)):
            server.script = script
            asyncio.run(keys.tick())
            clock.advance(60)

    messages = [record.getMessage() for record in caplog.records]
    assert [message.split(": ", 1)[1] for message in messages] == [
        "keys not renewed: not unambiguous JSON in UTF-8",
        "keys not renewed: status 500",
        "generation 1, keys ['ed-1'], not used []",
        "renewed again after 4 failures",
    ]


def test_the_next_process_starts_with_the_last_good_keys(
    tmp_path: Path, clock: FakeClock
) -> None:
    with key_server(reply(FIRST)) as server:
        asyncio.run(_keyring(tmp_path, clock, url=server.url).start())
        server.script = DOWN
        # The next process runs on the same wall clock, but on a steady clock of its own.
        clock.instant = Instant(unix_ns=later(600).unix_ns, steady_ns=5)
        keys = _keyring(tmp_path, clock, url=server.url)
        asyncio.run(keys.start())

    assert _held(keys) == (1, {"ed-1"})
    assert keys.statistics()[0].age_s == 600.0
    clock.advance(STALE_MAX_S - 600)
    assert keys.statistics()[0].is_stale


def test_last_good_keys_that_are_too_old_are_not_believed(
    tmp_path: Path, clock: FakeClock
) -> None:
    with key_server(reply(FIRST)) as server:
        asyncio.run(_keyring(tmp_path, clock, url=server.url).start())
        server.script = DOWN
        clock.advance(STALE_MAX_S)
        keys = _keyring(tmp_path, clock, url=server.url)
        asyncio.run(keys.start())

    assert keys.statistics()[0].is_stale


def test_a_clock_set_back_makes_last_good_keys_no_younger_than_new(
    tmp_path: Path, clock: FakeClock
) -> None:
    with key_server(reply(FIRST)) as server:
        asyncio.run(_keyring(tmp_path, clock, url=server.url).start())
        server.script = DOWN
        clock.advance(-86400)
        keys = _keyring(tmp_path, clock, url=server.url)
        asyncio.run(keys.start())

    assert keys.statistics()[0].age_s == 0.0


def test_last_good_keys_pass_the_same_hygiene(
    tmp_path: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    with key_server(reply(FIRST)) as server:
        asyncio.run(_keyring(tmp_path, clock, url=server.url).start())
        (path,) = (tmp_path / "keys").iterdir()
        record = json.loads(path.read_bytes())
        record["jwks"] = jwks(RS.jwk(d="AQAB")).decode()
        path.write_text(json.dumps(record), "utf-8")
        server.script = DOWN
        keys = _keyring(tmp_path, clock, url=server.url)
        asyncio.run(keys.start())

    assert keys.keys_of(ISSUER) is None
    assert "last good keys not used: publishes a secret" in caplog.text


def test_fresh_keys_win_over_last_good_ones(tmp_path: Path, clock: FakeClock) -> None:
    with key_server(reply(FIRST)) as server:
        asyncio.run(_keyring(tmp_path, clock, url=server.url).start())
        server.script = reply(THIRD)
        keys = _keyring(tmp_path, clock, url=server.url)
        asyncio.run(keys.start())

    assert _held(keys) == (2, {"es-1"})


def test_keys_that_cannot_be_saved_are_used_all_the_same(
    tmp_path: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "keys").write_bytes(b"a file where the directory should be")
    with key_server(reply(FIRST)) as server:
        keys = _keyring(tmp_path, clock, url=server.url)
        asyncio.run(keys.start())

    assert _held(keys) == (1, {"ed-1"})
    assert "last good keys not saved" in caplog.text


def test_a_mounted_file_is_followed_and_a_bad_one_is_not(
    tmp_path: Path, clock: FakeClock
) -> None:
    path = tmp_path / "jwks.json"
    path.write_bytes(FIRST)
    keys = _keyring(tmp_path, clock, path=str(path))
    asyncio.run(keys.start())
    seen = [_held(keys)[0]]
    for content in (SECOND, b"{", SECOND, THIRD):
        path.write_bytes(content)
        clock.advance(5)
        asyncio.run(keys.tick())
        seen.append(_held(keys)[0])

    assert seen == [1, 2, 2, 2, 3]
    assert not (tmp_path / "keys").exists()


def test_a_bad_file_is_reported_and_a_mended_one_seen_within_ten_seconds(
    tmp_path: Path, clock: FakeClock
) -> None:
    path = tmp_path / "jwks.json"
    keys = _keyring(tmp_path, clock, path=str(path))
    asyncio.run(keys.start())
    error = keys.statistics()[0].error
    for _ in range(100):
        clock.advance(1)
        asyncio.run(keys.tick())

    path.write_bytes(FIRST)
    clock.advance(5)
    asyncio.run(keys.tick())

    assert error == f"{path}: No such file or directory"
    assert _held(keys) == (1, {"ed-1"})


def test_a_removed_file_ages(tmp_path: Path, clock: FakeClock) -> None:
    path = tmp_path / "jwks.json"
    path.write_bytes(FIRST)
    keys = _keyring(tmp_path, clock, path=str(path))
    asyncio.run(keys.start())
    path.unlink()

    clock.advance(STALE_MAX_S)
    asyncio.run(keys.tick())

    assert keys.statistics()[0].is_stale


def test_one_issuer_that_hangs_delays_no_other(tmp_path: Path, clock: FakeClock) -> None:
    async def story() -> None:
        keys = _keyring(tmp_path, clock, url=silent.url, other_url=server.url)
        async with _running(keys):
            await _until(lambda: keys.keys_of(OTHER_ISSUER) is not None)
            clock.advance(30)
            await _until(lambda: len(server.requests) == 2)
            assert keys.keys_of(ISSUER) is None
        gate_opens.set()

    gate_opens = threading.Event()
    with (
        key_server(_held_up(FIRST, gate_opens)) as silent,
        key_server(reply(FIRST)) as server,
    ):
        asyncio.run(story())


def test_a_request_never_waits_for_a_fetch(tmp_path: Path, clock: FakeClock) -> None:
    async def story() -> None:
        keys = _keyring(tmp_path, clock, url=server.url)
        await keys.start()
        server.script = _held_up(FIRST, gate_opens)
        clock.advance(30)
        renewal = asyncio.create_task(keys.tick())
        await _until(lambda: len(server.requests) == 2)

        assert _held(keys) == (1, {"ed-1"})
        assert not renewal.done()
        gate_opens.set()
        await renewal

    gate_opens = threading.Event()
    with key_server(reply(FIRST)) as server:
        asyncio.run(story())


def _held_up(document: bytes, until: threading.Event) -> Script:
    """Answer when told."""

    def script(connection: socket.socket) -> None:
        until.wait(5)
        reply(document)(connection)

    return script


def test_there_is_never_more_than_one_fetch_of_an_issuer(
    tmp_path: Path, clock: FakeClock
) -> None:
    async def story() -> None:
        keys = _keyring(tmp_path, clock, url=server.url)
        first = asyncio.create_task(keys.tick())
        await _until(lambda: len(server.requests) == 1)
        keys.reload()
        await keys.tick()
        gate_opens.set()
        await first
        assert len(server.requests) == 1
        # A wish that came while the fetch ran is for another one.
        await keys.tick()
        assert len(server.requests) == 2

    gate_opens = threading.Event()
    with key_server(_held_up(FIRST, gate_opens)) as server:
        asyncio.run(story())


def test_an_unknown_key_is_fetched_once_for_all_who_ask(
    tmp_path: Path, clock: FakeClock
) -> None:
    async def story() -> list[Refetched]:
        keys = _keyring(tmp_path, clock, url=server.url)
        await keys.start()
        server.script = reply(SECOND)
        async with _running(keys):
            asked = await asyncio.gather(*(keys.refetch(ISSUER) for _ in range(50)))
            asked.append(await keys.refetch(ISSUER))
        assert _held(keys) == (2, {"ed-1", "es-1"})
        return asked

    with key_server(reply(FIRST)) as server:
        assert asyncio.run(story()) == [Refetched.CHANGED] * 50 + [Refetched.TOO_SOON]
        assert len(server.requests) == 2


def test_a_fetch_that_began_before_the_question_does_not_tell_that_a_key_does_not_exist(
    tmp_path: Path, clock: FakeClock
) -> None:
    async def story() -> None:
        keys = _keyring(tmp_path, clock, url=server.url)
        await keys.start()
        server.script = _held_up(FIRST, gate_opens)
        clock.advance(30)
        async with _running(keys):
            await _until(lambda: len(server.requests) == 2)
            asked = asyncio.create_task(keys.refetch(ISSUER))
            await asyncio.sleep(0)  # the question comes before the answer
            gate_opens.set()

            assert await asked is Refetched.TOO_SOON
            server.script = reply(SECOND)
            assert await keys.refetch(ISSUER) is Refetched.CHANGED

    gate_opens = threading.Event()
    with key_server(reply(FIRST)) as server:
        asyncio.run(story())


def test_strangers_cause_one_fetch_per_half_minute(tmp_path: Path, clock: FakeClock) -> None:
    async def story() -> None:
        auth = msgspec.structs.replace(_auth(url=server.url), jwks_refresh_s=3000)
        keys = Keyring(auth, tmp_path / "keys", clock)
        await keys.start()
        async with _running(keys):
            for second in range(90):
                is_asked = second % 30 == 0
                told = Refetched.SAME if is_asked else Refetched.TOO_SOON
                assert await keys.refetch(ISSUER) is told
                clock.advance(1)

    with key_server(reply(FIRST)) as server:
        asyncio.run(story())
        assert len(server.requests) == 1 + 3  # at the start; after 0, 30 and 60 s


@pytest.mark.usefixtures("_impatient")
def test_asking_a_server_that_hangs_tells_that_nobody_knows_and_so_does_asking_again(
    tmp_path: Path, clock: FakeClock
) -> None:
    async def story() -> None:
        keys = _keyring(tmp_path, clock, url=server.url)
        await keys.start()
        server.script = hang
        async with _running(keys):
            assert await keys.refetch(ISSUER) is Refetched.FAILED
            assert await keys.refetch(ISSUER) is Refetched.FAILED
        assert len(server.requests) == 2

    with key_server(reply(FIRST)) as server:
        asyncio.run(story())


def test_asking_when_nobody_renews_tells_that_nobody_knows(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyring_module, "REFETCH_WAIT_S", 0.01)
    keys = _keyring(tmp_path, clock, url="http://127.0.0.1:9/")

    assert asyncio.run(keys.refetch(ISSUER)) is Refetched.FAILED


def test_who_stops_waiting_leaves_the_fetch_to_the_others(
    tmp_path: Path, clock: FakeClock
) -> None:
    async def story() -> None:
        keys = _keyring(tmp_path, clock, url=server.url)
        await keys.start()
        server.script = _held_up(SECOND, gate_opens)
        async with _running(keys):
            impatient, patient = (asyncio.create_task(keys.refetch(ISSUER)) for _ in range(2))
            await _until(lambda: len(server.requests) == 2)
            impatient.cancel()
            gate_opens.set()
            assert await patient is Refetched.CHANGED

    gate_opens = threading.Event()
    with key_server(reply(FIRST)) as server:
        asyncio.run(story())


def test_a_reload_reads_at_once(tmp_path: Path, clock: FakeClock) -> None:
    async def story() -> None:
        keys = _keyring(tmp_path, clock, path=str(path))
        async with _running(keys):
            await _until(lambda: keys.keys_of(ISSUER) is not None)
            path.write_bytes(THIRD)
            keys.reload()
            await _until(lambda: _held(keys) == (2, {"es-1"}))

    path = tmp_path / "jwks.json"
    path.write_bytes(FIRST)
    asyncio.run(story())


def test_what_is_due_is_noticed_without_being_told(tmp_path: Path, clock: FakeClock) -> None:
    async def story() -> None:
        keys = _keyring(tmp_path, clock, url=server.url)
        async with _running(keys):
            await _until(lambda: keys.keys_of(ISSUER) is not None)
            server.script = reply(THIRD)
            clock.advance(30)
            await _until(lambda: _held(keys) == (2, {"es-1"}))

    with key_server(reply(FIRST)) as server:
        asyncio.run(story())


def test_a_source_that_never_returns_is_given_up_and_the_next_try_too(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A resolver knows no deadline: the wait for it has one, and its thread is the only one."""

    def resolve(*_args: object, **_kwargs: object) -> list[object]:
        calls.append(threading.current_thread().name)
        gate_opens.wait(5)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    calls: list[str] = []
    gate_opens = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(keyring_module, "RENEWAL_TIMEOUT_S", 0.2)
    keys = _keyring(tmp_path, clock, url="https://id.example/")

    async def story() -> None:
        for _ in range(3):
            await keys.tick()
            clock.advance(30)

    asyncio.run(story())
    error = keys.statistics()[0].error
    gate_opens.set()

    assert error == "no answer within 0.2 s"
    assert len(calls) == 1
    assert calls[0].startswith("keys")


def test_a_bug_in_reading_keys_costs_a_try_and_not_the_process(
    tmp_path: Path,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(_octets: bytes, _fallback: object) -> KeySet:
        raise RuntimeError("planted")

    with key_server(reply(FIRST)) as server:
        keys = _keyring(tmp_path, clock, url=server.url)
        with monkeypatch.context() as patch:
            patch.setattr(keyring_module, "read_key_set", fail)
            asyncio.run(keys.tick())
        error = keys.statistics()[0].error
        clock.advance(1)
        asyncio.run(keys.tick())

    assert error == "internal error"
    assert "planted" in caplog.text
    assert _held(keys) == (1, {"ed-1"})
