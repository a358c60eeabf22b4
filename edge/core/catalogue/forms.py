"""The scalars that payloads are made of: identifiers, money, counts, times.

A form's pattern stands in its JSON schema, not in ``Meta(pattern=…)``: as msgspec patterns the
regular expressions made decoding 2.5 times as dear, so :mod:`edge.core.catalogue.strings`
checks all of a payload's at once. Each is written ``^…$`` as JSON Schema reads it and never
matches a line break, so that many can be checked as one text of lines.

Source: catalogue.md, "Optionality" and "The 25 events".
"""

from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

from edge.core.attributes import UUID_PATTERN

INT_MAX: Final = 2**53 - 1
"""The largest integer that every JSON reader keeps exactly. Source: RFC 8259 §6."""

AMOUNT_MINOR_MAX: Final = 10**12
"""The largest single amount of money, minor units."""

ID_PATTERN: Final = "^[A-Za-z0-9._:-]{1,64}$"
HMAC64_PATTERN: Final = "^[0-9a-f]{64}$"
PROMO_CODE_PATTERN: Final = "^[A-Z0-9_-]{3,32}$"

Id: TypeAlias = Annotated[
    str, Meta(min_length=1, max_length=64, extra_json_schema={"pattern": ID_PATTERN})
]
Uuid: TypeAlias = Annotated[
    str, Meta(min_length=36, max_length=36, extra_json_schema={"pattern": UUID_PATTERN})
]
Hmac64: TypeAlias = Annotated[
    str, Meta(min_length=64, max_length=64, extra_json_schema={"pattern": HMAC64_PATTERN})
]
PromoCode: TypeAlias = Annotated[
    str, Meta(min_length=3, max_length=32, extra_json_schema={"pattern": PROMO_CODE_PATTERN})
]
Text: TypeAlias = Annotated[str, Meta(max_length=64)]
"""A free string: NFC, no control characters, and scanned for what must not be admitted."""

Count: TypeAlias = Annotated[int, Meta(ge=0, le=INT_MAX)]
Ordinal: TypeAlias = Annotated[int, Meta(ge=1, le=INT_MAX)]
SignedMinor: TypeAlias = Annotated[int, Meta(ge=-INT_MAX, le=INT_MAX)]
"""Minor units that may be negative."""
Minor: TypeAlias = Count
"""Minor units of the currency that the event's one money member names."""
UnixMs: TypeAlias = Count
"""Unix time, ms; the sender's clock."""
Millis: TypeAlias = Count
"""A length of time, ms."""
OddsE4: TypeAlias = Annotated[int, Meta(ge=10_001, le=10**9)]
"""Decimal odds times 10,000: above evens with nothing to win, at most 100,000."""
KycLevel: TypeAlias = Annotated[int, Meta(ge=0, le=3)]
"""How far a player's identity is verified."""

Vertical: TypeAlias = Literal[
    "slots", "table", "live", "crash", "instant", "bingo", "poker", "virtual"
]
Platform: TypeAlias = Literal["web", "ios", "android", "desktop", "terminal"]
Initiator: TypeAlias = Literal["player", "operator", "regulator", "other"]

# A closed list as a literal: one hash lookup in the decoder, and the schema shows it. Left out
# are metals, funds, units of account and test codes, in which nobody stakes, and BGN, which
# ended with 2025. Source: ISO 4217:2015, list one, as amended in 2026.
# fmt: off
Currency: TypeAlias = Literal[
    "AED", "AFN", "ALL", "AMD", "AOA", "ARS", "AUD", "AWG", "AZN", "BAM", "BBD",
    "BDT", "BHD", "BIF", "BMD", "BND", "BOB", "BRL", "BSD", "BTN", "BWP", "BYN",
    "BZD", "CAD", "CDF", "CHF", "CLP", "CNY", "COP", "CRC", "CUP", "CVE", "CZK",
    "DJF", "DKK", "DOP", "DZD", "EGP", "ERN", "ETB", "EUR", "FJD", "FKP", "GBP",
    "GEL", "GHS", "GIP", "GMD", "GNF", "GTQ", "GYD", "HKD", "HNL", "HTG", "HUF",
    "IDR", "ILS", "INR", "IQD", "IRR", "ISK", "JMD", "JOD", "JPY", "KES", "KGS",
    "KHR", "KMF", "KPW", "KRW", "KWD", "KYD", "KZT", "LAK", "LBP", "LKR", "LRD",
    "LSL", "LYD", "MAD", "MDL", "MGA", "MKD", "MMK", "MNT", "MOP", "MRU", "MUR",
    "MVR", "MWK", "MXN", "MYR", "MZN", "NAD", "NGN", "NIO", "NOK", "NPR", "NZD",
    "OMR", "PAB", "PEN", "PGK", "PHP", "PKR", "PLN", "PYG", "QAR", "RON", "RSD",
    "RUB", "RWF", "SAR", "SBD", "SCR", "SDG", "SEK", "SGD", "SHP", "SLE", "SOS",
    "SRD", "SSP", "STN", "SVC", "SYP", "SZL", "THB", "TJS", "TMT", "TND", "TOP",
    "TRY", "TTD", "TWD", "TZS", "UAH", "UGX", "USD", "UYU", "UZS", "VED", "VES",
    "VND", "VUV", "WST", "XAF", "XCD", "XCG", "XOF", "XPF", "YER", "ZAR", "ZMW",
    "ZWG",
]
# fmt: on


class Money(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """An amount of money; zero is one.

    Attributes:
        amount_minor: Minor units, 0 to 10^12.
        currency: Of this amount, and of every other amount of the same event.
    """

    amount_minor: Annotated[int, Meta(ge=0, le=AMOUNT_MINOR_MAX)]
    currency: Currency


class PositiveMoney(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """An amount of money that moves something.

    Attributes:
        amount_minor: Minor units, 1 to 10^12.
        currency: Of this amount, and of every other amount of the same event.
    """

    amount_minor: Annotated[int, Meta(ge=1, le=AMOUNT_MINOR_MAX)]
    currency: Currency
