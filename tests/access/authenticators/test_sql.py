"""Asks SQLite and a real PostgreSQL."""

import asyncio
import logging
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import bcrypt
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from gateway.access.authenticator import AuthenticatorUnavailableError, BearerToken, Credential, Identity, Password
from gateway.access.authenticators import sql
from gateway.access.authenticators.sql import SqlAuthenticator
from gateway.config.access.sql import SqlSettings
from gateway.errors import ConfigError
from tests.support.certificates import self_signed
from tests.support.postgres import Postgres

SECRET = "hunter2 Pässwort"
HASHES = {name: bcrypt.hashpw(name.encode(), bcrypt.gensalt(4)).decode() for name in (SECRET, "bobs", "first", "late")}
ALICE = Password("alice", SECRET)
TABLES = [
    "CREATE TABLE pypicloud_users (username VARCHAR(255) NOT NULL PRIMARY KEY, password TEXT NOT NULL, "
    "admin BOOLEAN NOT NULL, pending BOOLEAN NOT NULL)",
    "CREATE TABLE pypicloud_groups (name VARCHAR(255) NOT NULL PRIMARY KEY)",
    "CREATE TABLE pypicloud_user_groups (username VARCHAR(255) NOT NULL REFERENCES pypicloud_users (username), "
    '"group" VARCHAR(255) NOT NULL REFERENCES pypicloud_groups (name), PRIMARY KEY (username, "group"))',
    "INSERT INTO pypicloud_groups VALUES ('data'), ('release'), ('empty')",
]
USERS = [
    ("aaron", "first", False, False, []),
    ("alice", SECRET, False, False, ["data", "release"]),
    ("bob", "bobs", True, False, ["data"]),
    ("late", "late", True, True, ["release"]),
    ('o\'hara "%s" :name ü', SECRET, False, False, []),
]
REST = ["pypicloud_user_groups", "pypicloud_groups", "pypicloud_users"]


class Database:
    """`settings` reach it."""

    def __init__(self, driver: str, url: sa.URL, **settings: Any) -> None:
        self.settings = {"url": url.render_as_string(hide_password=False)} | settings
        self._engine = create_async_engine(url.set(drivername=f"{url.drivername}+{driver}"))

    async def run(self, *statements: str, **values: Any) -> None:
        async with self._engine.begin() as connection:
            for statement in statements:
                await connection.execute(sa.text(statement), values)

    async def fill(self) -> None:
        await self.run(*TABLES)
        for name, password, admin, pending, groups in USERS:
            stored = HASHES[password]
            insert = "INSERT INTO pypicloud_users VALUES (:name, :stored, :admin, :pending)"
            await self.run(insert, name=name, stored=stored, admin=admin, pending=pending)
            for group in groups:
                await self.run("INSERT INTO pypicloud_user_groups VALUES (:name, :group)", name=name, group=group)

    async def close(self) -> None:
        await self.run(*[f"DROP TABLE IF EXISTS {table}" for table in REST])
        await self._engine.dispose()


@pytest.fixture(autouse=True)
async def no_thread_is_left() -> AsyncIterator[None]:
    """aiosqlite ends the thread of a connection that has failed on its own, which needs the loop."""
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        if "_connection_worker_thread" in thread.name:
            thread.join(5)
            assert not thread.is_alive()


