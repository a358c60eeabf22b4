"""Lane bonus: a promotional code has its form where there is one."""

import pytest

from edge.core.reject import Reason
from tests.core.catalogue.judging import ABSENT, changed, refusal


@pytest.mark.parametrize(
    ("code", "is_refused"),
    [
        pytest.param(ABSENT, False, id="none"),
        pytest.param("ABC", False, id="shortest"),
        pytest.param("A" * 32, False, id="longest"),
        pytest.param("abc", True, id="lower case"),
        pytest.param("A B", True, id="blank"),
        pytest.param("ABC\n", True, id="line break"),
    ],
)
def test_a_promotional_code_has_its_form(code: object, *, is_refused: bool) -> None:
    verdict = refusal(changed("bonus.offer.claimed", {"/data/promo_code": code}))

    assert verdict == ((Reason.SCHEMA_VIOLATION, "/data/promo_code") if is_refused else None)


def test_a_claims_two_keys_are_judged_as_ids() -> None:
    claim = changed("bonus.offer.claimed", {"/data/offer_id": "a b"})

    assert refusal(claim) == (Reason.SCHEMA_VIOLATION, "/data/offer_id")
