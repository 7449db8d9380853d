"""Content types by extension."""

import json
from pathlib import Path

import pytest

from tests.conftest import StartGateway
from tests.support.faults import FaultyBucket, etag_of
from tests.website.test_website import Site

TYPES = {"md": "text/x-md", ".odd": "application/x-odd", "own": "text/own; charset=latin1"}
EXPECTED = {
    "a.html": "text/html; charset=utf-8",
    "a.js": "text/javascript; charset=utf-8",
    "A.CSS": "text/css; charset=utf-8",
    "a.svg": "image/svg+xml",
    "a.wasm": "application/wasm",
    "a.md": "text/x-md; charset=utf-8",
    "a.ODD": "application/x-odd",
    "a.own": "text/own; charset=latin1",
    "a.unknown": None,
    "odd": None,
    "x/a.md/noend": None,
    "a.tar.gz": "application/gzip",
    "a.js.br": "application/x-brotli",
}


@pytest.mark.parametrize("stored", ["binary/octet-stream", "application/octet-stream", None])
async def test_what_was_uploaded_without_a_type_has_that_of_its_name(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], stored: str | None
) -> None:
    faulty.objects = dict.fromkeys(EXPECTED, b"0123")
    faulty.headers = {key: [("Content-Type", stored)] if stored else [] for key in EXPECTED}
    changes = {"index.mode": "site", "site.types": json.dumps(TYPES)}
    site = Site((await start_gateway(faulty_settings | changes)).url)
    for key, expected in EXPECTED.items():
        content_type = expected or stored or "application/octet-stream"
        for headers in ({}, {"Range": "bytes=0-1"}):
            assert (await site.get(f"/{key}", headers)).headers["content-type"] == content_type, key
        assert (await site.get(f"/{key}", method="HEAD")).headers["content-type"] == content_type
        known = await site.get(f"/{key}", {"If-None-Match": etag_of(b"0123")})
        assert (known.status, "content-type" in known.headers) == (304, False)


async def test_what_was_uploaded_with_a_type_has_that(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects = {"a.js": b"x", "a.md": b"x", "docs/index.html": b"x"}
    faulty.headers = {key: [("Content-Type", "text/html")] for key in faulty.objects}
    faulty.objects["b.md"] = b"x"
    faulty.headers["b.md"] = [("Content-Type", "text/markdown; charset=utf-8")]  # as the gateway's own table has it
    site = Site((await start_gateway(faulty_settings | {"index.mode": "site", "site.types": json.dumps(TYPES)})).url)
    assert (await site.get("/b.md")).headers["content-type"] == "text/markdown; charset=utf-8"
    for path in ("/a.js", "/a.md", "/docs/"):
        answer = await site.get(path)
        assert answer.headers["content-type"] == "text/html"
    known = await site.get("/docs/", {"If-None-Match": answer.headers["etag"]})
    assert (known.status, "content-type" in known.headers) == (304, False)


async def test_an_index_has_the_types_of_its_bucket(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects = {"a/a.js": b"x"}
    site = Site((await start_gateway(faulty_settings)).url)
    assert (await site.get("/a/a.js")).headers["content-type"] == "binary/octet-stream"


async def test_a_directory_has_the_same_types(start_gateway: StartGateway, tmp_path: Path) -> None:
    root = tmp_path / "www"
    root.mkdir()
    names = [name for name in EXPECTED if "/" not in name]
    for name in names:
        (root / name).write_bytes(b"x")
    changes = {"storage.dir": str(root), "index.mode": "site", "site.types": json.dumps(TYPES)}
    site = Site((await start_gateway(changes)).url)
    for name in names:
        assert (await site.get(f"/{name}")).headers["content-type"] == (EXPECTED[name] or "application/octet-stream")
