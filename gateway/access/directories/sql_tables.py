"""pypicloud's tables, and how to reach the database that has them. Importing it needs SQLAlchemy."""

import ssl
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from gateway.config.access.sql import SqlSettings
from gateway.errors import ConfigError, Problem

_POOL_SIZE = 8
_LOCK_SHARE = 0.8
_POOL_SECONDS = 300  # firewalls forget connections that are idle for longer

_USERS = sa.table(
    "pypicloud_users",
    sa.column("username", sa.String),
    sa.column("password", sa.String),
    sa.column("admin", sa.Boolean),
    sa.column("pending", sa.Boolean),
)
_MEMBERS = sa.table("pypicloud_user_groups", sa.column("username", sa.String), sa.column("group", sa.String))
_ACTIVE = _USERS.c.pending.is_(sa.false())

ACTIVE_USER = sa.select(_USERS).where(_USERS.c.username == sa.bindparam("name"), _ACTIVE)
GROUPS_OF_USER = sa.select(_MEMBERS.c.group).where(_MEMBERS.c.username == sa.bindparam("name"))
# The same one each time, whoever is asked for.
ANY_PASSWORD = sa.select(_USERS.c.password).where(_ACTIVE).order_by(_USERS.c.username).limit(1)


def engine(settings: SqlSettings) -> AsyncEngine:
    """Does not connect. Raises ConfigError, and ImportError if there is no driver."""
    try:
        url = sa.make_url(settings.url.get_secret_value())
    except (sa.exc.ArgumentError, ValueError):
        raise _refused("is not the address of a database") from None  # SQLAlchemy quotes it
    if url.get_backend_name() == "sqlite":
        return _sqlite(url, settings.timeout)
    if set(url.query) - {"host"}:
        raise _refused("has options after its ?; there is only host, for the directory of a Unix socket")
    options: dict[str, Any] = {"timeout": settings.timeout, "command_timeout": settings.timeout, "ssl": _tls(settings)}
    # A pooler such as PgBouncer gives each transaction another connection to the server: what was prepared in an
    # earlier one is not there, or is that of another client.
    options |= {
        "statement_cache_size": 0,
        "prepared_statement_cache_size": 0,
        "prepared_statement_name_func": lambda: f"gateway-{uuid4()}",
    }
    return create_async_engine(
        url.set(drivername="postgresql+asyncpg"),
        connect_args=options,
        hide_parameters=True,
        pool_size=_POOL_SIZE,
        pool_timeout=settings.timeout,
        pool_recycle=_POOL_SECONDS,
        pool_pre_ping=True,
    )


def _sqlite(url: sa.URL, timeout: float) -> AsyncEngine:
    """Never creates the file. Connections are not kept: each has a thread, which would keep the process alive."""
    if not url.database or url.database == ":memory:" or url.query:
        raise _refused("must have a file's path and nothing else, like sqlite:////var/lib/users.db")
    path = quote(str(Path(url.database).absolute()))
    read_only = sa.URL.create("sqlite+aiosqlite", database=f"file:{path}", query={"mode": "ro", "uri": "true"})
    # SQLite gives up waiting for a lock before the gateway does: it can't be interrupted, and would wait for 5 s.
    options = {"timeout": timeout * _LOCK_SHARE}
    return create_async_engine(read_only, connect_args=options, hide_parameters=True, poolclass=NullPool)


def _tls(settings: SqlSettings) -> ssl.SSLContext | bool:
    if settings.tls == "off":
        return False
    try:
        return ssl.create_default_context(cafile=settings.ca_file)
    except OSError as error:
        raise ConfigError([Problem("access.sql.ca_file", "set", f"can't be used: {error}")]) from error


def _refused(message: str) -> ConfigError:
    return ConfigError([Problem("access.sql.url", "set", message)])
