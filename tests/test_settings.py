"""A file and an environment become a tree, or complaints that name the setting."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import msgspec
import pytest
from hypothesis import given, strategies as st

from edge.settings import FILE_BYTES_MAX, PREFIX, Reader, Size


class Quota(msgspec.Struct, frozen=True):
    """Two required members, and one that is not."""

    burst: int
    share: float
    is_strict: bool = False


class Row(msgspec.Struct, frozen=True):
    """One of a list."""

    name: str
    path: str | None = None
    kind: Literal["a", "b"] | None = None


class Part(msgspec.Struct, frozen=True):
    """Every shape a setting can have."""

    text: str = "plain"
    room: Size = 1
    quota: Quota | None = Quota(burst=1, share=0.5)
    other: Quota | None = None
    rows: tuple[Row, ...] = ()
    options: dict[str, str | int | bool] = {}


class Tree(msgspec.Struct, frozen=True):
    """A tree of one section."""

    part: Part = Part()


def survey(folder: Path, toml: str, **environ: str) -> tuple[Tree | None, list[str]]:
    """Read both; return the complaints as an operator sees them."""
    path = folder / "edge.toml"
    path.write_text(toml)
    reader = Reader()
    tree = reader.read(Tree, path, environ)
    return tree, [str(fault) for fault in reader.faults]


def read(folder: Path, toml: str = "", **environ: str) -> Part:
    """Read both; every complaint is a failure."""
    tree, faults = survey(folder, toml, **environ)
    assert faults == []
    assert tree is not None
    return tree.part


def test_nothing_set_is_the_default() -> None:
    assert Reader().read(Tree, None, {"PATH": "/bin"}) == Tree()


def test_the_environment_goes_over_the_file(tmp_path: Path) -> None:
    toml = '[part]\ntext = "file"\nroom = 5\n[part.quota]\nburst = 7'

    part = read(tmp_path, toml, EDGE_PART__TEXT="variable", EDGE_PART__QUOTA__IS_STRICT="true")

    assert part == Part(
        text="variable", room=5, quota=Quota(burst=7, share=0.5, is_strict=True)
    )
    assert type(part.text) is str  # msgspec writes no subclass of it, and a name ends there


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("4096", 4096, id="bytes"),
        pytest.param("4096B", 4096, id="B"),
        pytest.param("3KiB", 3 << 10, id="KiB"),
        pytest.param("3 MiB", 3 << 20, id="MiB, with a space"),
        pytest.param("4GiB", 4 << 30, id="GiB"),
    ],
)
def test_a_size_may_carry_its_unit(tmp_path: Path, text: str, expected: int) -> None:
    assert read(tmp_path, f'[part]\nroom = "{text}"').room == expected
    assert read(tmp_path, EDGE_PART__ROOM=text).room == expected


def test_lists_and_tables_from_the_environment_are_json(tmp_path: Path) -> None:
    part = read(
        tmp_path,
        EDGE_PART__ROWS='[{"name": "a"}, {"name": "b", "path": "p"}]',
        EDGE_PART__OTHER='{"burst": 2, "share": 1}',
    )

    assert part.rows == (Row(name="a"), Row(name="b", path="p"))
    assert part.other == Quota(burst=2, share=1.0)


def test_a_table_from_the_environment_is_merged_key_by_key(tmp_path: Path) -> None:
    toml = "[part.options]\nkept = 1\nreplaced = 2"

    part = read(tmp_path, toml, EDGE_PART__OPTIONS='{"replaced": 3, "new": "x"}')

    assert part.options == {"kept": 1, "replaced": 3, "new": "x"}


def test_a_member_may_be_set_beside_its_table(tmp_path: Path) -> None:
    part = read(
        tmp_path,
        EDGE_PART__OTHER='{"burst": 2, "share": 1}',
        EDGE_PART__OTHER__BURST="9",
    )

    assert part.other == Quota(burst=9, share=1.0)


def test_a_secret_is_read_from_the_file_that_is_named(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text('{"password": "s3cret"}\n')

    part = read(tmp_path, EDGE_PART__OPTIONS_FILE=str(secret))

    assert part.options == {"password": "s3cret"}


@pytest.mark.parametrize("text", ["false", "null"])
def test_what_may_be_absent_can_be_taken_away(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, "[part]\nquota = false").quota is None
    assert read(tmp_path, EDGE_PART__QUOTA=text).quota is None


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("EDGE_PORT_8080_TCP", id="a service of Kubernetes"),
        pytest.param("EDGE_SERVICE_HOST", id="its address"),
        pytest.param("EDGE_PART", id="a section as a whole"),
        pytest.param("NOT_EDGE_PART__TEXT", id="another prefix"),
    ],
)
def test_a_variable_without_a_separator_is_not_ours(tmp_path: Path, name: str) -> None:
    assert read(tmp_path, **{name: "tcp://10.0.0.1:8080"}) == Part()


def test_text_that_looks_like_a_list_but_is_none_stays_text(tmp_path: Path) -> None:
    assert read(tmp_path, EDGE_PART__TEXT="[::1]").text == "[::1]"


@pytest.mark.parametrize(
    ("toml", "environ", "complaint"),
    [
        pytest.param(
            "[part]\ntex = 1",
            {},
            "part.tex: unknown setting; did you mean text?",
            id="typo",
        ),
        pytest.param("[prat]", {}, "prat: unknown setting; did you mean part?", id="section"),
        pytest.param("zzz = 1", {}, "zzz: unknown setting", id="like nothing"),
        pytest.param("part = 1", {}, "part: must be a table", id="scalar for a table"),
        pytest.param("[part]\ntext = 1", {}, "part.text: Expected str, got int", id="type"),
        pytest.param(
            '[part]\nroom = "4 gb"',
            {},
            "part.room: use bytes, or KiB, MiB, GiB",
            id="wrong unit",
        ),
        pytest.param(
            '[part.quota]\nburst = "1"',
            {},
            "part.quota.burst: Expected int, got str",
            id="no loose types in the file",
        ),
        pytest.param(
            "[part.other]\nburst = 1", {}, "part.other.share: is required", id="required"
        ),
        pytest.param(
            "[[part.rows]]\nname = 'a'\n[[part.rows]]\npath = 'b'",
            {},
            "part.rows[1].name: is required",
            id="required in a row",
        ),
        pytest.param(
            "[[part.rows]]\nname = 'a'\nkind = 'secret'",
            {},
            "part.rows[0].kind: must be one of a, b",
            id="not one of the names",
        ),
        pytest.param(
            "[part]\nrows = 1", {}, "part.rows: Expected array, got int", id="no list"
        ),
        pytest.param("[part]\nrows = [1]", {}, "part.rows[0]: must be a table", id="no row"),
        pytest.param(
            "[part.options]\n'a.b' = 1.5",
            {},
            "part.options.a.b: Expected bool | int | str, got float",
            id="wrong option",
        ),
        pytest.param(
            "[part]\noptions = 1", {}, "part.options: Expected object, got int", id="no table"
        ),
        pytest.param(
            "",
            {"EDGE_PART__QUOTA__BRUST": "1"},
            "part.quota.brust: unknown setting; did you mean burst?",
            id="typo in a variable",
        ),
        pytest.param(
            "",
            {"EDGE_PART__TEXT__MORE": "1"},
            "part.text: Expected str, got object",
            id="below a scalar",
        ),
        pytest.param(
            "part = 1",
            {"EDGE_PART__TEXT": "1"},
            "part: is no table, but a variable names a member",
            id="below a scalar of the file",
        ),
        pytest.param(
            "", {"EDGE_PART__TEXT": "\udc80"}, "part.text: is not UTF-8 text", id="surrogate"
        ),
    ],
)
def test_a_mistake_is_named_by_its_path(
    tmp_path: Path, toml: str, environ: dict[str, str], complaint: str
) -> None:
    tree, faults = survey(tmp_path, toml, **environ)

    assert tree is None
    assert faults[0] == complaint


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    _, faults = survey(tmp_path, "[part]\ntext = 1\nroom = -1", EDGE_PART__X="1")

    assert faults == [
        "part.text: Expected str, got int",
        "part.room: Expected int >= 0",
        "part.x: unknown setting",
    ]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    reader = Reader()
    missing, large, binary = tmp_path / "missing", tmp_path / "large", tmp_path / "binary"
    large.write_bytes(b"#" * (FILE_BYTES_MAX + 1))
    binary.write_bytes(b"\xff")

    for path in (missing, large, binary):
        reader.read(Tree, path, {})
    reader.read(Tree, None, {"EDGE_PART__TEXT_FILE": str(missing)})

    assert [str(fault) for fault in reader.faults] == [
        f"cannot read {missing}: No such file or directory",
        f"{large} is larger than {FILE_BYTES_MAX} bytes",
        f"cannot read {binary}: not UTF-8 text",
        f"part.text: cannot read {missing}: No such file or directory",
    ]


def test_a_file_that_is_not_toml_tells_the_line(tmp_path: Path) -> None:
    _, faults = survey(tmp_path, "[part\n")

    assert faults == [f"{tmp_path / 'edge.toml'} is not TOML: {_AT_LINE_1}"]


_AT_LINE_1 = "Expected ']' at the end of a table declaration (at line 1, column 6)"


@given(content=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_a_tree_or_a_complaint(content: bytes) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "edge.toml"
        path.write_bytes(content)
        reader = Reader()

        tree = reader.read(Tree, path, {})

    assert (tree is None) == bool(reader.faults)


_NAMES = st.sampled_from(
    ["PART__TEXT", "PART__ROOM", "PART__QUOTA", "PART__QUOTA__BURST", "PART__ROWS"]
)


@given(
    environ=st.dictionaries(
        (_NAMES | st.text(max_size=20)).map(PREFIX.__add__),
        st.text(max_size=40) | st.sampled_from(['{"burst": []}', '[{"name": 1}]', "[" * 2000]),
        max_size=4,
    )
)
def test_any_environment_is_a_tree_or_a_complaint(environ: dict[str, str]) -> None:
    reader = Reader()

    tree = reader.read(Tree, None, environ)

    assert (tree is None) == bool(reader.faults)


@given(
    quota=st.builds(
        Quota,
        burst=st.integers(-(2**40), 2**40),
        share=st.floats(allow_nan=False, allow_infinity=False),
        is_strict=st.booleans(),
    ),
    text=st.text().filter(lambda text: not text.startswith(("{", "["))),
)
def test_one_variable_per_member_says_what_json_says(quota: Quota, text: str) -> None:
    apart = {
        "EDGE_PART__TEXT": text,
        "EDGE_PART__OTHER__BURST": str(quota.burst),
        "EDGE_PART__OTHER__SHARE": repr(quota.share),
        "EDGE_PART__OTHER__IS_STRICT": json.dumps(quota.is_strict),
    }
    together = {
        "EDGE_PART__TEXT": text,
        "EDGE_PART__OTHER": msgspec.json.encode(quota).decode(),
    }

    trees = [Reader().read(Tree, None, environ) for environ in (apart, together)]

    assert trees == [Tree(part=Part(text=text, other=quota))] * 2
