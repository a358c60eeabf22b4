"""Sections say what a value may be; what they mean together is tested with the whole tree."""

import msgspec
import pytest

from edge.sections import Http


@pytest.mark.parametrize(
    "origin",
    [
        "https://play.example",
        "http://localhost:5173",
        "https://xn--mnchen-3ya.example",
        "http://[::1]:8080",
        "capacitor://localhost",
    ],
)
def test_an_origin_is_written_as_browsers_send_it(origin: str) -> None:
    assert msgspec.convert({"allowed_origins": [origin]}, Http).allowed_origins == (origin,)


@pytest.mark.parametrize(
    "origin",
    [
        "*",
        "null",
        "",
        "play.example",
        "https://play.example/",
        "https://Play.example",
        "HTTPS://play.example",
        "https://*.play.example",
        "https://play.example\n",
        "https://user@play.example",
    ],
)
def test_what_no_browser_ever_sends_is_no_origin(origin: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"allowed_origins": [origin]}, Http)
