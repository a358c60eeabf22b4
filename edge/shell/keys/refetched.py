"""What came of asking an issuer's source for newer keys, in the words its callers decide by."""

from enum import Enum, auto
from typing import Final


class Refetched(Enum):
    """How a wait for newer keys has ended."""

    CHANGED = auto()
    """There are others: trying again may help."""

    SAME = auto()
    """The source was read and has no others: what is not there does not exist."""

    FAILED = auto()
    """The source could not be read, now or when it was last tried."""

    TOO_SOON = auto()
    """The source was read well a moment before the question, and is not asked again yet."""


UNTOLD: Final = frozenset({Refetched.FAILED, Refetched.TOO_SOON})
"""The source did not say now that a key does not exist."""
