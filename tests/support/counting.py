"""A backend that is far away: each request that reaches it is a line of a file, whichever process makes it."""

from pathlib import Path

from gateway.messages import ObjectRequest, Stream
from gateway.storage.local.storage import LocalStorage


class Counting(LocalStorage):
    """The option `log` names the file."""

    local = False

    def __init__(self, settings: object) -> None:
        super().__init__(settings.dir)  # type: ignore[attr-defined]
        self._log = Path(settings.options["log"])  # type: ignore[attr-defined]

    async def fetch(self, request: ObjectRequest) -> Stream:
        with self._log.open("a") as log:
            log.write(f"{request.method} {request.key}\n")
        return await super().fetch(request)
