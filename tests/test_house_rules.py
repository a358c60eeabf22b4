"""The house rules that no linter knows: sizes, names, mirrors, reasons, and what is pinned."""

import ast
import io
import re
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

import edge

ROOT: Final = Path(__file__).parent.parent
SOURCES: Final = sorted(
    p for top in ("edge", "origin_client") for p in (ROOT / top).rglob("*.py")
)
TESTS: Final = sorted((ROOT / "tests").rglob("*.py"))
PROJECT: Final[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS: Final = sorted((ROOT / "requirements").glob("*.txt"))

LINES_PER_MODULE_MAX: Final = 400
LINES_PER_FUNCTION_MAX: Final = 60

TESTED_ELSEWHERE: Final = {
    "edge/core/instant.py": "declares types only",
    "edge/core/lane.py": "declares types only",
    "edge/core/principal.py": "declares types only",
    "edge/core/event.py": "declares types only",
    "edge/core/record.py": "declares types only",
    "origin_client/origin.py": "declares types only",
}
MODULE_NAMES: Final = {
    "utils",
    "util",
    "helpers",
    "helper",
    "common",
    "base",
    "misc",
    "manager",
}
VARIABLE_NAMES: Final = {"info", "obj", "item"}
FUNCTION_NAME: Final = re.compile(r"_*(handle|process|do)_[a-z]")
CLASS_NAME: Final = re.compile(r"(Manager|Helper|Service|Util|Utils)$")

# Built from pieces, or this file would be the first to break the rule.
ADDRESSES: Final = re.compile(
    r"pypi\." r"org|pythonhosted\." r"|registry\." r"npmjs|find-" r"links|index-" r"url"
    r"|(?<![\w.$*/-])/" r"(home|root|work|opt|Users)/"
)  # fmt: skip  # one alternative per piece
NOT_OURS: Final = {"var", "build", "__pycache__"}

CALLED: Final = {"limit": "charge"}
"""Stages that ``admit`` calls by another verb than their own."""

# Source: threats.md, "CVEs to pin against"; starlette and orjson: the fixed releases.
FLOORS: Final = {
    "h11": (0, 16, 0),
    "orjson": (3, 11, 6),
    "pyjwt": (2, 14),
    "starlette": (0, 49, 1),
    "uvicorn": (0, 52, 1),
}


def relative(path: Path) -> str:
    """The path as one would type it."""
    return path.relative_to(ROOT).as_posix()


def nodes(path: Path) -> Iterator[ast.AST]:
    """Everything in one module."""
    return ast.walk(ast.parse(path.read_text()))


def files() -> Iterator[Path]:
    """Every file of ours, in any folder that is not hidden; and the hidden ones by name."""
    for path in ROOT.iterdir():
        if (
            path.is_file()
            and path.name != ".coverage"
            and not path.name.startswith(".coverage.")
        ):
            yield path
        elif not path.name.startswith(".") or path.name == ".ci":
            yield from (
                below
                for below in path.rglob("*")
                if below.is_file() and not NOT_OURS.intersection(below.relative_to(ROOT).parts)
            )


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_a_module_fits_in_the_head(path: Path) -> None:
    assert path.read_text().count("\n") <= LINES_PER_MODULE_MAX
    for node in nodes(path):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            assert lines <= LINES_PER_FUNCTION_MAX, node.name


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_a_module_has_its_own_test(path: Path) -> None:
    """``edge/core/limit.py`` is tested by ``tests/core/test_limit.py``, and so on."""
    if path.name in ("__init__.py", "__main__.py") or relative(path) in TESTED_ELSEWHERE:
        return
    package, *rooms = path.relative_to(ROOT).parent.parts
    home = ROOT / "tests" / Path(*rooms if package == "edge" else [package, *rooms])
    assert (home / f"test_{path.name}").exists()


def test_what_is_tested_elsewhere_exists_and_decides_nothing() -> None:
    for name in TESTED_ELSEWHERE:
        branches = (ast.If, ast.For, ast.While, ast.Match, ast.Try, ast.IfExp)
        assert not [node for node in nodes(ROOT / name) if isinstance(node, branches)], name


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_names_are_of_the_glossary(path: Path) -> None:
    assert path.stem not in MODULE_NAMES
    for node in nodes(path):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                assert not FUNCTION_NAME.match(name), name
            case ast.ClassDef(name=name):
                assert not CLASS_NAME.search(name), name
            case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()):
                assert name not in VARIABLE_NAMES, name
            case _:
                pass


