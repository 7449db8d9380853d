"""Access control of a mount, which follows the file of its settings."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.access.file_watch import FileWatch
from gateway.config.access.settings import AccessSettings
from gateway.config.file_state import FileState, file_state
from gateway.config.hints import path_hints, rule_hints
from gateway.config.settings import Settings, SettingsFile
from gateway.errors import ConfigError, Problem
from gateway.executors import DISK
from gateway.rights.policy import Policy
from gateway.storage.base import Storage

if TYPE_CHECKING:  # where there is no access control, nothing of it is imported
    from gateway.access.familiar import FamiliarCredentials
    from gateway.access.gate import Gate
    from gateway.access.tokens.revocations import LastList

# Requests that were let in by a gate that is no longer in force may still ask its authenticators.
_RETIRE_SECONDS = 20.0
# Further changes of the file wait for so long.
_START_SECONDS = 30.0
# What can't be used may have named a file that comes later.
_RETRY_SECONDS = 10.0
_UNUSABLE = "the changed section access can't be used, the former stays in force"

log = logging.getLogger("gateway.access")


@dataclass(frozen=True, slots=True)
class AccessChange:
    """A gate that has been started, of these settings. `keys` are the states of the files that they name for keys."""

    gate: "Gate"
    settings: AccessSettings
    keys: Sequence[FileState]


class Access:
    """The gate in force; None lets everybody read. A new gate takes its place when the section `access` changes in the
    file, or a file that it names for a key. Only a reload turns access control on or off: it builds another Access."""

    def __init__(self, settings: Settings, storage: Storage, outcomes: Counter[tuple[str, str]]) -> None:
        """`outcomes` are counted by authenticator and result. Raises ConfigError for settings that can't be used."""
        self._storage = storage
        self._outcomes = outcomes
        self._listeners: list[Callable[[], None]] = []
        self.changes = 0  # how often what somebody may do, or who somebody is, may have changed
        self._version = 0
        self._familiar: FamiliarCredentials | None = None
        self._revoked: LastList | None = None
        self._retiring: set[asyncio.Task[None]] = set()
        self._file = settings.file
        self._running = settings
        self._mounts: Sequence[Settings] = [settings]
        self._settings, known = _by_now(settings)
        self._keys = _states_of_keys(self._settings)
        self.gate = self._build(self._settings) if self._settings is not None else None
        self._failure = ""  # why what the file has is not in force; empty if it is
        self._watch: FileWatch | None = None
        if self._file is not None:
            self._watch = FileWatch(self._file.path, self._reload, (known, self._keys, 0), self._state)

    @property
    def policy(self) -> Policy | None:
        return self.gate.policy if self.gate is not None else None

    @property
    def token_keys(self) -> frozenset[bytes]:
        """The ids of the keys that tokens may have, now."""
        return self.gate.token_keys if self.gate is not None else frozenset()

    def serve(self, mounts: Sequence[Settings]) -> None:
        """These mounts have this access control: hints are given for all of them."""
        self._mounts = mounts

    def on_change(self, listener: Callable[[], None]) -> None:
        """`listener` is called when answers given so far may no longer be permitted."""
        self._listeners.append(listener)

    def heed_revoked(self, ids: frozenset[str], *, all_known: bool) -> None:
        """Takes these tokens for revoked, too, whether or not they are on the list that is read again and again; and,
        if `all_known`, no longer those that were given before."""
        if self._revoked is None or self.gate is None:
            return
        before = self._revoked.elsewhere
        self._revoked.elsewhere = ids if all_known else ids | before
        if self._revoked.elsewhere != before:
            self.gate.authentication.forget()
            self._changed()

    def down(self) -> dict[str, str]:
        """The authenticators that can't be asked."""
        methods = self.gate.authentication.down() if self.gate is not None else {}
        return {f"access {method}": "down" for method in methods}

    def hints(self) -> list[str]:
        """What is no mistake in the section, but hardly meant so."""
        if self._settings is None:
            return []
        both = (hints(mount, self._settings) for mount in self._mounts for hints in (path_hints, rule_hints))
        return list(dict.fromkeys(hint for some in both for hint in some))

    async def start(self) -> None:
        if self.gate is not None:
            await self.gate.start()
        if self._watch is not None:
            self._watch.start()

    async def close(self) -> None:
        if self._watch is not None:
            await self._watch.close()
        for task in self._retiring:
            task.cancel()
        await asyncio.gather(*self._retiring, return_exceptions=True)
        if self.gate is not None:
            await self.gate.close()

    def _build(self, settings: AccessSettings) -> "Gate":
        from gateway.access.build import build_gate
        from gateway.access.familiar import FamiliarCredentials
        from gateway.access.tokens.revocations import LastList

        self._familiar = self._familiar or FamiliarCredentials()
        self._revoked = self._revoked or LastList()
        return build_gate(
            settings, self._storage, self._changed, self._outcomes, self._familiar, self._version, self._revoked
        )

    async def _started(self, settings: AccessSettings) -> "Gate":
        gate = self._build(settings)
        try:
            async with asyncio.timeout(_START_SECONDS):
                await gate.start()
        except TimeoutError:
            await gate.close()
            message = f"its authenticators do not start within {_START_SECONDS:g} s"
            raise ConfigError([Problem("access", "changed", message)]) from None
        except BaseException:
            await gate.close()  # those that have started
            raise
        return gate

    async def _reload(self) -> None:
        """Raises nothing: with a mistake in the file, the gate in force stays."""
        assert self._file is not None
        try:
            found = await DISK.run(self._file.read)
            if found.access is None:
                log.error("the section access is gone from %s: it stays in force until a reload", self._file.path)
                return
            change = await self.prepare(found)
        except ConfigError as error:
            self._failed("; ".join(map(str, error.problems)))
            return
        except Exception as error:  # of authenticators of others
            self._failed("this is a bug", error)
            return
        self._failure = ""
        if change is None:
            return
        assert self._settings is not None, "access control is on"
        if change.settings.max_link_seconds != self._settings.max_link_seconds:
            log.warning("access.max_link_seconds has changed, which takes a reload")
        self.adopt(change)
        for hint in self.hints():
            log.warning("%s", hint)

    async def prepare(self, found: Settings) -> "AccessChange | None":
        """What would make the section that was `found` the one in force; None if it is that already. Either `adopt` it,
        or close its gate. Raises ConfigError, and what authenticators of others raise."""
        settings = found.access
        assert settings is not None, "access control stays on"
        assert self._settings is not None, "access control is on"
        keys = await DISK.run(_states_of_keys, settings)
        if settings == self._settings and keys == self._keys:
            return None
        _demand_known_proxies(found, self._running, self._settings)
        self._version += 1
        return AccessChange(await self._started(settings), settings, keys)

    def adopt(self, change: "AccessChange | None", file: SettingsFile | None = None) -> None:
        """Puts the change in force. `file` is the one from which it was read, if a reload did that: whatever that has
        had since then is read anew."""
        if self._watch is not None and file is not None:
            self._file, self._failure = file, ""
            self._watch.believe((file.state, change.keys if change is not None else self._keys, 0))
        if change is None:
            return
        former, self.gate, self._settings, self._keys = self.gate, change.gate, change.settings, change.keys
        assert former is not None
        self._changed()
        log.info("The section access has changed, and is in force.")
        task = asyncio.create_task(_retire(former))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    def _failed(self, why: str, error: Exception | None = None) -> None:
        """Logs each reason once."""
        if why != self._failure:
            log.error("%s: %s", _UNUSABLE, why, exc_info=error)
        self._failure = why

    def _state(self) -> tuple[FileState, Sequence[FileState], int]:
        """That of the file, and of those that it names for keys. It is another one every few seconds after a
        failure."""
        assert self._file is not None
        tries = int(time.monotonic() / _RETRY_SECONDS) if self._failure else 0
        return file_state(self._file.path), _states_of_keys(self._settings), tries

    def _changed(self) -> None:
        self.changes += 1
        for listener in self._listeners:
            listener()


