"""What botocore finds out for the start of the gateway, in a process of its own while this one starts.

To import botocore and build its client takes 350 ms, and leaves 10 MB that can't be freed. A gateway whose credentials
never expire does not import it at all.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.config.storage_settings import StorageSettings
from gateway.errors import CredentialsError
from gateway.forked import Forked
from gateway.messages import Credentials, Endpoint
from gateway.storage.s3.endpoint import resolve
from gateway.storage.s3.signing.credentials import Loader, chain, shared_files

# A worker that takes a dead one's place later loads credentials itself: these may have been replaced.
_FRESH_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class _Found:
    """`at` is on the monotonic clock, which all processes share."""

    endpoint: Endpoint
    credentials: Credentials | CredentialsError | None
    at: float


@dataclass(frozen=True, slots=True)
class _Question:
    settings: StorageSettings
    answer: Forked[_Found]


_asked: list[_Question] = []


def ask(settings: StorageSettings) -> Callable[[], object]:
    """Begins. The endpoint and the first credentials of these `settings` then come from that process. Returns a
    function that waits for it: call it before this process forks others, which would all wait."""
    question = _Question(settings, Forked(lambda: _find_out(settings)))
    _asked.append(question)
    return question.answer.result


def endpoint(settings: StorageSettings, region: str | None = None) -> Endpoint:
    """See `resolve`. Blocks: run it in a thread."""
    if region is None and (question := _question(settings)) is not None:
        return question.answer.result().endpoint
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
        found = asked.answer.result()
        if found.credentials is None or time.monotonic() - found.at > _FRESH_SECONDS:
            return load()
        if isinstance(found.credentials, CredentialsError):
            raise found.credentials
        return found.credentials

    return load_first


def files(settings: StorageSettings) -> Sequence[Path]:
    """Those that the loader may read."""
    return () if settings.aws_access_key_id is not None else shared_files()


def _question(settings: StorageSettings) -> _Question | None:
    return next((one for one in _asked if one.settings is settings), None)


def _find_out(settings: StorageSettings) -> _Found:
    endpoint = resolve(settings)
    if settings.aws_access_key_id is not None or settings.signature_version == "unsigned":
        return _Found(endpoint, None, time.monotonic())
    try:
        credentials: Credentials | CredentialsError = _chain(settings)()
    except CredentialsError as error:
        credentials = error
    return _Found(endpoint, credentials, time.monotonic())


def _chain(settings: StorageSettings) -> Loader:
    secret, token = settings.aws_secret_access_key, settings.aws_session_token
    return chain(
        profile_name=settings.profile_name,
        access_key=settings.aws_access_key_id,
        secret_key=secret.get_secret_value() if secret else None,
        token=token.get_secret_value() if token else None,
    )