@pytest.fixture(params=["sqlite", "postgres"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    if request.param == "sqlite":
        opened = Database("aiosqlite", sa.URL.create("sqlite", database=str(tmp_path / "users %20ü.db")))
    else:
        server: Postgres = request.getfixturevalue("postgres")
        opened = Database("asyncpg", sa.make_url(server.url()), ca_file=server.certificate)
    await opened.fill()
    yield opened
    await opened.close()


Ask = Callable[..., Awaitable[Identity | None]]


@pytest.fixture
async def ask(database: Database) -> AsyncIterator[Ask]:
    started: list[SqlAuthenticator] = []

    async def ask(credential: Credential = ALICE, **settings: Any) -> Identity | None:
        if not started or settings:
            authenticator = SqlAuthenticator(SqlSettings.model_validate(database.settings | settings))
            await authenticator.start()
            started.append(authenticator)
        return await started[-1].authenticate(credential)

    yield ask
    for authenticator in started:
        await authenticator.close()


async def test_a_right_password(ask: Ask) -> None:
    assert await ask() == Identity("alice", frozenset({"data", "release"}))
    assert await ask(Password("bob", "bobs")) == Identity("bob", frozenset({"data"}), admin=True)


@pytest.mark.parametrize(
    "credential",
    [
        Password("alice", "wrong"),
        Password("alice", ""),
        Password("alice", "bobs"),
        Password("alice", HASHES[SECRET]),
        Password("ALICE", SECRET),
        Password("alice ", SECRET),
        Password("alic_", SECRET),
        Password("%", SECRET),
        Password("' OR username='alice", SECRET),
        Password("alice\0", SECRET),
        Password("nobody", "first"),  # the password of the user whose hash is compared then
        BearerToken(SECRET),
    ],
    ids=repr,
)
async def test_anything_else_is_refused(ask: Ask, credential: Credential) -> None:
    assert await ask(credential) is None


async def test_nobody_has_approved_a_pending_user(ask: Ask, database: Database) -> None:
    assert await ask(Password("late", "late")) is None
    await database.run("UPDATE pypicloud_users SET pending = false WHERE username = 'late'")
    assert await ask(Password("late", "late")) == Identity("late", frozenset({"release"}), admin=True)


async def test_odd_names_are_what_they_are(ask: Ask) -> None:
    name = USERS[-1][0]
    assert await ask(Password(str(name), SECRET)) == Identity(str(name))


async def test_changes_hold_at_once(ask: Ask, database: Database) -> None:
    assert await ask() is not None
    await database.run("UPDATE pypicloud_users SET password = :stored WHERE username = 'alice'", stored=HASHES["bobs"])
    assert await ask() is None
    await database.run("DELETE FROM pypicloud_user_groups WHERE username = 'alice'")
    assert await ask(Password("alice", "bobs")) == Identity("alice")


async def test_a_user_who_is_unknown_costs_a_hash_too(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []

    async def matches(stored: str, password: str, *, method: str, decoy: bool) -> bool:
        compared.append(stored)
        return True

    monkeypatch.setattr(sql, "matches", matches)
    assert await ask(Password("nobody", SECRET)) is None
    assert await ask(Password("late", SECRET)) is None
    assert await ask(ALICE) is not None
    assert compared == [HASHES["first"], HASHES["first"], HASHES[SECRET]]


async def test_a_database_without_users(ask: Ask, database: Database) -> None:
    await database.run("DELETE FROM pypicloud_user_groups", "DELETE FROM pypicloud_users")
    assert await ask() is None


async def test_a_database_without_tables_lets_nobody_in(
    ask: Ask, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await database.run(*[f"DROP TABLE {table}" for table in REST])
    with pytest.raises(AuthenticatorUnavailableError, match="the database can't be asked: ") as caught:
        await ask()
    assert "hunter2" not in caplog.text + str(caught.value) + repr(caught.value.__context__)


async def test_a_connection_that_has_died_is_replaced(postgres: Postgres) -> None:
    database = Database("asyncpg", sa.make_url(postgres.url()), ca_file=postgres.certificate)
    await database.fill()
    authenticator = SqlAuthenticator(SqlSettings.model_validate(database.settings))
    await authenticator.start()
    assert await authenticator.authenticate(ALICE) is not None
    await database.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
    assert await authenticator.authenticate(ALICE) is not None
    await authenticator.close()
    await database.close()


async def test_nothing_prepared_is_expected_to_be_there(postgres: Postgres) -> None:
    """A pooler such as PgBouncer gives each transaction another connection to the server."""
    database = Database("asyncpg", sa.make_url(postgres.url()), ca_file=postgres.certificate)
    await database.fill()
    authenticator = SqlAuthenticator(SqlSettings.model_validate(database.settings))
    await authenticator.start()
    for _ in range(2):
        assert await authenticator.authenticate(ALICE) is not None
        async with authenticator._engine.connect() as connection:  # the only one
            await connection.execute(sa.text("DEALLOCATE ALL"))
    await authenticator.close()
    await database.close()


async def test_the_certificate_of_postgresql_is_checked(postgres: Postgres, tmp_path: Path) -> None:
    for wrong in ({"ca_file": self_signed(tmp_path)[0]}, {}):
        authenticator = SqlAuthenticator(SqlSettings.model_validate({"url": postgres.url()} | wrong))
        await authenticator.start()
        with pytest.raises(AuthenticatorUnavailableError, match="SSLCertVerificationError"):
            await authenticator.authenticate(ALICE)
        await authenticator.close()


async def test_a_wrong_password_for_the_database(postgres: Postgres, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    settings = SqlSettings.model_validate({"url": postgres.url("hunter2"), "tls": "off"})
    authenticator = SqlAuthenticator(settings)
    await authenticator.start()
    with pytest.raises(AuthenticatorUnavailableError, match="InvalidPasswordError") as caught:
        await authenticator.authenticate(ALICE)
    await authenticator.close()
    assert "hunter2" not in caplog.text + str(caught.value) + repr(settings) + repr(authenticator)


async def test_a_database_that_does_not_answer_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"postgresql://gateway:hunter2@127.0.0.1:{server.getsockname()[1]}/users"
        authenticator = SqlAuthenticator(SqlSettings.model_validate({"url": url, "timeout": 0.2}))
        await authenticator.start()
        async with asyncio.timeout(3):
            with pytest.raises(AuthenticatorUnavailableError, match=r"does not answer within 0\.2 s|TimeoutError"):
                await authenticator.authenticate(ALICE)
        await authenticator.close()


async def test_sqlite_is_only_read(tmp_path: Path) -> None:
    path = tmp_path / "absent.db"
    authenticator = SqlAuthenticator(SqlSettings.model_validate({"url": f"sqlite:///{path}"}))
    await authenticator.start()
    with pytest.raises(AuthenticatorUnavailableError, match="OperationalError"):
        await authenticator.authenticate(ALICE)
    await authenticator.close()
    assert not path.exists()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:hunter2@host:x/database",
        "postgresql://host:hunter2",
        "postgresql://user:hunter2@host/database?sslmode=disable",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:////users.db?hunter2=1",
    ],
)
async def test_an_address_that_is_none_is_a_mistake_in_the_configuration(url: str) -> None:
    with pytest.raises(ConfigError, match=r"access\.sql\.url") as caught:
        await SqlAuthenticator(SqlSettings.model_validate({"url": url})).start()
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("library", "url"),
    [
        ("sqlalchemy", "sqlite:////users.db"),
        ("aiosqlite", "sqlite:////users.db"),
        ("asyncpg", "postgresql://host/database"),
    ],
)
async def test_a_missing_library_is_a_mistake_in_the_configuration(
    library: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.delitem(sys.modules, "gateway.access.directories.sql_tables", raising=False)
    monkeypatch.delattr("gateway.access.directories.sql_tables", raising=False)
    with pytest.raises(ConfigError, match=r"s3-package-gateway\[sql\]"):
        await SqlAuthenticator(SqlSettings.model_validate({"url": url})).start()


def test_nothing_is_imported_while_it_is_not_configured() -> None:
    code = """
import sys
from gateway.access.authenticators import ldap, remote_http, secrets_manager, sql
names = ("sqlalchemy", "aiosqlite", "asyncpg", "ldap3", "pyasn1", "bcrypt", "passlib", "argon2", "botocore")
print([name for name in names if name in sys.modules])
"""
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[Path]:
    """A file whose tables compare names without regard to case."""
    path = tmp_path / "users.db"
    database = Database("aiosqlite", sa.URL.create("sqlite", database=str(path)))
    await database.run(*[statement.replace("VARCHAR(255)", "TEXT COLLATE NOCASE") for statement in TABLES])
    insert = "INSERT INTO pypicloud_users VALUES ('alice', :stored, false, false)"
    await database.run(insert, stored=HASHES[SECRET])
    yield path
    await database.close()


async def test_a_database_that_compares_names_as_it_likes(sqlite: Path) -> None:
    authenticator = SqlAuthenticator(SqlSettings.model_validate({"url": f"sqlite:///{sqlite}"}))
    await authenticator.start()
    assert await authenticator.authenticate(Password("Alice", SECRET)) is None
    assert await authenticator.authenticate(ALICE) == Identity("alice")
    await authenticator.close()


async def test_a_database_that_is_locked_is_given_up_in_time(sqlite: Path) -> None:
    """SQLite itself would wait for five seconds, and can't be interrupted."""
    authenticator = SqlAuthenticator(SqlSettings.model_validate({"url": f"sqlite:///{sqlite}", "timeout": 1}))
    await authenticator.start()
    with closing(sqlite3.connect(sqlite)) as other:
        other.execute("BEGIN EXCLUSIVE")
        async with asyncio.timeout(4):
            with pytest.raises(AuthenticatorUnavailableError, match=r"OperationalError|does not answer within 1 s"):
                await authenticator.authenticate(ALICE)
    await authenticator.close()
