"""Metadata of the other index's files, which is kept in memory for as long as its page tells the same hashes."""

import hashlib

import pytest

from gateway.cache.lru import MemoryLimit
from gateway.cache.refreshing import RefreshedValue
from gateway.errors import NotFoundError, UpstreamError
from gateway.index.mirror.downloads import DownloadLimits
from gateway.index.mirror.mirrored_files import MirroredFiles
from gateway.index.simple.pages import File, Project
from gateway.messages import BufferedResponse, ObjectRequest, Stream

NAME = "p-1.0-py3-none-any.whl"
URL = f"https://files.example/{NAME}"


class Index:
    """Another index with one wheel, as its page tells it, and the metadata at the wheel's URL."""

    keeps_apart = True

    def __init__(self) -> None:
        self.upstream = self
        self.reads = 0
        self.publish(b"Name: p", metadata_sha256=None)

    def publish(self, metadata: bytes, *, metadata_sha256: str | None, sha256: str = "ab" * 32) -> None:
        self.metadata = metadata
        hashes = {"sha256": sha256}
        self.file = File(NAME, URL, hashes=hashes, has_metadata=True, metadata_sha256=metadata_sha256)

    async def covers_file(self, project: str, name: str) -> bool:
        return True

    async def project(self, name: str, wanted: str | None = None) -> RefreshedValue[Project]:
        return RefreshedValue(Project(name, ("1.0",), (self.file,)), 0.0)

    async def demand(self, project: str, name: str, copy: object) -> None:
        """Nothing is withheld."""

    async def read(self, url: str, limit: int) -> bytes:
        assert url == f"{URL}.metadata"
        self.reads += 1
        return self.metadata


class Empty:
    async def fetch(self, request: ObjectRequest) -> Stream:
        raise NotFoundError(request.key)


def mirrored(index: Index) -> MirroredFiles:
    limits = DownloadLimits(1_000_000, 2_000_000)
    return MirroredFiles(Empty(), index, "", limits, MemoryLimit(1_000_000))  # type: ignore[arg-type]


async def metadata(files: MirroredFiles) -> bytes:
    answer = await files.answer(ObjectRequest("GET", f"p/{NAME}.metadata"))
    assert isinstance(answer, BufferedResponse)
    return answer.body


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


async def test_metadata_that_changes_at_the_same_url_is_read_again() -> None:
    """pip refuses metadata with another hash than the page tells."""
    index = Index()
    files = mirrored(index)
    for body in (b"Name: p", b"Name: p\nRequires-Dist: q"):
        index.publish(body, metadata_sha256=sha256(body))
        assert [await metadata(files), await metadata(files)] == [body, body]
    assert index.reads == 2, "each is read once"


async def test_metadata_without_a_hash_is_read_again_if_its_wheel_has_changed() -> None:
    index = Index()
    files = mirrored(index)
    for body, wheel in ((b"Name: p", "ab" * 32), (b"Name: p\nRequires-Dist: q", "cd" * 32)):
        index.publish(body, metadata_sha256=None, sha256=wheel)
        assert [await metadata(files), await metadata(files)] == [body, body]
    assert index.reads == 2


async def test_metadata_that_has_another_hash_than_the_page_tells_is_not_remembered() -> None:
    index = Index()
    files = mirrored(index)
    index.publish(b"old", metadata_sha256=sha256(b"new"))
    with pytest.raises(UpstreamError, match="another hash"):
        await metadata(files)
    index.metadata = b"new"
    assert await metadata(files) == b"new"
