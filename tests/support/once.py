"""A backend that only one process can use, until a file says otherwise."""

from pathlib import Path

from gateway.errors import ConfigError, Problem
from gateway.storage.local.storage import LocalStorage


class Once(LocalStorage):
    """The option `gate` names a file with the number of those that have started. From the second on, they fail."""

    def __init__(self, settings: object) -> None:
        super().__init__(settings.dir)  # type: ignore[attr-defined]
        self._gate = Path(settings.options["gate"])  # type: ignore[attr-defined]

    async def start(self) -> None:
        number = int(self._gate.read_text())
        if number > 0:
            raise ConfigError([Problem("storage", "gate", "is shut")])
        self._gate.write_text(str(number + 1))
        await super().start()
