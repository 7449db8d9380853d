"""Access control of a mount."""

from collections.abc import Callable

from gateway.access.gate import Gate
from gateway.config.access.settings import AccessSettings
from gateway.rights.policy import Policy
from gateway.storage.base import Storage


class Access:
    """The gate in force; None lets everybody read."""

    def __init__(self, settings: AccessSettings | None, storage: Storage) -> None:
        """Raises ConfigError for settings that can't be used."""
        self._listeners: list[Callable[[], None]] = []
        self.gate: Gate | None = None
        if settings is not None:
            from gateway.access.build import build_gate  # costs nothing where there is no access control

            self.gate = build_gate(settings, storage, self._changed)

    @property
    def policy(self) -> Policy | None:
        return self.gate.policy if self.gate is not None else None

    def on_change(self, listener: Callable[[], None]) -> None:
        """`listener` is called when answers given so far may no longer be permitted."""
        self._listeners.append(listener)

    async def start(self) -> None:
        if self.gate is not None:
            await self.gate.authentication.start()

    async def close(self) -> None:
        if self.gate is not None:
            await self.gate.authentication.close()

    def _changed(self) -> None:
        for listener in self._listeners:
            listener()
