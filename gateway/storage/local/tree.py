"""A directory tree that nothing leads out of: no `..`, no symbolic link, no race. Blocking."""

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from gateway.errors import UNREADABLE, NotFoundError, UpstreamError
from gateway.http.target import RESERVED

_ABSENT = frozenset(
    {
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.ENAMETOOLONG,
        errno.ELOOP,
        errno.ENXIO,
        errno.EACCES,
        errno.EPERM,
    }
)
_REFUSED = frozenset({errno.EACCES, errno.EPERM})
# The prefix of files that are being written. Because of the dot, no key leads to them.
TEMPORARY = ".gateway-upload-"
# O_NONBLOCK, so that a pipe without a writer does not block the thread.
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
# The errors of `O_NOFOLLOW`, and of `O_DIRECTORY` with it, for a link.
_MAYBE_A_LINK = frozenset({errno.ELOOP, errno.ENOTDIR})
_MAX_PATH = 4096  # the system's limit for one path
_NOT_OPEN = -1
# At the top of a file system, for its repair tools: readable by root only.
_LOST_FOUND = "lost+found"


class Tree:
    """The files below `root`, by names relative to it."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    def open(self, names: Sequence[str], *, directory: bool = False) -> int:
        """Opens what the names lead to. Follows symbolic links that stay below the root.

        Raises NotFoundError if there is nothing to read, UpstreamError if the root itself can't be opened.
        """
        if not all(is_name(name) for name in names) or sum(map(len, names)) + len(names) > _MAX_PATH:
            raise NotFoundError("no file has such a name")
        real_root = os.path.realpath(self.root)
        root = self._open_root(real_root)
        try:
            try:
                return _descend(root, names, directory=directory)
            except OSError as error:
                if error.errno not in _MAYBE_A_LINK:
                    raise
            inner = _resolved(real_root, names)
            if not RESERVED.isdisjoint(inner) and RESERVED.isdisjoint(names):
                raise NotFoundError("a link leads to what the gateway keeps for itself")  # no client may ask for that
            return _descend(root, inner, directory=directory)
        except OSError as error:
            if error.errno not in _ABSENT:
                raise UpstreamError(f"a file can't be opened: {error.strerror}", code="FileSystem") from error
            raise NotFoundError(str(error), code=UNREADABLE if error.errno in _REFUSED else None) from error
        except ValueError as error:  # not below the root
            raise NotFoundError(str(error)) from error
        finally:
            os.close(root)

    def children(self, names: Sequence[str], limit: int | None = None, after: str = "") -> "Entries":
        """The files and the directories right below what the names lead to, the first `limit` in S3's order that come
        `after` a name in it.

        A link that leads to nothing served counts as an empty directory: its name is taken. Raises UpstreamError.
        """
        try:
            descriptor = self.open(names, directory=True)
        except NotFoundError:
            return Entries([], [], True, absent=True)
        files, folders = [], []
        try:
            entries, blank = self._entries(descriptor, names)
            entries = [entry for entry in entries if entry.order > os.fsencode(after)] if after else entries
            for entry in entries[:limit]:
                if entry.is_directory:
                    folders.append(entry.name)
                elif (info := entry.stat(descriptor)) is not None:
                    files.append((entry.name, info))
        finally:
            os.close(descriptor)
        return Entries(files, folders, blank, more=limit is not None and len(entries) > limit)

    def walk(self, prefix: str = "", missed: list[str] | None = None) -> Iterator[tuple[str, os.stat_result]]:
        """Files whose paths start with `prefix`, in the order of their UTF-8 bytes, which is S3's.

        Goes into linked directories, and from there into each other one once: so it ends. Raises UpstreamError, also if
        the root is another directory in the end, as when a volume goes: half of its files are not all of them. The
        paths of what is there and can't be looked at are added to `missed`.
        """
        return self._walk(prefix, missed if missed is not None else [], self._identity())

    def _walk(self, prefix: str, missed: list[str], identity: tuple[int, int]) -> Iterator[tuple[str, os.stat_result]]:
        """Uses no recursion, and no open descriptor for each directory on the way: trees may have any depth."""
        levels = [self._level(prefix.split("/")[:-1], prefix, None)]
        while levels:
            found = next(levels[-1], None)
            if found is None:
                levels.pop()
            elif isinstance(found, _Missed):
                if found.path != _LOST_FOUND and self._may_be_there(found.path):
                    missed.append(found.path)
            elif isinstance(found, _Below):
                levels.append(self._level(found.names, prefix, found.entered))
            else:
                yield found
        if self._identity() != identity:
            raise UpstreamError(f"directory {self.root} was replaced while it was listed", code="FileSystem")

    def _identity(self) -> tuple[int, int]:
        """Tells the root from another directory in its place. Raises UpstreamError if there is none."""
        descriptor = self._open_root(os.path.realpath(self.root))
        try:
            info = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        return info.st_dev, info.st_ino

    def _level(
        self, names: Sequence[str], prefix: str, entered: set[tuple[int, int]] | None
    ) -> Iterator["tuple[str, os.stat_result] | _Below | _Missed"]:
        """The files of one directory, and in between the directories in it, and what it can't look at.

        `entered` are the directories that links have led to since the first one; None before it.
        """
        descriptor = _NOT_OPEN
        try:
            descriptor = self.open(names, directory=True)
            for entry in self._entries(descriptor, names)[0]:
                inner = [*names, entry.name]
                path = "/".join(inner)
                if not entry.is_directory:
                    if path.startswith(prefix):
                        if descriptor == _NOT_OPEN:
                            descriptor = self.open(names, directory=True)
                        info = entry.stat(descriptor)
                        yield (path, info) if info is not None else _Missed(path)
                elif f"{path}/".startswith(prefix):
                    beyond = entered
                    if entry.target is not None:
                        identity = entry.target.st_dev, entry.target.st_ino
                        if identity in (beyond := set() if beyond is None else beyond):
                            continue
                        beyond.add(identity)
                    if descriptor != _NOT_OPEN:
                        os.close(descriptor)
                        descriptor = _NOT_OPEN
                    yield _Below(inner, beyond)
        except NotFoundError:
            yield _Missed("/".join(names))
        finally:
            if descriptor != _NOT_OPEN:
                os.close(descriptor)

    def _entries(self, descriptor: int, names: Sequence[str]) -> tuple[list["_Entry"], bool]:
        """What a key may lead to in an open directory, in S3's order; and whether there is nothing else either."""
        found, blank = [], True
        try:
            with os.scandir(descriptor) as entries:
                for entry in entries:
                    blank = blank and (entry.name in RESERVED or entry.name.startswith(TEMPORARY))
                    if not is_name(entry.name) or not _is_text(entry.name):
                        continue
                    is_link = entry.is_symlink()
                    target = self._target([*names, entry.name]) if is_link else None
                    mode = target.st_mode if target is not None else 0
                    if entry.is_dir(follow_symlinks=False) or stat.S_ISDIR(mode) or (is_link and target is None):
                        found.append(_Entry(entry.name, True, target))
                    elif entry.is_file(follow_symlinks=False) or stat.S_ISREG(mode):
                        found.append(_Entry(entry.name, False, target))
        except OSError as error:
            raise UpstreamError(f"a directory can't be read: {error.strerror}", code="FileSystem") from error
        return sorted(found, key=lambda entry: entry.order), blank

    def _target(self, names: Sequence[str]) -> os.stat_result | None:
        """The target of a symbolic link, if it is served."""
        try:
            descriptor = self.open(names)
        except NotFoundError:
            return None
        try:
            return os.fstat(descriptor)
        finally:
            os.close(descriptor)

    def _may_be_there(self, path: str) -> bool:
        try:
            os.lstat(os.path.join(self.root, path))
        except OSError as error:
            return error.errno not in (errno.ENOENT, errno.ENOTDIR)
        return True

    def _open_root(self, real_root: str) -> int:
        try:
            return os.open(real_root, _READ | os.O_DIRECTORY)
        except OSError as error:
            what = f"directory {self.root} can't be opened ({error.strerror}): create it, or set storage.dir"
            raise UpstreamError(what, code="FileSystem") from error


