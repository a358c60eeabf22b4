"""Revocations: who is covered, until when, and what a full table gives up."""

import itertools
from collections.abc import Sequence
from typing import Any, Final

import pytest
from hypothesis import given, strategies as st

from edge.core.instant import Instant
from edge.core.principal import Kind, Principal
from edge.core.revocations import REVOCATIONS_MAX, Revocation, Revocations, Statistics
from tests.fakes import NOW, NOW_S, PLAYER, SERVICE, SESSION, later
from tests.fakes_directives import revocation

OTHER: Final = "0192f3c4-7a10-7c3e-8d52-6b1f0a9e4c12"


def player(subject: str = PLAYER, session: str = SESSION, jti: str = "t-1") -> Principal:
    return Principal(
        kind=Kind.PLAYER,
        subject=subject,
        client_id="web",
        session=session,
        jti=jti,
        expires_unix_s=0,
    )


def service(subject: str = SERVICE, jti: str = "t-1") -> Principal:
    return Principal(
        kind=Kind.SERVICE, subject=subject, client_id=subject, jti=jti, expires_unix_s=0
    )


def knowing(*told: Revocation, now: Instant = NOW) -> Revocations:
    revocations = Revocations()
    revocations.learn(told, now)
    return revocations


def test_nobody_is_covered_while_nothing_is_revoked() -> None:
    assert not Revocations().covers(player(), NOW)


@pytest.mark.parametrize(
    ("told", "covered"),
    [
        (revocation(session=SESSION), [True, False, True, False, False]),
        (revocation(subject=PLAYER), [True, True, False, False, False]),
        (revocation(jtis=("t-0", "t-1")), [True, False, False, True, False]),
        (revocation(jtis=("t-3",)), [False, False, False, False, True]),
        (revocation(subject=SERVICE), [False] * 5),
    ],
    ids=["session", "player", "tokens", "a service's token", "never a service by its name"],
)
def test_a_revocation_covers_whom_it_names_and_no_other(
    told: Revocation, covered: list[bool]
) -> None:
    speakers = [
        player(),
        player(session=OTHER, jti="t-2"),
        player(subject="player-2", jti="t-2"),
        service(jti="t-1"),
        service(jti="t-3"),
    ]

    assert [knowing(told).covers(each, NOW) for each in speakers] == covered


def test_a_service_has_no_session_that_could_be_revoked() -> None:
    assert not knowing(revocation(session=SESSION)).covers(service(), NOW)


def test_it_holds_until_its_end_and_not_a_moment_longer() -> None:
    revocations = knowing(revocation(session=SESSION, until_s=60))

    assert revocations.covers(player(), Instant(later(60).unix_ns - 1, 0))
    assert not revocations.covers(player(), later(60))


def test_of_two_that_name_one_session_the_one_that_ends_last_counts() -> None:
    short = revocation(name="short", session=SESSION, until_s=60)
    long = revocation(name="long", session=SESSION, until_s=120)

    for told in itertools.permutations((short, long)):
        revocations = knowing(*told)
        assert revocations.covers(player(), later(119))
        assert not revocations.covers(player(), later(120))


def test_what_is_not_told_again_still_holds() -> None:
    revocations = knowing(revocation(session=SESSION))

    revocations.learn([], NOW)
    revocations.learn([revocation(name="r-2", subject="player-2")], NOW)

    assert revocations.covers(player(), NOW)


def test_a_later_one_of_the_same_id_replaces_the_other_in_any_order() -> None:
    old = revocation(session=SESSION, issued_s=0)
    new = revocation(session=OTHER, issued_s=1)

    for told in itertools.permutations((old, new)):
        revocations = knowing(*told)
        assert not revocations.covers(player(), NOW)
        assert revocations.covers(player(session=OTHER), NOW)


def test_of_two_of_one_second_the_one_that_ends_last_counts() -> None:
    short, long = (revocation(session=SESSION, until_s=until_s) for until_s in (60, 120))

    for told in itertools.permutations((short, long)):
        assert knowing(*told).covers(player(), later(119))


def test_one_that_is_over_lifts_and_no_old_copy_revokes_again() -> None:
    old = revocation(session=SESSION, issued_s=0, until_s=120)
    revocations = knowing(old)

    assert revocations.learn([revocation(session=SESSION, issued_s=1, until_s=-5)], NOW) == []

    assert not revocations.covers(player(), NOW)
    assert revocations.learn([old], later(119)) == []
    assert not revocations.covers(player(), later(119))
    revocations.forget(later(120))
    assert revocations.held() == ()


def test_a_lift_that_stands_before_what_it_lifts_remembers_it_as_well() -> None:
    old = revocation(session=SESSION, issued_s=0, until_s=120)
    revocations = knowing(revocation(session=SESSION, issued_s=1, until_s=-5), old)

    revocations.learn([old], NOW)

    assert not revocations.covers(player(), NOW)


def test_what_is_new_and_in_force_is_told_once() -> None:
    revocations = Revocations()
    one, two = revocation(session=SESSION), revocation(name="r-2", subject=PLAYER)
    over = revocation(name="r-3", session=OTHER, until_s=0)

    assert revocations.learn([one, over], NOW) == [one]
    assert revocations.learn([one, over], NOW) == []
    assert revocations.learn([two, one], NOW) == [two]


def test_other_keys_leave_only_what_they_believe() -> None:
    revocations = knowing(revocation(session=SESSION), revocation(name="r-2", subject="p-2"))

    assert revocations.replace([revocation(session=SESSION)], NOW) == [
        revocation(session=SESSION)
    ]

    assert revocations.covers(player(), NOW)
    assert not revocations.covers(player(subject="p-2", session=OTHER), NOW)
    assert revocations.replace([], NOW) == []
    assert not revocations.covers(player(), NOW)


