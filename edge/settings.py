"""Reads a frozen tree of settings: a TOML file first, then the environment over it.

In come one file and a mapping of variables; out come the tree and every complaint about it,
each with the path of its setting. What the settings mean is :mod:`edge.config`'s business.

Theory of operation:
    ``EDGE_<SECTION>__<FIELD>`` names a setting; each further ``__`` goes one level deeper
    (``EDGE_LIMITS__PLAYER__QUOTA``). A variable without ``__`` behind the prefix is not ours:
    Kubernetes sets such (``EDGE_PORT_8080_TCP``) beside every pod of a service named ``edge``.
    With ``__`` it is ours, and an unknown one is a complaint. A value that begins with ``{`` or
    ``[`` is JSON. A name that ends in ``_FILE`` gives the file that holds the value, as
    secrets are mounted. Tables are merged, key by key; anything else is replaced.

    Absent fields keep the default of the tree, also inside a table that is partly given.
    TOML has no null: ``false`` takes away what may be absent (``limits.address = false``).
"""

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Final, TypeAlias, TypeVar, cast, get_args, get_origin

import msgspec
from msgspec import Meta

PREFIX: Final = "EDGE_"
SEPARATOR: Final = "__"
FILE_SUFFIX: Final = "_file"
# A settings file is a page or two and a secret one line: more is a wrong path.
FILE_BYTES_MAX: Final = 1 << 20

