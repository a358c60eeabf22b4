"""The stage is set from a seed and cleared away whatever happens on it."""

import io
from pathlib import Path

import jwt
import pytest

from edge.config import Config
from edge.demo.gateway import toml
from edge.demo.issuer import Issuer
from edge.demo.narrator import Narrator
from edge.demo.stage import Person, set_stage, settings

ADA: Person = ("ada", "north", "MT")


def test_nothing_is_left_behind_even_after_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def fail() -> None:
        with set_stage(1, 1.0, Narrator(io.StringIO())) as stage:
            assert stage.room.parent == tmp_path
            raise RuntimeError("on stage")

    with pytest.raises(RuntimeError, match="on stage"):
        fail()

    assert list(tmp_path.iterdir()) == []


def test_the_same_seed_brings_the_same_player_whoever_else_plays() -> None:
    with set_stage(7, 1.0, Narrator(io.StringIO())) as stage:
        first = stage.visit(ADA)
        stage.visit(("ben", "north", "MT")).code("x")
        again = stage.visit(ADA)

    assert (first.session, first.code("x")) == (again.session, again.code("x"))


def test_the_trickster_has_three_tokens_of_which_one_is_good() -> None:
    with set_stage(7, 1.0, Narrator(io.StringIO())) as stage:
        guest = stage.trickster(ADA)
        key = jwt.PyJWKSet.from_json(stage.issuer.jwks().decode()).keys[0]

        assert guest.stream.name == guest.client.name

        def read(token: str) -> dict[str, object]:
            return jwt.decode(token, key, algorithms=["EdDSA"], audience="edge")

        assert read(guest.client.token)["sub"] == "player-ada"
        assert read(guest.stream.token)["sid"] == guest.visit.session
        with pytest.raises(jwt.InvalidSignatureError):
            read(guest.forged.token)
        with pytest.raises(jwt.ExpiredSignatureError):
            read(guest.expired.token)


def test_the_evenings_settings_are_settings_of_the_gateway(tmp_path: Path) -> None:
    config = tmp_path / "edge.toml"
    with Issuer() as issuer:
        config.write_text(toml(settings(tmp_path, issuer)))

        loaded = Config.load(config, {})

    assert loaded.auth.issuers[0].jwks_url == issuer.jwks_url
    assert loaded.limits.player is not None
    assert loaded.limits.player.burst == 40
    assert loaded.spool.path == str(tmp_path / "spool")
