"""Lane wallet: what is asked for moves money; no number of a card or account gets in."""

import pytest

from edge.core.reject import Reason
from tests.core.catalogue.examples import money
from tests.core.catalogue.judging import changed, decoding_complaint, refusal


@pytest.mark.parametrize(
    "event_type", ["wallet.deposit.requested", "wallet.withdrawal.requested"]
)
def test_a_request_for_nothing_is_refused(event_type: str) -> None:
    nothing = changed(event_type, {"/data/amount": money(0)})

    assert str(decoding_complaint(nothing)).endswith("at `$.data.amount.amount_minor`")


@pytest.mark.parametrize("event_type", ["wallet.deposit.settled", "wallet.withdrawal.settled"])
def test_a_fact_about_nothing_is_accepted(event_type: str) -> None:
    assert refusal(changed(event_type, {"/data/amount": money(0)})) is None


def test_a_destination_is_a_token_and_never_an_address() -> None:
    addressed = changed(
        "wallet.withdrawal.requested", {"/data/destination_token": "ada@example.com"}
    )

    assert refusal(addressed) == (Reason.SCHEMA_VIOLATION, "/data/destination_token")


def test_a_numeric_id_that_passes_for_a_card_is_accepted() -> None:
    numeric = changed("wallet.deposit.settled", {"/data/payment_id": "4111111111111111"})

    assert refusal(numeric) is None
