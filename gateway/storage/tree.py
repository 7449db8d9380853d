"""A directory tree that nothing leads out of: no `..`, no symbolic link, no race. Blocking."""

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from gateway.errors import NotFoundError, UpstreamError

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
# What files are called while they are written; neither read nor listed.
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
            # One name after the other from the root's descriptor: a link put there meanwhile is refused.
            for i, name in enumerate(inner):
                last = i == len(inner) - 1
                kind = os.O_DIRECTORY if directory or not last else 0
                deeper = os.open(name, _READ | os.O_NOFOLLOW | kind, dir_fd=current)
                os.close(current)
                current = deeper
            return current
        except (OSError, ValueError) as error:  # ValueError: not below the root
            os.close(current)
            if isinstance(error, OSError) and error.errno not in _ABSENT:
                raise UpstreamError(f"a file can't be opened: {error.strerror}", code="FileSystem") from error
            raise NotFoundError(str(error)) from error

    def children(self, names: Sequence[str]) -> tuple[list[tuple[str, os.stat_result]], list[str]]:
        """The files and the directories right below what the names lead to, in the order of their UTF-8 bytes.

        Raises UpstreamError if the root can't be read; what is not there is empty.
        """
        try:
            descriptor = self.open(names, directory=True)
        except NotFoundError:
            return [], []
        files, folders = [], []
        try:
            with os.scandir(descriptor) as entries:
                for entry in sorted(entries, key=lambda entry: os.fsencode(entry.name)):
                    if not is_name(entry.name) or not _is_text(entry.name) or entry.is_symlink():
                        continue
                    if entry.is_dir():
                        folders.append(entry.name)
                    elif entry.is_file():
                        with suppress(FileNotFoundError):
                            files.append((entry.name, entry.stat()))
        finally:
            os.close(descriptor)
        return files, folders

    def walk(self, prefix: str = "") -> Iterator[tuple[str, os.stat_result]]:
        """Files whose paths start with `prefix`, in the order of their UTF-8 bytes, which is S3's.

        Does not go into linked directories, so it ends.
        """
        real_root = os.path.realpath(self.root)
        os.close(self._open_root(real_root))
        yield from _walk(real_root, prefix.rpartition("/")[0], prefix)

    def _open_root(self, real_root: str) -> int:
        try:
            return os.open(real_root, _READ | os.O_DIRECTORY)
        except OSError as error:
            what = f"directory {self.root} can't be opened ({error.strerror}): create it, or set storage.dir"
            raise UpstreamError(what, code="FileSystem") from error


def _walk(real_root: str, directory: str, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
    try:
        with os.scandir(os.path.join(real_root, directory)) as scanned:
            entries = [(entry, entry.is_dir(follow_symlinks=False)) for entry in scanned]
    except OSError:
        return  # gone meanwhile, or not ours to read
    before = directory + "/" if directory else ""
    for entry, is_directory in sorted(entries, key=lambda item: os.fsencode(item[0].name) + b"/" * item[1]):
        path = before + entry.name
        if is_directory:
            if (path + "/").startswith(prefix) or prefix.startswith(path + "/"):
                yield from _walk(real_root, path, prefix)
        elif path.startswith(prefix) and _is_text(path) and is_name(entry.name):
            try:
                inside = not entry.is_symlink() or os.path.realpath(entry.path).startswith(real_root + os.sep)
                if inside and entry.is_file():
                    yield path, entry.stat()
            except OSError:
                continue


def is_name(name: str) -> bool:
    """Whether a key may have this between its slashes."""
    return name not in ("", ".", "..") and "\0" not in name and not name.startswith(TEMPORARY)


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:  # a name that is not UTF-8 is no key
        return False
    return True
