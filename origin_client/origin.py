"""The origin as the edge sees it: topics to publish to, and to read back."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol, TypeAlias, runtime_checkable

import msgspec

Options: TypeAlias = Mapping[str, str | int | float | bool]
"""An origin's own settings, by its names. Some are secrets: never shown."""


class OriginUnavailable(Exception):  # noqa: N818  # an expected state, not a bug
    """The origin could not take a batch; the fate of its records is unknown: send all again.

    Attributes:
        is_told: Whether the origin has logged the cause, once for all who wait for it.
    """

    is_told = False


class OriginError(Exception):
    """The URL or the options do not describe an origin; the message says what to change.

    Attributes:
        option: The one at fault; ``""`` when it is the URL, or what the URL leads to.
    """

    def __init__(self, complaint: str, *, option: str = "") -> None:
        super().__init__(complaint)
        self.option = option


class Outgoing(msgspec.Struct, frozen=True, gc=False):
    """One record to publish.

    Attributes:
        key: Partition key, UTF-8.
        value: One structured-mode CloudEvent, JSON.
    """

    key: bytes
    value: bytes


class Refusal(msgspec.Struct, frozen=True):
    """One record the origin will never take.

    Attributes:
        index: Its place in the published sequence, from 0.
        reason: Why, in the origin's words; for operators.
        is_final: It was tried alone, or need not be: trying it once more could only let it in
            behind those that followed it.
    """

    index: int
    reason: str
    is_final: bool = False


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One record as the origin keeps it.

    Attributes:
        topic: Where it was read.
        partition: From 0.
        offset: From 0, +1 per record of the partition.
        key: As published, text.
        headers: Names and values, text.
        value: The CloudEvent's JSON, as bytes.
    """

    topic: str
    partition: int
    offset: int
    key: str
    headers: dict[str, str]
    value: bytes


class Origin(Protocol):
    """The central broker, whatever it is made of. All methods may be called from any thread."""

    def publish(self, topic: str, records: Sequence[Outgoing]) -> list[Refusal]:
        """Return when every record not refused is durable at the origin, in order.

        Blocking; may block for a whole outage. An origin that cannot tell which record of a
        batch was at fault refuses that part of it from the first doubtful record on, and has
        written nothing of that part: whoever tries those again alone, in order, then keeps the
        order of each key.

        Raises:
            OriginUnavailable: The fate of the batch is unknown; send all of it again.
        """
        ...

    def health(self, topic: str | None = None) -> str | None:
        """Name the cause when publishing to *topic* does not work now; ``None`` when it does.

        Args:
            topic: ``None``: any of those published to so far, or watched.
        """
        ...

    def close(self) -> None:
        """Give up: a publish under way in another thread raises ``OriginUnavailable``."""
        ...


class Subscribable(Protocol):
    """An origin that can also be read."""

    def subscribe(
        self, topic: str, position: Mapping[int, int], *, follow: bool = False
    ) -> Iterator[Record]:
        """Yield what is there from *position* on; then return, or wait for more.

        Args:
            topic: One topic; an unknown one yields nothing.
            position: Next offset by partition; a partition not named starts at 0.
            follow: Wait for records to come instead of returning at the end; ends only when
                the origin is closed.
        """
        ...

    def end(self, topic: str) -> dict[int, int]:
        """Return the position behind the last record: from there on only what is new is read.

        Blocking. An unknown topic has no partitions yet, or empty ones.

        Raises:
            OriginError: *topic* cannot be a topic's name, or the options do not suit a reader.
            OriginUnavailable: It cannot be asked now, refuses, or was closed.
        """
        ...


@runtime_checkable
class Surveyable(Protocol):
    """An origin, or its reader, that can tell before its first use what would not work."""

    def survey(self, topics: Sequence[str], timeout_s: float) -> list[str]:
        """Say what each of *topics* lacks, in words that name it; nothing if all would work.

        Blocking.

        Raises:
            OriginUnavailable: It cannot be asked within *timeout_s*.
        """
        ...


@runtime_checkable
class Telling(Protocol):
    """A reader that knows whether a topic that it follows can be read, record or no record."""

    def health(self, topic: str) -> str | None:
        """Name what keeps *topic* from being read now; ``None`` when nothing is known to."""
        ...


@runtime_checkable
class Watchful(Protocol):
    """An origin that can find out by itself, from now on, which topics do not work."""

    def watch(self, topics: Sequence[str]) -> None:
        """Tell of *topics* in ``health``, published to or not; returns at once.

        Raises:
            OriginUnavailable: Closed.
        """
        ...