class Entries(NamedTuple):
    """The files and directories of a directory, and whether others follow. It is blank if it is absent, or without any
    entry but the gateway's own, as the place of a volume that is not mounted."""

    files: list[tuple[str, os.stat_result]]
    folders: list[str]
    blank: bool
    more: bool = False
    absent: bool = False


@dataclass(frozen=True, slots=True)
class _Entry:
    """An entry of a directory; `target` describes the target of a link."""

    name: str
    is_directory: bool
    target: os.stat_result | None

    @property
    def order(self) -> bytes:
        """Sorts entries as S3 does."""
        return os.fsencode(self.name) + b"/" * self.is_directory

    def stat(self, directory: int) -> os.stat_result | None:
        """Calls stat in the open `directory`. Returns None if the entry has vanished or can't be read; raises
        UpstreamError."""
        if self.target is not None:
            return self.target
        try:
            return os.stat(self.name, dir_fd=directory, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _ABSENT:
                raise UpstreamError(f"a file can't be read: {error.strerror}", code="FileSystem") from error
            return None


@dataclass(frozen=True, slots=True)
class _Below:
    """A directory that a walk goes into next, and the directories that links have led to until there."""

    names: Sequence[str]
    entered: set[tuple[int, int]] | None


@dataclass(frozen=True, slots=True)
class _Missed:
    """An entry that has vanished, or that the gateway may not read."""

    path: str


def is_name(name: str) -> bool:
    """Whether a key may have this between its slashes. Files with a leading dot are private."""
    return name != "" and "\0" not in name and (name[0] != "." or name in RESERVED)


def _descend(root: int, names: Sequence[str], *, directory: bool) -> int:
    """One name after the other from the root's descriptor. Raises OSError if one is a link, also one that was put there
    this moment."""
    current = os.dup(root)
    try:
        for i, name in enumerate(names):
            kind = os.O_DIRECTORY if directory or i < len(names) - 1 else 0
            deeper = os.open(name, _READ | os.O_NOFOLLOW | kind, dir_fd=current)
            os.close(current)
            current = deeper
    except BaseException:
        os.close(current)
        raise
    return current


def _resolved(real_root: str, names: Sequence[str]) -> Sequence[str]:
    """The names below the root that these lead to, without links. Raises OSError where there is nothing, and ValueError
    if that is outside."""
    path = os.path.join(real_root, *names)
    # The system knows what is too long, too deep or behind too many links; `realpath` would follow all the way.
    os.stat(path)
    return Path(os.path.realpath(path)).relative_to(real_root).parts


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:  # a name that is not UTF-8 is no key
        return False
    return True