@pytest.mark.parametrize("path", [*SOURCES, *TESTS], ids=relative)
def test_every_exception_has_its_reason_beside_it(path: Path) -> None:
    mark = re.compile(r"#\s*(noqa|type:\s*ignore|pyright:|mypy:|pragma:)")
    reasoned = re.compile(r"#\s*(noqa: |type: ignore\[|pyright: ignore\[|pragma: ).*#.*\w{2}")
    for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
        if token.type == tokenize.COMMENT and mark.search(token.string):
            assert reasoned.search(token.string), token.line.strip()


@pytest.mark.parametrize("path", sorted((ROOT / "edge" / "core").rglob("*.py")), ids=relative)
def test_the_core_neither_reads_nor_prints(path: Path) -> None:
    calls = {
        node.func.id
        for node in nodes(path)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }

    assert not calls & {"open", "print", "input", "exec", "eval", "breakpoint"}


def test_no_file_names_a_registry_or_a_machine() -> None:
    found = {
        relative(path): match[0]
        for path in files()
        if (match := ADDRESSES.search(path.read_bytes().decode(errors="replace")))
    }

    assert found == {}


def drawn_stages() -> list[str]:
    """The path as ``edge.__doc__`` draws it."""
    return [line.split()[0] for line in (edge.__doc__ or "").splitlines() if ":mod:" in line]


def test_the_map_names_every_stage_in_order() -> None:
    """The path drawn is the path ``admit`` takes."""
    verbs = {CALLED.get(stage, stage): stage for stage in drawn_stages()}
    calls = [
        (node.lineno, node.col_offset, ast.unparse(node.func).rpartition(".")[2])
        for node in nodes(ROOT / "edge/core/admit.py")
        if isinstance(node, ast.Call)
    ]
    taken = [verbs[verb] for _, _, verb in sorted(calls) if verb in verbs]

    assert drawn_stages() == list(dict.fromkeys(taken))


def test_every_stage_is_held_apart_from_the_others() -> None:
    contracts = PROJECT["tool"]["importlinter"]["contracts"]
    (modules,) = (c["modules"] for c in contracts if c["type"] == "independence")

    assert modules == [f"edge.core.{stage}" for stage in drawn_stages()]


def pins(path: Path) -> dict[str, str]:
    """Name and version of each requirement."""
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", path.read_text(), re.MULTILINE))


def version(text: str) -> tuple[int, ...]:
    """The numbers of a version."""
    return tuple(int(part) for part in re.findall(r"\d+", text))


@pytest.mark.parametrize("path", LOCKS, ids=relative)
def test_every_requirement_is_pinned_by_hashes_and_nothing_else(path: Path) -> None:
    requirement = r"[a-z0-9-]+==\S+( ; [^\\\n]+)?( \\\n    --hash=sha256:[0-9a-f]{64})+\n"

    assert re.fullmatch(f"({requirement})+", path.read_text())


@pytest.mark.parametrize("path", LOCKS, ids=relative)
def test_no_pin_is_below_a_known_hole(path: Path) -> None:
    pinned = pins(path)

    for name, floor in FLOORS.items():
        assert version(pinned[name]) >= floor, name


def test_what_is_asked_for_is_pinned() -> None:
    groups: dict[str, list[str]] = PROJECT["dependency-groups"]
    always: list[str] = PROJECT["project"]["dependencies"]

    for path in LOCKS:
        for requirement in [*always, *groups.get(path.stem, [])]:
            name, _, floor = re.sub(r"\[.*?\]", "", requirement).lower().partition(">=")
            assert version(pins(path)[name]) >= version(floor), f"{name} in {relative(path)}"


def test_whoever_develops_runs_what_is_deployed() -> None:
    deployed, developed = (pins(ROOT / f"requirements/{name}.txt") for name in ("run", "dev"))

    assert deployed.items() <= developed.items()
