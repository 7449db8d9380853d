"""Reads users from a secret of AWS Secrets Manager, which holds pypicloud's JSON."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from gateway.access.authenticator import AuthenticatorUnavailableError, Credential, Identity
from gateway.access.authenticators.presented import presented
from gateway.access.directories.pypicloud_users import PypicloudUsers, UsersError, parse_users
from gateway.access.hashing.passwords import require_libraries
from gateway.config.access.secrets_manager import SecretsManagerSettings
from gateway.executors import AWS

# Between two attempts to read a secret that can't be read.
_PAUSE_SECONDS = 5.0

log = logging.getLogger("gateway.access")


class SecretsManagerAuthenticator:
    """Reads the secret when somebody logs in and it was read over `refresh` seconds ago. One reading serves all."""

    method = "secrets-manager"
    guessable = True

    def __init__(self, settings: SecretsManagerSettings, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds."""
        self._settings = settings
        self._clock = clock
        self._client: Any = None
        self._users: PypicloudUsers | None = None
        self._read_at = float("-inf")
        self._failed_at = float("-inf")
        self._why = "has not been read"
        self._reading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        require_libraries()

    async def close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])

    async def authenticate(self, credential: Credential) -> Identity | None:
        given = presented(credential)
        if given is None:
            return None
        now = self._clock()
        if now - self._read_at > self._settings.refresh and now - self._failed_at > _PAUSE_SECONDS:
            if self._reading is None:
                self._reading = asyncio.create_task(self._read())
            await asyncio.shield(self._reading)
        if self._users is None or now - self._read_at > self._settings.keep:
            raise AuthenticatorUnavailableError(f"the secret {self._why}")
        return await self._users.authenticate(given)

    async def _read(self) -> None:
        began = self._clock()
        try:
            async with asyncio.timeout(self._settings.timeout):
                self._users = await AWS.run(self._load)
            self._read_at = began
        except TimeoutError:
            self._failed(f"can't be read within {self._settings.timeout:g} s")
        except UsersError as error:
            self._failed(str(error))
        except Exception as error:  # botocore's texts quote addresses
            answer = getattr(error, "response", None) or {}
            self._failed(f"can't be read: {answer.get('Error', {}).get('Code') or type(error).__name__}")
        finally:
            self._reading = None

    def _failed(self, why: str) -> None:
        self._failed_at = self._clock()
        self._why = why
        log.warning("secrets-manager: the secret %s", why)

    def _load(self) -> PypicloudUsers:
        """Blocks."""
        if self._client is None:
            self._client = _client(self._settings)
        answer = self._client.get_secret_value(SecretId=self._settings.secret_id)
        text = answer.get("SecretString")
        if text is None:
            raise UsersError("is binary, not JSON")
        return parse_users(text)


def _client(settings: SecretsManagerSettings) -> Any:
    import botocore.session
    from botocore.config import Config

    secret, token = settings.aws_secret_access_key, settings.aws_session_token
    return botocore.session.Session(profile=settings.profile_name).create_client(
        "secretsmanager",
        region_name=settings.region_name,
        endpoint_url=settings.endpoint_url,
        aws_access_key_id=settings.aws_access_key_id,
        aws_secret_access_key=secret.get_secret_value() if secret else None,
        aws_session_token=token.get_secret_value() if token else None,
        # Over when _read has given up, so that no thread of others is held.
        config=Config(
            connect_timeout=settings.timeout / 2, read_timeout=settings.timeout / 2, retries={"total_max_attempts": 1}
        ),
    )
