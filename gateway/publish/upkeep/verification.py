"""Compares a release file with everything that is said of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gateway.errors import NotFoundError
from gateway.index.simple.names import METADATA
from gateway.index.wheels.core_metadata import MAX_METADATA_BYTES
from gateway.index.wheels.known_metadata import SHA256_FILE
from gateway.index.wheels.metadata import WheelMetadata
from gateway.index.wheels.metadata_finder import MetadataFinder
from gateway.index.wheels.wheel import WheelError
from gateway.messages import ObjectRequest
from gateway.publish.upkeep.finding import GC_ADVICE, Finding, Problem, is_refused
from gateway.publish.upkeep.inventory import Bundle
from gateway.publish.upkeep.shared_facts import SharedFacts
from gateway.storage.base import Storage, StoredObject
from gateway.storage.content import content_of

_BYTES = "its bytes"
_ADVICE = {
    "its metadata": "Restore the file from a backup or an older version, or delete it and publish it anew",
    "the file .sha256 beside it": "Restore the file, or correct or remove that one",
    "what gateways have stored of it": "gateway reindex finds it out anew",
}


@dataclass(slots=True)
class Tally:
    """How much has been looked at. Of `unknown` files nobody has said a hash."""

    files: int = 0
    bytes: int = 0
    unknown: int = 0


class Verification:
    """Changes nothing."""

    def __init__(
        self,
        storage: Storage,
        root: str,
        finder: MetadataFinder,
        wheels: WheelMetadata,
        facts: SharedFacts | None,
        *,
        quick: bool,
    ) -> None:
        """Keys are relative to `root`. `quick` compares what is said of the files, and reads none of them."""
        self._storage = storage
        self._root = root
        self._finder = finder
        self._wheels = wheels
        self._facts = facts
        self._quick = quick
        self.tally = Tally()

    async def of(self, bundle: Bundle) -> list[Finding]:
        """Raises PreconditionFailedError or NotFoundError for a file that changes meanwhile, and other GatewayErrors
        if it can't be looked at."""
        if bundle.file is None:
            return [*await self._leftovers(bundle)]
        file, findings, tail = bundle.file, list[Finding](), b""
        said = await self._said(bundle, file)
        self.tally.unknown += not said
        if not self._quick:
            sha256, tail, size = await self._finder.hashed(self._root + file.key, file.etag)
            self.tally.bytes += size
            said = {_BYTES: sha256, **said}
            if size != file.size:
                what = f"it has {size} bytes, and the listing says {file.size}"
                findings.append(Finding(Problem.SIZE, file.key, what, _ADVICE["its metadata"]))
            findings += await self._metadata(bundle, file, tail)
        findings += _contradictions(file.key, said)
        self.tally.files += 1
        return findings

    async def _said(self, bundle: Bundle, file: StoredObject) -> dict[str, str]:
        """The SHA-256 of the file, by who says it."""
        stored = (await self._storage.metadata(self._root + file.key, file.etag)).sha256
        said = {"its metadata": stored}
        if (beside := bundle.companions.get(SHA256_FILE)) is not None:
            said["the file .sha256 beside it"] = (await self._finder.hash_in(beside)).sha256 or "none"
        if self._facts is not None:
            said["what gateways have stored of it"] = await self._facts.sha256_of(bundle.project, file)
        return {who: sha256 for who, sha256 in said.items() if sha256 is not None}

    async def _metadata(self, bundle: Bundle, file: StoredObject, tail: bytes) -> list[Finding]:
        """Compares the file .metadata beside a wheel, whose end is `tail`, with what is in the wheel."""
        beside = bundle.companions.get(METADATA)
        if beside is None or not file.key.endswith(".whl"):
            return []
        answer = await self._storage.fetch(ObjectRequest("GET", self._root + beside.key))
        content = await content_of(answer, MAX_METADATA_BYTES)
        try:
            if await self._wheels.of(self._root + file.key, file.etag, file.size, tail) == content:
                return []
            what, advice = "it is not the METADATA in the wheel, which installers compare", "Remove it"
        except WheelError as error:
            what, advice = f"the wheel that it describes has no METADATA to compare ({error})", "Publish the wheel anew"
        return [Finding(Problem.METADATA, beside.key, what, advice)]

    async def _leftovers(self, bundle: Bundle) -> Iterator[Finding]:
        try:
            await self._storage.metadata(self._root + bundle.key)
        except NotFoundError as error:
            if is_refused(error):
                raise
            what = "it describes a file that is not there"
            return (Finding(Problem.LEFTOVER, item.key, what, GC_ADVICE) for item in bundle.companions.values())
        return iter(())  # the listing was in an odd order, or the file has just come


def _contradictions(key: str, said: Mapping[str, str]) -> Iterator[Finding]:
    """The first is compared with each of the others."""
    (first, expected), *others = said.items() if said else [("", "")]
    for who, sha256 in others:
        if sha256 != expected:
            what = f"by {first}, its SHA-256 is {expected}, by {who} {sha256}"
            advice = _ADVICE[who] if first == _BYTES else "gateway verify without --quick tells which is right"
            yield Finding(Problem.HASH, key, what, advice)
