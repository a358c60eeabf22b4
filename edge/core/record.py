"""What the spool keeps of an accepted event, and what recall needs to know it again."""

from typing import Protocol

import msgspec

from edge.core.lane import Lane


class Footprint(msgspec.Struct, frozen=True, gc=False):
    """How recall knows an event again, without the event.

    Keys and digests are 64-bit keyed hashes; 0 stands for "none" (a hash that comes out 0 is
    made 1). They are stored with the record, so that a restart rebuilds the memory from disk.

    Attributes:
        time_ms: The event's ``time``, unix ms, sender's clock.
        id_key: Of its ``id`` within its subject (client) or ``client_id`` (service).
        digest: Of type, subject, brand, jurisdiction, data; compared under id and first key.
        key: Of its first business key, or 0.
        key2: Of its second business key, or 0.
        digest2: The digest compared under the second key.
        session: Of its ``session``, or 0 for events without a number.
        seq: Its number in the session, or 0.
    """

    time_ms: int
    id_key: int
    digest: int
    key: int = 0
    key2: int = 0
    digest2: int = 0
    session: int = 0
    seq: int = 0


class Record(msgspec.Struct, frozen=True, gc=False):
    """One sealed event, as the spool takes it.

    The spool's writer adds the two attributes that only it can know, ``edgespool`` and
    ``edgeseq``: numbers are given when bytes are written, so a failed write uses up none.

    Attributes:
        key: The origin's record key: ``subject``, for telemetry ``session``; UTF-8.
        accepted_ms: The envelope's ``edgetime``, unix ms; never runs backwards in a lane.
        footprint: For recall.
        envelope: The envelope's JSON without ``edgespool`` and ``edgeseq``; begins with ``{``
            and has at least one member.
    """

    key: bytes
    accepted_ms: int
    footprint: Footprint
    envelope: bytes


class Commit(Protocol):
    """One group commit of one lane: all in it share one sync, and its outcome.

    The core hands it on and compares it by identity; only the shell waits for it.
    """

    @property
    def lane(self) -> Lane:
        """The lane whose file is synced."""
        ...