_UNITS: Final = {"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_SIZE: Final = re.compile(r"([0-9]{1,15}) ?(B|KiB|MiB|GiB|)")
_ABSENCES: Final = frozenset({"false", "null"})

Size: TypeAlias = Annotated[
    int,
    Meta(
        ge=0,
        le=1 << 53,  # what every JSON reader of the settings still counts exactly
        extra_json_schema={"pattern": r"^[0-9]{1,15} ?(B|KiB|MiB|GiB|)$"},
    ),
]
Tree: TypeAlias = dict[str, Any]
StructT = TypeVar("StructT", bound=msgspec.Struct)


class ConfigError(Exception):
    """The settings do not describe a gateway we can run.

    Attributes:
        path: The setting, ``section.field``, or ``""`` for the file as a whole.
        complaint: What is wrong with it and what to do. Never quotes a value: it may be a secret.
    """

    def __init__(self, path: str, complaint: str) -> None:
        super().__init__(f"{path}: {complaint}" if path else complaint)
        self.path = path
        self.complaint = complaint


class _Text(str):
    """A scalar from the environment; which type it is, its setting decides."""

    __slots__ = ()


class Reader:
    """Builds one tree, and goes on after a mistake, so that all of them are told at once.

    Attributes:
        faults: What was wrong, in the order of the settings.
    """

    def __init__(self) -> None:
        self.faults: list[ConfigError] = []

    def read(
        self, kind: type[StructT], path: Path | None, environ: Mapping[str, str]
    ) -> StructT | None:
        """Build *kind* from the file at *path* (``None``: no file) and *environ*.

        Returns:
            The tree; ``None`` when there is a fault.
        """
        tree = self._file_tree(path) if path else {}
        self._overlay(tree, environ)
        built = self._table(kind, tree, None, "")
        return None if self.faults else built

    def _fault(self, path: str, complaint: str) -> None:
        self.faults.append(ConfigError(path, complaint))

    def _file_tree(self, path: Path) -> Tree:
        """Parse the TOML file; an empty tree and a fault when it is none."""
        text = self._file_text(path, "")
        try:
            return tomllib.loads(text)
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            self._fault("", f"{path} is not TOML: {error}")
            return {}

    def _file_text(self, path: Path, setting: str) -> str:
        """Read a settings or secrets file; empty and a fault when that fails."""
        try:
            with path.open("rb") as file:
                content = file.read(FILE_BYTES_MAX + 1)
            if len(content) <= FILE_BYTES_MAX:
                return content.decode()
            self._fault(setting, f"{path} is larger than {FILE_BYTES_MAX} bytes")
        except (OSError, ValueError) as error:  # ValueError: not UTF-8, or a NUL in the path
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            self._fault(setting, f"cannot read {path}: {reason}")
        return ""

    def _overlay(self, tree: Tree, environ: Mapping[str, str]) -> None:
        """Put the environment's values over the file's; a table before its members."""
        for name in sorted(environ):
            keys = name.removeprefix(PREFIX).lower().split(SEPARATOR)
            if not name.startswith(PREFIX) or len(keys) == 1:
                continue
            text = environ[name]
            if keys[-1].endswith(FILE_SUFFIX):
                keys[-1] = keys[-1].removesuffix(FILE_SUFFIX)
                text = self._file_text(Path(text), ".".join(keys)).rstrip("\r\n")
            self._put(tree, keys, text)

    def _put(self, tree: Tree, keys: list[str], text: str) -> None:
        """Set one value deep in *tree*, making the tables on the way."""
        try:
            text.encode()  # what is not UTF-8 comes from the system as lone surrogates
        except UnicodeEncodeError:
            self._fault(".".join(keys), "is not UTF-8 text")
            return
        node = tree
        for depth, key in enumerate(keys[:-1], start=1):
            below = node.setdefault(key, {})
            if not isinstance(below, dict):
                self._fault(
                    ".".join(keys[:depth]), "is no table, but a variable names a member"
                )
                return
            node = cast("Tree", below)
        _merge(node, keys[-1], _decode(text))

    def _table(
        self, kind: type[StructT], raw: object, base: StructT | None, path: str
    ) -> StructT | None:
        """Build one section; what *raw* leaves out comes from *base*, where there is one."""
        if not isinstance(raw, dict):
            self._fault(path, "must be a table")
            return None
        fields = {field.name: field for field in msgspec.structs.fields(kind)}
        values: Tree = {}
        for name, given in cast("Tree", raw).items():
            here = f"{path}.{name}" if path else name
            if field := fields.get(name):
                default = getattr(base, name) if base else field.default
                values[name] = self._value(field.type, given, default, here)
            else:
                self._fault(here, _unknown(name, fields))
        for field in fields.values():
            if field.required and not base and field.name not in values:
                self._fault(f"{path}.{field.name}", "is required")
        if self.faults:
            return None
        return msgspec.structs.replace(base, **values) if base else kind(**values)

    def _value(self, annotation: Any, raw: object, default: object, path: str) -> object:
        """Build one field's value; ``None`` and a fault when it does not fit."""
        choices = get_args(annotation)
        if _is_absence(raw) and NoneType in choices:
            return None
        if section := _section(annotation, *choices):
            if get_origin(annotation) is not tuple:
                base = default if isinstance(default, section) else None
                return self._table(section, raw, base, path)
            if isinstance(raw, list):
                each = enumerate(cast("list[object]", raw))
                return tuple(self._table(section, row, None, f"{path}[{n}]") for n, row in each)
        if get_origin(annotation) is dict and isinstance(raw, dict):
            rows = cast("Tree", raw).items()
            return {key: self._leaf(choices[1], value, f"{path}.{key}") for key, value in rows}
        return self._leaf(annotation, raw, path)

    def _leaf(self, annotation: Any, raw: object, path: str) -> object:
        """Build a value without members."""
        if annotation == Size and isinstance(raw, str):
            size = _SIZE.fullmatch(raw)
            if size is None:
                self._fault(path, "use bytes, or KiB, MiB, GiB")
                return None
            raw = int(size[1]) * _UNITS[size[2]]
        try:
            if isinstance(raw, _Text):
                # As a plain string: msgspec writes no subclass of it, and a name ends there.
                return msgspec.convert(str(raw), annotation, strict=False)
            return msgspec.convert(raw, annotation)
        except msgspec.ValidationError as error:
            named = [name for choice in get_args(annotation) for name in get_args(choice)]
            said = str(error).replace("`", "")
            is_quote = said.startswith("Invalid enum value")
            self._fault(path, f"must be one of {', '.join(named)}" if is_quote else said)
            return None


def _section(*annotations: Any) -> type[msgspec.Struct] | None:
    """The table a field holds, be it alone, in a list, or beside ``None``."""
    for annotation in annotations:
        if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
            return annotation
    return None


def _is_absence(raw: object) -> bool:
    return raw is None or raw is False or (isinstance(raw, _Text) and raw in _ABSENCES)


def _unknown(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"unknown setting; did you mean {close[0]}?" if close else "unknown setting"


def _decode(text: str) -> object:
    """Read a variable: JSON when it looks like a table or a list, else its setting decides."""
    if text.startswith(("{", "[")):
        try:
            return msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            pass  # an address such as [::1], or a mistake: the setting's type tells
    return _Text(text)


def _merge(tree: Tree, key: str, value: object) -> None:
    """Set *key*; two tables are merged, key by key."""
    if isinstance(value, dict) and isinstance(tree.get(key), dict):
        for name, below in cast("Tree", value).items():
            _merge(tree[key], name, below)
    else:
        tree[key] = value
