"""Times are read as ``datetime`` reads them, and other texts are not times at all."""

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, strategies as st

from edge.core.rfc3339 import PATTERN, canonical, unix_ms

# A year from either end, so that a zone leads to no year without four digits.
FIRST = datetime(2, 1, 1, tzinfo=UTC).replace(tzinfo=None)
LAST = datetime(9998, 1, 1, tzinfo=UTC).replace(tzinfo=None)

is_time = re.compile(PATTERN.removesuffix("$") + r"\Z").match


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("1970-01-01T00:00:00Z", 0, id="the epoch"),
        pytest.param("1970-01-01T00:00:00.0009Z", 0, id="cut"),
        pytest.param("1970-01-01T00:00:00.999999999Z", 999, id="cut, not rounded"),
        pytest.param("1969-12-31T23:59:59.9999Z", -1, id="cut towards the past"),
        pytest.param("1970-01-01T02:00:00+02:00", 0, id="east"),
        pytest.param("1969-12-31T16:30:00-07:30", 0, id="west"),
        pytest.param("1970-01-01T00:00:00-00:00", 0, id="unknown zone"),
        pytest.param("2024-02-29T12:00:00.5Z", 1_709_208_000_500, id="leap day"),
        pytest.param("0001-01-01T00:00:00Z", -62_135_596_800_000, id="first"),
        pytest.param("9999-12-31T23:59:59.999Z", 253_402_300_799_999, id="last"),
    ],
)
def test_a_time_is_read(text: str, expected: int) -> None:
    assert is_time(text)
    assert unix_ms(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("2026-02-29T00:00:00Z", id="no leap year"),
        pytest.param("2026-04-31T00:00:00Z", id="no 31st"),
        pytest.param("0000-01-01T00:00:00Z", id="no year 0"),
        pytest.param("0001-01-01T00:00:00+00:01", id="before year 1 in UTC"),
        pytest.param("9999-12-31T23:59:59-00:01", id="after year 9999 in UTC"),
    ],
)
def test_a_day_that_is_not_is_refused(text: str) -> None:
    assert is_time(text)
    with pytest.raises(ValueError, match=r"."):
        unix_ms(text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("2026-07-31", id="a date"),
        pytest.param("2026-07-31t20:00:00Z", id="lower-case t"),
        pytest.param("2026-07-31T20:00:00z", id="lower-case z"),
        pytest.param("2026-07-31 20:00:00Z", id="space"),
        pytest.param("2026-07-31T20:00:00", id="no zone"),
        pytest.param("2026-07-31T20:00:00+0200", id="zone without colon"),
        pytest.param("2026-07-31T20:00:00+24:00", id="zone of a day"),
        pytest.param("2026-07-31T20:00:00+01:60", id="zone of 60 minutes"),
        pytest.param("2026-07-31T20:00Z", id="no seconds"),
        pytest.param("2026-07-31T24:00:00Z", id="hour 24"),
        pytest.param("2026-07-31T23:60:00Z", id="minute 60"),
        pytest.param("2016-12-31T23:59:60Z", id="leap second"),
        pytest.param("2026-07-31T20:00:00.Z", id="no digit after the point"),
        pytest.param("2026-07-31T20:00:00,5Z", id="comma"),
        pytest.param("2026-07-31T20:00:00.0123456789Z", id="ten digits"),
        pytest.param("2026-7-31T20:00:00Z", id="one digit"),
        pytest.param("2026-13-01T20:00:00Z", id="month 13"),
        pytest.param("2026-07-32T20:00:00Z", id="day 32"),
        pytest.param("2026-W31-5T20:00:00Z", id="week"),
        pytest.param("+2026-07-31T20:00:00Z", id="signed year"),
        pytest.param("2026-07-31T20:00:00Z\n", id="line break"),
        pytest.param("٢٠٢٦-07-31T20:00:00Z", id="other digits"),
    ],
)
def test_other_texts_are_no_times(text: str) -> None:
    assert not is_time(text)


@given(
    st.datetimes(FIRST, LAST, timezones=st.just(UTC)),
    st.integers(-1439, 1439),
    st.sampled_from(["auto", "milliseconds", "microseconds"]),
)
def test_what_datetime_writes_is_read_back(
    moment: datetime, offset_min: int, precision: str
) -> None:
    zone = timezone(timedelta(minutes=offset_min))
    text = moment.astimezone(zone).isoformat(timespec=precision)

    assert is_time(text)
    assert unix_ms(text) == (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(
        milliseconds=1
    )


@given(st.from_regex(PATTERN, fullmatch=True))
def test_every_text_of_the_pattern_is_read_or_refused(text: str) -> None:
    """Cutting the fraction to ms changes nothing, wherever the text can be read."""
    cut = re.sub(r"(\.[0-9]{1,3})[0-9]*", r"\1", text)
    try:
        ms = unix_ms(text)
    except ValueError:
        with pytest.raises(ValueError, match=r"."):
            unix_ms(cut)
    else:
        assert unix_ms(cut) == ms


@pytest.mark.parametrize(
    ("unix_ms", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (999, "1970-01-01T00:00:00.999Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        (-62_135_596_800_000, "0001-01-01T00:00:00.000Z"),
    ],
)
def test_a_time_is_written_in_utc_with_three_digits(unix_ms: int, text: str) -> None:
    assert canonical(unix_ms) == text
