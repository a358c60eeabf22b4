"""One socket's frames in; verdicts out, gathered into one frame per commit.

Theory of operation
-------------------
Each text frame is walked through the house at once, as a batch of HTTP is. Its verdicts wait
for the commits that its events joined; when all of them have spoken it is concluded, and only
then counted, by the same addition as HTTP's. Any number of frames wait for one commit, so what
is told is told of all of them together: a commit settles, and the next *report* is one frame
for everything concluded since the last.

What a report does not list as refused, and its numbers count as done, its client takes for
durable. So no number may count as done on account of a refusal that is not told yet. Three
rules see to that: a number is given up only when its refusal is written into a report; a report
lists every refusal decided so far, those of frames that still wait as well; and recall never
counts a pending number as done (:mod:`edge.core.headway`).
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

import msgspec

from edge.core.admit import House, Interrupted, admit_events
from edge.core.authenticate import reconfirm
from edge.core.decode import decode_frame
from edge.core.instant import NS_PER_MS, NS_PER_S, Instant
from edge.core.ops import RefusedEntry, VerdictsOp, encode
from edge.core.principal import Principal
from edge.core.record import Commit
from edge.core.reject import Reason, Reject
from edge.core.verdict import Conclusion, Verdict, conclude

TRESPASSES_MAX: Final = 10  # threats.md row 37: a broken client has one or two
TRESPASS_WINDOW_NS: Final = 60 * NS_PER_S
EVENT_BYTES_MIN: Final = 512
"""What an event in flight counts at least: its verdict alone takes up to 1.2 KB."""

_TRESPASSES: Final = frozenset({Reason.SUBJECT_MISMATCH, Reason.BRAND_MISMATCH})
_NONE_LOST: Final[Mapping[Commit, Reject]] = MappingProxyType({})


class Concluded(msgspec.Struct, frozen=True):
    """One frame of events whose every verdict is known.

    Attributes:
        verdicts: Of its events, in order.
        conclusion: What they add up to, as HTTP would answer it; for the meters.
        principal: Who sent it.
        heard_steady_ns: When it was complete.
    """

    verdicts: Sequence[Verdict]
    conclusion: Conclusion
    principal: Principal
    heard_steady_ns: int


class Heard(msgspec.Struct, frozen=True):
    """What one text frame came to.

    Attributes:
        verdicts: Of its events, as far as a bug let it come; to be counted as received.
        awaited: Commits that this socket did not wait for yet: the end of each is to be told
            to :meth:`Conversation.settle`, once.
        concluded: The frame, if it waits for nothing.
        token: A newer token, to be checked by the door and then given to
            :meth:`Conversation.renew`.
        reject: Why the whole frame was refused; the next report tells the client.
        bug: What a stage raised. Events from there on have no verdict, and the socket ends. The
            frame is counted as far as it came, but no report goes out for it: its client would
            take what is not listed as refused for durable.
        is_trespassing: Too many events were another's: the socket ends.
        distrust: Why its speaker is believed no longer: nothing was read, and the socket ends.
    """

    verdicts: Sequence[Verdict] = ()
    awaited: Sequence[Commit] = ()
    concluded: Concluded | None = None
    token: str | None = None
    reject: Reject | None = None
    bug: BaseException | None = None
    is_trespassing: bool = False
    distrust: Reject | None = None


class Conversation:
    """What is said on one socket, and what is still to be told.

    Args:
        principal: Who speaks; a player.
        house: The stages.

    Attributes:
        principal: Who speaks now.
        session_key: The name under which recall knows the session.
        bytes_in_flight: Of frames that wait for a commit; an event of theirs counts at least
            :data:`EVENT_BYTES_MIN`.
    """

    __slots__ = (
        "_frames",
        "_house",
        "_is_due",
        "_refused",
        "_retry_after_ns",
        "_token_frame",
        "_trespasses_ns",
        "_waiting",
        "bytes_in_flight",
        "principal",
        "session_key",
    )

    def __init__(self, principal: Principal, house: House) -> None:
        self.principal = principal
        self.session_key: Final = house.footprints.session(principal.session)
        self.bytes_in_flight = 0
        self._house = house
        self._frames = 0
        self._token_frame = 0
        self._waiting: dict[Commit, list[_Frame]] = {}
        self._refused: list[RefusedEntry] = []
        self._retry_after_ns = 0
        self._is_due = False
        self._trespasses_ns: list[int] = []  # a deque would take 0.7 KB of each idle socket

    def hear(self, text: bytes, now: Instant) -> Heard:
        """Walk one text frame through the house.

        Time and directives are asked again first: one instant decides, that of the complete
        frame, and no timer may have run since a clock was set or a machine slept.

        Args:
            text: The whole message, UTF-8.
            now: When it was complete.
        """
        self._frames += 1
        try:
            reconfirm(self.principal, self._house.gate, now)
        except Reject as reject:
            return Heard(distrust=reject)
        try:
            op = decode_frame(text)
        except Reject as reject:
            self._tell(self._frames, None, None, reject)
            self._is_due = True
            return Heard(reject=reject.alone())
        if not isinstance(op, list):
            self._token_frame = self._frames
            return Heard(token=op.token)
        bug = None
        try:
            verdicts = admit_events(op, self.principal, self._house, now)
        except Interrupted as interrupted:
            verdicts, bug = interrupted.verdicts, interrupted.__cause__
        size_bytes = EVENT_BYTES_MIN * len(verdicts)
        if size_bytes < len(text):  # noqa: PLR1730  # a call of max costs more
            size_bytes = len(text)
        frame = _Frame(self._frames, size_bytes, verdicts, self.principal, now.steady_ns)
        frame.is_cut = bug is not None
        awaited = self._register(frame)
        return Heard(
            verdicts,
            awaited,
            None if frame.awaited else self._conclude(frame),
            None,
            None,
            bug,
            self._is_trespassing(now.steady_ns),
        )

    def settle(self, commit: Commit, reject: Reject | None) -> list[Concluded]:
        """Learn how a commit ended; return the frames that waited for nothing else.

        Args:
            commit: From :attr:`Heard.awaited`. Recall has settled it before, unless it is only
                overdue.
            reject: The refusal of what waited for it; ``None`` if it held.
        """
        concluded: list[Concluded] = []
        for frame in self._waiting.pop(commit):
            if reject is not None:
                self._lose(frame, commit, reject)
            frame.awaited -= 1
            if not frame.awaited:
                self.bytes_in_flight -= frame.size_bytes
                concluded.append(self._conclude(frame))
        return concluded

    def report(self) -> bytes | None:
        """Return one ``verdicts`` frame for all that was concluded since the last, if any."""
        if not self._is_due:
            return None
        self._is_due = False
        refused, retry_after_ns = self._refused, self._retry_after_ns
        headway = self._house.recall.headway
        if refused:
            self._refused, self._retry_after_ns = [], 0
            told = [(one.seq, one.retryable) for one in refused if one.seq is not None]
            headway.refuse(self.session_key, told)
        progress = headway.progress(self.session_key)
        return encode(
            VerdictsOp(
                settled=progress.settled,
                highest=progress.highest,
                missing=progress.missing,
                refused=refused,
                retry_after_ms=-(-retry_after_ns // NS_PER_MS) or None,
            )
        )

    def renew(self, principal: Principal) -> None:
        """Go on under a newer token.

        Recall knows what was accepted under its brand and jurisdiction: under others its retries
        would be conflicts. Whoever plays elsewhere now logs in anew, to another session.

        Raises:
            Reject: SUBJECT_MISMATCH: it is another player's, or of another session.
                BRAND_MISMATCH: it is of another brand or jurisdiction.
        """
        mine = self.principal
        if (principal.subject, principal.session) != (mine.subject, mine.session):
            raise Reject(Reason.SUBJECT_MISMATCH, "not this socket's player or session")
        if (principal.brand, principal.jurisdiction) != (mine.brand, mine.jurisdiction):
            raise Reject(Reason.BRAND_MISMATCH, "not this socket's brand or jurisdiction")
        self.principal = principal

    def refuse_token(self, reject: Reject) -> None:
        """Have the next report refuse the last token frame; the socket goes on as it was."""
        self._tell(self._token_frame, None, None, reject)
        self._is_due = True

    def _register(self, frame: "_Frame") -> Sequence[Commit]:
        """Have *frame* wait for its commits; return those that no other frame waits for."""
        awaited: list[Commit] = []
        for index, verdict in enumerate(frame.verdicts):
            commit = verdict.commit
            if commit is not None:
                frames = self._waiting.get(commit)
                if frames is None:
                    awaited.append(commit)
                    frames = self._waiting[commit] = []
                if not frames or frames[-1] is not frame:
                    frames.append(frame)
                    frame.awaited += 1
            elif verdict.reject is not None:
                self._tell(frame.number, index, verdict, verdict.reject)
                if verdict.reject.reason in _TRESPASSES:
                    self._trespasses_ns.append(frame.heard_steady_ns)
        if frame.awaited:
            self.bytes_in_flight += frame.size_bytes
        return awaited

    def _lose(self, frame: "_Frame", commit: Commit, reject: Reject) -> None:
        frame.lost = {**frame.lost, commit: reject}
        for index, verdict in enumerate(frame.verdicts):
            if verdict.commit is commit:
                self._tell(frame.number, index, verdict, reject)

    def _conclude(self, frame: "_Frame") -> Concluded:
        self._is_due = self._is_due or not frame.is_cut
        conclusion = conclude(frame.verdicts, frame.lost)
        return Concluded(frame.verdicts, conclusion, frame.principal, frame.heard_steady_ns)

    def _tell(
        self, frame: int, index: int | None, verdict: Verdict | None, reject: Reject
    ) -> None:
        """Have the next report list a refusal."""
        self._refused.append(
            RefusedEntry(
                frame=frame,
                index=index,
                id=None if verdict is None else verdict.id,
                seq=None if verdict is None else verdict.seq,
                code=reject.reason.code,
                pointer=reject.pointer,
                retryable=reject.reason.is_retryable,
            )
        )
        self._retry_after_ns = max(self._retry_after_ns, reject.retry_after_ns or 0)

    def _is_trespassing(self, steady_ns: int) -> bool:
        times_ns = self._trespasses_ns
        del times_ns[:-TRESPASSES_MAX]
        return len(times_ns) == TRESPASSES_MAX and steady_ns - times_ns[0] <= TRESPASS_WINDOW_NS


class _Frame(msgspec.Struct):
    """A text frame of events.

    Attributes:
        number: From 1 for the socket's first.
        size_bytes: What it counts in flight.
        verdicts: Of its events.
        principal: Who sent it.
        heard_steady_ns: When it was complete.
        awaited: How many commits have not spoken.
        lost: Those that did not hold, and the refusal of what waited for them.
        is_cut: Whether a bug left some of its events without a verdict.
    """

    number: int
    size_bytes: int
    verdicts: Sequence[Verdict]
    principal: Principal
    heard_steady_ns: int
    awaited: int = 0
    lost: Mapping[Commit, Reject] = _NONE_LOST
    is_cut: bool = False
