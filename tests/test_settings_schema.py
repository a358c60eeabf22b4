"""The schema of the settings takes what the gateway takes, and names the same typos."""

import tomllib
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from edge.settings_schema import settings_schema
from tests.test_config import AGREED, ISSUER

VALIDATOR: Any = Draft202012Validator(settings_schema())  # one of its methods has no types


def complaints(toml: str) -> list[str]:
    """Where the schema complains."""
    return [error.json_path for error in VALIDATOR.iter_errors(tomllib.loads(toml))]


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(settings_schema())


@pytest.mark.parametrize(
    "toml",
    [
        pytest.param(AGREED, id="the agreed settings"),
        pytest.param(ISSUER + '[spool]\nbytes_max = "1GiB"', id="a size"),
        pytest.param(ISSUER + "[limits]\naddress = false", id="a quota taken away"),
        pytest.param(ISSUER + "[limits.player]\nburst = 500", id="a quota partly given"),
        pytest.param(ISSUER + '[origin.options]\n"sasl.password" = "x"', id="options"),
    ],
)
def test_it_takes_what_runs(toml: str) -> None:
    assert complaints(toml) == []


@pytest.mark.parametrize(
    ("toml", "path"),
    [
        pytest.param("[http]\nprot = 1", "$.http", id="typo"),
        pytest.param("[http]\nport = 65536", "$.http.port", id="range"),
        pytest.param('[spool]\nbytes_max = "1GB"', "$.spool.bytes_max", id="unit"),
        pytest.param("[[auth.issuers]]\nissuer = 'x'", "$.auth.issuers[0]", id="required"),
        pytest.param('[node]\nname = "a b"', "$.node.name", id="form"),
    ],
)
def test_it_refuses_what_does_not(toml: str, path: str) -> None:
    assert complaints(toml) == [path]
