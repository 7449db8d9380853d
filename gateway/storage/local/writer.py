"""Writes into a directory tree: files appear complete or not at all, and never outside the tree. Blocking."""

import errno
import fcntl
import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import Enum, auto
from pathlib import Path

from gateway.errors import BadRequestError, NotFoundError, PreconditionFailedError, UpstreamError
from gateway.storage.local.tree import TEMPORARY, is_name

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NOT_OPEN = -1
_ATTEMPTS = 100
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
# A file is locked within this time of its creation.
_ABANDONED_SECONDS = 60.0


class _Missing(Enum):
    """What becomes of a path whose directories are not all there."""

    CREATE = auto()
    FAIL = auto()  # with FileNotFoundError
    STOP = auto()  # at the last one that is there


class PendingFile:
    """A file that is written under a temporary name, in its final directory or, as long as that does not exist, in the
    nearest one above it: a project that has a directory is looked up nowhere else, be it empty. Callers end with
    `discard`.

    The file is locked while its writer lives, so that others recognise what a killed one has left.
    """

    def __init__(self, root: Path, names: Sequence[str]) -> None:
        self._root = root
        self._names = names
        self._temporary = TEMPORARY + secrets.token_hex(8)
        self._directory = _NOT_OPEN  # where it has its temporary name
        self._descriptor = _NOT_OPEN

    def open(self) -> str:
        """Returns which directory it is written in. Raises BadRequestError for names that no file can have,
        UpstreamError if the system refuses."""
        with _explained(self._names):
            for attempt in range(_ATTEMPTS):
                try:
                    self._directory = _directory(self._root, self._names[:-1], missing=_Missing.STOP)
                    self._descriptor = os.open(self._temporary, _NEW, 0o644, dir_fd=self._directory)
                except FileNotFoundError:
                    # A concurrent delete has just removed the empty directory.
                    self.discard()
                    if attempt == _ATTEMPTS - 1:
                        raise
                else:
                    break
            with suppress(OSError):  # not all file systems have locks
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            info = os.fstat(self._directory)
            return f"{info.st_dev}-{info.st_ino}"

    def sweep(self) -> None:
        """Removes from the directory what writers that were killed have left there."""
        with suppress(OSError):
            _sweep(self._directory)

    def write(self, chunk: bytes) -> None:
        with _explained(self._names):
            view = memoryview(chunk)
            while view:
                view = view[os.write(self._descriptor, view) :]

    def publish(
        self,
        *,
        only_new: bool,
        expected: Callable[[os.stat_result], bool] | None = None,
        modified: float | None = None,
    ) -> os.stat_result:
        """Renames the file to its final name atomically, and sets its time, in seconds since the epoch.

        Raises PreconditionFailedError if `only_new` and the file exists, or if no existing file is `expected`.
        """
        with _explained(self._names):
            if modified is not None:
                os.utime(self._descriptor, (modified, modified))
            os.fsync(self._descriptor)
            info = os.fstat(self._descriptor)
            for attempt in range(_ATTEMPTS):
                try:
                    self._name(only_new=only_new, expected=expected)
                except FileNotFoundError:
                    # A concurrent delete has just removed the directory, in which nothing was yet.
                    if attempt == _ATTEMPTS - 1:
                        raise
                else:
                    break
        return info

    def _name(self, *, only_new: bool, expected: Callable[[os.stat_result], bool] | None) -> None:
        """Gives it its name in its final directory, which is created if none has to be there already."""
        try:
            missing = _Missing.CREATE if expected is None else _Missing.FAIL
            directory = _directory(self._root, self._names[:-1], missing=missing)
        except FileNotFoundError as error:
            if expected is None:
                raise
            raise PreconditionFailedError(f"there is no {self._names[-1]} to replace") from error
        try:
            if only_new:
                self._link(directory)
            elif expected is not None:
                self._replace_expected(directory, expected)
            else:
                self._replace(directory)
            os.fsync(directory)
        finally:
            os.close(directory)

    def _replace_expected(self, directory: int, expected: Callable[[os.stat_result], bool]) -> None:
        """Locks the directory meanwhile: other comparisons wait until this file has its name. They wait in threads, so
        the lock must not need another thread to be released."""
        fcntl.flock(directory, fcntl.LOCK_EX)
        try:
            self._compare(directory, expected)
            self._replace(directory)
        finally:
            fcntl.flock(directory, fcntl.LOCK_UN)

    def _replace(self, directory: int) -> None:
        os.replace(self._temporary, self._names[-1], src_dir_fd=self._directory, dst_dir_fd=directory)

    def _compare(self, directory: int, expected: Callable[[os.stat_result], bool]) -> None:
        try:
            info = os.stat(self._names[-1], dir_fd=directory)
        except FileNotFoundError as error:
            raise PreconditionFailedError(f"there is no {self._names[-1]} to replace") from error
        if not expected(info):
            raise PreconditionFailedError(f"{self._names[-1]} is another one now")

    def discard(self) -> None:
        """Closes the file, and removes it if it was not published."""
        if self._descriptor != _NOT_OPEN:
            os.close(self._descriptor)
            with suppress(FileNotFoundError):
                os.unlink(self._temporary, dir_fd=self._directory)
        if self._directory != _NOT_OPEN:
            os.close(self._directory)
        self._directory = self._descriptor = _NOT_OPEN

    def _link(self, directory: int) -> None:
        try:
            os.link(
                self._temporary,
                self._names[-1],
                src_dir_fd=self._directory,
                dst_dir_fd=directory,
                follow_symlinks=False,
            )
        except FileExistsError as error:
            raise PreconditionFailedError(f"{self._names[-1]} exists already") from error


