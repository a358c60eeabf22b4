"""The scalar forms take what the catalogue says, whole, and nothing beside it."""

import re
from typing import Any, get_args

import msgspec
import pytest

from edge.core.attributes import UUID_PATTERN
from edge.core.catalogue import forms


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        pytest.param(forms.ID_PATTERN, "Az09._:-", True, id="id of every kind"),
        pytest.param(forms.ID_PATTERN, "a" * 64, True, id="longest id"),
        pytest.param(forms.ID_PATTERN, "a" * 65, False, id="id too long"),
        pytest.param(forms.ID_PATTERN, "", False, id="empty id"),
        pytest.param(forms.ID_PATTERN, "a/b", False, id="id with a slash"),
        pytest.param(forms.ID_PATTERN, "a\n", False, id="id with a line break"),
        pytest.param(UUID_PATTERN, "019856f0-0000-7000-8000-00000000aaaa", True, id="uuid"),
        pytest.param(
            UUID_PATTERN, "019856F0-0000-7000-8000-00000000AAAA", False, id="upper case"
        ),
        pytest.param(UUID_PATTERN, "019856f0" * 4, False, id="uuid without dashes"),
        pytest.param(forms.HMAC64_PATTERN, "0f" * 32, True, id="hmac"),
        pytest.param(forms.HMAC64_PATTERN, "0F" * 32, False, id="hmac in upper case"),
        pytest.param(forms.HMAC64_PATTERN, "0f" * 31, False, id="hmac too short"),
        pytest.param(forms.PROMO_CODE_PATTERN, "WELCOME_2026-A", True, id="promo code"),
        pytest.param(forms.PROMO_CODE_PATTERN, "welcome", False, id="promo code, lower case"),
        pytest.param(forms.PROMO_CODE_PATTERN, "AB", False, id="promo code too short"),
    ],
)
def test_a_pattern_matches_whole_strings(pattern: str, text: str, *, matches: bool) -> None:
    assert (re.fullmatch(pattern, text) is not None) is matches


@pytest.mark.parametrize(
    "form",
    [
        pytest.param(forms.Id, id="Id"),
        pytest.param(forms.Uuid, id="Uuid"),
        pytest.param(forms.Hmac64, id="Hmac64"),
        pytest.param(forms.PromoCode, id="PromoCode"),
    ],
)
def test_the_served_length_is_the_patterns(form: Any) -> None:
    schema = msgspec.json.schema(form)
    fullmatch = re.compile(schema["pattern"]).fullmatch
    shortest, longest = schema["minLength"], schema["maxLength"]

    # Digits with dashes where a UUID has them: in every form, at every length it has.
    digits = "00000000-0000-0000-0000-000000000000" if longest == 36 else "0" * longest
    assert fullmatch(digits)
    assert fullmatch(digits[:shortest])
    assert not fullmatch(digits + "0")
    assert not fullmatch(digits[: shortest - 1])


@pytest.mark.parametrize(
    ("form", "smallest", "largest"),
    [
        pytest.param(forms.Count, 0, 9_007_199_254_740_991, id="Count"),
        pytest.param(forms.Ordinal, 1, 9_007_199_254_740_991, id="Ordinal"),
        pytest.param(
            forms.SignedMinor, -9_007_199_254_740_991, 9_007_199_254_740_991, id="SignedMinor"
        ),
        pytest.param(forms.OddsE4, 10_001, 1_000_000_000, id="OddsE4"),
        pytest.param(forms.KycLevel, 0, 3, id="KycLevel"),
    ],
)
def test_a_number_has_the_catalogues_bounds(form: Any, smallest: int, largest: int) -> None:
    assert msgspec.json.schema(form) == {
        "type": "integer",
        "minimum": smallest,
        "maximum": largest,
    }


@pytest.mark.parametrize(
    ("kind", "amount_minor", "accepted"),
    [
        pytest.param(forms.Money, 0, True, id="nothing"),
        pytest.param(forms.Money, 10**12, True, id="most"),
        pytest.param(forms.Money, 10**12 + 1, False, id="too much"),
        pytest.param(forms.Money, -1, False, id="debt"),
        pytest.param(forms.PositiveMoney, 0, False, id="nothing where something must move"),
        pytest.param(forms.PositiveMoney, 1, True, id="least that moves"),
        pytest.param(forms.PositiveMoney, 10**12 + 1, False, id="too much to move"),
    ],
)
def test_money_has_bounds(kind: type[Any], amount_minor: int, *, accepted: bool) -> None:
    written = {"amount_minor": amount_minor, "currency": "EUR"}

    if accepted:
        assert msgspec.to_builtins(msgspec.convert(written, kind)) == written
    else:
        with pytest.raises(msgspec.ValidationError, match="amount_minor"):
            msgspec.convert(written, kind)


@pytest.mark.parametrize(
    ("code", "accepted"),
    [
        *(pytest.param(code, True, id=code) for code in ("EUR", "GBP", "JPY", "KWD", "ZWG")),
        pytest.param("BGN", False, id="replaced by the euro"),
        pytest.param("HRK", False, id="replaced before"),
        pytest.param("XAU", False, id="gold"),
        pytest.param("XTS", False, id="test code"),
        pytest.param("XXX", False, id="no currency"),
        pytest.param("BTC", False, id="no ISO code"),
        pytest.param("eur", False, id="lower case"),
        pytest.param("EUR ", False, id="trailing blank"),
        pytest.param("ABC", False, id="made up"),
    ],
)
def test_a_currency_is_an_active_iso_code(code: str, *, accepted: bool) -> None:
    assert (code in get_args(forms.Currency)) is accepted


def test_currencies_are_sorted_three_letter_codes() -> None:
    codes = get_args(forms.Currency)

    assert list(codes) == sorted(set(codes))
    assert all(re.fullmatch("[A-Z]{3}", code) for code in codes)
