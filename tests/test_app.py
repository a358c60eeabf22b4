"""The house is wired from its settings, or the setting that cannot work is named."""

from pathlib import Path

import msgspec
import pytest

from edge.app import build, quotas_of
from edge.config import (
    Auth,
    Config,
    ConfigError,
    Issuer,
    Limit,
    Limits,
    Node,
    OriginSettings,
    SpoolSettings,
)
from edge.core.limit import Quota
from tests.fakes import AUDIENCE, ISSUER, JWKS, FakeClock


def settings(tmp_path: Path) -> Config:
    """A gateway of its own directory, with the tests' issuer."""
    (tmp_path / "jwks.json").write_bytes(JWKS)
    issuer = Issuer(issuer=ISSUER, audience=AUDIENCE, jwks_path=str(tmp_path / "jwks.json"))
    return Config(
        node=Node(name="n-1", drain_s=5),
        auth=Auth(issuers=(issuer,)),
        spool=SpoolSettings(path=str(tmp_path / "spool"), allow_volatile=True),
        origin=OriginSettings(url=f"log:{tmp_path / 'origin'}"),
    )


def test_an_origin_that_cannot_be_opened_is_a_wrong_setting(tmp_path: Path) -> None:
    good = settings(tmp_path)
    config = msgspec.structs.replace(good, origin=OriginSettings(url="carrier:pigeon"))

    with pytest.raises(ConfigError) as wrong:
        build(config, FakeClock())
    assert wrong.value.path == "origin.url"


def test_only_quotas_that_are_set_exist() -> None:
    limits = Limits(player=Limit(quota=5, window_s=6, burst=7), service=None, address=None)

    assert list(quotas_of(limits)) == [
        Quota(name="player", quota=5, window_s=6, burst=7, intent=1, observation=1, fact=1)
    ]
