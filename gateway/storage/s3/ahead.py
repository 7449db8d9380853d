"""What botocore finds out for the start of the gateway, in a process of its own while this one starts.

To import botocore and build its client takes 350 ms, and leaves 10 MB that can't be freed. A gateway whose credentials
never expire does not import it at all.
"""

import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from gateway.config.storage_settings import StorageSettings
from gateway.errors import CredentialsError
from gateway.forked import Forked
from gateway.messages import Credentials, Endpoint
from gateway.storage.s3.endpoint import Resolver, resolve
from gateway.storage.s3.signing.assumed_role import Role
from gateway.storage.s3.signing.credentials import Loader, chain, shared_files

# A worker that takes a dead one's place later loads credentials itself: these may have been replaced.
_FRESH_SECONDS = 60.0
# So many ways to credentials are tried at once.
_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class _Found:
    """`at` is on the monotonic clock, which all processes share."""

    endpoint: Endpoint
    credentials: Credentials | CredentialsError | None
    at: float


@dataclass(frozen=True, slots=True)
class _Question:
    settings: tuple[StorageSettings, ...]
    answer: Forked[list[_Found]]


_asked: list[_Question] = []


def ask(*settings: StorageSettings) -> Callable[[], object]:
    """Begins. The endpoints and the first credentials of these `settings` then come from that process. Returns a
    function that waits for it: call it before this process forks others, which would all wait."""
    question = _Question(settings, Forked(lambda: _find_out(settings)))
    _asked.append(question)
    return question.answer.result


def endpoint(settings: StorageSettings, region: str | None = None) -> Endpoint:
    """See `resolve`. Blocks: run it in a thread."""
    if region is None and (asked := _question(settings)) is not None:
        return asked().endpoint
    return resolve(settings, region)


def loader(settings: StorageSettings) -> Loader:
    """See `chain`."""
    load = _chain(settings)
    question = _question(settings)

    def load_first() -> Credentials:
        nonlocal question
        asked, question = question, None
        if asked is None:
            return load()
        found = asked()
        if found.credentials is None or time.monotonic() - found.at > _FRESH_SECONDS:
            return load()
        if isinstance(found.credentials, CredentialsError):
            raise found.credentials
        return found.credentials

    return load_first


def files(settings: StorageSettings) -> Sequence[Path]:
    """Those that the loader may read."""
    return () if settings.aws_access_key_id is not None else shared_files()


def _question(settings: StorageSettings) -> Callable[[], _Found] | None:
    """What waits for what is found for these settings."""
    for question in _asked:
        for number, asked in enumerate(question.settings):
            if asked is settings:
                return partial(_nth, question, number)
    return None


def _nth(question: _Question, number: int) -> _Found:
    return question.answer.result()[number]


def _find_out(asked: Sequence[StorageSettings]) -> list[_Found]:
    resolver = Resolver()
    endpoints = [resolver.resolve(settings) for settings in asked]
    ways = {way_to_credentials(settings): settings for settings in asked if _are_looked_for(settings)}
    # At once: what does not answer for one mount would add to what all others wait for.
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        loaded = dict(zip(ways, pool.map(_loaded, ways.values()), strict=True))
    found = [loaded[way_to_credentials(settings)] if _are_looked_for(settings) else None for settings in asked]
    at = time.monotonic()
    return [_Found(endpoint, credentials, at) for endpoint, credentials in zip(endpoints, found, strict=True)]


def _are_looked_for(settings: StorageSettings) -> bool:
    given = settings.aws_access_key_id is not None and settings.assume_role_arn is None
    return not given and settings.signature_version != "unsigned"


def _loaded(settings: StorageSettings) -> Credentials | CredentialsError:
    try:
        return _chain(settings)()
    except CredentialsError as error:
        return error


def way_to_credentials(settings: StorageSettings) -> Hashable:
    """The same for all settings that lead to the same credentials."""
    role = settings.assume_role_arn, settings.assume_role_external_id
    given = settings.aws_access_key_id, settings.aws_secret_access_key, settings.aws_session_token
    return settings.profile_name, *given, *role, settings.region_name if settings.assume_role_arn else None


def _chain(settings: StorageSettings) -> Loader:
    secret, token = settings.aws_secret_access_key, settings.aws_session_token
    return chain(
        profile_name=settings.profile_name,
        access_key=settings.aws_access_key_id,
        secret_key=secret.get_secret_value() if secret else None,
        token=token.get_secret_value() if token else None,
        role=Role(settings.assume_role_arn, settings.assume_role_external_id, settings.region_name)
        if settings.assume_role_arn is not None
        else None,
    )
