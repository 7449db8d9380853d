"""The SBOMs of wheels through the gateway, and what they cost the bucket."""

import asyncio
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from gateway.app import Gateway
from gateway.index.sboms.sending import Sending
from tests.conftest import StartGateway
from tests.support import faults
from tests.support.eventually import eventually
from tests.support.faults import FaultyBucket
from tests.support.http import RawAnswer, fetch
from tests.support.wheels import sboms_wheel, wheel

CYCLONEDX = b'{"bomFormat": "CycloneDX", "specVersion": "1.6"}'
SPDX = b'{"spdxVersion": "SPDX-2.3"}' * 50
NAME, CONTENT = sboms_wheel("acme_web", "1.0", {"auditwheel.cdx.json": CYCLONEDX, "deep/a b+\xe9.spdx.json": SPDX})
PLAIN, PLAIN_CONTENT = wheel("acme_web", "2.0")
LIST = f"/acme-web/{NAME}.sboms/"
ONE = f"{LIST}auditwheel.cdx.json"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


async def get(gateway: Gateway, target: str, method: str = "GET", **headers: str) -> RawAnswer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await fetch(int(gateway.url.rpartition(":")[2]), target, method=method, headers=named)


async def listed(gateway: Gateway, target: str = LIST) -> Any:
    answer = await get(gateway, target, Accept="*/*")
    assert answer.status == 200, answer.body
    return json.loads(answer.body)


@pytest.fixture
async def gateway(start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]) -> Gateway:
    faulty.objects = {
        f"acme-web/{NAME}": CONTENT,
        f"acme-web/{PLAIN}": PLAIN_CONTENT,
        "acme-web/acme_web-3.0-py3-none-any.whl": b"no wheel",
        "acme-web/acme_web-4.0.tar.gz": b"sdist",
    }
    return await start_gateway(faulty_settings | {"storage.redirect_urls": "true"})


@pytest.mark.parametrize("path", ["/acme-web/", "/simple/acme-web/"])
async def test_they_are_listed_for_programs(gateway: Gateway, path: str) -> None:
    answer = await get(gateway, f"{path}{NAME}.sboms/", Accept="*/*")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert (answer.headers["vary"], answer.headers["cache-control"]) == ("Accept", "no-cache")
    assert json.loads(answer.body) == {
        "wheel": NAME,
        "sboms": [
            {
                "name": "auditwheel.cdx.json",
                "size": len(CYCLONEDX),
                "url": "auditwheel.cdx.json",
                "media_type": "application/vnd.cyclonedx+json",
            },
            {
                "name": "deep/a b+é.spdx.json",
                "size": len(SPDX),
                "url": "deep/a%20b%2B%C3%A9.spdx.json",
                "media_type": "application/spdx+json",
            },
        ],
        "left_out": 0,
    }
    again = await get(gateway, f"{path}{NAME}.sboms/", Accept="*/*", If_None_Match=answer.headers["etag"])
    assert (again.status, again.headers["vary"]) == (304, "Accept")


