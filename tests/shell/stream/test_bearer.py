"""A token is looked at again, replaced, and tried once more when newer keys may know it."""

import asyncio
from dataclasses import dataclass, field

import pytest

from edge.core.authenticate import UnknownKey
from edge.core.principal import Principal
from edge.core.reject import Reason, Reject
from edge.shell.keys.refetched import Refetched
from edge.shell.stream import bearer as module
from edge.shell.stream.bearer import Bearer
from tests.fakes import ISSUER, NOW, NOW_S, SESSION, bearer, player_token
from tests.fakes_directives import revocation
from tests.fakes_loop import play
from tests.fakes_talk import Lobby

OTHER = "https://other.example"
NEWER = player_token(exp=NOW_S + 7200)
NEWEST = player_token(exp=NOW_S + 7201)


@dataclass
class FakeHolder:
    """Notes what it learns."""

    is_open: bool = True
    learnt: list[tuple[int | Reason, bool]] = field(
        default_factory=list[tuple[int | Reason, bool]]
    )

    def learn(self, found: Principal | Reject, *, is_new: bool) -> None:
        """Note until when, or why not."""
        what = found.reason if isinstance(found, Reject) else found.expires_unix_s
        self.learnt.append((what, is_new))


@pytest.fixture
def lobby() -> Lobby:
    """With good keys."""
    return Lobby()


def borne(lobby: Lobby) -> tuple[Bearer, FakeHolder]:
    """A good token, and whose it is."""
    holder = FakeHolder()
    return Bearer(lobby.host, holder, bearer(player_token())[0]), holder


def test_a_token_that_is_still_believed_is_nothing_new(lobby: Lobby) -> None:
    token, holder = borne(lobby)

    token.look()

    assert holder.learnt == []


def test_a_newer_token_takes_the_place_of_the_old_one(lobby: Lobby) -> None:
    token, holder = borne(lobby)
    token.replace(NEWER)
    lobby.clock.advance(3700)

    token.look()

    assert holder.learnt == [(NOW_S + 7200, True)]


def test_the_very_same_token_again_is_answered_too(lobby: Lobby) -> None:
    token, holder = borne(lobby)

    token.replace(player_token())

    assert holder.learnt == [(NOW_S + 3600, True)]


def test_a_revocation_is_noticed_at_the_next_look(lobby: Lobby) -> None:
    token, holder = borne(lobby)
    lobby.house.gate.revocations.learn([revocation(session=SESSION)], NOW)

    token.look()

    assert holder.learnt == [(Reason.SESSION_REVOKED, False)]


def test_a_key_that_was_dropped_is_looked_for_once_and_then_missed(lobby: Lobby) -> None:
    async def story() -> FakeHolder:
        token, holder = borne(lobby)
        lobby.refetcher.forget()
        token.look()
        token.look()
        assert holder.learnt == []
        await asyncio.sleep(1)
        return holder

    assert play(lobby.clock, story()).learnt == [(Reason.TOKEN_INVALID, False)]
    assert lobby.refetcher.asked == [ISSUER]
    assert lobby.host.fetches == set()


def test_a_key_that_is_back_is_as_if_nothing_had_been(lobby: Lobby) -> None:
    async def story() -> FakeHolder:
        token, holder = borne(lobby)
        lobby.refetcher.fetched = lobby.refetcher.forget()
        token.look()
        await asyncio.sleep(1)
        return holder

    assert play(lobby.clock, story()).learnt == []


def test_of_several_tokens_that_wait_for_newer_keys_the_last_counts(lobby: Lobby) -> None:
    async def story() -> FakeHolder:
        token, holder = borne(lobby)
        lobby.refetcher.fetched = lobby.refetcher.forget()
        token.look()
        token.replace(NEWER)
        token.replace(NEWEST)
        await asyncio.sleep(1)
        return holder

    assert play(lobby.clock, story()).learnt == [(NOW_S + 7201, True)]
    assert lobby.refetcher.asked == [ISSUER]