def remove_abandoned(root: Path, names: Sequence[str]) -> None:
    """Removes a file that a killed writer has left. Raises UpstreamError if its writer lives, or may live."""
    with _explained(names[:-1]):
        try:
            directory = _directory(root, names[:-1], missing=_Missing.FAIL)
        except FileNotFoundError:
            return
        try:
            os.stat(names[-1], dir_fd=directory, follow_symlinks=False)
            if not _is_abandoned(names[-1], directory):
                raise UpstreamError(f"{'/'.join(names)} is being written", code="FileSystem")
            os.unlink(names[-1], dir_fd=directory)
        except FileNotFoundError:
            pass  # it has been published, or removed
        finally:
            os.close(directory)


def _sweep(directory: int) -> None:
    """Removes what writers that were killed have left in a directory. Raises OSError."""
    with os.scandir(directory) as entries:
        left = [entry.name for entry in entries if entry.name.startswith(TEMPORARY)]
    for name in left:
        if _is_abandoned(name, directory):
            os.unlink(name, dir_fd=directory)


def _is_abandoned(name: str, directory: int) -> bool:
    try:
        descriptor = os.open(name, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    except OSError:
        return False
    try:
        if time.time() - os.fstat(descriptor).st_ctime < _ABANDONED_SECONDS:
            return False
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def remove(root: Path, names: Sequence[str]) -> None:
    """Removes a file and the directories that it leaves empty: as in a bucket, none exists without an object."""
    with _explained(names):
        try:
            directory = _directory(root, names[:-1], missing=_Missing.FAIL)
        except FileNotFoundError:
            return
        try:
            os.unlink(names[-1], dir_fd=directory)
        except FileNotFoundError:
            pass
        finally:
            os.close(directory)
        for depth in range(len(names) - 1, 0, -1):
            try:
                parent = _directory(root, names[: depth - 1], missing=_Missing.FAIL)
            except FileNotFoundError:
                return  # another delete has removed it
            try:
                _remove_empty(names[depth - 1], parent)
            except OSError:
                return  # not empty, gone already, or a link
            finally:
                os.close(parent)


def _remove_empty(name: str, parent: int) -> None:
    """Removes a directory in which there is nothing, or only what killed writers have left. Raises OSError."""
    try:
        os.rmdir(name, dir_fd=parent)
    except OSError as error:
        if error.errno != errno.ENOTEMPTY:
            raise
        directory = os.open(name, _DIRECTORY, dir_fd=parent)
        try:
            with os.scandir(directory) as entries:
                if not all(entry.name.startswith(TEMPORARY) for entry in entries):
                    raise
            _sweep(directory)
        finally:
            os.close(directory)
        os.rmdir(name, dir_fd=parent)


def _directory(root: Path, names: Sequence[str], *, missing: _Missing) -> int:
    """Opens a directory below the root. Follows links that stay below the root, as reading does."""
    real_root = os.path.realpath(root)
    inner = Path(os.path.realpath(os.path.join(real_root, *names))).relative_to(real_root).parts
    current = os.open(real_root, _DIRECTORY)
    try:
        for name in inner:
            if missing is _Missing.CREATE:
                with suppress(FileExistsError):
                    os.mkdir(name, dir_fd=current)
            try:
                deeper = os.open(name, _DIRECTORY, dir_fd=current)
            except FileNotFoundError:
                if missing is _Missing.STOP:
                    break
                raise
            os.close(current)
            current = deeper
    except BaseException:
        os.close(current)
        raise
    return current


@contextmanager
def _explained(names: Sequence[str]) -> Iterator[None]:
    """Converts errors of the system to GatewayErrors."""
    if not all(is_name(name) for name in names):
        raise BadRequestError("no file can have such a name", public="No file can have such a name")
    try:
        yield
    except ValueError as error:  # not below the root
        raise NotFoundError(str(error)) from error
    except OSError as error:
        raise UpstreamError(f"{'/'.join(names)} can't be written: {error.strerror}", code="FileSystem") from error
