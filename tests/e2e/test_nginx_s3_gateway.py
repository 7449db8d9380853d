"""What nginx-s3-gateway's own integration tests expect of its set-ups, asked of a site on SeaweedFS and in a
directory. Where the gateway differs on purpose, the row has what nginx-s3-gateway answers, and why."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import StartGateway
from tests.support.bucket import Bucket
from tests.support.http import RawAnswer, fetch

ODD = "a/%@!*()=$#^&|.txt"
LONG = "a/abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.txt"
WIDE = "a/これは　This is ASCII системы  חן .txt"
KEYS = [
    "a.txt",
    ODD,
    LONG,
    "a/c/あ",
    "a/plus+plus.txt",
    WIDE,
    "b/c/'(1).txt",
    "b/c/=",
    "b/c/@",
    "b/c/d.txt",
    "b/e.txt",
    "b/クズ箱/ゴミ.txt",
    "b/ブツブツ.txt",
    "index.html",
    "statichost/index.html",
    "statichost/noindexdir/multipledir/index.html",
    "test/index.html",
    "системы/%bad%file%name%",
    "системы/system.txt",
]
NO_INDEX = {"rewrite.index_document": "none-has-this-name"}
LISTING = {"site.listing": "true"}

# Both as a client has to encode it, and as curl sends it: which key it is.
FILES = {
    "/a.txt": "a.txt",
    "/a.txt?some=param&that=should&be=stripped": "a.txt",
    "/b/c/d.txt": "b/c/d.txt",
    "/b/e.txt": "b/e.txt",
    "/b//e.txt": "b/e.txt",
    f"/{LONG}": LONG,
    "/b/c/%3D": "b/c/=",
    "/b/c/=": "b/c/=",
    "/b/c/%40": "b/c/@",
    "/b/c/@": "b/c/@",
    "/b/c/%27%281%29.txt": "b/c/'(1).txt",
    "/b/c/'(1).txt": "b/c/'(1).txt",
    "/a/plus%2Bplus.txt": "a/plus+plus.txt",
    "/%D1%81%D0%B8%D1%81%D1%82%D0%B5%D0%BC%D1%8B/%25bad%25file%25name%25": "системы/%bad%file%name%",
    "/a/c/%E3%81%82": "a/c/あ",
    "/b/%E3%82%AF%E3%82%BA%E7%AE%B1/%E3%82%B4%E3%83%9F.txt": "b/クズ箱/ゴミ.txt",
    "/%D1%81%D0%B8%D1%81%D1%82%D0%B5%D0%BC%D1%8B/system.txt": "системы/system.txt",
    "/b/%E3%83%96%E3%83%84%E3%83%96%E3%83%84.txt": "b/ブツブツ.txt",
    "/a/%25%40%21%2A%28%29%3D%24%23%5E%26%7C.txt": ODD,
    "/a/%E3%81%93%E3%82%8C%E3%81%AF%E3%80%80This%20is%20ASCII%20%D1%81%D0%B8%D1%81%D1%82%D0%B5%D0%BC%D1%8B%20%20"
    "%D7%97%D7%9F%20.txt": WIDE,
}
# The same names as curl sends them: bytes that no URI has (RFC 3986, 2).
FILES |= {"/a/c/あ": "a/c/あ", "/b/クズ箱/ゴミ.txt": "b/クズ箱/ゴミ.txt", "/b/ブツブツ.txt": "b/ブツブツ.txt"}
FILES |= {"/системы/system.txt": "системы/system.txt"}


class SetUp(NamedTuple):
    """`expected` are the statuses of paths; with `theirs`, those that nginx-s3-gateway gives in place of ours."""

    settings: dict[str, str]
    expected: Mapping[str, int]
    theirs: Mapping[str, int] = {}


NOTHING = {"/not%20found": 404, "/soap": 404, "/b/c": 404, "/b/": 404, "/b/c/": 404, "/b//c": 404}
LISTED = {"/": 200, "/b/": 200, "/b/c/": 200, "/b/クズ箱/": 200, "/b/%E3%82%AF%E3%82%BA%E7%AE%B1/": 200}
LISTED |= {"/системы/": 200, "/not%20found": 404, "/soap": 404}
INDEXED = {
    "/": 200,
    "/statichost/": 200,
    "/statichost/noindexdir/multipledir/": 200,
    "/nonexistdir/noindexdir/": 404,
    "/nonexistdir/noindexdir": 404,
    "/nonexistdir/": 404,
    "/nonexistdir": 404,
    "/statichost": 301,  # and 200 where it leads
    "/statichost/noindexdir/multipledir": 301,
}
# Named by what is on: listing, index pages, append slash.
SET_UPS = {
    "nothing": SetUp(NO_INDEX, NOTHING | {"/": 404}),
    "listing": SetUp(NO_INDEX | LISTING, LISTED | {"/b": 301}, {"/b": 404}),  # a link in the listing has its slash
    "listing and slash": SetUp(
        NO_INDEX | LISTING,
        LISTED | {"/b": 301, "/b//c": 301},
        {"/b": 302, "/b//c": 302, "/not%20found": 302},  # they don't look whether it is there
    ),
    "index": SetUp({}, NOTHING | INDEXED, {"/statichost": 404, "/statichost/noindexdir/multipledir": 404}),
    "index and slash": SetUp({}, NOTHING | INDEXED, {"/statichost": 302, "/statichost/noindexdir/multipledir": 302}),
    "all": SetUp(
        LISTING,
        LISTED | INDEXED | {"/test": 301, "/test/": 200, "/test?foo=bar": 301, "/test/?foo=bar": 200},
        {"/test": 302, "/test?foo=bar": 302},
    ),
    "strip": SetUp(
        NO_INDEX | {"rewrite.strip_prefix": "/my-bucket"},
        NOTHING | {"/": 404, "/my-bucket/a.txt": 200, "/my-bucket/b/e.txt": 200, "/my-bucket/nope": 404, "/a.txt": 200},
    ),
    "prefix": SetUp(
        NO_INDEX | {"rewrite.add_prefix": "/b"},
        {"/": 404, "/c/d.txt": 200, "/e.txt": 200, "/a.txt": 404, "/b/e.txt": 404},
    ),
    "strip and prefix": SetUp(
        NO_INDEX | {"rewrite.strip_prefix": "/tostrip", "rewrite.add_prefix": "/b"},
        {"/tostrip/c/d.txt": 200, "/tostrip/e.txt": 200, "/c/d.txt": 200, "/tostrip/a.txt": 404},
    ),
    "prefix and listing": SetUp(NO_INDEX | LISTING | {"rewrite.add_prefix": "/b"}, {"/": 200, "/c/": 200, "/b/": 404}),
}


def body_of(key: str) -> bytes:
    return f"the content of {key}".encode()


@pytest.fixture(params=["bucket", "directory"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    if request.param == "bucket":
        bucket: Bucket = request.getfixturevalue("bucket")
        for key in KEYS:
            bucket.put(key, body_of(key))
        return bucket.settings()
    for key in KEYS:
        (tmp_path / "root" / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "root" / key).write_bytes(body_of(key))
    return {"storage.dir": str(tmp_path / "root")}


async def test_its_set_ups(start_gateway: StartGateway, storage: dict[str, str]) -> None:
    for name, set_up in SET_UPS.items():
        assert set_up.theirs.keys() <= set_up.expected.keys()
        gateway = await start_gateway(storage | {"index.mode": "site"} | set_up.settings)
        port = int(gateway.url.rpartition(":")[2])
        for method in ("HEAD", "GET"):
            found = {path: (await fetch(port, path, method=method)).status for path in set_up.expected}
            assert (name, method, found) == (name, method, set_up.expected)


async def test_files_come_as_they_are_by_every_spelling(start_gateway: StartGateway, storage: dict[str, str]) -> None:
    gateway = await start_gateway(storage | {"index.mode": "site"})
    port = int(gateway.url.rpartition(":")[2])
    for path, key in FILES.items():
        head, answer = await fetch(port, path, method="HEAD"), await fetch(port, path)
        assert (path, head.status, answer.status, answer.body) == (path, 200, 200, body_of(key))


async def test_what_redirects_lead_to(start_gateway: StartGateway, storage: dict[str, str]) -> None:
    """curl -L follows them; nginx-s3-gateway's tests do so with an index page."""
    gateway = await start_gateway(storage | {"index.mode": "site", "site.listing": "true"})
    port = int(gateway.url.rpartition(":")[2])

    async def followed(path: str) -> RawAnswer:
        location = (await fetch(port, path)).headers["location"]
        assert location.startswith("./")
        return await fetch(port, path.rpartition("/")[0] + location.removeprefix("."))

    assert (await followed("/statichost")).body == body_of("statichost/index.html")
    deep = "/statichost/noindexdir/multipledir"
    assert (await followed(deep)).body == body_of(f"{deep[1:]}/index.html")
    assert (await followed("/test?foo=bar")).body == body_of("test/index.html")
    assert b'href="./c/"' in (await followed("/b")).body
    assert (await fetch(port, "/")).body == body_of("index.html")


async def test_links_of_a_listing_lead_to_what_they_name(start_gateway: StartGateway, storage: dict[str, str]) -> None:
    """With a prefix in front of the keys, which clients never see."""
    gateway = await start_gateway(
        storage | {"index.mode": "site", "site.listing": "true", "rewrite.add_prefix": "/a"} | NO_INDEX
    )
    port = int(gateway.url.rpartition(":")[2])
    page = (await fetch(port, "/")).body.decode()
    assert "Index of /<" in page
    assert "../" not in page
    links = [part.partition('"')[0] for part in page.split('href="./')[1:]]
    found = {link: (await fetch(port, f"/{link}")).body for link in links}
    bodies = [body_of(key) for key in sorted(KEYS) if key.startswith("a/") and "/c/" not in key]
    assert list(found.values())[1:] == bodies
    assert b"%E3%81%82" in found["c/"]