def test_what_is_over_is_forgotten() -> None:
    short = revocation(name="short", session=SESSION, until_s=60)
    long = revocation(name="long", subject=PLAYER, until_s=120)
    revocations = knowing(short, long)

    revocations.forget(later(59))
    assert set(revocations.held()) == {short, long}
    assert revocations.statistics(later(60)) == Statistics(in_force=1, dropped=0)
    revocations.forget(later(60))
    assert revocations.held() == (long,)
    revocations.forget(later(120))
    assert revocations.held() == ()
    assert not revocations.covers(player(), NOW)


def test_a_full_table_leaves_out_what_ends_first() -> None:
    revocations = Revocations(revocations_max=2)
    told = [
        revocation(name=str(number), session=str(number), until_s=number)
        for number in (3, 1, 2)
    ]

    new = revocations.learn(told, NOW)

    assert {each.id for each in new} == {"2", "3"}
    assert revocations.statistics(NOW) == Statistics(in_force=2, dropped=1)
    assert not revocations.covers(player(session="1"), NOW)
    assert revocations.covers(player(session="2"), NOW)


def test_a_full_table_of_the_usual_size_holds_as_many_as_it_says() -> None:
    revocations = Revocations()

    revocations.learn(
        [
            revocation(name=str(number), session=str(number), until_s=1 + number)
            for number in range(REVOCATIONS_MAX + 1)
        ],
        NOW,
    )

    assert revocations.statistics(NOW) == Statistics(in_force=REVOCATIONS_MAX, dropped=1)


class Model:
    """The same promises, slowly: everything ever told is kept, and asked from the start."""

    def __init__(self) -> None:
        self.told: list[Revocation] = []

    def covers(self, principal: Principal, now: Instant) -> bool:
        """Whether the latest of any id names *principal*."""
        latest: dict[str, Revocation] = {}
        for each in self.told:
            known = latest.get(each.id)
            if known is None or _rank(each) > _rank(known):
                latest[each.id] = each
        return any(
            _names(each, principal)
            for each in latest.values()
            if each.until_unix_s * 10**9 > now.unix_ns
        )


def _rank(revoked: Revocation) -> tuple[int, int, bytes]:
    return revoked.issued_unix_s, revoked.until_unix_s, revoked.signed


def _names(revoked: Revocation, principal: Principal) -> bool:
    is_player = principal.kind is Kind.PLAYER
    return (
        principal.jti in revoked.jtis
        or (is_player and revoked.session == principal.session)
        or (is_player and revoked.subject == principal.subject)
    )


_NAMES: Final[Sequence[dict[str, Any]]] = [
    {"session": "s-1"},
    {"session": "s-2"},
    {"subject": "p-1"},
    {"subject": "p-2"},
    {"jtis": ("t",)},
    {"jtis": ("t", "u")},
]


@st.composite
def _revocations(draw: st.DrawFn) -> Revocation:
    return revocation(
        name=draw(st.sampled_from(["a", "b", "c"])),
        issued_s=draw(st.integers(-3, 3)),
        until_s=draw(st.integers(-2, 12)),
        **draw(st.sampled_from(_NAMES)),
    )


_SPEAKERS: Final[Sequence[Principal]] = [
    *(
        player(subject, session, jti)
        for subject, session, jti in itertools.product(("p-1", "p-2"), ("s-1", "s-2"), "tuw")
    ),
    service("p-1", "t"),
    service("p-2", "w"),
]


@given(st.lists(st.tuples(st.integers(0, 3), st.lists(_revocations(), max_size=4)), max_size=8))
def test_it_decides_as_one_who_never_forgets(
    turns: list[tuple[int, list[Revocation]]],
) -> None:
    table, model, now = Revocations(), Model(), NOW
    for pause_s, told in turns:
        now = later(pause_s, than=now)
        table.forget(now)
        for each in told:  # one by one: an older one that comes when its lifter is gone, counts
            if _is_late(each, model, now):
                continue
            model.told.append(each)
            was_covered = [model.covers(speaker, now) for speaker in _SPEAKERS]
            table.learn([each], now)
            assert [table.covers(speaker, now) for speaker in _SPEAKERS] == was_covered


def _is_late(new: Revocation, model: Model, now: Instant) -> bool:
    """Whether a later one of its id came before it and is over: nobody remembers that one."""
    return any(
        each.id == new.id
        and each.until_unix_s * 10**9 <= now.unix_ns
        and _rank(each) > _rank(new)
        for each in model.told
    )


@given(st.lists(_revocations(), max_size=6), st.data())
def test_the_order_of_what_is_told_together_does_not_matter(
    told: list[Revocation], data: st.DataObject
) -> None:
    one, two = knowing(*told), knowing(*data.draw(st.permutations(told)))

    for speaker, after_s in itertools.product(_SPEAKERS, range(0, 13, 3)):
        assert one.covers(speaker, later(after_s)) == two.covers(speaker, later(after_s))


def test_a_name_that_is_not_the_only_one_revoked_costs_no_other_player() -> None:
    revocations = knowing(
        *(
            revocation(name=f"r-{number}", session=f"s-{number}", until_s=number)
            for number in range(1, 50)
        )
    )

    covered = [
        revocations.covers(player(session=f"s-{number}"), later(25)) for number in range(60)
    ]

    assert covered == [25 < number < 50 for number in range(60)]


def test_time_is_the_wall_clocks() -> None:
    revocations = knowing(revocation(session=SESSION, until_s=60))
    suspended = Instant(unix_ns=later(61).unix_ns, steady_ns=NOW.steady_ns)

    assert not revocations.covers(player(), suspended)
    assert NOW.unix_ns == NOW_S * 10**9
