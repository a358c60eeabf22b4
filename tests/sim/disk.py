"""A file system with a page cache, in memory: what is synced stays, the rest is a matter of luck.

Theory of operation
-------------------
A file has two contents: what readers see (the cache) and what the platter holds. Writing makes
pages dirty; a sync puts them down. A sync that fails puts some of them down, and all of them
count as clean: the next one would report success. A directory has names as they are seen, and
as they are on the platter, and the changes between the two in their order.

A *kill* ends a process: the cache stays. A *power loss* ends the cache, too: of each file any
of the dirty pages is new, old or torn, and its size is the old one, the new one or one between;
of each directory's changes a prefix has happened. Directories are independent of each other,
and of their files: weaker than ext4, whose one journal orders all names.

``overwrite`` writes through, as production's does with ``O_DSYNC``: when it is cut short, the
platter holds a prefix.

Source: Pillai et al., All File Systems Are Not Created Equal (OSDI 2014), §3; Rebello et al.,
Can Applications Recover from fsync Failures? (USENIX ATC 2020), §3.
"""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Final

from typing_extensions import override

from edge.shell.spool.disk import Disk, Output
from tests.sim.chance import Chance

PAGE_BYTES: Final = 256
"""Small, so that one record has several pages, and one page some of two records."""

_CALLS_MAX: Final = 10_000
"""In one step: ten times as many as any of some thousand seeds has needed."""

_TORN: Final = 3
"""Ways of a dirty page at a power loss: old, new, torn in the middle."""


class Violation(BaseException):
    """A rule was broken; no ``except Exception`` on the way may hide it."""


class Cut(BaseException):
    """The process ends in this very call."""