@pytest.mark.parametrize(
    ("otherwise", "reason"),
    [
        (Refetched.SAME, Reason.TOKEN_INVALID),
        (Refetched.FAILED, Reason.KEYS_UNAVAILABLE),
        (Refetched.TOO_SOON, Reason.KEYS_UNAVAILABLE),
    ],
)
def test_a_newer_token_is_called_invalid_only_when_its_key_was_looked_for(
    lobby: Lobby, otherwise: Refetched, reason: Reason
) -> None:
    async def story() -> FakeHolder:
        token, holder = borne(lobby)
        lobby.refetcher.forget()
        lobby.refetcher.otherwise = otherwise
        token.replace(NEWER)
        await asyncio.sleep(1)
        return holder

    assert play(lobby.clock, story()).learnt == [(reason, True)]


def test_a_fetch_for_one_issuer_says_nothing_of_the_keys_of_another(
    lobby: Lobby, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(authorization: list[bytes], *_: object) -> Principal:
        raise UnknownKey(OTHER if NEWER.encode() in authorization[0] else ISSUER, "new")

    async def story() -> FakeHolder:
        token, holder = borne(lobby)
        monkeypatch.setattr(module, "greet", unknown)
        token.look()
        token.replace(NEWER)
        await asyncio.sleep(1)
        return holder

    assert play(lobby.clock, story()).learnt == [(Reason.TOKEN_INVALID, True)]
    assert lobby.refetcher.asked == [ISSUER, OTHER]


@pytest.mark.parametrize("otherwise", [Refetched.FAILED, Refetched.TOO_SOON])
def test_a_token_whose_key_was_dropped_ends_though_nothing_can_be_fetched(
    lobby: Lobby, otherwise: Refetched
) -> None:
    async def story() -> FakeHolder:
        token, holder = borne(lobby)
        lobby.refetcher.forget()
        lobby.refetcher.otherwise = otherwise
        token.look()
        await asyncio.sleep(1)
        return holder

    assert play(lobby.clock, story()).learnt == [(Reason.TOKEN_INVALID, False)]


def test_a_token_that_counts_at_once_ends_the_wait_of_an_older_one(lobby: Lobby) -> None:
    async def story() -> FakeHolder:
        token, holder = borne(lobby)
        good = lobby.refetcher.forget()
        token.look()
        lobby.refetcher.keys.held = good
        token.replace(NEWER)
        lobby.refetcher.forget()
        await asyncio.sleep(1)
        return holder

    assert play(lobby.clock, story()).learnt == [(NOW_S + 7200, True)]


def test_nobody_is_told_who_has_left_meanwhile(lobby: Lobby) -> None:
    async def story() -> FakeHolder:
        token, holder = borne(lobby)
        lobby.refetcher.forget()
        token.look()
        holder.is_open = False
        await asyncio.sleep(1)
        return holder

    assert play(lobby.clock, story()).learnt == []


@pytest.mark.parametrize("is_new", [True, False], ids=["a newer token", "a look"])
def test_a_bug_in_fetching_keys_leaves_nobody_without_an_answer(
    lobby: Lobby, caplog: pytest.LogCaptureFixture, *, is_new: bool
) -> None:
    async def story() -> FakeHolder:
        token, holder = borne(lobby)
        lobby.refetcher.forget()
        lobby.refetcher.bug = RuntimeError("planted")
        if is_new:
            token.replace(NEWER)
        else:
            token.look()
        await asyncio.sleep(1)
        return holder

    assert play(lobby.clock, story()).learnt == [(Reason.INTERNAL_ERROR, False)]
    assert lobby.host.fetches == set()
    assert [record.name for record in caplog.records] == ["edge.stream"]


def test_a_bug_in_fetching_keys_says_nothing_to_who_has_left_meanwhile(lobby: Lobby) -> None:
    async def story() -> FakeHolder:
        token, holder = borne(lobby)
        lobby.refetcher.forget()
        lobby.refetcher.bug = RuntimeError("planted")
        token.look()
        holder.is_open = False
        await asyncio.sleep(1)
        return holder

    assert play(lobby.clock, story()).learnt == []


@pytest.mark.parametrize("token", ["x", "\N{SNOWMAN}", ""])
def test_what_is_no_token_is_refused(lobby: Lobby, token: str) -> None:
    bearing, holder = borne(lobby)

    bearing.replace(token)

    assert len(holder.learnt) == 1
    assert holder.learnt[0][0] in {Reason.TOKEN_INVALID, Reason.TOKEN_MISSING}
