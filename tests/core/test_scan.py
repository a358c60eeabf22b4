"""Free text gives away an address or a card however it is written; numbers in general do not."""

import pytest
from hypothesis import given, strategies as st

from edge.core.scan import holds_pii, may_hold_pii

DIGITS = st.text("0123456789", min_size=12, max_size=18)
CARDS = ["4111111111111111", "5555555555554444", "378282246310005", "6011000990139424"]


def is_luhn_valid(number: str) -> bool:
    """The rule as the standard words it, from the right, with the sums of doubles as a table."""
    digits = [int(digit) for digit in reversed(number)]
    doubled = [0, 2, 4, 6, 8, 1, 3, 5, 7, 9]
    return (sum(digits[::2]) + sum(doubled[digit] for digit in digits[1::2])) % 10 == 0


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        pytest.param("", False, id="nothing"),
        pytest.param("4.12.0", False, id="version"),
        pytest.param("ada@example.com", True, id="address"),
        pytest.param("mail to ada+casino@mail.example.co.uk!", True, id="address in text"),
        pytest.param("ада@пошта.укр", True, id="address of another script"),
        pytest.param("@ada", False, id="handle"),
        pytest.param("ada@localhost", False, id="no domain"),
        pytest.param("package@1.2.3", False, id="version behind an at sign"),
        pytest.param("ada @ example.com", False, id="at sign among blanks"),
        *(pytest.param(card, True, id=f"card of {len(card)} digits") for card in CARDS),
        pytest.param("4222222222222", True, id="13 digits"),
        pytest.param("422222222222", False, id="12 digits"),
        pytest.param("4000000000000000006", True, id="19 digits"),
        pytest.param("40000000000000000002", False, id="20 digits"),
        pytest.param("4111111111111112", False, id="wrong check digit"),
        pytest.param("1111111111111117", False, id="first digit 1, Luhn valid"),
        pytest.param("7111111111111111", False, id="first digit 7, Luhn valid"),
        pytest.param("2223003122003222", True, id="first digit 2"),
        pytest.param("4111 1111 1111 1111", True, id="spaces"),
        pytest.param("4111-1111-1111-1111", True, id="dashes"),
        pytest.param("4111\u20131111\u00a01111\u20101111", True, id="typographic separators"),
        pytest.param("4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", True, id="digit by digit"),
        pytest.param("4111  1111  1111  1111", True, id="two spaces"),
        pytest.param("4111   1111   1111   1111", False, id="three spaces part numbers"),
        pytest.param("4111.1111.1111.1111", True, id="dots"),
        pytest.param("4111_1111_1111_1111", True, id="underscores"),
        pytest.param("4111/1111/1111/1111", True, id="slashes"),
        pytest.param("4111 - 1111 - 1111 - 1111", False, id="three signs part numbers"),
        pytest.param("v1.4111.1111.1111.1111.", True, id="dots, behind a short group"),
        pytest.param("3782.822463.10005", True, id="dots, three groups"),
        pytest.param("4222.2222.2222.2", True, id="dots, a short last group"),
        pytest.param("411.1111.1111.1116", False, id="dots, no group of a card"),
        pytest.param("4.11.11.11.11.11.11.11.1", False, id="a version, Luhn valid"),
        pytest.param("2026/07/31 12.30.10", False, id="a date and time, Luhn valid"),
        pytest.param("4111\u200b1111\u200b1111\u200b1111", True, id="zero-width spaces"),
        pytest.param("4111\ufe0f11111111\u00ad1111", True, id="unseen marks"),
        pytest.param("ada\uff20example.com", True, id="full-width at sign"),
        pytest.param("ada@example\uff0ecom", True, id="full-width full stop"),
        pytest.param("on 2026-07-31 4111 1111 1111 1111", True, id="behind a date"),
        pytest.param("4111 1111 1111 1111 12 28", True, id="before another number"),
        pytest.param("card4111111111111111x", True, id="amid letters"),
        pytest.param("04111111111111111", False, id="amid a longer number"),
        pytest.param("\u0664" + "\u0661" * 15, True, id="digits of another script"),
        pytest.param("\uff14" + "\uff11" * 15, True, id="full-width digits"),
    ],
)
def test_personal_data_is_told_from_other_text(text: str, *, holds: bool) -> None:
    assert holds_pii(text) is holds
    assert may_hold_pii(text) or not holds


@pytest.mark.parametrize(
    "text", ["", "4.12.0", "Windows", "10.0.22631", "spin-button", "total=2.5", "pt-BR"]
)
def test_everyday_text_bears_no_trace(text: str) -> None:
    assert not may_hold_pii(text)


@given(DIGITS, st.sampled_from("0123456789"))
def test_exactly_the_luhn_valid_numbers_of_card_issuers_are_cards(body: str, last: str) -> None:
    number = body + last

    assert holds_pii(number) == (number[0] in "23456" and is_luhn_valid(number))


@given(st.sampled_from("23456"), DIGITS.map(lambda digits: digits[1:]), st.data())
def test_a_card_is_found_however_it_is_grouped(
    first: str, rest: str, data: st.DataObject
) -> None:
    body = first + rest
    number = next(body + last for last in "0123456789" if is_luhn_valid(body + last))
    separators = data.draw(
        st.lists(
            st.sampled_from(["", " ", "-"]), min_size=len(number) - 1, max_size=len(number) - 1
        )
    )

    grouped = number[0] + "".join(map(str.__add__, separators, number[1:]))

    assert holds_pii(grouped)
    assert may_hold_pii(grouped)


@given(
    st.lists(
        st.sampled_from(
            [
                "4222222222222",
                "4111",
                "1111",
                " ",
                "-",
                "a",
                "@",
                "b.cd",
                "é",
                "\uff14" + "\uff11" * 15,
            ]
        ),
        max_size=6,
    ).map("".join)
    | st.text()
)
def test_what_bears_no_trace_holds_nothing(text: str) -> None:
    assert may_hold_pii(text) or not holds_pii(text)
