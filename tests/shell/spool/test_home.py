"""Nothing is promised, and nothing touched, where a lane's name leads elsewhere."""

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.shell.spool.disk import OsDisk, is_full, is_lost, publish
from edge.shell.spool.home import Home


@pytest.fixture
def lane(tmp_path: Path) -> Path:
    (tmp_path / "lane").mkdir()
    return tmp_path / "lane"


CALLS: dict[str, Callable[[Home, Path], object]] = {
    "make_directory": lambda home, lane: home.make_directory(lane / "dead"),
    "files": lambda home, lane: home.files(lane),
    "read": lambda home, lane: home.read(lane / "a", 0, 1),
    "create": lambda home, lane: home.create(lane / "b"),
    "write_unsynced": lambda home, lane: home.write_unsynced(lane / "b", b"x"),
    "overwrite": lambda home, lane: home.overwrite(lane / "a", 0, b"y"),
    "rename": lambda home, lane: home.rename(lane / "a", lane / "b"),
    "unlink": lambda home, lane: home.unlink(lane / "a"),
    "resize": lambda home, lane: home.resize(lane / "a", 100),
    "sync_directory": lambda home, lane: home.sync_directory(lane),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_no_call_touches_a_directory_that_was_put_in_its_place(
    lane: Path, call: Callable[[Home, Path], object]
) -> None:
    home = Home(OsDisk(), lane)
    publish(home, lane / "a", b"content").close()
    lane.rename(lane.with_name("moved"))
    lane.mkdir()
    (lane / "a").write_bytes(b"another's")

    with pytest.raises(OSError, match="moved or replaced while in use") as caught:
        call(home, lane)

    assert caught.value.errno == errno.ESTALE
    assert not is_lost(caught.value), "the bytes are where it was moved to"
    assert not is_full(caught.value)
    assert {path.name: path.read_bytes() for path in lane.iterdir()} == {"a": b"another's"}


@pytest.mark.parametrize("is_replaced", [False, True])
def test_what_is_synced_where_no_start_will_look_is_not_synced(
    lane: Path, *, is_replaced: bool
) -> None:
    output = publish(Home(OsDisk(), lane), lane / "a", b"content")
    output.write(b"more")
    output.sync()
    lane.rename(lane.with_name("moved"))
    if is_replaced:
        lane.write_bytes(b"a file")
    output.write(b"and more")

    with pytest.raises(OSError, match="moved or replaced"):
        output.sync()
    output.close()


def test_what_comes_back_or_is_reached_by_a_link_works_again(lane: Path) -> None:
    home, moved = Home(OsDisk(), lane), lane.with_name("moved")
    lane.rename(moved)
    with pytest.raises(OSError, match="moved or replaced"):
        home.files(lane)

    lane.symlink_to(moved)
    publish(home, lane / "a", b"content").close()
    lane.unlink()
    moved.rename(lane)

    assert home.read(lane / "a", 0, 9) == b"content"
    for name, call in CALLS.items():
        if name != "unlink":
            call(home, lane)
            home.rename(lane / "b", lane / "a") if name == "rename" else None
