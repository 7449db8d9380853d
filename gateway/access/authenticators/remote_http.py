"""Asks an HTTP service whose a password is.

| protocol  | request                                      | answer                                                  |
|-----------|----------------------------------------------|---------------------------------------------------------|
| json      | POST {"username": "u", "password": "p"}      | 200 {"name"?: "u", "groups"?: ["g"], "admin"?: true};   |
|           |                                              | 401 or 403 if the password is wrong or the user unknown |
| pypicloud | GET /verify?username=u&password=p, then      | 200 true or false                                       |
|           | GET /groups?username=u, /admin?username=u    | 200 ["g"]; 200 true or false                            |

Any other answer is a fault of the service, and nobody is let in by it. Redirects are not followed.
"""

import asyncio
import json
from base64 import b64encode
from typing import Any
from urllib.parse import urlencode, urlsplit

from gateway.access.authenticator import AuthenticatorUnavailableError, Credential, Identity, Password
from gateway.access.authenticators.presented import presented
from gateway.config.access.remote import RemoteSettings
from gateway.errors import UpstreamError, UpstreamTimeoutError, UpstreamUnavailableError
from gateway.storage.s3.clients import client_for
from gateway.upstream.address_policy import AddressPolicy
from gateway.upstream.circuits import Circuits
from gateway.upstream.client import Client
from gateway.upstream.limited import read_limited

_MAX_ANSWER_BYTES = 64 * 1024
_REFUSED = (401, 403)


class RemoteAuthenticator:
    """Circuit-broken: a service that failed ten times in a row is asked again only now and then."""

    method = "remote"
    guessable = True

    def __init__(self, settings: RemoteSettings) -> None:
        self._settings = settings
        self._url = urlsplit(settings.url)
        self._circuits = Circuits()
        self._client: Client | None = None
        self._headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        if settings.user:
            own = f"{settings.user}:{settings.password.get_secret_value()}"
            self._headers["Authorization"] = "Basic " + b64encode(own.encode()).decode()

    async def start(self) -> None:
        url, timeout = self._settings.url, self._settings.timeout
        self._client = client_for(
            url, AddressPolicy(url, []), self._circuits, connect_timeout=timeout, read_timeout=timeout
        )

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()

    async def authenticate(self, credential: Credential) -> Identity | None:
        given = presented(credential)
        if given is None:
            return None
        host = self._url.netloc
        try:
            async with asyncio.timeout(self._settings.timeout):
                return await (self._by_post(given) if self._settings.protocol == "json" else self._by_get(given))
        except TimeoutError:
            why = f"does not answer within {self._settings.timeout:g} s"
            self._circuits.failed(host, why)
        except UpstreamTimeoutError:
            why = "does not answer in time"
        except UpstreamUnavailableError as error:
            why = "is down" if error.code == "CircuitOpen" else "has too many requests under way"
        except UpstreamError as error:
            why = "can't be reached over TLS" if error.code == "TLS" else "can't be reached"
        except _FaultyAnswerError as error:
            why = str(error)
        raise AuthenticatorUnavailableError(f"{host} {why}")

    async def _by_post(self, given: Password) -> Identity | None:
        body = json.dumps({"username": given.user, "password": given.password}).encode()
        status, answer = await self._ask("POST", self._url.path or "/", body)
        if status in _REFUSED:
            return None
        if not isinstance(answer, dict):
            raise _FaultyAnswerError("answers with something other than an object")
        name, groups, admin = answer.get("name", given.user), answer.get("groups", []), answer.get("admin", False)
        if not isinstance(name, str) or not name or not name.isprintable():
            raise _FaultyAnswerError("answers with a name that nobody can have")
        return Identity(name, _groups(groups), _truth(admin))

    async def _by_get(self, given: Password) -> Identity | None:
        settings = self._settings
        if not _truth(await self._get(settings.verify_path, {"username": given.user, "password": given.password})):
            return None
        user = {"username": given.user}
        try:
            async with asyncio.TaskGroup() as tasks:
                groups = tasks.create_task(self._get(settings.groups_path, user))
                admin = tasks.create_task(self._get(settings.admin_path, user))
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from None
        return Identity(given.user, _groups(groups.result()), _truth(admin.result()))

    async def _get(self, path: str, query: dict[str, str]) -> Any:
        status, answer = await self._ask("GET", f"{self._url.path.rstrip('/')}{path}?{urlencode(query)}")
        if status in _REFUSED:  # it refuses the gateway, not the user
            raise _FaultyAnswerError(f"answers {status}: it refuses the gateway's own user and password")
        return answer

    async def _ask(self, method: str, target: str, body: bytes = b"") -> tuple[int, Any]:
        """The status, which is 200, 401 or 403, and the JSON of a 200. Raises _FaultyAnswerError."""
        assert self._client is not None, "not started"
        headers = self._headers | ({"Content-Type": "application/json"} if body else {})
        response = await self._client.send(method, self._url.scheme, self._url.netloc, target, headers, body)
        try:
            if response.status != 200 and response.status not in _REFUSED:
                raise _FaultyAnswerError(f"answers {response.status}")
            content = await read_limited(_MAX_ANSWER_BYTES, response.body(await response.read()))
        finally:
            response.close()
        if response.status != 200:
            return response.status, None
        if len(content) > _MAX_ANSWER_BYTES:
            raise _FaultyAnswerError(f"answers with over {_MAX_ANSWER_BYTES} bytes")
        try:
            return 200, json.loads(content)
        except (ValueError, RecursionError):
            raise _FaultyAnswerError("answers with something other than JSON") from None


class _FaultyAnswerError(Exception):
    """The service answered with something that the protocol does not have. The text says with what."""


def _groups(value: Any) -> frozenset[str]:
    if not isinstance(value, list) or not all(isinstance(group, str) for group in value):
        raise _FaultyAnswerError("answers with groups that are not a list of texts")
    return frozenset(value)


def _truth(value: Any) -> bool:
    """Nothing but JSON's true is one: an answer like "false" must not let anybody in."""
    if not isinstance(value, bool):
        raise _FaultyAnswerError("answers with something other than true or false")
    return value
