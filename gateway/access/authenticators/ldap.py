"""Asks an LDAP directory whose a password is, by a bind with that password (RFC 4513, 5.1.3)."""

import asyncio
import logging
from urllib.parse import urlsplit

from gateway.access.authenticator import AuthenticatorUnavailableError, Credential, Identity, Password
from gateway.access.authenticators.presented import presented
from gateway.access.directories.ldap_connection import Entry, LdapConnection, LdapDirectory, LdapFailureError
from gateway.access.directories.ldap_text import (
    fill_dn,
    fill_filter,
    first_value,
    is_below,
    parse_dn,
    username_field,
)
from gateway.config.access.ldap import LdapSettings
from gateway.executors import LDAP

_MAX_GROUPS = 1000

log = logging.getLogger("gateway.access")


class LdapAuthenticator:
    """Each password has a connection of its own, so that no bind is another's."""

    method = "ldap"
    guessable = True

    def __init__(self, settings: LdapSettings) -> None:
        self._settings = settings
        self._directory: LdapDirectory | None = None
        self._name_field = settings.name_field or username_field(settings.user_dn_format or settings.user_search_filter)
        self._fields = [field for field in (self._name_field, settings.admin_field, settings.group_field) if field]

    async def start(self) -> None:
        self._directory = await LDAP.run(LdapDirectory, self._settings)

    async def close(self) -> None:
        pass

    async def authenticate(self, credential: Credential) -> Identity | None:
        given = presented(credential)
        if given is None:
            return None
        assert self._directory is not None, "not started"
        connection = self._directory.connection()
        host = urlsplit(self._settings.url).netloc
        try:
            async with asyncio.timeout(self._settings.timeout):
                return await LDAP.run(self._ask, connection, given)
        except TimeoutError:
            connection.abandon()
            why = f"does not answer within {self._settings.timeout:g} s"
        except LdapFailureError as error:
            why = str(error)
        raise AuthenticatorUnavailableError(f"{host} {why}")

    def _ask(self, connection: LdapConnection, given: Password) -> Identity | None:
        try:
            connection.open()
            return self._identity(connection, given)
        finally:
            connection.close()

    def _identity(self, connection: LdapConnection, given: Password) -> Identity | None:
        settings = self._settings
        entry = None
        if settings.service_dn or not settings.user_dn_format:
            self._bind_service(connection)
            entry = self._find(connection, given.user)
            if entry is None:
                return None
        dn = entry.dn if entry else fill_dn(settings.user_dn_format, given.user)
        if not connection.bind(dn, given.password):
            return None
        if entry is None:
            entry = connection.read(dn, self._fields) or Entry(dn, {})
        names = {group: first_value(group) for group in entry.fields.get(settings.group_field.lower(), ())}
        if settings.group_search_filter:
            self._bind_service(connection)
            names |= self._search_groups(connection, given.user, dn)
        counted = {dn: name for dn, name in names.items() if name and is_below(dn, settings.group_base_dn)}
        return Identity(self._name(entry, given.user), frozenset(counted.values()), self._is_admin(entry, names))

    def _bind_service(self, connection: LdapConnection) -> None:
        """Without a name of its own, the gateway stays who it is: nobody at first, then the user."""
        settings = self._settings
        if settings.service_dn and not connection.bind(
            settings.service_dn, settings.service_password.get_secret_value()
        ):
            raise LdapFailureError("refuses the gateway's own name and password")

    def _find(self, connection: LdapConnection, user: str) -> Entry | None:
        settings = self._settings
        if settings.user_dn_format:
            return connection.read(fill_dn(settings.user_dn_format, user), self._fields)
        search_filter = fill_filter(settings.user_search_filter, username=user)
        found = connection.search(settings.base_dn, search_filter, self._fields, 2)
        if len(found) > 1:
            log.warning("the filter access.ldap.user_search_filter matches more than one entry for a user's name")
        return found[0] if len(found) == 1 else None

    def _search_groups(self, connection: LdapConnection, user: str, dn: str) -> dict[str, str]:
        search_filter = fill_filter(self._settings.group_search_filter, username=user, dn=dn)
        found = connection.search(self._settings.group_base_dn, search_filter, (), _MAX_GROUPS)
        return {group.dn: first_value(group.dn) for group in found}

    def _name(self, entry: Entry, given: str) -> str:
        """The user's name as the directory has it. It compares names without regard to case and more; rules don't."""
        values = sorted(entry.fields.get(self._name_field.lower(), ()))
        same = [value for value in values if value.lower() == given.strip().lower()]
        return next((value for value in same + values if value), given)

    def _is_admin(self, entry: Entry, groups: dict[str, str]) -> bool:
        settings = self._settings
        values = entry.fields.get(settings.admin_field.lower(), ()) if settings.admin_field else ()
        if not set(settings.admin_value).isdisjoint(values):
            return True
        wanted = parse_dn(settings.admin_group_dn)
        return bool(wanted) and any(parse_dn(group) == wanted for group in groups)
