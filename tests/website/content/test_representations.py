"""One object, several encodings: whatever a client asks, it gets right bytes, and can tell which these are."""

import asyncio
import gzip
import importlib
import sys
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.storage.base import one_chunk
from tests.conftest import StartGateway
from tests.support import brotli
from tests.support.faults import FaultyBucket
from tests.support.http import RawAnswer, fetch
from tests.support.memorystorage import BACKEND

zstd = importlib.import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")
DECODED = {"br": brotli.content, "zstd": zstd.decompress, "gzip": gzip.decompress}
SCRIPT = "".join(f"run({number});\n" for number in range(300)).encode()
PAGE = b"<p>a page</p>" * 300
OBJECTS = {
    "all.js": SCRIPT,
    "all.js.br": brotli.stored(SCRIPT),
    "all.js.zst": zstd.compress(SCRIPT),
    "all.js.gz": gzip.compress(SCRIPT, mtime=0),
    "some.css": SCRIPT * 2,
    "some.css.gz": gzip.compress(SCRIPT * 2, mtime=0),
    "page.html": PAGE,
    "small.txt": b"0123456789",
    "empty.txt": b"",
    "image.png": PAGE[::-1],
    "image.png.gz": b"not the same",
    "pkg-1.tar.gz": gzip.compress(PAGE, mtime=0),
    "pkg-1.tar.gz.br": b"not the same either",
}
AS_THEY_ARE = (".png", ".gz", ".br", ".zst")
AVAILABLE = {"all.js": ("br", "zstd", "gzip"), "some.css": ("zstd", "gzip"), "page.html": ("zstd", "gzip")}
SETTINGS = {"index.mode": "site", "site.precompressed": "br,zstd,gzip", "site.compress": "{}"}
Start = Callable[[dict[str, str]], Awaitable[int]]


@pytest.fixture(params=["bucket", "directory", "plug-in"])
async def port(
    request: pytest.FixtureRequest,
    start_gateway: StartGateway,
    faulty: FaultyBucket,
    faulty_settings: dict[str, str],
    tmp_path: Path,
) -> int:
    """Of a gateway that serves OBJECTS."""
    if request.param == "directory":
        (tmp_path / "www").mkdir()
        for key, content in OBJECTS.items():
            (tmp_path / "www" / key).write_bytes(content)
        gateway = await start_gateway(SETTINGS | {"storage.dir": str(tmp_path / "www")})
    elif request.param == "plug-in":
        gateway = await start_gateway(SETTINGS | {"storage.backend": BACKEND})
        for key, content in OBJECTS.items():
            await gateway.storage.put(key, one_chunk(content))
    else:
        faulty.objects = dict(OBJECTS)
        gateway = await start_gateway(faulty_settings | SETTINGS | {"cache.memory_bytes": "8MB"})
    return int(gateway.url.rpartition(":")[2])


def accepted(header: str) -> dict[str, float]:
    """The weights of a header that is well formed."""
    found = {}
    for item in header.split(","):
        name, _, weight = item.strip().partition(";q=")
        found[name.lower()] = float(weight or 1)
    return found


def acceptable(encoding: str, header: str) -> bool:
    weights = accepted(header)
    return weights.get(encoding, weights.get("*", 1.0 if encoding == "identity" else 0.0)) > 0


WEIGHTS = st.sampled_from(["", ";q=0", ";q=0.5", ";q=1"])
ENCODINGS = st.lists(
    st.tuples(st.sampled_from(["br", "zstd", "gzip", "identity", "*", "deflate", "GZIP"]), WEIGHTS).map("".join),
    max_size=4,
    unique_by=lambda item: item.partition(";")[0].lower(),
).map(", ".join)


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, str, dict[str, str], int | None]:
    """A key, a method, headers in which {0} is the ETag of a representation and {date} its date, and its number."""
    key = draw(st.sampled_from([*AVAILABLE] * 3 + [*OBJECTS]))
    headers = {"Accept-Encoding": draw(ENCODINGS)}
    tag = draw(st.integers(0, 3))
    value = st.sampled_from(["{0}", "W/{0}", '"other", {0}', '"other"', "*", 'W/"other"'])
    for name, values in (
        ("If-None-Match", value),
        ("If-Match", value),
        ("If-Modified-Since", st.sampled_from([formatdate(1_600_000_000, usegmt=True), "{date}"])),
        ("Range", st.sampled_from(["bytes=0-0", "bytes=5-9", "bytes=-7", "bytes=100-", "bytes=9999999-"])),
    ):
        if draw(st.integers(0, 3)) == 0:
            headers[name] = draw(values)
    if "Range" in headers and draw(st.booleans()):
        headers["If-Range"] = draw(st.sampled_from(["{0}", "W/{0}", '"other"', "{date}"]))
    return key, draw(st.sampled_from(["GET", "HEAD"])), headers, tag


