"""What is fed with anything: each harness takes bytes, and raises only if the code under it breaks a promise."""

import asyncio
import gzip
import json
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, unquote

from gateway.cache.lru import MemoryLimit
from gateway.config.load import load
from gateway.errors import BadRequestError, ConfigError, ContentTooLargeError, UpstreamError
from gateway.http.target import encode_key, is_reserved, location, parse_target, query_part, relative_directory
from gateway.index.browse.readme import about
from gateway.index.mirror import upstream_page
from gateway.index.sboms.contents import MAX_SBOMS
from gateway.index.sboms.wheel_sboms import MAX_SBOM_BYTES, WheelSboms
from gateway.index.simple import pages, static_page
from gateway.index.simple.names import is_release_of
from gateway.index.wheels import core_metadata
from gateway.index.wheels.wheel import WheelError, read_metadata
from gateway.publish.form import UploadForm
from gateway.publish.release_file import release_file
from gateway.publish.rules import Rules
from gateway.storage.s3 import listing
from gateway.upstream.parser import Answer
from tests.support.archives import summed
from tests.support.readers import (
    demand_one_meaning_of_tar,
    demand_one_meaning_of_zip,
    pieces,
    scan_tar,
    scan_zip,
)

_CONTENT_TYPES = ("application/vnd.pypi.simple.v1+json", "text/html")
_PAGE_URL = "https://index.example/simple/foo/"

_loop = asyncio.new_event_loop()


def request_target(data: bytes) -> None:
    """A path that is accepted has one meaning, for us and for whoever decodes once more."""
    text = data.decode("utf-8", "surrogateescape")
    _one_meaning(text)
    _one_meaning(f"/{text}")


def _one_meaning(target: str) -> None:
    try:
        path, query = parse_target(target)
    except BadRequestError:
        return
    assert path.startswith("/")
    assert not any(ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0 for character in path)
    for seen in (path, unquote(path), unquote(unquote(path))):
        assert not {".", ".."} & set(seen.replace("\\", "/").split("/"))
    assert parse_target(quote(path, safe="/")) == (path, "")
    key = path[1:]
    assert unquote(encode_key(key)) == key
    is_reserved(key)
    for reference in (relative_directory(path, query), query_part(query), location(path + query)):
        assert reference.isascii()
        assert reference.isprintable()
        assert " " not in reference
        assert location(reference) == reference
    assert relative_directory(path, query).startswith("./")


def upstream_answer(data: bytes) -> None:
    """An answer means the same however it is cut into segments."""
    method = ("GET", "HEAD")[data[0] % 2] if data else "GET"
    cut, rest = (data[1] % 16 + 1 if len(data) > 1 else 1), data[2:]
    whole = _answer(method, [rest])
    assert whole == _answer(method, [rest[at : at + cut] for at in range(0, len(rest), cut)])


def _answer(method: str, segments: list[bytes]) -> object:
    answer, body = Answer(method), []
    try:
        for segment in segments:
            body.append(answer.feed(segment))
        answer.feed_eof()
    except ValueError:
        return None
    assert all(name == name.lower() and "\n" not in value for name, value in answer.headers.items())
    return answer.status, answer.headers, b"".join(body), answer.complete, answer.keep_alive


