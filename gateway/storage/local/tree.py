"""A directory tree that nothing leads out of: no `..`, no symbolic link, no race. Blocking."""

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import NotFoundError, UpstreamError
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
# What files are called while they are written; no key leads to them, as the dot says.
TEMPORARY = ".gateway-upload-"
# A pipe without a writer must not hold the thread up.
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


class Tree:
    """The files below `root`, by names relative to it."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    def open(self, names: Sequence[str], *, directory: bool = False) -> int:
        """A descriptor of what the names lead to. Symbolic links count as far as they stay below the root.

        Raises NotFoundError where there is nothing to read, UpstreamError if the root itself can't be opened.
        """
        if not all(is_name(name) for name in names):
            raise NotFoundError("no file has such a name")
        real_root = os.path.realpath(self.root)
        current = self._open_root(real_root)
        try:
            real = os.path.realpath(os.path.join(real_root, *names))
            inner = Path(real).relative_to(real_root).parts
            if not RESERVED.isdisjoint(inner) and RESERVED.isdisjoint(names):
                raise NotFoundError("a link leads to what the gateway keeps for itself")  # no client may ask for that
            # One name after the other from the root's descriptor: a link put there meanwhile is refused.
            for i, name in enumerate(inner):
                last = i == len(inner) - 1
                kind = os.O_DIRECTORY if directory or not last else 0
                deeper = os.open(name, _READ | os.O_NOFOLLOW | kind, dir_fd=current)
                os.close(current)
                current = deeper
            return current
        except NotFoundError:
            os.close(current)
            raise
        except (OSError, ValueError) as error:  # ValueError: not below the root
            os.close(current)
            if isinstance(error, OSError) and error.errno not in _ABSENT:
                raise UpstreamError(f"a file can't be opened: {error.strerror}", code="FileSystem") from error
            raise NotFoundError(str(error)) from error

    def children(self, names: Sequence[str]) -> tuple[list[tuple[str, os.stat_result]], list[str], bool]:
        """The files and the directories right below what the names lead to, in S3's order; and whether it is blank:
        not there, or without any entry, hidden ones included, as the place of a volume that is not mounted.

        Raises UpstreamError if it can't be read.
        """
        try:
            descriptor = self.open(names, directory=True)
        except NotFoundError:
            return [], [], True
        files, folders = [], []
        try:
            entries, blank = self._entries(descriptor, names)
            for entry in entries:
                if entry.is_directory:
                    folders.append(entry.name)
                else:
                    with suppress(FileNotFoundError):
                        files.append((entry.name, entry.stat()))
        finally:
            os.close(descriptor)
        return files, folders, blank

    def walk(self, prefix: str = "") -> Iterator[tuple[str, os.stat_result]]:
        """Files whose paths start with `prefix`, in the order of their UTF-8 bytes, which is S3's.

        Goes into linked directories, and from there into each other one once: so it ends. Raises UpstreamError.
        """
        os.close(self._open_root(os.path.realpath(self.root)))
        return self._walk(prefix.split("/")[:-1], prefix, None)

    def _walk(
        self, names: Sequence[str], prefix: str, entered: set[tuple[int, int]] | None
    ) -> Iterator[tuple[str, os.stat_result]]:
        """`entered` are the directories that links have led to since the first one; None before it."""
        try:
            descriptor = self.open(names, directory=True)
        except NotFoundError:
            return  # gone meanwhile, or not ours to read
        try:
            for entry in self._entries(descriptor, names)[0]:
                inner = [*names, entry.name]
                path = "/".join(inner)
                if not entry.is_directory:
                    if path.startswith(prefix):
                        with suppress(FileNotFoundError):
                            yield path, entry.stat()
                elif f"{path}/".startswith(prefix):
                    beyond = entered
                    if entry.target is not None:
                        identity = entry.target.st_dev, entry.target.st_ino
                        if identity in (beyond := set() if beyond is None else beyond):
                            continue
                        beyond.add(identity)
                    yield from self._walk(inner, prefix, beyond)
        finally:
            os.close(descriptor)

    def _entries(self, descriptor: int, names: Sequence[str]) -> tuple[list["_Entry"], bool]:
        """What a key may lead to in an open directory, in S3's order; and whether there is nothing else either."""
        found, blank = [], True
        try:
            with os.scandir(descriptor) as entries:
                for entry in entries:
                    blank = False
                    if not is_name(entry.name) or not _is_text(entry.name):
                        continue
                    target = self._target([*names, entry.name]) if entry.is_symlink() else None
                    mode = target.st_mode if target is not None else 0
                    if entry.is_dir(follow_symlinks=False) or stat.S_ISDIR(mode):
                        found.append(_Entry(entry.name, True, entry, target))
                    elif entry.is_file(follow_symlinks=False) or stat.S_ISREG(mode):
                        found.append(_Entry(entry.name, False, entry, target))
        except OSError as error:
            raise UpstreamError(f"a directory can't be read: {error.strerror}", code="FileSystem") from error
        return sorted(found, key=lambda entry: os.fsencode(entry.name) + b"/" * entry.is_directory), blank

    def _target(self, names: Sequence[str]) -> os.stat_result | None:
        """What a symbolic link leads to, if it is served."""
        try:
            descriptor = self.open(names)
        except NotFoundError:
            return None
        try:
            return os.fstat(descriptor)
        finally:
            os.close(descriptor)

    def _open_root(self, real_root: str) -> int:
        try:
            return os.open(real_root, _READ | os.O_DIRECTORY)
        except OSError as error:
            what = f"directory {self.root} can't be opened ({error.strerror}): create it, or set storage.dir"
            raise UpstreamError(what, code="FileSystem") from error


@dataclass(frozen=True, slots=True)
class _Entry:
    """An entry of a directory; `target` is what a link leads to."""

    name: str
    is_directory: bool
    entry: "os.DirEntry[str]"
    target: os.stat_result | None

    def stat(self) -> os.stat_result:
        """While the directory is open. Raises FileNotFoundError if it has gone."""
        return self.target or self.entry.stat(follow_symlinks=False)


def is_name(name: str) -> bool:
    """Whether a key may have this between its slashes. Files with a dot in front are nobody's but their owner's."""
    return name != "" and "\0" not in name and (name[0] != "." or name in RESERVED)


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:  # a name that is not UTF-8 is no key
        return False
    return True
