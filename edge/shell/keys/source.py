"""An issuer's setting comes in; a way to read its key set goes out: a URL, or a mounted file."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.config import ConfigError, Issuer
from edge.core.instant import NS_PER_S
from edge.core.keyset import KEY_SET_BYTES_MAX
from edge.shell.keys.fetch import fetch, read_url
from edge.shell.keys.last_good import LastGood

FETCH_TIMEOUT_S: Final = 2.0
"""A healthy key server answers in a tenth of it; threats.md, "JWKS client rules"."""

FILE_INTERVAL_NS: Final = 5 * NS_PER_S
"""Design.md §7 allows a mounted file 10 s; half of that leaves room for a slow machine."""

URL_REFETCH_INTERVAL_NS: Final = 30 * NS_PER_S
"""Threats.md row 34: a stranger's unknown ``kid`` costs the issuer two requests a minute."""

FILE_REFETCH_INTERVAL_NS: Final = 1 * NS_PER_S
"""A file of ours costs nobody anything: a rotated key is good a second later."""


@dataclass(frozen=True, slots=True)
class KeySource:
    """Where one issuer's key set is read.

    Attributes:
        read: Returns the document; blocking; raises ``FetchFailed`` or ``OSError``.
        interval_ns: How long to wait after a good read.
        refetch_interval_ns: At least so long between two reads for an unknown ``kid``.
        last_good: Where it is kept for the next start; ``None`` where it lies on disk anyway.
    """

    read: Callable[[], bytes]
    interval_ns: int
    refetch_interval_ns: int
    last_good: LastGood | None


def open_source(issuer: Issuer, path: str, directory: Path, refresh_s: int) -> KeySource:
    """Find the one source that a setting names; nothing is read yet.

    Args:
        issuer: The setting; config.py has seen that it names one source.
        path: Where it stands, for complaints.
        directory: Where last good sets are kept.
        refresh_s: Between two fetches of a URL.

    Raises:
        ConfigError: The URL may not be fetched.
    """
    if issuer.jwks_path is not None:
        # Its content is compared, not its time or inode: whatever way it was replaced (a
        # swapped symlink, an edit within one clock tick), the next read sees it.
        read_file = functools.partial(_read_file, Path(issuer.jwks_path))
        return KeySource(read_file, FILE_INTERVAL_NS, FILE_REFETCH_INTERVAL_NS, last_good=None)
    assert issuer.jwks_url is not None
    try:
        url = read_url(issuer.jwks_url)
    except ValueError as error:
        raise ConfigError(f"{path}.jwks_url", str(error)) from error
    read_url_again = functools.partial(
        fetch, url, timeout_s=FETCH_TIMEOUT_S, bytes_max=KEY_SET_BYTES_MAX
    )
    last_good = LastGood(directory, issuer=issuer.issuer, source=issuer.jwks_url)
    return KeySource(read_url_again, refresh_s * NS_PER_S, URL_REFETCH_INTERVAL_NS, last_good)


def _read_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            # One more than a key set may have, so that a larger file is refused, not cut.
            return file.read(KEY_SET_BYTES_MAX + 1)
    except OSError as error:
        # Where a relative path was looked for is half of what an operator needs to know.
        raise OSError(error.errno, f"{path.absolute()}: {error.strerror}") from error
