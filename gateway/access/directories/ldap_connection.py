"""One connection to an LDAP directory, for one thread. Referrals are not followed."""

import math
import socket
import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from gateway.config.access.ldap import LdapSettings
from gateway.errors import ConfigError, Problem

# Result codes (RFC 4511, 4.1.9) of a search that has found nothing, or too much.
_SUCCESS, _SIZE_LIMIT_EXCEEDED, _NO_SUCH_OBJECT = 0, 4, 32
# Those of a bind with a wrong password, or of somebody whom the directory does not let in: constraintViolation,
# noSuchObject, invalidDNSyntax, inappropriateAuthentication, invalidCredentials, insufficientAccessRights,
# unwillingToPerform.
_REFUSED = frozenset({19, _NO_SUCH_OBJECT, 34, 48, 49, 50, 53})


class LdapFailureError(Exception):
    """The directory can't be asked. The text says why, and holds nothing that a user or the directory has said."""


@dataclass(frozen=True, slots=True)
class Entry:
    """`fields` has the attributes that were asked for, by their names in lower case."""

    dn: str
    fields: Mapping[str, Sequence[str]]


class LdapDirectory:
    """Opens connections, all with the same options."""

    def __init__(self, settings: LdapSettings) -> None:
        """Raises ConfigError if ldap3 is missing, or the certificates can't be read."""
        try:
            import ldap3
        except ImportError as error:
            message = "needs the extra s3-package-gateway[ldap], which is not installed"
            raise ConfigError([Problem("access.ldap", "set", message)]) from error
        self._library: Any = ldap3
        url = urlsplit(settings.url)
        self._host, self._secure = url.hostname or "", url.scheme == "ldaps"
        self._port = url.port or (636 if self._secure else 389)
        self._start_tls = not self._secure and settings.tls == "verify"
        self._timeout = settings.timeout
        try:
            self._context = ssl.create_default_context(cafile=settings.ca_file)
        except OSError as error:
            raise ConfigError([Problem("access.ldap.ca_file", "set", f"can't be used: {error}")]) from error
        self._tls = ldap3.Tls(validate=ssl.CERT_REQUIRED)
        self._tls.wrap_socket = self._wrap  # ldap3's own compares host names by itself, with what Python has deprecated

    def _wrap(self, connection: Any, do_handshake: bool) -> None:
        """Does the handshake, and checks the certificate and its name."""
        connection.socket = self._context.wrap_socket(connection.socket, server_hostname=self._host)

    def connection(self) -> "LdapConnection":
        """A connection that is not open yet."""
        ldap3 = self._library
        # A server of its own for each: it would remember which of its addresses failed.
        server = ldap3.Server(
            self._host,
            self._port,
            use_ssl=self._secure,
            tls=self._tls,
            get_info=ldap3.NONE,
            connect_timeout=self._timeout,
            allowed_referral_hosts=[],
        )
        opened = ldap3.Connection(
            server,
            auto_bind=ldap3.AUTO_BIND_NONE,
            auto_referrals=False,
            auto_range=False,
            check_names=False,
            auto_escape=False,
            read_only=True,
            receive_timeout=math.ceil(self._timeout),
        )
        return LdapConnection(ldap3, opened, start_tls=self._start_tls)


class LdapConnection:
    """Its methods block, and raise LdapFailureError."""

    def __init__(self, library: Any, connection: Any, *, start_tls: bool) -> None:
        self._library = library
        self._connection = connection
        self._start_tls = start_tls

    def open(self) -> None:
        """Connects, and starts TLS."""
        try:
            self._connection.open(read_server_info=False)
            if self._start_tls and not self._connection.start_tls(read_server_info=False):
                raise LdapFailureError("does not start TLS")
        except LdapFailureError:
            raise
        except self._library.core.exceptions.LDAPExceptionError as error:
            raise LdapFailureError(f"can't be reached: {error!s:.200}") from None
        except Exception as error:
            raise LdapFailureError(f"can't be reached: {type(error).__name__}") from None

    def bind(self, dn: str, password: str) -> bool:
        """Whether that is the password of `dn`. Neither may be empty: such a bind succeeds, as nobody."""
        if not dn or not password:
            return False
        # As bytes: ldap3 prepares text (RFC 4013), which makes an empty password of some that are not.
        self._run(self._connection.rebind, dn, password.encode(), self._library.SIMPLE, read_server_info=False)
        code = self._connection.result["result"]
        if code == _SUCCESS:
            return True
        if code in _REFUSED:
            return False
        raise LdapFailureError(f"answers a bind with {self._connection.result['description']}")

    def read(self, dn: str, fields: Sequence[str]) -> Entry | None:
        """The entry of that name."""
        found = self._search(dn, "(objectClass=*)", self._library.BASE, fields, 1)
        return found[0] if found else None

    def search(self, base: str, search_filter: str, fields: Sequence[str], limit: int) -> list[Entry]:
        """The entries below `base` that match, at most `limit`."""
        return self._search(base, search_filter, self._library.SUBTREE, fields, limit)

    def _search(self, base: str, search_filter: str, scope: str, fields: Sequence[str], limit: int) -> list[Entry]:
        # 1.1 asks for no attributes (RFC 4511, 4.5.1.8).
        self._run(
            self._connection.search, base, search_filter, scope, attributes=[*fields] or ["1.1"], size_limit=limit
        )
        result = self._connection.result
        if result["result"] == _NO_SUCH_OBJECT:
            return []
        if result["result"] not in (_SUCCESS, _SIZE_LIMIT_EXCEEDED):
            raise LdapFailureError(f"answers a search with {result['description']}")
        return [_entry(found) for found in self._connection.response if found["type"] == "searchResEntry"]

    def _run(self, operation: Any, *args: Any, **kwargs: Any) -> None:
        try:
            operation(*args, **kwargs)
        except Exception as error:  # of an answer that is not LDAP, ldap3 raises anything
            raise LdapFailureError(f"can't be asked: {type(error).__name__}") from None

    def close(self) -> None:
        self._connection.strategy.close()
        if self._connection.socket is not None:  # of a connection that failed to open
            self._connection.socket.close()

    def abandon(self) -> None:
        """Ends a wait for the directory in another thread."""
        waiting = self._connection.socket
        if waiting is not None:
            with suppress(OSError):
                waiting.shutdown(socket.SHUT_RDWR)


def _entry(found: Any) -> Entry:
    values = found["raw_attributes"].items()
    fields = {name.lower(): [value.decode("utf-8", "replace") for value in several] for name, several in values}
    return Entry(found["dn"], fields)