async def representations(port: int, key: str) -> dict[str, bytes]:
    """The bytes of each, by its ETag."""
    found: dict[str, bytes] = {}
    for encoding in ("identity", "br", "zstd", "gzip"):
        answer = await fetch(port, f"/{key}", headers={"Accept-Encoding": encoding})
        assert answer.status == 200
        assert found.setdefault(answer.headers["etag"], answer.body) == answer.body
    return found


async def test_whatever_is_asked_the_answer_is_true(port: int) -> None:
    known = {key: await representations(port, key) for key in OBJECTS}
    assert all(len(found) == 1 + len(AVAILABLE.get(key, ())) for key, found in known.items())
    dates = {key: (await fetch(port, f"/{key}")).headers["last-modified"] for key in OBJECTS}
    loop = asyncio.get_running_loop()

    @given(requests())
    def check(asked: tuple[str, str, dict[str, str], int]) -> None:
        key, method, headers, number = asked
        tags = [*known[key]]
        tag = tags[number % len(tags)]
        dated = [(name, value.replace("{0}", tag).replace("{date}", dates[key])) for name, value in headers.items()]
        headers = dict(dated)
        answer = asyncio.run_coroutine_threadsafe(fetch(port, f"/{key}", method=method, headers=headers), loop).result()
        judge(key, method, headers, answer, known[key])

    await asyncio.to_thread(check)


def judge(key: str, method: str, headers: dict[str, str], answer: RawAnswer, known: dict[str, bytes]) -> None:
    ranged = method == "GET" and "Range" in headers
    if answer.status == 412:
        assert headers["If-Match"] != "*"
        assert not all(tag in headers["If-Match"] for tag in known) or headers["If-Match"].startswith("W/")
        return
    if answer.status == 416:
        first = headers["Range"].removeprefix("bytes=").partition("-")[0] or "0"
        assert any(len(whole) <= int(first) for whole in known.values())
        return
    etag, said = answer.headers["etag"], answer.headers
    assert etag in known
    if "If-Match" in headers:
        assert headers["If-Match"] == "*" or etag in headers["If-Match"]
        assert not headers["If-Match"].startswith("W/")
    varied = "accept-encoding" in said.get("vary", "").lower()
    assert varied == (not key.endswith(AS_THEY_ARE))
    if answer.status == 304:
        condition = headers.get("If-None-Match")
        assert condition == "*" or etag in condition if condition is not None else "If-Modified-Since" in headers
        assert not said.keys() & {"content-type", "content-encoding", "content-length", "content-range"}
        return
    if (condition := headers.get("If-None-Match")) is not None:
        assert condition != "*"
        assert etag not in condition
    encoding, whole = said.get("content-encoding", "identity"), known[etag]
    accept = headers["Accept-Encoding"]
    if not acceptable(encoding, accept):
        assert encoding == "identity"  # that is better than nothing
        assert not any(acceptable(name, accept) for name in AVAILABLE.get(key, ()))
    assert (DECODED[encoding](whole) if encoding != "identity" else whole) == OBJECTS[key]
    if answer.status == 200:
        assert said["content-length"] == str(len(whole))
        assert answer.body == (whole if method == "GET" else b"")
        return
    assert answer.status == 206
    assert ranged
    if_range = headers.get("If-Range", etag)
    assert if_range == etag or (key.endswith(AS_THEY_ARE) and if_range == said["last-modified"])
    bounds, _, size = said["content-range"].removeprefix("bytes ").partition("/")
    first, _, last = bounds.partition("-")
    assert size == str(len(whole))
    assert answer.body == whole[int(first) : int(last) + 1]
    wanted = headers["Range"].removeprefix("bytes=")
    assert wanted.startswith(f"{first}-") or int(first) == max(len(whole) + int(wanted), 0)


