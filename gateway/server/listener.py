"""Listening sockets: TCP or Unix."""

import contextlib
import resource
import socket
import stat
import sys
from pathlib import Path

from gateway.config.settings import ServerSettings

# The process's own files, and connections that have been accepted but not yet counted.
_RESERVED_DESCRIPTORS = 128
_DESCRIPTORS_PER_CLIENT = 2  # its connection, and one to the storage or a file


def bind(settings: ServerSettings) -> socket.socket:
    """The socket that the settings name. Raises OSError if it can't be bound."""
    if settings.unix_socket is not None:
        return bind_unix(settings.unix_socket)
    return bind_tcp(settings.host, settings.port)


def bind_tcp(host: str, port: int) -> socket.socket:
    """A bound TCP socket; port 0 takes any free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


def bind_unix(path: Path) -> socket.socket:
    """A bound Unix socket. Replaces one that a dead process has left behind, but not one that is in use."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISSOCK(path.stat().st_mode) and not _answers(path):
                path.unlink()
        listener.bind(str(path))
    except OSError:
        listener.close()
        raise
    return listener


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return False
        return True


def url_of(listener: socket.socket, *, tls: bool) -> str:
    """Where a client on this host reaches the socket, for the log."""
    if listener.family == socket.AF_UNIX:
        return f"unix:{listener.getsockname()}"
    host, port = listener.getsockname()[:2]
    return f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


def raise_descriptor_limit() -> int:
    """Allows as many open files as the system permits, and returns how many: the usual limit is 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):  # macOS refuses an unlimited one
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def connections_within(descriptors: int) -> int:
    """How many clients that many descriptors are enough for. Without one, nobody can be accepted, not even to take the
    place of an idle connection."""
    if descriptors == resource.RLIM_INFINITY:
        return sys.maxsize
    reserved = min(_RESERVED_DESCRIPTORS, descriptors // 2)
    return max((descriptors - reserved) // _DESCRIPTORS_PER_CLIENT, 1)
