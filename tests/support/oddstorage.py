"""A storage backend, as a plug-in is loaded, whose answers no bucket gives."""

from collections.abc import AsyncIterator
from pathlib import Path

from gateway.config.storage_settings import StorageSettings
from gateway.errors import UpstreamError
from gateway.messages import ObjectRequest, Redirect, Stream, nothing_to_close
from gateway.storage.local.storage import LocalStorage

# More than sockets on loopback hold.
_LARGE_BYTES = 32 * 1024 * 1024

BACKEND = "tests.support.oddstorage:OddStorage"


class OddStorage(LocalStorage):
    """What is asked for names the answer."""

    def __init__(self, settings: StorageSettings) -> None:
        super().__init__(Path(settings.dir))

    async def fetch(self, request: ObjectRequest) -> Stream | Redirect:  # type: ignore[override]
        match request.key.partition("/")[0]:
            case "header":
                return _answer({"Content-Disposition": "attachment; filename=ключ"})
            case "line":
                return _answer({"ETag": '"a"\r\nSet-Cookie: x'})
            case "large":
                return Stream(200, {}, None, nothing_to_close, content=bytes(_LARGE_BYTES))
            case "redirect":
                return Redirect("https://example.org/ключ/a b?q=%20é#ü", 302)
            case "exception":
                raise RuntimeError("a bug")
            case "refused":
                raise UpstreamError("the storage is odd")
            case "half":
                return Stream(200, {"Content-Length": "10"}, _half(), nothing_to_close)
        return await super().fetch(request)


def _answer(headers: dict[str, str]) -> Stream:
    return Stream(200, headers, None, nothing_to_close, content=b"content")


async def _half() -> AsyncIterator[bytes]:
    yield b"half"
    raise RuntimeError("a bug")