async def test_they_are_listed_for_people(gateway: Gateway) -> None:
    answer = await get(gateway, LIST, Accept=BROWSER)
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert '<a href="deep/a%20b%2B%C3%A9.spdx.json">deep/a b+é.spdx.json</a>'.encode() in answer.body
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["vary"] == "Accept"
    assert answer.headers["etag"] != (await get(gateway, LIST, Accept="*/*")).headers["etag"]
    assert b"has none" in (await get(gateway, f"/acme-web/{PLAIN}.sboms/", Accept=BROWSER)).body
    for accept in ("", "application/vnd.pypi.simple.v1+json", "image/png", "application/json, text/html;q=0.9"):
        assert (await get(gateway, LIST, Accept=accept)).headers["content-type"] == "application/json"
    assert (await get(gateway, LIST, Accept="text/html")).headers["content-type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize("path", ["/acme-web/", "/simple/acme-web/"])
async def test_each_is_served(gateway: Gateway, path: str) -> None:
    for sbom in (await listed(gateway))["sboms"]:
        target = f"{path}{NAME}.sboms/{sbom['url']}"
        answer = await get(gateway, target)
        assert (answer.status, answer.body) == (200, CYCLONEDX if "cdx" in target else SPDX)
        assert answer.headers["content-type"] == sbom["media_type"]
        assert answer.headers["content-length"] == str(sbom["size"])
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-disposition"] == "attachment"
        assert "sandbox" in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-cache"
        head = await get(gateway, target, "HEAD")
        assert (head.status, head.body) == (200, b"")
        same = "content-type", "content-length", "etag", "cache-control", "content-security-policy"
        assert [head.headers[name] for name in same] == [answer.headers[name] for name in same]
        part = await get(gateway, target, Range="bytes=0-3")
        assert (part.status, part.body) == (200, answer.body), "a range is ignored, as a server may"


async def test_only_a_few_bytes_of_a_wheel_are_read_and_once(gateway: Gateway, faulty: FaultyBucket) -> None:
    big = bytes(3_000_000)
    name, content = sboms_wheel("acme_web", "5.0", {"first.cdx.json": CYCLONEDX})
    with zipfile.ZipFile(buffer := io.BytesIO(content), "a", zipfile.ZIP_STORED) as archive:
        archive.writestr("acme_web/big.so", big)
    faulty.objects[f"acme-web/{name}"] = buffer.getvalue()
    target = f"/acme-web/{name}.sboms/first.cdx.json"
    answer = await get(gateway, target)
    assert answer.body == CYCLONEDX
    asked = [request for request in faulty.requests if request.key.endswith(name)]
    assert [request.method for request in asked] == ["HEAD", "GET", "GET"]
    assert all("range" in request.headers and "if-match" in request.headers for request in asked[1:])
    ranges = [request.headers["range"].removeprefix("bytes=").split("-") for request in asked[1:]]
    assert sum(int(last) - int(first) + 1 for first, last in ranges) < 70_000
    for headers in ({"If_None_Match": answer.headers["etag"]}, {}):
        faulty.requests.clear()
        again = await get(gateway, target, **headers)
        assert again.status == (304 if headers else 200)
        assert [request.method for request in faulty.requests if request.key.endswith(name)] == ["HEAD"]


async def test_a_wheel_without_any_has_an_empty_list(gateway: Gateway) -> None:
    found = await listed(gateway, f"/acme-web/{PLAIN}.sboms/")
    assert found == {"wheel": PLAIN, "sboms": [], "left_out": 0}


@pytest.mark.parametrize(
    "target",
    [
        f"{LIST}auditwheel.cdx",
        f"{LIST}auditwheel.cdx.json/",
        f"{LIST}/auditwheel.cdx.json",
        f"{LIST}METADATA",
        f"{LIST}../METADATA",
        f"/acme-web/{PLAIN}.sboms/auditwheel.cdx.json",
        "/acme-web/acme_web-9.0-py3-none-any.whl.sboms/",
        "/acme-web/acme_web-4.0.tar.gz.sboms/",
        "/acme-web/notes.whl.sboms/",
        f"/zulu/{NAME}.sboms/",
    ],
)
async def test_there_are_no_others(gateway: Gateway, target: str) -> None:
    answer = await get(gateway, target)
    assert answer.status == (400 if ".." in target else 404)


async def test_what_is_no_wheel_says_so_and_is_read_once(gateway: Gateway, faulty: FaultyBucket) -> None:
    name = "acme_web-3.0-py3-none-any.whl"
    for expected in (["HEAD", "GET"], ["HEAD"]):
        faulty.requests.clear()
        for target in (f"/acme-web/{name}.sboms/",):
            answer = await get(gateway, target)
            assert answer.status == 404
            assert f"404 The SBOMs of {name} can't be read: it is not a ZIP archive".encode() in answer.body
        assert [request.method for request in faulty.requests if request.key.endswith(name)] == expected
    faulty.objects[f"acme-web/{name}"] = wheel("acme_web", "3.0")[1]
    assert (await get(gateway, f"/acme-web/{name}.sboms/")).status == 200, "another version is read again"


async def test_an_sbom_that_cannot_be_read_says_so_and_is_tried_once(gateway: Gateway, faulty: FaultyBucket) -> None:
    name, content = sboms_wheel("acme_web", "5.0", {"a.json": b"x" * 1000, "b.json": b"y"})
    at = content.rfind(b"acme_web-5.0.dist-info/sboms/a.json") - 46
    faulty.objects[f"acme-web/{name}"] = content[: at + 16] + b"\0\0\0\1" + content[at + 20 :]  # another CRC
    for asked in (2, 0):
        faulty.requests.clear()
        answer = await get(gateway, f"/acme-web/{name}.sboms/a.json")
        assert answer.status == 404
        assert b"can't be read: its SBOM a.json does not match its directory" in answer.body
        assert sum(request.method == "GET" and request.key.endswith(name) for request in faulty.requests) == asked
    assert (await get(gateway, f"/acme-web/{name}.sboms/b.json")).body == b"y"


async def test_a_wheel_that_is_replaced_has_other_sboms(gateway: Gateway, faulty: FaultyBucket) -> None:
    before = await get(gateway, ONE)
    faulty.objects[f"acme-web/{NAME}"] = sboms_wheel("acme_web", "1.0", {"auditwheel.cdx.json": b"{}"})[1]
    after = await get(gateway, ONE, If_None_Match=before.headers["etag"])
    assert (after.status, after.body) == (200, b"{}")
    del faulty.objects[f"acme-web/{NAME}"]
    assert (await get(gateway, ONE)).status == 404
    assert (await get(gateway, LIST)).status == 404


async def test_a_wheel_that_is_replaced_meanwhile_gives_no_mixture(gateway: Gateway, faulty: FaultyBucket) -> None:
    async def replace(answer: faults.Answer) -> None:
        faulty.objects[f"acme-web/{NAME}"] = sboms_wheel("acme_web", "1.0", {"auditwheel.cdx.json": b"{}"})[1]
        await faults.healthy(answer)

    faulty.then(faults.healthy, faults.healthy, replace)
    assert (await get(gateway, ONE)).status in (404, 502)
    assert (await get(gateway, ONE)).body == b"{}"


async def test_immutable_files_have_immutable_sboms(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects = {f"acme-web/{NAME}": CONTENT}
    gateway = await start_gateway(faulty_settings | {"cache.immutable_files": "true"})
    metadata = await get(gateway, f"/acme-web/{NAME}.metadata")
    assert (await get(gateway, ONE)).headers["cache-control"] == metadata.headers["cache-control"]
    assert "immutable" in metadata.headers["cache-control"]
    assert (await get(gateway, LIST)).headers["cache-control"] == "no-cache"


async def test_the_list_without_its_slash_leads_to_it(gateway: Gateway, faulty: FaultyBucket) -> None:
    answer = await get(gateway, LIST.rstrip("/"))
    assert (answer.status, answer.headers["location"]) == (301, f"./{NAME}.sboms/")


async def test_nothing_that_is_stored_shadows_them(gateway: Gateway, faulty: FaultyBucket) -> None:
    """Nor do they shadow a file of that name."""
    faulty.objects |= {
        f"acme-web/{NAME}.sboms": b"a file",
        f"acme-web/{NAME}.sboms/": b"a folder",
        f"acme-web/{NAME}.sboms/index.html": b"a page",
        f"acme-web/{NAME}.sboms/auditwheel.cdx.json": b"another",
        f"acme-web/{NAME}.sboms/more.cdx.json": b"one more",
    }
    assert [sbom["name"] for sbom in (await listed(gateway))["sboms"]] == [
        "auditwheel.cdx.json",
        "deep/a b+é.spdx.json",
    ]
    assert (await get(gateway, ONE)).body == CYCLONEDX
    for name in ("more.cdx.json", "index.html"):
        assert (await get(gateway, LIST + name)).status == 404
    assert (await get(gateway, LIST.rstrip("/"))).status == 302, "the file itself is where it was"


@pytest.mark.parametrize("layout", ["flat", "auto"])
async def test_a_flat_bucket(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], layout: str
) -> None:
    faulty.objects = {NAME: CONTENT, f"folder/{PLAIN}": PLAIN_CONTENT}
    gateway = await start_gateway(faulty_settings | {"index.layout": layout})
    for path in ("/", "/simple/"):
        assert len((await listed(gateway, f"{path}{NAME}.sboms/"))["sboms"]) == 2
        assert (await get(gateway, f"{path}{NAME}.sboms/auditwheel.cdx.json")).body == CYCLONEDX
        assert (await listed(gateway, f"{path}folder/{PLAIN}.sboms/"))["sboms"] == []


@pytest.mark.parametrize("mode", ["off", "static"])
async def test_where_no_pages_are_generated_there_are_none(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], mode: str
) -> None:
    faulty.objects = {f"acme-web/{NAME}": CONTENT, ONE[1:]: b"of the bucket"}
    gateway = await start_gateway(faulty_settings | {"index.mode": mode})
    assert (await get(gateway, LIST)).status == 404
    assert (await get(gateway, ONE)).body == b"of the bucket"


