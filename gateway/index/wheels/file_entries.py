"""What there is to find out of one file, with what lies beside it."""

from collections.abc import Mapping

from gateway.index.simple.names import is_companion, parse
from gateway.index.wheels.known_metadata import SHA256_FILE, YANKED_FILE, Entry, KnownMetadata, version_of
from gateway.index.wheels.metadata_finder import MetadataFinder
from gateway.storage.base import StoredObject


def is_looked_at(item: StoredObject) -> bool:
    """Whether there is something to find out: of release files, and of the files .yanked beside them."""
    name = item.key.rpartition("/")[2].removesuffix(YANKED_FILE)
    return not is_companion(name) and parse(name) is not None


async def entries_of(
    finder: MetadataFinder, item: StoredObject, present: Mapping[str, StoredObject], known: KnownMetadata
) -> Mapping[str, Entry]:
    """By their keys; `present` are all files of the project, and what is `known` of a file .sha256 is not read again.
    Raises GatewayErrors."""
    if item.key.endswith(YANKED_FILE):
        return {item.key: Entry(version_of(item), await finder.yank_in(item))}
    entries, hash_beside = {}, False
    if (hash_file := present.get(item.key + SHA256_FILE)) is not None:
        beside = known.get(hash_file) or await finder.hash_in(hash_file)
        entries[hash_file.key] = Entry(version_of(hash_file), beside)
        hash_beside = beside.sha256 is not None
    metadata = await finder.find(item, hash_beside=hash_beside)
    entries[item.key] = Entry(version_of(item), metadata)
    return entries
