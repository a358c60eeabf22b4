"""The thirteen bugs: what is planted where, and who must notice.

A plant replaces a text that occurs once in its file, so it is a bug in the code of today, or
says that it no longer applies.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Plant:
    """One change of one file.

    Attributes:
        file: Path from the repository's root.
        old: What stands there, once.
        new: What is put in its place.
    """

    file: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Bug:
    """One bug.

    Attributes:
        name: As the issue names it.
        plants: All of them make the bug.
        tests: Node ids; each must fail, by an assertion of its own.
        power_tests: Likewise, of tests that cut the power; they take longer, and need root.
    """

    name: str
    plants: tuple[Plant, ...]
    tests: tuple[str, ...]
    power_tests: tuple[str, ...] = ()


_WRITER: Final = "edge/shell/spool/segment_writer.py"
_DISK: Final = "edge/shell/spool/disk.py"
_LANE: Final = "edge/shell/spool/lane_spool.py"
_RECOVERY: Final = "edge/shell/spool/recovery.py"
_FORWARD: Final = "edge/shell/forward.py"
_RECALL: Final = "edge/core/recall.py"
_FRAME: Final = "edge/core/frame.py"

_SPOOL_TESTS: Final = "tests/shell/spool"
_BULKHEAD_TESTS: Final = f"{_SPOOL_TESTS}/test_bulkhead.py"
_RECOVERY_TESTS: Final = f"{_SPOOL_TESTS}/test_recovery.py"
_FORWARD_TESTS: Final = "tests/shell/test_forward.py"
_POWER_TESTS: Final = "tests/faults/test_power.py"
_RECALL_TESTS: Final = "tests/core/test_recall.py"

BUGS: Final = (
    Bug(
        "answer before sync",
        (
            Plant(_WRITER, "        self._output.sync()\n", ""),
            Plant(_DISK, " | os.O_APPEND | os.O_DSYNC", " | os.O_APPEND"),
        ),
        (f"{_BULKHEAD_TESTS}::test_every_call_may_fail_once_and_nothing_accepted_is_lost",),
        (f"{_POWER_TESTS}::test_what_was_accepted_before_the_power_went_is_on_the_disk",),
    ),
    Bug(
        "delete before cursor",
        (
            Plant(
                _LANE,
                "        self._acknowledged = after\n        self._persist()\n",
                "        self._acknowledged = after\n"
                "        self._shelf.advance(after)\n"
                "        self._retention.expire()\n"
                "        self._persist()\n",
            ),
        ),
        (
            f"{_BULKHEAD_TESTS}::test_nothing_is_deleted_while_the_cursor_is_not_durable",
            f"{_BULKHEAD_TESTS}::test_the_disk_is_asked_in_the_order_that_keeps_the_promise",
        ),
    ),
    Bug(
        "skip directory fsync",
        (
            Plant(
                _DISK,
                "        disk.rename(temporary, path)\n        disk.sync_directory(path.parent)\n",
                "        disk.rename(temporary, path)\n",
            ),
        ),
        (f"{_BULKHEAD_TESTS}::test_every_call_may_fail_once_and_nothing_accepted_is_lost",),
    ),
    Bug(
        "fsync retried",
        (
            Plant(
                _WRITER,
                "        self._output.sync()\n",
                "        try:\n"
                "            self._output.sync()\n"
                "        except OSError:\n"
                "            self._output.sync()\n",
            ),
        ),
        (f"{_BULKHEAD_TESTS}::test_every_call_may_fail_once_and_nothing_accepted_is_lost",),
    ),
    Bug(
        "batch dropped on one bad record",
        (
            Plant(
                "edge/shell/deliver.py",
                "            if refusal.is_final or len(batch) == 1:\n"
                "                dead[batch[refusal.index]] = refusal.reason\n",
                "            if batch:\n"
                "                dead |= dict.fromkeys(batch, refusal.reason)\n",
            ),
        ),
        (
            f"{_FORWARD_TESTS}::test_of_100_records_the_37th_is_refused_and_the_origin_dies_at_the_60th",
        ),
    ),
    Bug(
        "cursor ahead of acknowledgement",
        (
            Plant(
                _FORWARD,
                "        reasons = self._publish(chunk.frames)\n",
                "        self._source.acknowledge(chunk.after)\n"
                "        reasons = self._publish(chunk.frames)\n",
            ),
        ),
        (
            f"{_FORWARD_TESTS}::test_of_100_records_the_37th_is_refused_and_the_origin_dies_at_the_60th",
        ),
    ),
    Bug(
        "recall entry before data",
        (
            Plant(
                _RECALL,
                "        if number <= self.settled:\n            return None\n",
                "        if number:\n            return None\n",
            ),
        ),
        (f"{_RECALL_TESTS}::test_the_second_copy_of_a_pending_event_joins_its_commit",),
    ),
    Bug(
        "wrong CRC span",
        (
            Plant(
                _FRAME, "crc32(body, run_seed)) + body", "crc32(body[:-1], run_seed)) + body"
            ),
            Plant(
                _FRAME,
                "crc32(view[start:end], run_seed)",
                "crc32(view[start:end - 1], run_seed)",
            ),
        ),
        (
            f"{_RECOVERY_TESTS}::test_every_flipped_bit_costs_the_record_it_hits",
            "tests/core/test_frame.py::test_a_frame_is_as_documented",
        ),
    ),
    Bug(
        "newest-first drain",
        (
            Plant(
                "edge/shell/spool/shelf.py",
                "        for segment in self._segments[first:]:\n            start = at",
                "        for segment in reversed(self._segments[first:]):\n            start = at",
            ),
        ),
        (
            f"{_SPOOL_TESTS}/test_shelf.py::test_the_next_stretch_is_found_past_what_is_finished_empty_or_deleted",
        ),
    ),
    Bug(
        "sync of the wrong file",
        (
            Plant(
                _WRITER,
                "        self._output.sync()\n",
                '        self.__dict__.setdefault("_first", self._output).sync()\n',
            ),
        ),
        (f"{_BULKHEAD_TESTS}::test_every_call_may_fail_once_and_nothing_accepted_is_lost",),
    ),
    Bug(
        "forward before sync",
        (
            Plant(
                _WRITER,
                "        self._output.write(content)\n        self._output.sync()\n",
                "        self._output.write(content)\n"
                "        assert self._segment is not None\n"
                "        self._shelf.grow(len(content), len(records), records[0].accepted_ms,"
                " records[-1].accepted_ms)\n"
                "        self._output.sync()\n",
            ),
            Plant(
                _WRITER,
                "        self._shelf.grow(\n"
                "            len(content), len(records), records[0].accepted_ms,"
                " records[-1].accepted_ms\n"
                "        )\n",
                "",
            ),
        ),
        (f"{_SPOOL_TESTS}/test_lane_spool.py::test_what_is_not_synced_is_not_there",),
    ),
    Bug(
        "aborted tail forwarded",
        (
            Plant(
                _RECOVERY,
                "    ends = sizes | told\n",
                "    ends = dict(sizes)\n",
            ),
        ),
        (f"{_RECOVERY_TESTS}::test_a_successor_tells_how_far_a_segment_is_valid",),
    ),
    Bug(
        "recovered tail not synced",
        (
            Plant(
                _RECOVERY,
                "            files.begin(copy, tail.content).close()\n",
                "            begun = files.begin(copy)\n"
                "            begun.write(tail.content)\n"
                "            begun.close()\n",
            ),
        ),
        (f"{_RECOVERY_TESTS}::test_the_tail_is_copied_synced_and_the_old_file_ends_before_it",),
    ),
)
