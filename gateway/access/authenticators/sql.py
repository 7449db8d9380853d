"""Reads users, their groups and the hashes of their passwords from pypicloud's tables.

| table                 | columns                            |
|-----------------------|------------------------------------|
| pypicloud_users       | username, password, admin, pending |
| pypicloud_user_groups | username, group                    |

`password` is a hash, `pending` says that no admin has approved the user. Nothing is written.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from gateway.access.authenticator import AuthenticatorUnavailableError, Credential, Identity
from gateway.access.authenticators.presented import presented
from gateway.access.directories.stored_password import matches
from gateway.access.hashing.passwords import require_libraries
from gateway.config.access.sql import SqlSettings
from gateway.errors import ConfigError, Problem


@dataclass(frozen=True, slots=True)
class _Found:
    """`identity` is None if there is no such user; `stored` is somebody else's hash then, or None without users."""

    identity: Identity | None
    stored: str | None = field(repr=False)


class SqlAuthenticator:
    """Does not show by its time whether there is such a user, if all hashes cost the same."""

    method = "sql"
    guessable = True

    def __init__(self, settings: SqlSettings) -> None:
        self._settings = settings
        self._engine: Any = None
        self._tables: Any = None

    async def start(self) -> None:
        require_libraries()
        try:
            from gateway.access.directories import sql_tables

            self._engine = sql_tables.engine(self._settings)
        except ImportError as error:
            message = "needs the extra s3-package-gateway[sql], which is not installed"
            raise ConfigError([Problem("access.sql", "set", message)]) from error
        self._tables = sql_tables

    async def close(self) -> None:
        if self._engine is not None:
            await self._engine.dispose()

    async def authenticate(self, credential: Credential) -> Identity | None:
        given = presented(credential)
        if given is None:
            return None
        try:
            async with asyncio.timeout(self._settings.timeout):
                found = await self._look_up(given.user)
        except TimeoutError:
            raise AuthenticatorUnavailableError(
                f"the database does not answer within {self._settings.timeout:g} s"
            ) from None
        except Exception as error:  # of drivers, whose texts may have values in them
            driver = getattr(error, "orig", None) or error
            cause = type(driver.__cause__ or driver).__name__
            raise AuthenticatorUnavailableError(f"the database can't be asked: {cause}") from None
        if found.stored is None:
            return None
        decoy = found.identity is None
        fits = await matches(found.stored, given.password, method=self.method, decoy=decoy)
        return found.identity if fits else None

    async def _look_up(self, user: str) -> _Found:
        tables = self._tables
        async with self._engine.connect() as connection:
            row = (await connection.execute(tables.ACTIVE_USER, {"name": user})).one_or_none()
            decoy = (await connection.execute(tables.ANY_PASSWORD)).scalar_one_or_none()
            groups = (await connection.execute(tables.GROUPS_OF_USER, {"name": user})).scalars().all()
        if row is None or row.username != user:  # a database may compare names as it likes
            return _Found(None, decoy)
        return _Found(Identity(user, frozenset(groups), row.admin is True), row.password)
