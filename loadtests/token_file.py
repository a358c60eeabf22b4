"""Owns the access token: in a file that somebody else keeps fresh. Any thread."""

from pathlib import Path
from typing import Final

# A token is a few KiB at most; more is a wrong path.
TOKEN_BYTES_MAX: Final = 16_384


class TokenFileError(Exception):
    """There is no token in the file; the message names the file, never its content."""


class TokenFile:
    """A token that is read again when the gateway refuses it.

    Attributes:
        token: As last read.
    """

    def __init__(self, path: Path) -> None:
        """Read it.

        Raises:
            TokenFileError: There is none.
        """
        self._path = path
        self.token = _read(path)

    def renew(self, refused: str) -> bool:
        """Read the file again; return whether it holds another token than *refused*.

        Raises:
            TokenFileError: There is none any more.
        """
        self.token = _read(self._path)
        return self.token != refused


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(TOKEN_BYTES_MAX + 1)
    except OSError as error:
        raise TokenFileError(f"cannot read {path}: {error.strerror}") from error
    try:
        token = content.decode("ascii").strip()
    except UnicodeDecodeError as error:
        raise TokenFileError(f"{path} holds no token") from error
    if len(content) > TOKEN_BYTES_MAX or not token or not token.isprintable() or " " in token:
        raise TokenFileError(f"{path} holds no token")
    return token
