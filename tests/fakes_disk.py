"""A disk with a page cache: it forgets what was not synced, tears, fills up, fails on demand.

What is written lands in the cache. A sync makes a file's bytes durable, a sync of a directory
its names. A failed sync drops the dirty pages but leaves them readable, as Linux does: a later
sync succeeds and saves zeros in their place. A crash keeps of everything unsynced a random
part: of names a prefix of the changes, of bytes any pages.
"""

import errno
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from typing_extensions import override

from edge.shell.spool.disk import Disk, Output

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE_BYTES = 64
"""Small, so that small files tear."""


@dataclass
class Node:
    """One file's bytes, in the cache and on the platter."""

    cached: bytearray = field(default_factory=bytearray)
    durable: bytearray = field(default_factory=bytearray)
    dropped: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])

    def save(self) -> None:
        """Make the cached bytes durable, except those that a failed sync has dropped."""
        saved = bytearray(self.cached)
        for start, end in self.dropped:
            saved[start:end] = bytes(len(saved[start:end]))
        self.durable = saved

    def drop(self) -> None:
        """Fail to make them durable; they stay readable and count as clean."""
        self.dropped.append((len(self.durable), len(self.cached)))

    def crash(self, random: Random) -> None:
        """Keep what was durable, unless it was cut off, and any part of the rest."""
        cut = len(self.cached) if random.random() < 0.5 else len(self.durable)
        kept = bytearray(self.durable[:cut])
        rest = self.cached[len(kept) :][: random.randint(0, len(self.cached))]
        for at in range(0, len(rest), PAGE_BYTES):
            page = rest[at : at + PAGE_BYTES]
            kept += page if random.random() < 0.5 else bytes(len(page))
        self.cached, self.durable, self.dropped = bytearray(kept), kept, []


@dataclass(frozen=True)
class Call:
    """One call, as a fault plan and the log see it."""

    name: str
    path: Path


def unreadable(code: int, path: Path) -> "Callable[[int, Call], OSError | None]":
    """Plan that no read of *path* works."""
    return lambda _index, call: OSError(code, "planned") if call == Call("read", path) else None