def wheel(data: bytes) -> None:
    """Whatever the archive says, only what is in the file is read, and no more than may be."""
    tail = data[-(len(data) // 2) or len(data) :]

    async def read(start: int, stop: int) -> bytes:
        assert 0 <= start <= stop <= len(data), (start, stop)
        return data[start:stop]

    try:
        found = _loop.run_until_complete(read_metadata("foo", len(data), tail, read))
    except WheelError:
        return
    assert len(found) <= core_metadata.MAX_METADATA_BYTES


class _Wheel:
    name, version = "foo-1.0-py3-none-any.whl", ""

    def __init__(self, data: bytes) -> None:
        self.size, self._data = len(data), data

    async def read(self, start: int, stop: int) -> bytes:
        assert 0 <= start < stop <= self.size, (start, stop)
        return self._data[start:stop]


def sboms(data: bytes) -> None:
    """A client can ask for all that is listed, and gets no more than may be."""
    wheel, reader = _Wheel(data), WheelSboms(MemoryLimit(0))
    try:
        found = _loop.run_until_complete(reader.of(wheel))
    except WheelError:
        return
    assert len(found.members) <= MAX_SBOMS
    for path in found.members:
        assert parse_target(f"/{quote(path)}") == (f"/{path}", "")
        with suppress(WheelError):
            assert len(_loop.run_until_complete(reader.document(wheel, found, path))) <= MAX_SBOM_BYTES


def metadata(data: bytes) -> None:
    """Fields can be shown, and Requires-Python put into a page."""
    fields = core_metadata.parse(data)
    assert all(name == name.lower() for name in fields)
    requires = core_metadata.requires_python(data)
    assert requires is None or not any(ord(character) < 0x20 for character in requires)
    about(data)


def foreign_page(data: bytes) -> None:
    """Of another index's page only releases of the project are shown, and they can be shown."""
    kind = _CONTENT_TYPES[data[0] % 2] if data else "text/html"
    text = data[1:].decode("utf-8", "replace")
    try:
        found = upstream_page.parse_page("foo", _PAGE_URL, kind, text)
    except ValueError:
        return
    for file in found.project.files:
        assert is_release_of("foo", file.name)
        assert file.url.startswith("https://"), "never down from https"
        assert file.url.isascii()
    json.loads(pages.project_json(found.project))
    pages.project_html(found.project)


def stored_page(data: bytes) -> None:
    """A stored page can be said as JSON."""
    text = data.decode("utf-8", "replace")
    json.loads(pages.project_json(static_page.project_of("foo", text)))
    json.loads(pages.root_json(static_page.names_of(text)))


def bucket_listing(data: bytes) -> None:
    """A listing is one, or the storage's fault."""
    try:
        found = listing.parse(data)
    except UpstreamError:
        return
    for item in found.objects:
        assert isinstance(item.key, str)
        assert isinstance(item.size, int)


def configuration(data: bytes) -> None:
    """Settings, or a list of what is wrong."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.yaml"
        file.write_bytes(data)
        try:
            load(config_file=file, environ={}, cwd=Path(folder))
        except ConfigError as error:
            problems = [str(problem) for problem in error.problems]
        else:
            return
    assert problems
    assert all(problem.isprintable() for problem in problems), problems


def upload_form(data: bytes) -> None:
    """A form means the same however it is cut into pieces, and keeps what is asked of it."""
    cut, rest = (data[0] % 32 + 1 if data else 1), data[1:]
    whole = _form([rest])
    assert whole == _form(pieces(rest, cut))


def _form(parts: list[bytes]) -> object:
    try:
        form = UploadForm("multipart/form-data; boundary=b", sum(map(len, parts)))
        content = b"".join(piece for part in parts if part for piece in form.feed(part))
        form.finish()
        assert form.filename
        return form.fields, content, release_file(form.fields, form.filename, Rules())
    except (BadRequestError, ContentTooLargeError):
        return None


def upload_zip(data: bytes) -> None:
    """What is accepted means the same to all readers, however it arrives."""
    found = scan_zip([data])
    other = scan_zip(pieces(data, data[-1] % 16 + 1 if data else 1))
    assert (found and found[1]) == (other and other[1])
    if found is not None and other is not None:
        assert found[0].descriptions == other[0].descriptions
        demand_one_meaning_of_zip(data, *found)


def upload_tar(data: bytes) -> None:
    """What is accepted means the same to all readers. Heads get the checksums that they need."""
    blocks = [summed(block) if block[257:262] == b"ustar" else block for block in pieces(data, 512) if len(block) > 300]
    packed = gzip.compress(b"".join(blocks) + bytes(1024), 1, mtime=0)
    scan_tar("foo-1.0", [data])
    scan = scan_tar("foo-1.0", [packed])
    other = scan_tar("foo-1.0", pieces(packed, 7))
    assert (scan and (scan.pkg_info, scan.unpacked_size)) == (other and (other.pkg_info, other.unpacked_size))
    if scan is not None:
        demand_one_meaning_of_tar(packed, "foo-1.0", scan)


HARNESSES: dict[str, Callable[[bytes], None]] = {
    harness.__name__: harness
    for harness in (
        request_target,
        upstream_answer,
        wheel,
        sboms,
        metadata,
        foreign_page,
        stored_page,
        bucket_listing,
        configuration,
        upload_form,
        upload_zip,
        upload_tar,
    )
}