@pytest.mark.parametrize(
    ("key", "accept", "encoding"),
    [
        ("all.js", "gzip, deflate, br, zstd", "br"),
        ("all.js", "gzip, zstd;q=0.9", "gzip"),
        ("all.js", "*", "br"),
        ("all.js", "br;q=0, *", "zstd"),
        ("all.js", "x-gzip", "gzip"),
        ("all.js", "identity, *;q=0", None),
        ("all.js", "gzip;q=0.5, identity", None),
        ("all.js", "", None),
        ("some.css", "br, gzip", "gzip"),
        ("some.css", "br", None),
        ("some.css", "zstd, gzip;q=0.5", "gzip"),  # what is stored comes before what is made
        ("some.css", "zstd", "zstd"),
        ("page.html", "gzip, deflate, br, zstd", "zstd"),
        ("page.html", "gzip, br", "gzip"),
        ("small.txt", "gzip", None),
        ("image.png", "gzip", None),
        ("pkg-1.tar.gz", "br", None),
        ("all.js.br", "br, gzip", None),
    ],
)
async def test_the_encoding_that_a_client_prefers(port: int, key: str, accept: str, encoding: str | None) -> None:
    plain, answer = await fetch(port, f"/{key}"), await fetch(port, f"/{key}", headers={"Accept-Encoding": accept})
    assert answer.headers.get("content-encoding") == encoding
    assert answer.headers["content-type"] == plain.headers["content-type"]
    assert answer.headers.get("vary") == plain.headers.get("vary")
    head = await fetch(port, f"/{key}", method="HEAD", headers={"Accept-Encoding": accept})
    changing = {"date", "x-request-id", "age", "cache-status"}
    assert [{name: value for name, value in one.headers.items() if name not in changing} for one in (head, answer)] == [
        {name: value for name, value in answer.headers.items() if name not in changing}
    ] * 2


async def test_a_range_is_one_of_the_plain_bytes_unless_if_range_says_otherwise(port: int) -> None:
    for key in ("all.js", "page.html"):
        accept = {"Accept-Encoding": "gzip"}
        plain, packed = await fetch(port, f"/{key}"), await fetch(port, f"/{key}", headers=accept)
        part = accept | {"Range": "bytes=10-19"}
        for extra, whole in (
            ({}, plain),
            ({"If-Range": plain.headers["etag"]}, plain),
            ({"If-Range": packed.headers["etag"]}, packed),
            ({"Accept-Encoding": "gzip, identity;q=0"}, packed),
        ):
            answer = await fetch(port, f"/{key}", headers=part | extra)
            assert (answer.status, answer.body) == (206, whole.body[10:20]), (key, extra)
            assert answer.headers["etag"] == whole.headers["etag"]
            assert answer.headers.get("content-encoding") == whole.headers.get("content-encoding")
        for value in ('"other"', plain.headers["last-modified"], f"W/{packed.headers['etag']}"):
            answer = await fetch(port, f"/{key}", headers=part | {"If-Range": value})
            assert (answer.status, answer.body) == (200, packed.body)


async def test_conditions_are_about_the_representation_that_is_chosen(port: int) -> None:
    for key in ("all.js", "page.html"):
        accept = {"Accept-Encoding": "gzip"}
        plain, packed = await fetch(port, f"/{key}"), await fetch(port, f"/{key}", headers=accept)
        for extra in ({}, {"Range": "bytes=0-9", "If-Range": '"other"'}):
            held = await fetch(port, f"/{key}", headers=accept | extra | {"If-Match": packed.headers["etag"]})
            assert (held.status, held.body) == (200, packed.body)
            other = await fetch(port, f"/{key}", headers=accept | extra | {"If-Match": plain.headers["etag"]})
            assert other.status == 412


async def test_an_application_and_an_error_document_are_encoded_too(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects = {"index.html": PAGE, "404.html": PAGE[:2600], "404.html.gz": gzip.compress(PAGE[:2600])}
    changes = SETTINGS | {"site.spa": "true", "site.error_document": "404.html"}
    port = int((await start_gateway(faulty_settings | changes)).url.rpartition(":")[2])
    accept = {"Accept-Encoding": "gzip"}
    page = await fetch(port, "/users", headers=accept | {"Sec-Fetch-Mode": "navigate"})
    assert (page.status, gzip.decompress(page.body)) == (200, PAGE)
    assert page.headers["vary"] == "Accept-Encoding, Accept, Sec-Fetch-Mode"
    for method in ("GET", "HEAD"):
        absent = await fetch(port, "/a.js", headers=accept, method=method)
        assert (absent.status, absent.headers["content-encoding"]) == (404, "gzip")
        assert (absent.headers["vary"], absent.headers["content-type"]) == (
            "Accept-Encoding",
            "text/html; charset=utf-8",
        )
        assert gzip.decompress(absent.body) == PAGE[:2600] if method == "GET" else absent.body == b""
