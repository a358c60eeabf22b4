"""A token comes from a file, may change there, and is never told."""

from pathlib import Path

import pytest

from loadtests.token_file import TOKEN_BYTES_MAX, TokenFile, TokenFileError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("secret-one\n")
    return path


def test_the_token_is_the_file_without_its_line_end(path: Path) -> None:
    assert TokenFile(path).token == "secret-one"


def test_a_changed_file_is_another_token(path: Path) -> None:
    file = TokenFile(path)
    path.write_text("secret-two")

    assert file.renew("secret-one")
    assert file.token == "secret-two"


def test_an_unchanged_file_is_not(path: Path) -> None:
    assert not TokenFile(path).renew("secret-one")


def test_a_token_that_a_neighbour_has_renewed_already_counts_as_another(path: Path) -> None:
    file = TokenFile(path)
    path.write_text("secret-two")
    file.renew("secret-one")

    assert file.renew("secret-one")


@pytest.mark.parametrize(
    "content",
    [b"", b" \n", b"two words", b"two\nlines", b"\xffsecret", b"x" * (TOKEN_BYTES_MAX + 1)],
    ids=["empty", "blank", "words", "lines", "bytes", "endless"],
)
def test_what_cannot_be_a_token_is_refused_unquoted(path: Path, content: bytes) -> None:
    path.write_bytes(content)

    with pytest.raises(TokenFileError, match="token holds no token") as refused:
        TokenFile(path)

    assert "secret" not in str(refused.value).removeprefix(str(path))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TokenFileError, match=r"cannot read .*none: No such file"):
        TokenFile(tmp_path / "none")
