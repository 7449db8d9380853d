"""Reads the licence of a file of the other index in its metadata."""

import hashlib
from typing import Protocol

from gateway.errors import UpstreamError
from gateway.executors import FOREIGN
from gateway.index.simple.names import METADATA, normalize, release_of
from gateway.index.simple.pages import File
from gateway.index.simple.web_url import without_query
from gateway.index.wheels.core_metadata import MAX_METADATA_BYTES, parse
from gateway.policy.metadata_licence import licence_of


class Documents(Protocol):
    """See OtherIndex."""

    async def read(self, url: str, limit: int) -> bytes: ...


async def licence(documents: Documents, file: File) -> str:
    """Raises GatewayErrors."""
    body = await documents.read(file.url + METADATA, MAX_METADATA_BYTES)
    url = without_query(file.url)
    if file.metadata_sha256 not in (None, hashlib.sha256(body).hexdigest()):
        raise UpstreamError(f"the metadata of {url!r} has another hash than its page says")
    found = await FOREIGN.run(_read, body, file.name)
    if found is None:
        raise UpstreamError(f"what the metadata of {url!r} says of its licence can't be used")
    return found


def _read(metadata: bytes, filename: str) -> str | None:
    """None for what is no metadata of the file's project, too: a page about an error says nothing of licences."""
    fields, release = parse(metadata), release_of(filename)
    name = next(iter(fields.get("name", ())), "")
    return licence_of(fields) if release is not None and normalize(name) == release.project else None
