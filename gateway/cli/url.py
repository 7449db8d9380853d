"""`gateway url`: prints the URL to which a client would be redirected for a path."""

from collections.abc import Callable

from gateway.config.settings import Settings
from gateway.errors import GatewayError
from gateway.http.target import key_of, parse_target
from gateway.messages import ObjectRequest, Stream
from gateway.storage.base import Storage

Write = Callable[[str], None]


async def run(
    settings: Settings, storage: Storage, path: str, *, method: str, expires: int | None, write: Write, note: Write
) -> int:
    """Writes the URL of the object that `path`, as a client would send it, names. Returns 0, or 1 if there is no URL or
    the object can't be read. In that case the URL is written all the same: the object may be uploaded later.

    `note` is called with what is wrong, for example that the object is absent. `storage` is not started yet.
    """
    rewrite = settings.rewrite
    try:
        decoded, _ = parse_target(path if path.startswith("/") else "/" + path)
        key = key_of(decoded, base_path=settings.server.base_path, strip=rewrite.strip_prefix, add=rewrite.add_prefix)
        if key is None:
            note(f"gateway url: {path} is outside {settings.base_path_name}, {settings.server.base_path}")
            return 1
        if not key or key.endswith("/"):
            key += rewrite.index_document
        await storage.start()
        # The request also learns the bucket's region and clock, which the signature needs.
        there = await _look(storage, key, note)
        url = await storage.url(key, method=method, lifetime=expires)
    except GatewayError as error:
        note(f"gateway url: {error.detail or error.public}")
        return 1
    finally:
        await storage.close()
    if url is None:
        note(f"gateway url: this storage ({storage}) has no URLs; the gateway itself serves its objects")
        return 1
    write(url)
    return 0 if there else 1


async def _look(storage: Storage, key: str, note: Write) -> bool:
    """Whether the object can be read."""
    try:
        answer = await storage.fetch(ObjectRequest("HEAD", key))
    except GatewayError as error:
        note(f"gateway url: the object {key!r} can't be read: {error.detail or error.public}")
        return False
    if isinstance(answer, Stream):
        answer.close()
    return True
