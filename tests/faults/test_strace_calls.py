"""What strace writes, read back: calls that were interrupted, bytes, what is synced when."""

import threading
from pathlib import Path

from tests.faults.strace_calls import Calls, read

SEGMENT = "/spool/0/game/0000000001.seg"
STEPS = ["fsync", "fdatasync", "close", "fsync"]
OPENED = f'7 openat(AT_FDCWD</x>, "{SEGMENT}", O_WRONLY|O_CREAT|%s, 0600) = 9<{SEGMENT}>'


def test_a_call_that_others_came_between_has_its_beginning_and_its_end() -> None:
    calls = Calls(
        [
            f'7 write(9<{SEGMENT}>, "a", 1 <unfinished ...>',
            '8 sendto(5<socket:[1]>, "HTTP/1.1 202 \\r\\n", 15, 0, NULL, 0) = 15',
            "7 <... write resumed>) = 1",
            "7 --- SIGTERM {si_signo=SIGTERM} ---",
            "7 +++ exited with 0 +++",
        ]
    )

    (write,), (send,) = calls.named("write"), calls.named("sendto")
    assert (write.began, write.ended, write.result, write.path) == (0, 2, 1, SEGMENT)
    assert (send.began, send.strings) == (1, [b"HTTP/1.1 202 \r\n"])


def test_bytes_are_what_they_were() -> None:
    (call,) = Calls([f'7 write(9<{SEGMENT}>, "\\377EF\\376\\0\\"\\\\n\\n", 9) = 9']).named(
        "write"
    )

    assert call.strings == [b'\xffEF\xfe\0"\\n\n']
    assert (call.descriptor, call.result) == (9, 9)


def test_a_failure_is_one_and_says_why() -> None:
    line = f'7 write(9<{SEGMENT}>, "a", 1) = -1 EIO (Input/output error) (INJECTED)'
    (call,) = Calls([line]).named("write")

    assert call.result == -1
    assert call.remark == "EIO (Input/output error) (INJECTED)"


def test_a_path_is_the_descriptors_else_the_last_one_given() -> None:
    calls = Calls(['7 rename("/a.tmp", "/a.seg") = 0', "7 fsync(4</room>) = 0"])

    assert [call.path for call in calls.named("rename", "fsync")] == ["/a.seg", "/room"]


def test_a_write_is_durable_at_its_end_if_the_descriptor_was_opened_so() -> None:
    calls = Calls([OPENED % "O_DSYNC", f'7 write(9<{SEGMENT}>, "a", 1) = 1'])
    (write,) = calls.named("write")

    assert calls.durable_at(write) == write.ended


def test_else_it_is_durable_after_the_next_sync_that_succeeds_before_a_close() -> None:
    opened, write = OPENED % "O_APPEND", f'7 write(9<{SEGMENT}>, "a", 1) = 1'
    failed, synced = "fdatasync(9<x>) = -1 EIO (…)", "7 fdatasync(9<x>) = 0"
    closed, elsewhere = "7 close(9<x>) = 0", "7 fsync(8<y>) = 0"

    def durable_at(*lines: str) -> int | None:
        calls = Calls([opened, write, *lines])
        return calls.durable_at(next(calls.named("write")))

    assert durable_at(synced) == 2
    assert durable_at(elsewhere, f"7 {failed}", synced) == 4
    assert durable_at(closed, synced) is None
    assert durable_at() is None
    failing = Calls([OPENED % "O_DSYNC", f'7 write(9<{SEGMENT}>, "a", 1) = -1 EIO (…)'])
    assert failing.durable_at(next(failing.named("write"))) is None


def test_what_is_done_with_a_descriptor_ends_at_its_close() -> None:
    calls = Calls([OPENED % "O_DSYNC", *(f"7 {name}(9<x>) = 0" for name in STEPS)])
    (opened,) = calls.named("openat")
    write = next(calls.named("fsync"))

    assert [call.name for call in calls.until_closed(write)] == ["fdatasync", "close"]
    assert calls.until_closed(opened) == []
    assert [call.name for call in calls] == ["openat", *STEPS]


def test_a_trace_is_whole_when_every_thread_has_come_to_its_end(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    lines = ["11111 close(3</x>) = 0", "4308  close(4</y>) = 0", "4308  +++ exited with 0 +++"]
    last = "11111 +++ killed by SIGKILL +++"
    trace.write_text("\n".join([*lines, ""]), "utf-8")
    threading.Timer(
        0.05, lambda: trace.write_text("\n".join([*lines, last, ""]), "utf-8")
    ).start()

    assert [call.path for call in read(trace).named("close")] == ["/x", "/y"]
    assert last in trace.read_text("utf-8")