@pytest.mark.parametrize("cache", ["memory", "disk"])
async def test_with_caches(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], tmp_path: Path, cache: str
) -> None:
    """A part of a wheel is asked for, not the whole, unless that is there already."""
    faulty.objects = {f"acme-web/{NAME}": CONTENT}
    caches = {"memory": {}, "disk": {"cache.dir": str(tmp_path / "cache")}}[cache]
    gateway = await start_gateway(faulty_settings | {"cache.memory_bytes": "16MB"} | caches)
    assert (await get(gateway, ONE)).body == CYCLONEDX
    assert all(
        "range" in request.headers for request in faulty.requests if request.method == "GET" and NAME in request.key
    )
    assert (await get(gateway, f"/acme-web/{NAME}")).body == CONTENT
    faulty.requests.clear()
    assert (await get(gateway, f"{LIST}deep/a%20b%2B%C3%A9.spdx.json")).body == SPDX
    assert not [request for request in faulty.requests if NAME in request.key]
    del faulty.objects[f"acme-web/{NAME}"]
    gateway.refresh_all("acme-web")
    for target in (LIST, ONE):
        assert (await get(gateway, target)).status == 404


async def test_a_directory_of_this_machine(start_gateway: StartGateway, tmp_path: Path) -> None:
    (tmp_path / "packages" / "acme-web").mkdir(parents=True)
    (tmp_path / "packages" / "acme-web" / NAME).write_bytes(CONTENT)
    gateway = await start_gateway({"storage.dir": str(tmp_path / "packages")})
    assert len((await listed(gateway))["sboms"]) == 2
    answer = await get(gateway, ONE)
    assert (answer.body, "etag" in answer.headers) == (CYCLONEDX, True)
    assert (await get(gateway, ONE, If_None_Match=answer.headers["etag"])).status == 304
    (tmp_path / "packages" / "acme-web" / NAME).unlink()
    assert (await get(gateway, ONE)).status == 404


