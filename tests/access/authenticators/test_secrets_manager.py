"""Reads secrets of moto's Secrets Manager."""

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import bcrypt
import botocore.session
import pytest
from moto.server import ThreadedMotoServer

from gateway.access.authenticator import AuthenticatorUnavailableError, BearerToken, Identity, Password
from gateway.access.authenticators.secrets_manager import SecretsManagerAuthenticator
from gateway.config.access.secrets_manager import SecretsManagerSettings

SECRET = "hunter2 Pässwort"
ALICE = Password("alice", SECRET)
STORED = bcrypt.hashpw(SECRET.encode(), bcrypt.gensalt(4)).decode()
USERS = {"users": {"alice": STORED}, "groups": {"data": ["alice"]}, "admins": []}
KEYS = {"region_name": "eu-west-1", "aws_access_key_id": "AKID", "aws_secret_access_key": "hunter2"}


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


class Secret:
    """A secret, and the time. `lost` says that the service can't be reached."""

    def __init__(self, url: str) -> None:
        self.name, self.url = f"users-{uuid4()}", url
        self.now = 1000.0
        self._client = botocore.session.Session().create_client("secretsmanager", endpoint_url=url, **KEYS)
        self._client.create_secret(Name=self.name, SecretString=json.dumps(USERS))

    def put(self, users: Any) -> None:
        self._client.put_secret_value(
            SecretId=self.name, SecretString=users if isinstance(users, str) else json.dumps(users)
        )

    def put_binary(self) -> None:
        self._client.put_secret_value(SecretId=self.name, SecretBinary=b"hunter2")

    def remove(self) -> None:
        self._client.delete_secret(SecretId=self.name, ForceDeleteWithoutRecovery=True)

    def authenticator(self, **settings: Any) -> SecretsManagerAuthenticator:
        given = {"secret_id": self.name, "endpoint_url": self.url} | KEYS | settings
        return SecretsManagerAuthenticator(SecretsManagerSettings.model_validate(given), lambda: self.now)


@pytest.fixture
def secret(moto: str) -> Secret:
    return Secret(moto)


@pytest.fixture
async def users(secret: Secret) -> AsyncIterator[SecretsManagerAuthenticator]:
    authenticator = secret.authenticator(refresh=30, keep=600)
    await authenticator.start()
    yield authenticator
    await authenticator.close()


async def test_users_are_read(users: SecretsManagerAuthenticator) -> None:
    assert await users.authenticate(ALICE) == Identity("alice", frozenset({"data"}))
    assert await users.authenticate(Password("alice", "wrong")) is None
    assert await users.authenticate(Password("alice", "")) is None
    assert await users.authenticate(Password("bob", SECRET)) is None
    assert await users.authenticate(BearerToken(SECRET)) is None


async def test_a_change_holds_after_the_refresh(secret: Secret, users: SecretsManagerAuthenticator) -> None:
    assert await users.authenticate(ALICE) is not None
    secret.put(USERS | {"admins": ["alice"], "groups": {}})
    secret.now += 30
    assert await users.authenticate(ALICE) == Identity("alice", frozenset({"data"}))
    secret.now += 1
    assert await users.authenticate(ALICE) == Identity("alice", admin=True)
    secret.put(USERS | {"users": {}})
    secret.now += 31
    assert await users.authenticate(ALICE) is None


@pytest.mark.parametrize("broken", ["hunter2", "{", {"users": {"alice": 1}}, None, "gone"], ids=str)
async def test_users_stay_known_for_a_while(
    secret: Secret, users: SecretsManagerAuthenticator, broken: Any, caplog: pytest.LogCaptureFixture
) -> None:
    assert await users.authenticate(ALICE) is not None
    if broken == "gone":
        secret.remove()
    elif broken is None:
        secret.put_binary()
    else:
        secret.put(broken)
    secret.now += 600
    assert await users.authenticate(ALICE) is not None
    secret.now += 1
    with pytest.raises(AuthenticatorUnavailableError) as caught:
        await users.authenticate(ALICE)
    assert "hunter2" not in caplog.text + str(caught.value)
    if broken != "gone":  # and they are known again
        secret.put(USERS)
        secret.now += 6
        assert await users.authenticate(ALICE) is not None


async def test_a_secret_that_fails_is_read_again_after_a_pause(
    secret: Secret, users: SecretsManagerAuthenticator
) -> None:
    secret.put("hunter2")
    with pytest.raises(AuthenticatorUnavailableError, match="the secret is not JSON"):
        await users.authenticate(ALICE)
    secret.put(USERS)
    secret.now += 5
    with pytest.raises(AuthenticatorUnavailableError):
        await users.authenticate(ALICE)
    secret.now += 1
    assert await users.authenticate(ALICE) is not None


async def test_a_secret_that_is_absent(secret: Secret) -> None:
    absent = secret.authenticator(secret_id="absent")
    with pytest.raises(AuthenticatorUnavailableError, match="can't be read: ResourceNotFoundException"):
        await absent.authenticate(ALICE)


async def test_a_secret_that_is_binary(secret: Secret, users: SecretsManagerAuthenticator) -> None:
    secret.put_binary()
    with pytest.raises(AuthenticatorUnavailableError, match="the secret is binary, not JSON"):
        await users.authenticate(ALICE)


async def test_one_reading_serves_all(secret: Secret, users: SecretsManagerAuthenticator) -> None:
    loads = 0
    load = users._load

    def counted() -> Any:
        nonlocal loads
        loads += 1
        return load()

    users._load = counted  # type: ignore[method-assign]
    found = await asyncio.gather(*(users.authenticate(ALICE) for _ in range(5)))
    assert found == [Identity("alice", frozenset({"data"}))] * 5
    assert loads == 1


async def test_whoever_leaves_does_not_stop_the_reading(users: SecretsManagerAuthenticator) -> None:
    leaving, staying = (asyncio.create_task(users.authenticate(ALICE)) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    assert await staying is not None


async def test_aws_that_does_not_answer_is_given_up(secret: Secret, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        stalled = secret.authenticator(endpoint_url=f"http://127.0.0.1:{port}", timeout=0.3)
        async with asyncio.timeout(4):
            with pytest.raises(AuthenticatorUnavailableError, match="can't be read: ReadTimeoutError"):
                await stalled.authenticate(ALICE)
        await stalled.close()
    assert "hunter2" not in caplog.text + repr(stalled)


async def test_aws_that_is_down_lets_nobody_in(secret: Secret, unused_tcp_port: int) -> None:
    down = secret.authenticator(endpoint_url=f"http://127.0.0.1:{unused_tcp_port}")
    with pytest.raises(AuthenticatorUnavailableError, match="can't be read: EndpointConnectionError"):
        await down.authenticate(ALICE)