class FakeDisk(Disk):
    """A file system in memory.

    Attributes:
        calls: Every call, in order.
        plan: Asked before each call, with its index; an error that it returns is raised.
        capacity: Bytes that all files together may take.
        misuses: Files written or synced after that had failed.
    """

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.plan: Callable[[int, Call], OSError | None] = lambda _index, _call: None
        self.capacity = 1 << 40
        self.misuses: list[str] = []
        self.names: dict[Path, Node] = {}
        self._durable_names: dict[Path, Node] = {}
        self._changes: dict[Path, list[tuple[Path, Node | None]]] = {}

    def called(self, name: str, path: Path) -> OSError | None:
        """Log a call and tell whether it shall fail."""
        call = Call(name, path)
        self.calls.append(call)
        return self.plan(len(self.calls) - 1, call)

    @property
    def free(self) -> int:
        """Bytes left."""
        nodes = {id(node): node for node in self.names.values()}
        return self.capacity - sum(len(node.cached) for node in nodes.values())

    def crash(self, random: Random) -> None:
        """Cut the power: what was not synced survives by luck."""
        for changes in self._changes.values():
            for path, node in changes[: random.randint(0, len(changes))]:
                self._settle(path, node)
        self._changes = {}
        self.names = dict(self._durable_names)
        for node in self.names.values():
            node.crash(random)

    @override
    def make_directory(self, path: Path) -> None:
        """Directories are everywhere."""
        self._check("make_directory", path)

    @override
    def files(self, directory: Path) -> dict[str, int]:
        """List from the cache."""
        self._check("files", directory)
        return {p.name: len(n.cached) for p, n in self.names.items() if p.parent == directory}

    @override
    def read(self, path: Path, offset: int, size: int) -> bytes:
        """Read from the cache."""
        self._check("read", path)
        return bytes(self._node(path).cached[offset : offset + size])

    @override
    def create(self, path: Path) -> Output:
        """Begin a file anew."""
        self._check("create", path)
        node = Node()
        self._name(path, node)
        return FakeOutput(self, path, node)

    @override
    def write_unsynced(self, path: Path, content: bytes) -> None:
        """Fill the cache; a failure leaves a part of it, a crash any."""
        node = Node()
        self._name(path, node)
        error = self.called("write_unsynced", path)
        if len(content) > self.free:
            error = error or OSError(errno.ENOSPC, "full")
        node.cached += content if error is None else content[: len(content) * 2 // 3]
        if error is not None:
            raise error

    @override
    def overwrite(self, path: Path, offset: int, content: bytes) -> None:
        """Replace bytes; a failure tears them, and hides that until the next crash."""
        node = self._node(path)
        error = self.called("overwrite", path)
        assert offset + len(content) <= len(node.cached), "it would need room"
        node.cached[offset : offset + len(content)] = content
        if error is not None:
            torn = content[: len(content) * 2 // 3]
            node.durable[offset : offset + len(torn)] = torn
            raise error
        node.durable[offset : offset + len(content)] = content

    @override
    def rename(self, source: Path, target: Path) -> None:
        """Change names in the cache."""
        self._check("rename", source)
        node = self._node(source)
        self._name(source, None)
        self._name(target, node)

    @override
    def unlink(self, path: Path) -> None:
        """Remove a name from the cache."""
        self._check("unlink", path)
        self._node(path)
        self._name(path, None)

    @override
    def resize(self, path: Path, size: int) -> None:
        """Change a size in the cache; a full disk reserves what it can, and fails."""
        self._check("resize", path)
        node = self.names.get(path)
        if node is None:
            node = Node()
            self._name(path, node)
        wanted = size - len(node.cached)
        if wanted > self.free:
            node.cached.extend(bytes(max(0, self.free)))
            raise OSError(errno.ENOSPC, "full")
        node.cached.extend(bytes(max(0, wanted)))
        del node.cached[size:]

    @override
    def sync_directory(self, path: Path) -> None:
        """Make the names in it durable."""
        self._check("sync_directory", path)
        for changed, node in self._changes.pop(path, []):
            self._settle(changed, node)

    def _check(self, name: str, path: Path) -> None:
        error = self.called(name, path)
        if error is not None:
            raise error

    def _node(self, path: Path) -> Node:
        if path not in self.names:
            raise FileNotFoundError(errno.ENOENT, "no such file", str(path))
        return self.names[path]

    def _name(self, path: Path, node: Node | None) -> None:
        self._changes.setdefault(path.parent, []).append((path, node))
        if node is None:
            del self.names[path]
        else:
            self.names[path] = node

    def _settle(self, path: Path, node: Node | None) -> None:
        if node is None:
            self._durable_names.pop(path, None)
        else:
            self._durable_names[path] = node


class FakeOutput(Output):
    """One open file of a :class:`FakeDisk`; after a failure it lies, and tells on its user."""

    def __init__(self, disk: FakeDisk, path: Path, node: Node) -> None:
        self._disk = disk
        self._path = path
        self._node = node
        self._is_broken = False

    @override
    def write(self, content: bytes) -> None:
        """Append; a failure leaves a part of it."""
        self._suspect("written")
        error = self._disk.called("write", self._path)
        if len(content) > self._disk.free:
            content = content[: max(0, self._disk.free)]
            error = error or OSError(errno.ENOSPC, "full")
        if error is not None:
            self._is_broken = True
            self._node.cached += content[: len(content) * 2 // 3]
            raise error
        self._node.cached += content

    @override
    def sync(self) -> None:
        """Save the bytes, or drop them."""
        self._suspect("synced")
        error = self._disk.called("sync", self._path)
        if error is not None:
            self._is_broken = True
            self._node.drop()
            raise error
        self._node.save()

    @override
    def close(self) -> None:
        """Nothing more may come."""
        self._disk.called("close", self._path)
        self._is_broken = True

    def _suspect(self, what: str) -> None:
        if self._is_broken:
            self._disk.misuses.append(f"{self._path} {what} after a failure, or closed")