def _by_now(settings: Settings) -> tuple[AccessSettings | None, FileState]:
    """The section as it is in the file by now, and the state of that: a worker that takes the place of another starts
    long after the settings were read. Raises ConfigError if the others may have rules in force that are unknown here.
    """
    file, former = settings.file, settings.access
    if file is None or former is None:
        return former, None
    state = file.state if file.is_new else file_state(file.path)
    if state == file.state:
        return former, state
    found = file.read()
    if found.access is None:
        message = "is gone from the file since the gateway was started: reload it to serve without access control"
        raise ConfigError([Problem("access", str(file.path), message)])
    _demand_known_proxies(found, settings, former)
    return found.access, state


def _demand_known_proxies(found: Settings, running: Settings, former: AccessSettings) -> None:
    """Raises ConfigError if the file has other proxies than those that are trusted until a reload, and believes
    headers of theirs that were not believed before: those of the former ones would be."""
    believed = found.access.forward_auth if found.access is not None else None
    if believed is None or believed == former.forward_auth:
        return
    file, server, before = running.file, found.server, running.server
    if (server.trusted_proxies, server.unix_socket) != (before.trusted_proxies, before.unix_socket):
        message = "other proxies are trusted until a reload, and access.forward_auth would believe them: reload"
        raise ConfigError([Problem("server.trusted_proxies", str(file.path) if file else "changed", message)])


def _states_of_keys(settings: AccessSettings | None) -> Sequence[FileState]:
    return [file_state(path) for path in settings.key_files] if settings is not None else []


async def _retire(gate: "Gate") -> None:
    try:
        await asyncio.sleep(_RETIRE_SECONDS)
    finally:
        await gate.close()
