"""Loads credentials, and refreshes them without delaying requests."""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from gateway.config.file_state import FileState, file_state
from gateway.errors import CredentialsError
from gateway.executors import AWS, DISK
from gateway.messages import Credentials
from gateway.storage.s3.signing.assumed_role import Role, assumed
from gateway.storage.s3.signing.programs import programs_within

Loader: TypeAlias = Callable[[], Credentials]

# Refresh begins this long before expiry, or at half of a short life; requests stop using them a minute before.
_REFRESH_AHEAD_SECONDS = 15 * 60.0
_UNUSABLE_AHEAD_SECONDS = 60.0
# The pause after a load that failed or returned the same credentials.
_RELOAD_PAUSE_SECONDS = 5.0
# A program (credential_process) may hang for ever, and would keep its thread. Whatever else hangs keeps it, but another
# load may succeed.
_PROGRAM_SECONDS = 50.0
_LOAD_SECONDS = 60.0
# While credentials are used, the files of AWS's configuration are looked at so often.
_LOOK_SECONDS = 15.0

log = logging.getLogger("gateway.credentials")


def chain(
    *,
    profile_name: str | None = None,
    access_key: str | None = None,
    secret_key: str | None = None,
    token: str | None = None,
    role: Role | None = None,
) -> Loader:
    """A loader of the given credentials, or else of what botocore's whole chain finds: environment, shared files,
    SSO, assumed roles, web identity, container and EKS Pod Identity, process, instance metadata. With a `role`, of what
    these assume it with.

    It blocks, so run it in a thread. Each call starts afresh, so that a rotated file or role is seen.
    Raises CredentialsError, whose detail says what to do.
    """
    if access_key is not None and secret_key is not None:
        given = Credentials(access_key, secret_key, token, provider="settings")
        return (lambda: given) if role is None else lambda: assumed(role, given)
    if role is None:
        return lambda: _load_from_chain(profile_name)
    return lambda: assumed(role, _load_from_chain(profile_name))


def shared_files() -> Sequence[Path]:
    """The files of AWS's shared configuration, which botocore reads if it is not given credentials."""
    names = {"AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials", "AWS_CONFIG_FILE": "~/.aws/config"}
    return [Path(os.path.expanduser(os.environ.get(name, usual))) for name, usual in names.items()]


def _load_from_chain(profile_name: str | None) -> Credentials:
    # Imported here: takes 100 ms, which `file` storage and `gateway health` avoid.
    import botocore.session
    from botocore.exceptions import BotoCoreError, ClientError

    with programs_within(_PROGRAM_SECONDS) as too_long:
        try:
            found = botocore.session.Session(profile=profile_name).get_credentials()
            frozen = found.get_frozen_credentials() if found else None
        # ClientError: AWS refuses the role. RuntimeError: the loaded credentials have expired already.
        except (BotoCoreError, ClientError, OSError, ValueError, KeyError, RuntimeError) as error:
            if too_long.is_set():
                what = f"took over {_PROGRAM_SECONDS:g} s, and any program that finds them out was ended"
            else:
                what = "failed"
            raise CredentialsError(f"loading AWS credentials {what}: {type(error).__name__}: {error}") from error
    if found is None or frozen is None or not frozen.access_key or not frozen.secret_key:
        raise CredentialsError(
            "no AWS credentials found in the environment, the shared configuration, or a container or instance role; "
            "set storage.aws_access_key_id and storage.aws_secret_access_key, or give this process a role"
        )
    # botocore keeps the expiry to itself; static credentials have none.
    expiry = getattr(found, "_expiry_time", None)
    return Credentials(
        frozen.access_key,
        frozen.secret_key,
        frozen.token,
        provider=found.method or "unknown",
        expires_at=expiry.timestamp() if expiry else None,
    )