class Node:
    """One file.

    Attributes:
        cached: What a reader sees.
        durable: What the platter holds.
        dirty: Pages of the cache that the next sync puts down.
        lost: Where the platter cannot be read any more: start and end.
    """

    __slots__ = ("_page_bytes", "cached", "dirty", "durable", "lost")

    def __init__(self, page_bytes: int) -> None:
        self._page_bytes = page_bytes
        self.cached = bytearray()
        self.durable = bytearray()
        self.dirty: set[int] = set()
        self.lost: list[tuple[int, int]] = []

    def append(self, content: bytes) -> None:
        """Write behind the end, into the cache."""
        start = len(self.cached)
        self.cached += content
        self.dirty.update(
            range(start // self._page_bytes, -(-len(self.cached) // self._page_bytes))
        )

    def save(self) -> None:
        """Sync."""
        self._size(len(self.cached))
        for page in self.dirty:
            self._put(page)
        self.dirty.clear()

    def drop(self, chance: Chance) -> None:
        """Fail to sync: some pages reach the platter, none is dirty afterwards."""
        if chance.below(2):
            self._size(len(self.cached))
            for page in sorted(self.dirty):
                if chance.below(2):
                    self._put(page)
        self.dirty.clear()

    def flip(self, at: int, mask: int) -> None:
        """Rot: change bits, in the cache and on the platter."""
        for content in (self.cached, self.durable):
            if at < len(content):
                content[at] ^= mask

    def forget(self) -> None:
        """Lose the clean pages from the cache: a reader sees the platter again."""
        if not self.dirty:
            size = len(self.cached)
            self.cached[:] = self.durable[:size].ljust(size, b"\0")

    def crash(self, chance: Chance) -> None:
        """Lose the power."""
        size = len(self.durable)
        if len(self.cached) < size:
            if chance.below(2):
                self._size(len(self.cached))
        elif self.dirty or len(self.cached) > size:
            ends = range(
                -(-(size + 1) // self._page_bytes) * self._page_bytes,
                len(self.cached),
                self._page_bytes,
            )
            sizes = [size, len(self.cached), *ends]
            self._size(sizes[chance.below(len(sizes))])
            for page in sorted(self.dirty):
                if page * self._page_bytes < len(self.durable):
                    self._settle(page, chance.below(_TORN))
        self.dirty.clear()
        self.cached[:] = self.durable

    def _size(self, size: int) -> None:
        del self.durable[size:]
        self.durable.extend(bytes(size - len(self.durable)))

    def _put(self, page: int) -> None:
        self._settle(page, 1)

    def _settle(self, page: int, way: int) -> None:
        """Put a page down: not at all, whole, or its first half."""
        start = page * self._page_bytes
        end = min(start + (0, self._page_bytes, self._page_bytes // 2)[way], len(self.durable))
        self.durable[start:end] = self.cached[start:end]


Changes = list[tuple[str, Node | None]]
Before = Callable[[str, Path], OSError | None]


class SimDisk(Disk):
    """A file system in memory. Directories are everywhere.

    Args:
        chance: What a failure or a crash leaves.
        page_bytes: What the cache is made of.

    Attributes:
        before: Asked before each call, with its name and path; what it returns is raised, and
            the call fails as a disk's would. Its ``Cut`` ends the process in the call.
        after_unlink: Shown a file's path and content when it was removed.
        capacity: Bytes that all files together may take; ``None``: any.
        calls: How many there were since somebody set it to zero.
    """

    def __init__(self, chance: Chance, page_bytes: int = PAGE_BYTES) -> None:
        self._page_bytes = page_bytes
        self.before: Before = lambda _call, _path: None
        self.after_unlink: Callable[[Path, bytes], None] = lambda _path, _content: None
        self.capacity: int | None = None
        self.calls = 0
        self._chance = chance
        self._names: dict[str, dict[str, Node]] = {}
        self._durable_names: dict[str, dict[str, Node]] = {}
        self._changes: dict[str, list[Changes]] = {}

    def crash(self) -> None:
        """Lose the power."""
        for directory, changes in sorted(self._changes.items()):
            for change in changes[: self._chance.below(len(changes) + 1)]:
                self._apply(directory, change)
        self._changes.clear()
        for directory, durable in self._durable_names.items():
            self._names[directory] = dict(durable)
            for _, node in sorted(durable.items()):
                node.crash(self._chance)
        for directory in self._names.keys() - self._durable_names.keys():
            self._names[directory] = {}

    def forget(self) -> None:
        """Run short of memory: the cache keeps only what is dirty."""
        for names in self._names.values():
            for node in names.values():
                node.forget()

    def nodes(self, directory: Path, suffix: str) -> dict[str, Node]:
        """Give the files of a directory whose names end so, in their order."""
        names = self._names.get(str(directory), {})
        return {name: names[name] for name in sorted(names) if name.endswith(suffix)}

    def sealed(self, directory: Path) -> list[Node]:
        """Give the segments whose successor has its name on the platter."""
        durable = self._durable_names.get(str(directory), {})
        return [durable[name] for name in sorted(durable) if name.endswith(".seg")][:-1]

    def holds(self, directory: Path, content: bytes) -> bool:
        """Whether the platter has *content* in a file that has its name there."""
        durable = self._durable_names.get(str(directory), {})
        return any(content in node.durable for node in durable.values())

    def durable(self, path: Path) -> bytes:
        """What the platter has of a file."""
        node = self._durable_names.get(str(path.parent), {}).get(path.name)
        return bytes(node.durable) if node else b""

    @property
    def used(self) -> int:
        """Bytes of all files."""
        files = (node for names in self._names.values() for node in names.values())
        return sum(len(node.cached) for node in files)

    @property
    def free(self) -> int:
        """Bytes left."""
        return 1 << 40 if self.capacity is None else self.capacity - self.used

    @override
    def make_directory(self, path: Path) -> None:
        """Nothing to do."""
        self.check("make_directory", path)

    @override
    def files(self, directory: Path) -> dict[str, int]:
        """As they are seen."""
        self.check("files", directory)
        names = self._names.get(str(directory), {})
        return {name: len(node.cached) for name, node in names.items()}

    @override
    def read(self, path: Path, offset: int, size: int) -> bytes:
        """As it is seen; a lost part fails the whole call."""
        self.check("read", path)
        node = self._node(path)
        if any(start < offset + size and offset < end for start, end in node.lost):
            raise OSError(errno.EIO, "lost")
        return bytes(node.cached[offset : offset + size])

    @override
    def create(self, path: Path) -> Output:
        """Begin a file anew."""
        self.check("create", path)
        node = Node(self._page_bytes)
        self._change(str(path.parent), [(path.name, node)])
        return SimOutput(self, path, node, self._chance)

    @override
    def write_unsynced(self, path: Path, content: bytes) -> None:
        """Make a file in the cache; what fails, or is cut, leaves a prefix."""
        node = Node(self._page_bytes)
        try:
            self.check("write_unsynced", path)
        except (OSError, Cut):
            content = content[: self._chance.part(len(content))]
            raise
        finally:
            room = max(0, self.free)
            self._change(str(path.parent), [(path.name, node)])
            node.append(content[:room])
        if room < len(content):
            raise OSError(errno.ENOSPC, "full")

    @override
    def overwrite(self, path: Path, offset: int, content: bytes) -> None:
        """Write through; what fails, or is cut, leaves a prefix."""
        node = self._node(path)
        assert offset + len(content) <= len(node.cached), "it would need room"
        try:
            self.check("overwrite", path)
        except (OSError, Cut) as error:
            torn = content[: self._chance.part(len(content))]
            node.durable[offset : offset + len(torn)] = torn
            seen = content if isinstance(error, OSError) else torn
            node.cached[offset : offset + len(seen)] = seen
            raise
        node.cached[offset : offset + len(content)] = content
        node.durable[offset : offset + len(content)] = content

    @override
    def rename(self, source: Path, target: Path) -> None:
        """Change a name; at once, or not at all."""
        self.check("rename", source)
        assert source.parent == target.parent, "within one directory"
        node = self._node(source)
        self._change(str(source.parent), [(source.name, None), (target.name, node)])

    @override
    def unlink(self, path: Path) -> None:
        """Remove a name."""
        self.check("unlink", path)
        node = self._node(path)
        self._change(str(path.parent), [(path.name, None)])
        self.after_unlink(path, bytes(node.cached))

    @override
    def resize(self, path: Path, size: int) -> None:
        """Change a size in the cache; a full disk reserves what it can, and fails."""
        self.check("resize", path)
        node = self._names.get(str(path.parent), {}).get(path.name)
        if node is None:
            node = Node(self._page_bytes)
            self._change(str(path.parent), [(path.name, node)])
        wanted = size - len(node.cached)
        room = min(wanted, max(0, self.free)) if wanted > 0 else 0
        node.cached.extend(bytes(room))
        del node.cached[max(size, 0) :]
        if room < wanted:
            raise OSError(errno.ENOSPC, "full")

    @override
    def sync_directory(self, path: Path) -> None:
        """Put the changes of names down."""
        self.check("sync_directory", path)
        for change in self._changes.pop(str(path), []):
            self._apply(str(path), change)

    def check(self, call: str, path: Path) -> None:
        """Count a call, and let it fail.

        Raises:
            Violation: There are so many that it will not end.
            OSError: As :attr:`before` says.
        """
        self.calls += 1
        if self.calls > _CALLS_MAX:
            raise Violation(f"{call} of {path.name}, and no end of calls")
        error = self.before(call, path)
        if error is not None:
            raise error

    def _node(self, path: Path) -> Node:
        try:
            return self._names[str(path.parent)][path.name]
        except KeyError:
            raise FileNotFoundError(errno.ENOENT, "no such file", str(path)) from None

    def _change(self, directory: str, change: Changes) -> None:
        self._changes.setdefault(directory, []).append(change)
        _rename(self._names.setdefault(directory, {}), change)

    def _apply(self, directory: str, change: Changes) -> None:
        _rename(self._durable_names.setdefault(directory, {}), change)


class SimOutput(Output):
    """One open file; it does not forgive who uses it after a failure."""

    def __init__(self, disk: SimDisk, path: Path, node: Node, chance: Chance) -> None:
        self._disk = disk
        self._path = path
        self._node = node
        self._chance = chance
        self._is_broken = False

    @override
    def write(self, content: bytes) -> None:
        """Append to the cache; what fails, or is cut, leaves a prefix."""
        self._suspect("written to")
        try:
            self._disk.check("write", self._path)
        except (OSError, Cut):
            self._is_broken = True
            self._node.append(content[: self._chance.part(len(content))])
            raise
        room = max(0, self._disk.free)
        self._node.append(content[:room])
        if room < len(content):
            self._is_broken = True
            raise OSError(errno.ENOSPC, "full")

    @override
    def sync(self) -> None:
        """Put the bytes down."""
        self._suspect("synced")
        try:
            self._disk.check("sync", self._path)
        except OSError:
            self._is_broken = True
            self._node.drop(self._chance)
            raise
        self._node.save()

    @override
    def close(self) -> None:
        """Nothing more may come."""
        self._is_broken = True

    def _suspect(self, what: str) -> None:
        if self._is_broken:
            raise Violation(f"{self._path.name} was {what} after it had failed, or was closed")


def _rename(names: dict[str, Node], change: Changes) -> None:
    for name, node in change:
        if node is None:
            names.pop(name, None)
        else:
            names[name] = node
