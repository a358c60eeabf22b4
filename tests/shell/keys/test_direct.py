"""The development origin: what it signs is believed, or refused for what it says."""

from pathlib import Path

import pytest

from edge.core.directive import DirectiveRefused, read_directive
from edge.core.keyset import read_key_set
from edge.shell.keys.direct import TTL_S, Order, revoke
from edge.shell.keys.mint import SigningKey, ensure_key, key_set, read_signing_key
from tests.fakes import NOW, NOW_S, PLAYER, SESSION


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    ensure_key(tmp_path / "key.pem")
    return read_signing_key(tmp_path / "key.pem")


@pytest.mark.parametrize(
    "order", [Order(session=SESSION), Order(subject=PLAYER), Order(jtis=("a", "b"))]
)
def test_a_signed_order_is_believed_as_it_was_given(key: SigningKey, order: Order) -> None:
    signed = revoke(key, order, NOW)

    believed = read_directive(signed.encode(), read_key_set(key_set(key), None).keys)

    assert believed.id == order.name
    assert (believed.issued_unix_s, believed.until_unix_s) == (NOW_S, NOW_S + TTL_S)
    named = believed.session, believed.subject, believed.jtis
    assert named == (order.session or "", order.subject or "", order.jtis or ())


def test_an_order_that_says_nothing_is_signed_and_refused(key: SigningKey) -> None:
    signed = revoke(key, Order(), NOW)

    with pytest.raises(DirectiveRefused, match="exactly one"):
        read_directive(signed.encode(), read_key_set(key_set(key), None).keys)
