"""The certificate with which the gateway serves TLS, as its files have it by now."""

import logging
import ssl
from pathlib import Path

from gateway.access.file_watch import FileWatch
from gateway.config.file_state import FileState, file_state
from gateway.errors import ConfigError, Problem
from gateway.executors import DISK

log = logging.getLogger("gateway")


class Certificates:
    """`context` is for new connections; those that are open keep theirs."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """Raises ConfigError if the two files don't make a pair."""
        self.files = certificate, key
        known = self._state()
        self.context = _context(certificate, key)
        self._watch = FileWatch(certificate, self._read, known, self._state)

    def start(self) -> None:
        """Follows the files from now on. While they don't make a pair, the former certificate stays."""
        self._watch.start()

    async def close(self) -> None:
        await self._watch.close()

    async def _read(self) -> None:
        try:
            self.context = await DISK.run(_context, *self.files)
        except ConfigError as error:
            log.error("the renewed certificate can't be used, the former stays in force: %s", error.problems[0])
        else:
            log.info("The certificate in %s has changed, and is in force.", self.files[0])

    def _state(self) -> tuple[FileState, FileState]:
        certificate, key = self.files
        return file_state(certificate), file_state(key)


def _context(certificate: Path, key: Path) -> ssl.SSLContext:
    """A server's TLS context (TLS 1.2 and later). Raises ConfigError."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key, password=lambda: "")  # never asks at a terminal
    except (OSError, ssl.SSLError) as error:
        message = f"no usable certificate and key (PEM, unencrypted, belonging together): {error}"
        raise ConfigError([Problem("server.tls_cert", str(certificate), message)]) from error
    context.set_alpn_protocols(["http/1.1"])
    return context
