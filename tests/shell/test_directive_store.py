"""What is kept for the next start: whole, or nothing."""

from pathlib import Path
from typing import Final

import msgspec
import pytest

from edge.shell.directive_store import DirectiveStore, Kept, Record
from tests.fakes_directives import DIRECTIVE_JWKS, directive

RECORD: Final = Record(
    keys="keys.json",
    jwks=DIRECTIVE_JWKS.decode(),
    directives=[Kept(signed=directive().decode(), forget_unix_s=7)],
)


def test_what_was_saved_is_found_again(tmp_path: Path) -> None:
    DirectiveStore(tmp_path / "a" / "b").save(RECORD)

    assert DirectiveStore(tmp_path / "a" / "b").load() == RECORD


def test_the_latest_is_found(tmp_path: Path) -> None:
    store = DirectiveStore(tmp_path)
    empty = msgspec.structs.replace(RECORD, directives=[])
    store.save(RECORD)
    store.save(empty)

    assert store.load() == empty
    assert [path.name for path in tmp_path.iterdir()] == ["last_good.json"]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(msgspec.json.encode(RECORD)[:-9], id="torn"),
        pytest.param(b"\xff\xfe", id="no text"),
        pytest.param(b'{"version":2}', id="a later format"),
        pytest.param(b"[]", id="no record"),
    ],
)
def test_what_is_no_record_counts_as_none(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "last_good.json").write_bytes(content)

    assert DirectiveStore(tmp_path).load() is None


def test_there_may_be_none(tmp_path: Path) -> None:
    assert DirectiveStore(tmp_path / "nowhere").load() is None


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "taken").write_bytes(b"")

    with pytest.raises(OSError, match=r"Not a directory|File exists"):
        DirectiveStore(tmp_path / "taken" / "below").save(RECORD)
