"""Two mounted files in, a key set and the directives it verifies; what they newly say out.

Theory of operation
-------------------
:meth:`DirectiveFile.read` is called again and again, always by one thread at a time, and mostly
finds two unchanged files (:mod:`edge.shell.watched_file`).

What changed is compared line by line: each new line is judged once, 0.2 ms, the others are known.
Of many the first need not wait for the last: what is believed is told in portions while the rest
is judged. But lines of one ``id`` are told together, wherever they stand, and those that are known
once more beside a new one: told alone, a revocation would end for good a socket that a line below
lets in, and a lift be forgotten before there is something to lift. So new lines are put in order
by the id they claim, before any is judged.

New keys have everything judged anew, what is held as well as what stands there: a key that was
withdrawn takes its directives with it. That is told at once, for until the last is judged nobody
knows what is believed no longer.

A file that is missing, too large, no key set, or cannot be read changes nothing: what it said
last stays. A line that cannot be believed costs its neighbours nothing. The last line may lack
its end, because somebody is writing: it counts if it can be believed, and is passed over in
silence if not.

Whoever can write the source but has no key can lift nothing by it, for what was believed does
not depend on its line (:mod:`edge.core.revocations`).
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from edge.core.directive import DirectiveRefused, claimed_id, read_directive
from edge.core.keyset import KEY_SET_BYTES_MAX, Key, KeySetRefused, read_key_set
from edge.core.revocations import REVOCATIONS_MAX, Revocation
from edge.shell.directive_store import Kept
from edge.shell.watched_file import FileTooLarge, WatchedFile

T = TypeVar("T")

SOURCE_BYTES_MAX: Final = 8 << 20
"""20,000 directives of the usual 350 bytes; comparing it with what is known takes 25 ms."""

LINES_MAX: Final = 2 * REVOCATIONS_MAX
"""A table twice over: what is left out then ended first. Judging them takes 6 s, once."""

TOLD_MAX: Final = 5
"""Refused lines told at once, one by one: a source of garbage must not flood the log."""

PORTION: Final = 512
"""Lines judged before those of them that are believed are told: 0.15 s of work. To take a portion
into a full table costs the loop 7 ms, so smaller ones would cost it more than a tenth."""

_SLICE: Final = 16
_PAUSE_S: Final = 0.001
"""After so many signatures the thread steps aside: 3 ms of work, during which the loop waits for
the interpreter's lock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one look has brought.

    Attributes:
        believed: Directives that are new, and not told yet, beside all others of their ids in
            the source; with *is_anew* all that are believed now.
        is_anew: The keys changed: what is not among *believed* is believed no longer.
        refused: Lines of the source that are not believed now.
        told: Those that are new among these, the first of them, for the log; nobody is named.
        refused_new: How many are new among these.
        errors: What is wrong with ``keys`` or ``source``; empty when both were read well.
    """

    believed: Sequence[Revocation] = ()
    is_anew: bool = False
    refused: int = 0
    told: Sequence[str] = ()
    refused_new: int = 0
    errors: Mapping[str, str] = field(default_factory=dict[str, str])


class DirectiveFile:
    """The source and its keys. One thread at a time.

    Args:
        source: One directive per line.
        keys: The key set that verifies them.
        tell: Told of portions that are newly believed, by the thread that reads, while there
            may be more to judge; never of an empty one.

    Attributes:
        jwks: The key set believed now, as it came; empty while there is none.
    """

    def __init__(
        self,
        source: Path,
        keys: Path,
        tell: Callable[[Sequence[Revocation]], None] = lambda _: None,
    ) -> None:
        self.jwks = b""
        self._tell: Final = tell
        self._source = WatchedFile(source, SOURCE_BYTES_MAX)
        self._key_file = WatchedFile(keys, KEY_SET_BYTES_MAX)
        self._keys: Mapping[str, Key] = {}
        self._lines: Sequence[bytes] = ()
        self._unfinished = b""
        self._refused: dict[bytes, str] = {}  # why, by line; of those that stand there now
        self._believed: dict[bytes, Revocation] = {}  # by line; of those that stand there now
        self._errors: dict[str, str] = {}

    def recover(self, jwks: bytes, kept: Iterable[Kept]) -> Reading:
        """Judge what an earlier process kept by the keys it kept.

        A key set that is none any more believes nothing; :meth:`read` will find a better one.
        """
        try:
            self._keys, self.jwks = read_key_set(jwks, None).keys, jwks
        except KeySetRefused:
            return Reading()
        return Reading(believed=tuple(_believe_again(kept, self._keys)), is_anew=True)

    def read(self, kept: Callable[[], Iterable[Kept]], unix_ns: int) -> Reading:
        """Look at both files.

        Args:
            kept: Gives what is held, when it has to be judged anew.
            unix_ns: Now, by the clock that files' times come from.
        """
        has_new_keys = self._renew("keys", self._renew_keys, unix_ns)
        has_new_lines = self._renew("source", self._renew_lines, unix_ns)
        believed: list[Revocation] = []
        before: Mapping[bytes, str] = self._refused
        if has_new_keys:
            believed += _believe_again(kept(), self._keys)
            self._believed, self._refused = {}, {}
        if self._keys and (has_new_keys or has_new_lines):
            believed += self._judge(is_anew=has_new_keys)
        new = [line for line in self._refused if line not in before]
        return Reading(
            believed=tuple(believed),
            is_anew=has_new_keys,
            refused=len(self._refused),
            told=self._told(new),
            refused_new=len(new),
            errors=dict(self._errors),
        )

    def _renew(self, name: str, renew: Callable[[bytes], bool], unix_ns: int) -> bool:
        """Take in what stands in one file now; tell whether it says something new."""
        file = self._key_file if name == "keys" else self._source
        try:
            octets = file.read(unix_ns)
            if octets is None:
                return False  # and what was wrong with it still is
            is_new = renew(octets)
        except OSError as error:
            self._errors[name] = error.strerror or type(error).__name__
        except (FileTooLarge, KeySetRefused) as error:
            self._errors[name] = str(error)
        else:
            self._errors.pop(name, None)
            return is_new
        return False

    def _renew_keys(self, octets: bytes) -> bool:
        keys = read_key_set(octets, None).keys
        is_new = keys != self._keys
        self._keys, self.jwks = keys, octets
        return is_new

    def _renew_lines(self, octets: bytes) -> bool:
        if octets.count(b"\n") > LINES_MAX:
            raise FileTooLarge(f"more than {LINES_MAX} lines")
        *trimmed, unfinished = (line.strip() for line in octets.split(b"\n"))
        is_new = (trimmed, unfinished) != (self._lines, self._unfinished)
        self._lines, self._unfinished = trimmed, unfinished
        return is_new

    def _judge(self, *, is_anew: bool) -> list[Revocation]:
        """Believe or refuse each line that was not judged by these keys before.

        Returns:
            What is believed and was not told in a portion.
        """
        lines = dict.fromkeys((*self._lines, self._unfinished))
        lines.pop(b"", None)
        self._believed = _of(lines, self._believed)
        self._refused = _of(lines, self._refused)
        known = list(self._believed.values())
        judged_before = self._believed.keys() | self._refused.keys()
        believed: list[Revocation] = []
        judged = portion = 0
        for together in _by_id(line for line in lines if line not in judged_before):
            believed += self._judge_each(together, judged)
            judged += len(together)
            if judged - portion >= PORTION and believed and not is_anew:
                self._tell((*believed, *_beside(believed, known)))
                believed, portion = [], judged
        if self._unfinished not in self._lines:
            self._refused.pop(self._unfinished, None)
        self._refused = _of(lines, self._refused)
        return [*believed, *_beside(believed, known)]

    def _judge_each(self, lines: Iterable[bytes], judged: int) -> list[Revocation]:
        """Believe or refuse *lines*, the first of them after so many others."""
        believed: list[Revocation] = []
        for number, line in enumerate(lines, start=judged):
            _step_aside(number)
            try:
                self._believed[line] = read_directive(line, self._keys)
            except DirectiveRefused as error:
                self._refused[line] = str(error)
            else:
                believed.append(self._believed[line])
        return believed

    def _told(self, new: Sequence[bytes]) -> tuple[str, ...]:
        if not new:
            return ()
        numbers = {line: number for number, line in enumerate(self._lines, start=1)}
        return tuple(f"line {numbers[line]}: {self._refused[line]}" for line in new[:TOLD_MAX])


def _believe_again(kept: Iterable[Kept], keys: Mapping[str, Key]) -> list[Revocation]:
    """Judge what was believed before; who signed it may be believed no longer."""
    believed: list[Revocation] = []
    for number, each in enumerate(kept):
        _step_aside(number)
        try:
            revocation = read_directive(each.signed.encode(), keys)
        except DirectiveRefused:
            continue
        forget_unix_s = max(revocation.forget_unix_s, each.forget_unix_s)
        believed.append(msgspec.structs.replace(revocation, forget_unix_s=forget_unix_s))
    return believed


def _by_id(lines: Iterable[bytes]) -> Iterable[Sequence[bytes]]:
    """Put together what claims one id; in the order in which the ids come first."""
    together: dict[str | bytes, list[bytes]] = {}
    for number, line in enumerate(lines):
        if number % PORTION == PORTION - 1:
            time.sleep(_PAUSE_S)  # after 6 ms of work
        name = claimed_id(line)
        together.setdefault(line if name is None else name, []).append(line)
    return together.values()


def _beside(new: Sequence[Revocation], known: Sequence[Revocation]) -> list[Revocation]:
    """Choose what was told before and has to be told again: other lines of the same ids."""
    ids = {each.id for each in new}
    return [each for each in known if each.id in ids]


def _of(lines: Iterable[bytes], said: Mapping[bytes, T]) -> dict[bytes, T]:
    """What is said of *lines*, in their order."""
    return {line: said[line] for line in lines if line in said}


def _step_aside(judged: int) -> None:
    if judged % _SLICE == _SLICE - 1:
        time.sleep(_PAUSE_S)
