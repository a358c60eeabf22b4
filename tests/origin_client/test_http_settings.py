"""``origin_client.http_settings``: which URLs and options describe a receiver."""

import pytest

from origin_client.http_settings import (
    Address,
    HttpOptions,
    read_address,
    read_options,
)
from origin_client.origin import Options, OriginError


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://origin.example", Address(True, "origin.example", 443, "")),
        ("https://origin.example/", Address(True, "origin.example", 443, "")),
        ("https://origin.example:8443/a/b/", Address(True, "origin.example", 8443, "/a/b")),
        ("HTTPS://Origin.Example/A", Address(True, "origin.example", 443, "/A")),
        ("https://192.0.2.7", Address(True, "192.0.2.7", 443, "")),
        ("https://[2001:db8::1]:444/x", Address(True, "2001:db8::1", 444, "/x")),
        ("http://localhost:8080", Address(False, "localhost", 8080, "")),
        ("http://127.0.0.2/in", Address(False, "127.0.0.2", 80, "/in")),
        ("http://[::1]:8080/in", Address(False, "::1", 8080, "/in")),
    ],
)
def test_an_address_is_read(url: str, address: Address) -> None:
    assert read_address(url) == address


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("http://origin.example", "use https"),
        ("http://192.0.2.7", "use https"),
        ("http://localhost.example", "use https"),
        ("http://127.0.0.1.example", "use https"),
        ("ftp://127.0.0.1", "use https"),
        ("https://user:hush@origin.example", "bearer_file"),
        ("https://hush@origin.example", "bearer_file"),
        ("https://@origin.example", "bearer_file"),
        ("https://origin.example/?token=hush", "bearer_file"),
        ("https://origin.example/?", "bearer_file"),
        ("https://origin.example/#hush", "bearer_file"),
        ("https://", "name a host"),
        ("https:origin.example", "name a host"),
        ("https:///in", "name a host"),
        ("https://a..example", "name a host"),
        ("https://-a.example", "name a host"),
        ("https://a!.example", "name a host"),
        ("https://" + "a" * 64, "name a host"),
        ("https://origin.example:0", "port"),
        ("https://origin.example:65536", "cannot be read"),
        ("https://origin.example:hush", "cannot be read"),
        ("https://[::1", "cannot be read"),
        ("https://origin.example/a b", "printable"),
        ("https://origin.example/\r\nX: 1", "printable"),
        ("https://ürsprung.example", "printable"),
    ],
)
def test_what_is_no_address_is_refused_with_what_is_wanted(url: str, complaint: str) -> None:
    with pytest.raises(OriginError, match=complaint):
        read_address(url)


def test_options_have_defaults() -> None:
    assert read_options({}) == HttpOptions(30, 1 << 20, None, None)


def test_options_are_read() -> None:
    options: Options = {
        "timeout_s": 2,
        "batch_bytes_max": 4096,
        "ca_file": "ca.pem",
        "bearer_file": "token",
    }
    assert read_options(options) == HttpOptions(2.0, 4096, "ca.pem", "token")
    assert read_options({"timeout_s": 0.5}).timeout_s == 0.5


@pytest.mark.parametrize(
    "options",
    [
        {"bearer": "hush"},
        {"timeout_s": 0},
        {"timeout_s": 601},
        {"timeout_s": "30"},
        {"timeout_s": True},
        {"timeout_s": float("nan")},
        {"batch_bytes_max": 1023},
        {"batch_bytes_max": 1 << 30},
        {"batch_bytes_max": 4096.0},
        {"ca_file": ""},
        {"bearer_file": 7},
    ],
    ids=str,
)
def test_a_wrong_option_is_refused_by_name(options: Options) -> None:
    with pytest.raises(OriginError, match=next(iter(options))) as told:
        read_options(options)

    assert told.value.option == next(iter(options))
    assert "hush" not in str(told.value)