async def test_large_ones_give_their_memory_back(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    """Also if a client leaves, or asks for nothing but the head."""
    large = bytes(range(256)) * 64 * 1024  # more than sockets hold
    name, content = sboms_wheel("acme_web", "5.0", {"large.json": large})
    faulty.objects = {f"acme-web/{name}": content}
    gateway = await start_gateway(faulty_settings)
    target, sending = f"/acme-web/{name}.sboms/large.json", gateway.mount.index.sboms.sending
    assert (await get(gateway, target)).body == large
    head = await get(gateway, target, "HEAD")
    assert (head.status, head.headers["content-length"], head.body) == (200, str(len(large)), b"")
    assert sending.used == 0
    reader, writer = await asyncio.open_connection("127.0.0.1", int(gateway.url.rpartition(":")[2]))
    writer.write(f"GET {target} HTTP/1.1\r\nHost: gateway\r\n\r\n".encode())
    assert (await reader.read(5)) == b"HTTP/"
    assert sending.used == len(large)
    writer.transport.abort()
    await eventually(lambda: sending.used == 0)
    gateway.mount.index.sboms.sending = Sending(0)
    faulty.requests.clear()
    busy = await get(gateway, target)
    assert (busy.status, "retry-after" in busy.headers) == (503, True)
    assert not [request for request in faulty.requests if request.method == "GET"], "nothing is read of it"
    assert (await get(gateway, f"/acme-web/{name}.sboms/")).status == 200