class CredentialSource:
    """The current credentials, refreshed ahead of expiry in a thread. One load serves everyone who waits for it."""

    def __init__(self, load: Loader, *, files: Sequence[Path] = (), clock: Callable[[], float] = time.time) -> None:
        """`load` may read `files`: when one of them changes, it is called again. `clock` gives seconds since the epoch.
        `users` are the storages that close it, each once."""
        self.users = 0
        self._files = files
        self._known: Sequence[FileState] = ()  # the states of the files before they were read
        self._looked_at = float("-inf")
        self._looking: asyncio.Task[None] | None = None
        self._load = load
        self._clock = clock
        self._current: Credentials | None = None
        self._refresh_at = float("inf")
        self._loading: asyncio.Task[Credentials] | None = None
        self._settled_until = float("-inf")
        self._last_error: CredentialsError | None = None

    def usable(self) -> Credentials | None:
        """The current credentials if they are usable now. Starts a refresh that is due; never waits."""
        current = self._current
        if self._files and current is not None:
            self._look()
        if current is None or current.expires_at is None:
            return current
        now = self._clock()
        if now >= self._refresh_at and not self._settled:
            self._start_loading()
        return current if now < current.expires_at - _UNUSABLE_AHEAD_SECONDS else None

    def expires_at(self) -> float | None:
        """When the credentials that were loaded last expire or have expired; None if never, or if there are none.
        Starts a refresh that is due."""
        self.usable()
        return self._current.expires_at if self._current is not None else None

    async def get(self) -> Credentials:
        """Credentials to sign with, waiting for a load if there are none. Raises CredentialsError."""
        if (usable := self.usable()) is not None:
            return usable
        if self._last_error is not None and self._loading is None and self._settled:
            raise self._last_error
        return await self._loaded()

    async def renew(self, refused: Credentials) -> Credentials:
        """Returns credentials to use instead of the `refused` ones; the same ones if there are no others."""
        if self._current is not None and self._current != refused:
            return self._current
        if self._loading is None and self._settled:
            return refused
        log.warning("the storage refused the credentials; loading them again")
        return await self._loaded()

    @property
    def _settled(self) -> bool:
        """Whether another load would find out nothing new. The pause ends at once if the clock has been set back."""
        return 0 < self._settled_until - self._clock() <= _RELOAD_PAUSE_SECONDS

    async def close(self) -> None:
        """Stops waiting for a load, unless others wait for it; the thread itself ends with its own timeout."""
        self.users -= 1
        tasks = [task for task in (self._looking, self._loading) if task is not None]
        if self.users <= 0 and tasks:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    def _look(self) -> None:
        """Has the files looked at in the background, unless that was done a moment ago."""
        now = self._clock()
        if 0 <= now - self._looked_at < _LOOK_SECONDS:
            return
        self._looked_at = now
        self._looking = asyncio.get_running_loop().create_task(self._follow_files())

    async def _follow_files(self) -> None:
        if await DISK.run(_states, self._files) == self._known:
            return
        log.info("AWS's configuration has changed; loading the credentials again")
        with suppress(CredentialsError):  # it is logged; what was loaded before stays in use until it is refused
            await self._loaded()

    async def _loaded(self) -> Credentials:
        return await asyncio.shield(self._start_loading())

    def _start_loading(self) -> asyncio.Task[Credentials]:
        if self._loading is None:
            self._loading = asyncio.get_running_loop().create_task(self._load_once())
            self._loading.add_done_callback(self._finished)
        return self._loading

    async def _load_once(self) -> Credentials:
        previous = self._current
        if self._files:
            self._known = await DISK.run(_states, self._files)
        try:
            loaded = await self._load_in_time()
        except CredentialsError as error:
            self._settled_until = self._clock() + _RELOAD_PAUSE_SECONDS
            self._last_error = error
            raise
        now = self._clock()
        self._last_error = None
        self._current = loaded
        if loaded.expires_at is not None:
            left = loaded.expires_at - now
            self._refresh_at = loaded.expires_at - min(_REFRESH_AHEAD_SECONDS, left / 2)
        if loaded == previous:
            self._settled_until = now + _RELOAD_PAUSE_SECONDS
        else:
            log.info("using credentials %s from %s", loaded.masked, loaded.provider)
        return loaded

    async def _load_in_time(self) -> Credentials:
        try:
            async with asyncio.timeout(_LOAD_SECONDS):
                return await AWS.run(self._load)
        except TimeoutError:
            raise CredentialsError(f"loading AWS credentials takes over {_LOAD_SECONDS:g} s") from None

    def _finished(self, task: asyncio.Task[Credentials]) -> None:
        self._loading = None
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("%s", error)


def _states(files: Sequence[Path]) -> Sequence[FileState]:
    return [file_state(file) for file in files]
