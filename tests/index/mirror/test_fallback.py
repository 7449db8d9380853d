"""Projects that the bucket does not have, from another index on loopback; and those that never come from there."""

import asyncio
import hashlib
import json
import shutil
from collections.abc import AsyncIterator
from email.utils import formatdate
from pathlib import Path

import pytest

from gateway.app import Gateway
from gateway.cache.patience import Patience
from gateway.errors import ConfigError
from gateway.http.target import RESERVED
from gateway.index.mirror.downloads import DownloadStats
from tests.conftest import StartGateway
from tests.support import faults
from tests.support.eventually import eventually
from tests.support.faults import FaultyBucket, error
from tests.support.http import RawAnswer, fetch
from tests.support.publicindex import JSON, PublicIndex
from tests.support.wheels import wheel

NAME, CONTENT = wheel("public_lib", "2.0")
OLD, OLD_CONTENT = wheel("public_lib", "1.0")
OURS, OUR_CONTENT = wheel("acme_lib", "1.0")
EVIL, EVIL_CONTENT = wheel("acme_lib", "99.0")


@pytest.fixture
async def public() -> AsyncIterator[PublicIndex]:
    index = PublicIndex()
    index.projects = {"public-lib": {NAME: CONTENT, OLD: OLD_CONTENT}, "acme-lib": {EVIL: EVIL_CONTENT}}
    index.metadata = {NAME: b"Metadata-Version: 2.1\nName: public-lib\nVersion: 2.0\n"}
    async with index.running():
        yield index


@pytest.fixture
def settings(public: PublicIndex, faulty: FaultyBucket, faulty_settings: dict[str, str]) -> dict[str, str]:
    faulty.objects = {f"Acme.Lib/{OURS}": OUR_CONTENT}
    return faulty_settings | {"fallback.base_url": public.url}


async def get(gateway: Gateway, target: str, method: str = "GET", **headers: str) -> RawAnswer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await fetch(int(gateway.url.rpartition(":")[2]), target, method=method, headers=named)


async def page(gateway: Gateway, path: str = "/simple/public-lib/") -> dict[str, dict[str, object]]:
    answer = await get(gateway, path, Accept=JSON)
    assert (answer.status, answer.headers["content-type"]) == (200, JSON), answer.body
    return {file["filename"]: file for file in json.loads(answer.body)["files"]}


async def kept(bucket: FaultyBucket, key: str) -> bytes:
    await bucket.until(lambda: key in bucket.objects)
    return bucket.objects[key]


async def test_by_default_nothing_is_looked_for_elsewhere(
    start_gateway: StartGateway, settings: dict[str, str], public: PublicIndex
) -> None:
    gateway = await start_gateway(settings)
    assert (await get(gateway, "/simple/public-lib/")).status == 404
    assert public.requests == []


@pytest.mark.parametrize("path", ["/simple/public-lib/", "/public-lib/", "/simple/Public.Lib/"])
async def test_redirect_leads_there(
    start_gateway: StartGateway, settings: dict[str, str], public: PublicIndex, path: str
) -> None:
    gateway = await start_gateway(settings | {"fallback.mode": "redirect"})
    answer = await get(gateway, path + "?format=text/html")
    assert (answer.status, answer.headers["location"]) == (302, f"{public.url}public-lib/?format=text/html")
    assert answer.headers["cache-control"] == "no-store"
    assert (await get(gateway, f"/public-lib/{NAME}")).status == 404
    assert public.requests == [], "nobody was asked"


@pytest.mark.parametrize(("mode", "folder"), [("cache", ""), ("mirror", ".mirror/")])
async def test_pages_lead_through_us_and_files_are_kept(
    start_gateway: StartGateway,
    settings: dict[str, str],
    public: PublicIndex,
    faulty: FaultyBucket,
    mode: str,
    folder: str,
) -> None:
    gateway = await start_gateway(settings | {"fallback.mode": mode})
    files = await page(gateway)
    assert set(files) == {NAME, OLD}
    assert files[NAME] == {
        "filename": NAME,
        "url": f"../../public-lib/{NAME}",
        "hashes": {"sha256": hashlib.sha256(CONTENT).hexdigest()},
        "size": len(CONTENT),
        "upload-time": "2024-01-02T03:04:05.678000Z",
        "requires-python": ">=3.8",
        "yanked": False,
        "core-metadata": {"sha256": hashlib.sha256(public.metadata[NAME]).hexdigest()},
        "dist-info-metadata": {"sha256": hashlib.sha256(public.metadata[NAME]).hexdigest()},
    }
    assert "core-metadata" not in files[OLD]
    html = await get(gateway, "/public-lib/")
    assert f'href="../public-lib/{NAME}#sha256='.encode() in html.body
    assert (await get(gateway, f"/public-lib/{NAME}.metadata")).body == public.metadata[NAME]
    head = await get(gateway, f"/public-lib/{NAME}", "HEAD")
    assert (head.status, head.headers["content-length"], head.body) == (200, str(len(CONTENT)), b"")
    for path in (f"/public-lib/{NAME}", f"/simple/public-lib/{NAME}"):
        answer = await get(gateway, path)
        assert (answer.status, answer.body) == (200, CONTENT)
    for path in (f"/Public_Lib/{NAME}", f"/simple/Public_Lib/{NAME}"):
        answer = await get(gateway, path)
        assert (answer.status, answer.headers["location"]) == (302, f"../public-lib/{NAME}")
        assert answer.headers["cache-control"] == "no-store"
        assert await kept(faulty, f"{folder}public-lib/{NAME}") == CONTENT
    assert public.asked(f"/files/{NAME}") == 2, "its metadata, and itself, once each"
    assert all("authorization" not in headers for headers in public.headers)
    projects = json.loads((await get(gateway, "/simple/", Accept=JSON)).body)["projects"]
    assert projects == [{"name": "acme-lib"}]


async def test_a_project_of_ours_is_never_looked_for_elsewhere(
    start_gateway: StartGateway, settings: dict[str, str], public: PublicIndex, faulty: FaultyBucket
) -> None:
    """Dependency confusion: acme-lib 99.0 is there, and 1.0 is ours."""
    faulty.objects["empty.project/readme.txt"] = b"a name of ours, though nothing has been released"
    public.projects["empty-project"] = {}
    for mode in ("redirect", "cache", "mirror"):
        gateway = await start_gateway(settings | {"fallback.mode": mode})
        assert set(await page(gateway, "/simple/acme-lib/")) == {OURS}
        for path in (f"/acme-lib/{EVIL}", f"/simple/acme-lib/{EVIL}", f"/Acme.Lib/{EVIL}", "/simple/empty-project/"):
            assert (path, (await get(gateway, path)).status) == (path, 404)
        assert public.asked("/files/") == 0
        # With `cache`, the file might be on a page that a client got before the project was ours.
        assert mode == "cache" or public.requests == []
        public.requests.clear()
    named = await start_gateway(settings | {"fallback.mode": "cache", "fallback.disallow": "acme-lib"})
    assert (await get(named, f"/acme-lib/{EVIL}")).status == 404
    assert public.requests == []


async def test_the_projects_of_an_index_that_is_kept_below_simple_are_ours(
    start_gateway: StartGateway, settings: dict[str, str], public: PublicIndex, faulty: FaultyBucket
) -> None:
    """As dumb-pypi and others lay it out, where `rewrite.add_prefix` has been forgotten."""
    files = {EVIL: EVIL_CONTENT}
    public.projects |= dict.fromkeys(("half-done", "with-page", "beside-all", "public-too"), files)
    faulty.objects |= {
        "simple/Half_Done/half_done-1.0.tar.gz": b"ours",
        "simple/beside_all-1.0.tar.gz": b"ours",
        "simple/with-page/index.html": b"<a href='../../packages/with_page-1.0.tar.gz'>with_page-1.0.tar.gz</a>",
        "packages/with_page-1.0.tar.gz": b"ours",
    }
    for mode in ("redirect", "cache", "mirror"):
        gateway = await start_gateway(settings | {"fallback.mode": mode})
        for name in ("half-done", "with-page", "beside-all"):
            for path in (f"/simple/{name}/", f"/{name}/", f"/{name}/{EVIL}", f"/simple/{name}/{EVIL}"):
                answer = await get(gateway, path)
                assert answer.status == (200 if path == "/simple/with-page/" else 404), path
                assert EVIL.encode() not in answer.body
        assert (await get(gateway, "/simple/public-too/")).status in (200, 302), "only these are"
    assert public.asked("/files/") == 0


async def test_a_project_that_becomes_ours_while_listings_are_slow_is_shown_as_ours(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    """The older listing, without the project, stands in for a second; whose it is then waits for the new one."""
    gateway = await start_gateway(settings | {"fallback.mode": "cache"})
    assert set(await page(gateway)) == {NAME, OLD}
    faulty.objects[f"public-lib/{NAME}"] = CONTENT  # kept by another gateway
    gateway.refresh()

    async def slow(answer: faults.Answer) -> None:
        await asyncio.sleep(Patience().seconds + 0.3)
        await faults.healthy(answer)

    faulty.then(slow)
    assert set(await page(gateway)) == {NAME}


async def test_the_project_of_a_package_file_beside_the_folders_is_ours(
    start_gateway: StartGateway, settings: dict[str, str], public: PublicIndex, faulty: FaultyBucket
) -> None:
    """No page shows the file, but its name is as private as the others."""
    files = {EVIL: EVIL_CONTENT}
    public.projects |= dict.fromkeys(("stray-lib", "public-too"), files)
    faulty.objects["Stray_Lib-1.0.tar.gz"] = b"ours"
    for mode in ("redirect", "cache", "mirror"):
        gateway = await start_gateway(settings | {"fallback.mode": mode, "index.layout": "project"})
        for path in ("/simple/stray-lib/", "/stray-lib/", f"/stray-lib/{EVIL}"):
            assert (path, (await get(gateway, path)).status) == (path, 404)
        assert (await get(gateway, "/simple/public-too/")).status in (200, 302), "only this is"
    assert public.asked("/files/") == 0


async def test_a_name_that_is_disallowed_never_falls_through(
    start_gateway: StartGateway, settings: dict[str, str], public: PublicIndex
) -> None:
    public.projects |= {"acme-new": {EVIL: EVIL_CONTENT}}
    for mode in ("redirect", "cache", "mirror"):
        gateway = await start_gateway(
            settings
            | {"fallback.mode": mode, "fallback.disallow": "Acme.*, other", "fallback.always_show_upstream": "true"}
        )
        assert (await get(gateway, "/simple/acme-new/")).status == 404
        assert (await get(gateway, f"/acme-new/{EVIL}")).status == 404
        assert set(await page(gateway, "/simple/acme-lib/")) == {OURS}
    assert public.requests == []


@pytest.mark.parametrize("always", ["false", "true"])
@pytest.mark.parametrize("mode", ["cache", "mirror"])
async def test_nothing_but_releases_of_the_project_is_shown_fetched_or_kept(
    start_gateway: StartGateway,
    settings: dict[str, str],
    public: PublicIndex,
    faulty: FaultyBucket,
    mode: str,
    always: str,
) -> None:
    """A page of public-lib that lists acme-lib's 99.0 would put it into our flat bucket's acme-lib."""
    planted = {EVIL, "index.html", f"{NAME}.yanked", f"{NAME}.sha256", f"{NAME}.provenance", "public_lib-3.0-1%2Fx.whl"}
    public.projects["public-lib"] |= dict.fromkeys(planted, b"evil")
    public.projects["acme-lib"] |= dict.fromkeys(["index.html", f"{OURS}.yanked", f"{OURS}.sha256"], b"evil")
    faulty.objects = {OURS: OUR_CONTENT}
    before = dict(faulty.objects)
    flat = {"index.layout": "flat", "fallback.always_show_upstream": always}
    gateway = await start_gateway(settings | flat | {"fallback.mode": mode})
    assert set(await page(gateway)) == {NAME, OLD}
    assert set(await page(gateway, "/simple/acme-lib/")) == ({OURS, EVIL} if always == "true" else {OURS})
    for name in planted:
        for path in (f"/public-lib/{name}", f"/simple/public-lib/{name}"):
            assert (path, (await get(gateway, path)).status) == (path, 404)
    for name in ("index.html", f"{OURS}.yanked", f"{OURS}.sha256"):
        assert (await get(gateway, f"/acme-lib/{name}")).status == 404
    await gateway.stop()
    assert public.asked("/files/") == 0
    assert faulty.objects == before


async def test_what_is_ours_can_t_be_known_while_the_bucket_is_down(
    start_gateway: StartGateway, settings: dict[str, str], public: PublicIndex, faulty: FaultyBucket
) -> None:
    gateway = await start_gateway(settings | {"fallback.mode": "mirror", "storage.max_attempts": "1"})
    faulty.then(error(500, "InternalError"), times=50)
    assert (await get(gateway, "/simple/public-lib/")).status == 503
    assert public.requests == []
    faulty.script.clear()
    assert set(await page(gateway)) == {NAME, OLD}
    gateway.refresh()
    faulty.then(error(500, "InternalError"), times=50)
    assert (await get(gateway, "/simple/public-lib/")).status == 503, "what was known is old: it may be ours by now"


async def test_without_permission_to_list_nothing_falls_through(
    start_gateway: StartGateway, settings: dict[str, str], public: PublicIndex, faulty: FaultyBucket
) -> None:
    async def no_listing(answer: faults.Answer) -> None:
        await (error(403, "AccessDenied") if "list-type" in answer.request.target else faults.healthy)(answer)

    gateway = await start_gateway(settings | {"fallback.mode": "mirror"})
    faulty.then(no_listing, times=50)
    assert (await get(gateway, "/simple/public-lib/")).status == 503
    assert (await get(gateway, f"/public-lib/{NAME}")).status == 503
    assert public.requests == []


async def test_always_show_upstream_shows_both_and_ours_win(
    start_gateway: StartGateway, settings: dict[str, str], public: PublicIndex
) -> None:
    public.projects["acme-lib"][OURS] = b"not ours"
    settings |= {"fallback.always_show_upstream": "true"}
    gateway = await start_gateway(settings | {"fallback.mode": "mirror"})
    files = await page(gateway, "/simple/acme-lib/")
    assert {name: file["url"] for name, file in files.items()} == {
        OURS: f"../../Acme.Lib/{OURS}",
        EVIL: f"../../acme-lib/{EVIL}",
    }
    answer = json.loads((await get(gateway, "/acme-lib/", Accept=JSON)).body)
    assert answer["versions"] == ["1.0"]
    assert (await get(gateway, f"/acme-lib/{EVIL}")).body == EVIL_CONTENT
    assert (await get(gateway, f"/Acme.Lib/{OURS}")).body == OUR_CONTENT
    redirecting = await start_gateway(settings | {"fallback.mode": "redirect"})
    files = await page(redirecting, "/simple/acme-lib/")
    assert files[EVIL]["url"] == public.url.replace("/simple/", f"/files/{EVIL}")


@pytest.mark.parametrize("layout", ["project", "flat"])
@pytest.mark.parametrize("mode", ["cache", "mirror"])
async def test_no_file_of_theirs_has_the_name_of_one_of_ours(
    start_gateway: StartGateway,
    settings: dict[str, str],
    public: PublicIndex,
    faulty: FaultyBucket,
    mode: str,
    layout: str,
) -> None:
    """Ours lies elsewhere than a file of theirs is kept, so that its key alone does not show that it is there. Kept
    beside ours, the page would have both."""
    public.projects["acme-lib"][OURS] = b"not ours"
    settings |= {"fallback.always_show_upstream": "true", "fallback.mode": mode, "index.layout": layout}
    gateway = await start_gateway(settings)
    for name in (OURS, f"{OURS}.metadata"):
        for path in (f"/acme-lib/{name}", f"/simple/acme-lib/{name}"):
            assert (path, (await get(gateway, path)).status) == (path, 404)
    assert (await get(gateway, f"/acme-lib/{EVIL}")).body == EVIL_CONTENT, "names that are not ours"
    await gateway.stop()
    assert public.asked(f"/files/{OURS}") == 0
    assert [key for key in faulty.objects if key.endswith(OURS)] == [f"Acme.Lib/{OURS}"]


async def test_a_page_given_out_before_still_leads_to_its_files(
    start_gateway: StartGateway, settings: dict[str, str], public: PublicIndex, faulty: FaultyBucket
) -> None:
    gateway = await start_gateway(settings | {"fallback.mode": "cache"})
    await get(gateway, f"/public-lib/{OLD}")
    await kept(faulty, f"public-lib/{OLD}")
    gateway.refresh()
    assert set(await page(gateway)) == {OLD}, "it is ours now"
    assert (await get(gateway, f"/public-lib/{NAME}")).body == CONTENT
    await kept(faulty, f"public-lib/{NAME}")
    faulty.objects["public-lib/public_lib-0.1.tar.gz"] = b"really ours"
    del faulty.objects[f"public-lib/{NAME}"]
    gateway.refresh()
    assert (await get(gateway, f"/public-lib/{NAME}")).status == 404


@pytest.mark.parametrize("redirect", ["false", "true"])
async def test_a_file_that_the_other_index_replaces_is_fetched_and_kept_anew(
    start_gateway: StartGateway,
    settings: dict[str, str],
    public: PublicIndex,
    faulty: FaultyBucket,
    redirect: str,
) -> None:
    """Its page tells the new hash, against which pip would refuse the old file for ever."""
    settings |= {"fallback.mode": "mirror", "storage.redirect_urls": redirect, "cache.memory_bytes": "10000000"}
    gateway, other = [await start_gateway(settings) for _ in range(2)]
    key, replaced = f".mirror/public-lib/{NAME}", wheel("public_lib", "2.0", summary="replaced")[1]
    await get(gateway, f"/public-lib/{NAME}")
    assert await kept(faulty, key) == CONTENT
    await page(other)
    await get(other, f"/public-lib/{NAME}")
    fetched = public.asked(f"/files/{NAME}")
    public.projects["public-lib"][NAME] = replaced
    for one in (gateway, other):
        one.mount.fallback.upstream.expire()  # type: ignore[union-attr]
        assert (await page(one))[NAME]["hashes"] == {"sha256": hashlib.sha256(replaced).hexdigest()}
        answer = await get(one, f"/public-lib/{NAME}")
        assert answer.body == replaced or (answer.status == 302 and faulty.objects[key] == replaced)
        await faulty.until(lambda: faulty.objects[key] == replaced)
        downloads = one.mount.index._mirrored
        assert downloads is not None
        await eventually(lambda downloads=downloads: downloads.stats() == DownloadStats(0, 0, 0, 0))  # type: ignore[misc]
    public.down = True
    for one in (gateway, other):
        answer = await get(one, f"/public-lib/{NAME}")
        assert answer.body == replaced if redirect == "false" else answer.status == 302
        assert faulty.objects[key] == replaced
    assert public.asked(f"/files/{NAME}") <= fetched + 2


@pytest.mark.parametrize("down", [False, True])
async def test_a_file_that_another_process_has_replaced_is_served_though_an_older_page_is_known_here(
    start_gateway: StartGateway, settings: dict[str, str], public: PublicIndex, faulty: FaultyBucket, *, down: bool
) -> None:
    """By the older page alone, it would be fetched anew, and refused for its hash."""
    gateway, other = [await start_gateway(settings | {"fallback.mode": "mirror"}) for _ in range(2)]
    key, replaced = f".mirror/public-lib/{NAME}", wheel("public_lib", "2.0", summary="replaced")[1]
    await get(other, f"/public-lib/{NAME}")
    assert await kept(faulty, key) == CONTENT
    public.projects["public-lib"][NAME] = replaced
    await page(gateway)
    assert (await get(gateway, f"/public-lib/{NAME}")).body == replaced
    await faulty.until(lambda: faulty.objects[key] == replaced)
    faulty.date, public.down = formatdate(usegmt=True), down
    fetched = public.asked(f"/files/{NAME}")
    answer = await get(other, f"/public-lib/{NAME}")
    assert (answer.status, answer.body) == (200, replaced)
    assert public.asked(f"/files/{NAME}") == fetched
    if down:
        return
    assert (await page(other))[NAME]["hashes"] == {"sha256": hashlib.sha256(replaced).hexdigest()}
    public.projects["public-lib"][NAME] = CONTENT
    other.mount.fallback.upstream.expire()  # type: ignore[union-attr]
    await page(other)
    assert (await get(other, f"/public-lib/{NAME}")).body == CONTENT


async def test_the_storage_is_not_asked_about_a_kept_file_for_each_redirect(
    start_gateway: StartGateway, settings: dict[str, str], public: PublicIndex, faulty: FaultyBucket
) -> None:
    gateway = await start_gateway(settings | {"fallback.mode": "mirror", "storage.redirect_urls": "true"})
    await get(gateway, f"/public-lib/{NAME}")
    assert await kept(faulty, key := f".mirror/public-lib/{NAME}") == CONTENT
    downloads = gateway.mount.index._mirrored
    assert downloads is not None
    await eventually(lambda: downloads.stats() == DownloadStats(0, 0, 0, 0))
    for asked in (True, False):
        faulty.requests.clear()
        answer = await get(gateway, f"/public-lib/{NAME}", user_agent=f"asked {asked}")  # not the same bytes again
        assert answer.status == 302
        assert any(request.key == key for request in faulty.requests) is asked
    assert gateway.mount.storage.stats()["connections_busy"] == 0, "it holds no connection after its answer"


@pytest.mark.parametrize(("algorithm", "compute"), [("sha256", "true"), ("md5", "true"), ("md5", "false")])
async def test_who_publishes_files_with_our_names_and_sizes_gets_none_of_theirs_among_ours(
    start_gateway: StartGateway,
    settings: dict[str, str],
    public: PublicIndex,
    faulty: FaultyBucket,
    algorithm: str,
    compute: str,
) -> None:
    """Nor if no SHA-256 is known on either side."""
    public.projects["acme-lib"] = {OURS: bytes(len(OUR_CONTENT)), EVIL: EVIL_CONTENT}
    public.algorithm = algorithm
    gateway = await start_gateway(settings | {"fallback.mode": "cache", "index.compute_hashes": compute})
    assert set(await page(gateway, "/simple/acme-lib/")) == {OURS}
    for target in (f"/acme-lib/{EVIL}", f"/simple/acme-lib/{EVIL}", f"/acme-lib/{EVIL}.metadata"):
        assert (await get(gateway, target)).status == 404
    assert public.asked("/files/") == 0
    assert set(faulty.objects) == {f"Acme.Lib/{OURS}"}


@pytest.mark.parametrize("fault", ["content", "size", "longer"])
async def test_what_is_not_the_file_that_the_page_tells_is_neither_kept_nor_whole(
    start_gateway: StartGateway, settings: dict[str, str], public: PublicIndex, faulty: FaultyBucket, fault: str
) -> None:
    if fault == "content":
        public.corrupt = {NAME}
    else:
        public.fields[NAME] = {"size": len(CONTENT) + (1 if fault == "size" else -1)}
    gateway = await start_gateway(settings | {"fallback.mode": "cache"})
    answer = await get(gateway, f"/public-lib/{NAME}")
    cut = len(answer.body) < int(answer.headers["content-length"])
    assert cut if fault == "content" else answer.status == 502, "no client takes it for whole"
    assert f"public-lib/{NAME}" not in faulty.objects
    public.corrupt.clear()
    public.fields.clear()
    gateway.refresh()
    assert (await get(gateway, f"/public-lib/{NAME}")).body == CONTENT


async def test_metadata_with_another_hash_is_not_given_out(
    start_gateway: StartGateway, settings: dict[str, str], public: PublicIndex
) -> None:
    public.corrupt = {f"{NAME}.metadata"}
    gateway = await start_gateway(settings | {"fallback.mode": "mirror"})
    assert (await get(gateway, f"/public-lib/{NAME}.metadata")).status == 502


async def test_metadata_that_the_page_does_not_tell_of_is_not_asked_for(
    start_gateway: StartGateway, settings: dict[str, str], public: PublicIndex
) -> None:
    public.metadata[OLD] = public.metadata[NAME]
    public.fields[OLD] = {"core-metadata": False}
    gateway = await start_gateway(settings | {"fallback.mode": "mirror"})
    assert (await get(gateway, f"/public-lib/{OLD}.metadata")).status == 404
    assert public.asked("/files/") == 0


@pytest.mark.parametrize(("algorithm", "is_kept"), [("md5", True), ("sha512", True), (None, False)])
async def test_any_hash_will_do_and_without_one_nothing_is_kept(
    start_gateway: StartGateway,
    settings: dict[str, str],
    public: PublicIndex,
    faulty: FaultyBucket,
    algorithm: str | None,
    is_kept: bool,
) -> None:
    public.algorithm = algorithm
    gateway = await start_gateway(settings | {"fallback.mode": "cache"})
    assert (await get(gateway, f"/public-lib/{NAME}")).body == CONTENT
    if is_kept:
        await kept(faulty, f"public-lib/{NAME}")
    await gateway.stop()
    assert (f"public-lib/{NAME}" in faulty.objects) == is_kept


async def test_a_304_that_nobody_asked_for_is_no_file(
    start_gateway: StartGateway, settings: dict[str, str], public: PublicIndex
) -> None:
    """It would be given out as a file of no bytes."""
    public.algorithm = None
    public.fields[NAME] = {"size": None}
    public.metadata[OLD] = b"Metadata-Version: 2.1\n"
    public.fields[OLD] = {"core-metadata": True}
    public.unchanged = {NAME, f"{OLD}.metadata"}
    gateway = await start_gateway(settings | {"fallback.mode": "mirror"})
    for target in (f"/public-lib/{NAME}", f"/public-lib/{OLD}.metadata"):
        answer = await get(gateway, target)
        assert (target, answer.status) == (target, 502)
    assert (await get(gateway, f"/public-lib/{NAME}", "HEAD")).status == 502
    assert public.asked("/files/") == 3


async def test_a_bucket_that_may_not_be_written_to_does_not_stop_files(
    start_gateway: StartGateway, settings: dict[str, str], public: PublicIndex, faulty: FaultyBucket
) -> None:
    async def read_only(answer: faults.Answer) -> None:
        await (error(403, "AccessDenied") if answer.request.method == "PUT" else faults.healthy)(answer)

    gateway = await start_gateway(settings | {"fallback.mode": "mirror"})
    faulty.then(read_only, times=50)
    for _ in range(2):
        assert (await get(gateway, f"/public-lib/{NAME}")).body == CONTENT


async def test_one_fetch_serves_all_who_ask_and_outlives_the_first(
    start_gateway: StartGateway, settings: dict[str, str], public: PublicIndex, faulty: FaultyBucket
) -> None:
    public.hold = asyncio.Event()
    gateway = await start_gateway(settings | {"fallback.mode": "mirror"})
    await page(gateway)
    first = asyncio.ensure_future(get(gateway, f"/public-lib/{NAME}"))
    await faulty.until(lambda: any(".mirror" in request.key for request in faulty.requests))
    others = [asyncio.ensure_future(get(gateway, f"/public-lib/{NAME}")) for _ in range(10)]
    await faulty.until(lambda: sum(request.key == f".mirror/public-lib/{NAME}" for request in faulty.requests) == 11)
    first.cancel()
    public.hold.set()
    assert {answer.body for answer in await asyncio.gather(*others)} == {CONTENT}
    assert public.asked(f"/files/{NAME}") == 1
    assert await kept(faulty, f".mirror/public-lib/{NAME}") == CONTENT


async def test_a_file_that_is_kept_keeps_the_time_that_the_other_index_tells(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    """And its page costs no more than a HEAD: what was told of it stays with it."""
    gateway = await start_gateway(settings | {"fallback.mode": "cache"})
    theirs = await page(gateway)
    await get(gateway, f"/public-lib/{NAME}")
    await kept(faulty, f"public-lib/{NAME}")
    faulty.requests.clear()
    gateway.refresh()
    await page(gateway)
    await gateway.mount.metadata.settled()
    ours = await page(gateway)
    assert set(ours) == {NAME}
    for field in ("upload-time", "hashes", "requires-python"):
        assert ours[NAME][field] == theirs[NAME][field]
    asked = [request.method for request in faulty.requests if request.key.endswith(".whl")]
    assert asked == ["HEAD"]


@pytest.mark.parametrize("after", ["head", "request"])
async def test_a_fetch_ends_with_the_last_client_that_wants_it(
    start_gateway: StartGateway, settings: dict[str, str], public: PublicIndex, faulty: FaultyBucket, after: str
) -> None:
    public.hold = asyncio.Event()
    public.hold_head = after == "request"
    gateway = await start_gateway(settings | {"fallback.mode": "cache"})
    fetched = gateway.mount.mirrored
    assert fetched is not None
    clients = []
    for _ in range(2):
        reader, writer = await asyncio.open_connection(*gateway.url.removeprefix("http://").split(":"))
        clients.append(writer)
        writer.write(f"GET /public-lib/{NAME} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await eventually(lambda: fetched.stats().claims == len(clients))
        if after == "head":
            await reader.readuntil(b"\r\n\r\n")
    await eventually(lambda: public.sending == 1)
    clients[0].close()
    await eventually(lambda: fetched.stats().claims == 1)
    assert public.sending == 1
    clients[1].close()
    await eventually(lambda: fetched.stats() == DownloadStats(0, 0, 0, 0))
    await eventually(lambda: public.sending == 0)
    assert f"public-lib/{NAME}" not in faulty.objects


async def test_pages_are_remembered_asked_for_again_and_outlive_the_index(
    start_gateway: StartGateway, settings: dict[str, str], public: PublicIndex
) -> None:
    gateway = await start_gateway(settings | {"fallback.mode": "mirror"})
    first = await get(gateway, "/public-lib/", Accept=JSON)
    assert (await get(gateway, "/public-lib/", Accept=JSON, If_None_Match=first.headers["etag"])).status == 304
    assert public.asked("/simple/") == 1
    gateway.refresh()
    assert (await get(gateway, "/public-lib/", Accept=JSON)).body == first.body
    assert "if-none-match" in public.headers[-1]
    public.down = True
    gateway.refresh()
    stale = await get(gateway, "/public-lib/", Accept=JSON)
    assert (stale.status, stale.body) == (200, first.body)
    assert stale.headers["cache-status"].endswith("; detail=stale")
    unknown = await get(gateway, "/other-lib/")
    assert unknown.status == 503
    assert b"index behind this gateway" in unknown.body


async def test_what_is_not_there_is_not_asked_for_again_and_again(
    start_gateway: StartGateway, settings: dict[str, str], public: PublicIndex
) -> None:
    gateway = await start_gateway(settings | {"fallback.mode": "mirror"})
    for path in ("/simple/nope/", "/simple/nope/", "/simple/nope", "/nope/nope-1.0.tar.gz"):
        assert (await get(gateway, path)).status == 404
    for path in ("/favicon.ico", "/simple/-nope-/", f"/simple/{'x' * 300}/", "/simple/n%20ope/", "/a/b/c-1.0.tar.gz"):
        assert (await get(gateway, path)).status == 404
    assert public.requests == [("GET", "/simple/nope/")]
    public.projects["nope"] = {NAME: CONTENT}
    gateway.refresh()
    assert (await get(gateway, "/simple/nope")).headers["location"] == "./nope/"


async def test_html_pages_are_read_with_their_base(
    start_gateway: StartGateway, settings: dict[str, str], public: PublicIndex
) -> None:
    public.form = "html"
    gateway = await start_gateway(settings | {"fallback.mode": "mirror"})
    answer = json.loads((await get(gateway, "/public-lib/", Accept=JSON)).body)
    assert (answer["meta"]["api-version"], answer["versions"]) == ("1.0", ["1.0", "2.0"])
    assert (await get(gateway, f"/public-lib/{NAME}", "HEAD")).headers["content-length"] == str(len(CONTENT))
    assert (await get(gateway, f"/public-lib/{NAME}")).body == CONTENT


async def test_links_are_relative_to_where_the_page_has_moved(
    start_gateway: StartGateway, settings: dict[str, str], public: PublicIndex
) -> None:
    moved = public.url.replace("/simple/", "/old/simple/")
    gateway = await start_gateway(settings | {"fallback.mode": "mirror", "fallback.base_url": moved})
    assert (await get(gateway, f"/public-lib/{NAME}")).body == CONTENT


async def test_files_that_have_moved_are_followed(
    start_gateway: StartGateway, settings: dict[str, str], public: PublicIndex
) -> None:
    public.fields[NAME] = {"url": f"/moved/{NAME}"}
    gateway = await start_gateway(settings | {"fallback.mode": "mirror"})
    assert (await get(gateway, f"/public-lib/{NAME}")).body == CONTENT


ODD_PAGES = {
    "of another version": json.dumps({"meta": {"api-version": "2.0"}, "files": []}),
    "without files": json.dumps({"meta": {"api-version": "1.0"}, "files": "none"}),
    "of half a JSON": '{"meta": ',
    "deep": "[" * 100_000,
    "with a huge number": '{"meta": ' + "9" * 5000,
    "with a bomb": '{"meta": [' + "[]," * 3_000_000,
}


@pytest.mark.parametrize("body", ODD_PAGES.values(), ids=ODD_PAGES)
async def test_a_page_that_can_t_be_read_is_502_with_a_reason_and_asked_for_once(
    start_gateway: StartGateway, settings: dict[str, str], public: PublicIndex, body: str
) -> None:
    public.body = body.encode()
    gateway = await start_gateway(settings | {"fallback.mode": "mirror"})
    for path in ("/public-lib/", "/simple/public-lib/", f"/public-lib/{NAME}"):
        answer = await get(gateway, path, Accept=JSON)
        assert answer.status == 502
        assert b"answers with a page that can't be read: " in answer.body
    assert public.asked("/simple/") == 1
    public.body = None
    gateway.refresh()
    assert set(await page(gateway)) == {NAME, OLD}


async def test_an_odd_file_is_left_out_and_an_odd_field_too(
    start_gateway: StartGateway, settings: dict[str, str], public: PublicIndex
) -> None:
    names = [f"public_lib-{number}.0.tar.gz" for number in range(20, 27)]
    public.projects["public-lib"] |= dict.fromkeys(names, b"x")
    fields: list[dict[str, object]] = [
        {"size": int("9" * 400)},
        {"upload-time": "0000-01-01T00:00:00Z"},
        {"requires-python": "\ud800"},
        {"url": "https://files.example:99999/x"},
        {"url": "http://[::1/x"},
        {"url": "https://files.example/\ud800"},
        {"filename": ["x"]},
    ]
    public.fields = dict(zip(names, fields, strict=True))
    gateway = await start_gateway(settings | {"fallback.mode": "mirror"})
    for path in ("/public-lib/", "/simple/public-lib/"):
        assert set(await page(gateway, path)) == {NAME, OLD, *names[:3]}
    for accept in ("text/html", "text/html,application/xhtml+xml"):
        assert (await get(gateway, "/public-lib/", Accept=accept)).status == 200


@pytest.fixture
async def internal() -> AsyncIterator[PublicIndex]:
    """Something else on this machine, at another port than the other index."""
    server = PublicIndex()
    server.projects = {"public-lib": {NAME: CONTENT}}
    server.metadata = {NAME: b"Metadata-Version: 2.1\n"}
    async with server.running():
        yield server


@pytest.mark.parametrize("way", ["link", "name", "redirect", "base", "page"])
async def test_another_index_leads_to_no_internal_address(
    start_gateway: StartGateway, settings: dict[str, str], public: PublicIndex, internal: PublicIndex, way: str
) -> None:
    address = internal.url.removeprefix("http://").removesuffix("/simple/")
    if way == "name":
        address = address.replace("127.0.0.1", "localhost")
    if way in ("link", "name"):
        public.fields[NAME] = {"url": f"http://{address}/files/{NAME}"}
    elif way == "base":
        public.form, public.base = "html", f"http://{address}/files/"
    else:
        public.moved = f"http://{address}"
        public.fields[NAME] = {"url": f"/moved/{NAME}"}
    if way == "page":
        settings |= {"fallback.base_url": public.url.replace("/simple/", "/old/simple/")}
    settings |= {"fallback.mode": "cache"}
    gateway = await start_gateway(settings)
    assert (await get(gateway, "/simple/public-lib/")).status == (503 if way == "page" else 200)
    answer = await get(gateway, f"/public-lib/{NAME}")
    assert answer.status in (502, 503)
    assert address.encode() not in answer.body
    assert internal.requests == []
    trusting = await start_gateway(settings | {"fallback.allow_hosts": address})
    assert (await get(trusting, f"/public-lib/{NAME}")).body == CONTENT
    assert internal.asked("/files/") == 1


async def test_its_settings_fit_together(start_gateway: StartGateway, settings: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="listings tell which projects are yours"):
        await start_gateway(settings | {"fallback.mode": "cache", "index.mode": "static"})
    with pytest.raises(ConfigError, match="always_show_upstream"):
        await start_gateway(settings | {"fallback.always_show_upstream": "true"})
    with pytest.raises(ConfigError, match="the largest file must fit"):
        await start_gateway(settings | {"fallback.max_file_bytes": "2", "fallback.temp_bytes": "1"})


@pytest.mark.parametrize("layout", ["project", "flat"])
@pytest.mark.parametrize("mode", ["redirect", "cache", "mirror"])
async def test_while_a_directory_is_empty_nobody_knows_what_is_ours(
    start_gateway: StartGateway, public: PublicIndex, tmp_path: Path, mode: str, layout: str
) -> None:
    """A volume that is not mounted leaves an empty directory: names of ours would all be open."""
    root = tmp_path / "packages"
    settings = {"storage.dir": str(root), "fallback.base_url": public.url, "fallback.mode": mode}
    gateway = await start_gateway(settings | {"index.layout": layout, "index.refresh": "0"})
    for reserved in RESERVED:  # written by the gateway itself, when the volume had just gone
        (root / reserved / "metadata").mkdir(parents=True)
    for target in ("/simple/public-lib/", f"/public-lib/{NAME}"):
        answer = await get(gateway, target)
        if mode != "redirect" or target.endswith("/"):
            assert (target, answer.status) == (target, 503)
            assert b"is empty" in answer.body
    assert public.requests == []
    (root / ".keep").touch()
    gateway.refresh()
    assert (await get(gateway, "/simple/public-lib/")).status == (302 if mode == "redirect" else 200)
    shutil.rmtree(root)
    gateway.refresh()
    asked = len(public.requests)
    assert (await get(gateway, "/simple/public-lib/")).status in (502, 503)
    assert len(public.requests) == asked


@pytest.mark.parametrize("layout", ["project", "flat"])
async def test_a_linked_project_is_ours(
    start_gateway: StartGateway, public: PublicIndex, tmp_path: Path, layout: str
) -> None:
    root = tmp_path / "packages"
    (root / ".versions" / "7").mkdir(parents=True)
    (root / ".versions" / "7" / OURS).write_bytes(OUR_CONTENT)
    (root / "acme-lib").symlink_to(".versions/7")
    settings = {"storage.dir": str(root), "fallback.base_url": public.url, "fallback.mode": "mirror"}
    gateway = await start_gateway(settings | {"index.layout": layout})
    assert set(await page(gateway, "/simple/acme-lib/")) == {OURS}
    assert (await get(gateway, f"/acme-lib/{OURS}")).body == OUR_CONTENT
    assert (await get(gateway, f"/acme-lib/{EVIL}")).status == 404
    assert public.requests == []


@pytest.mark.parametrize("target", ["../elsewhere", "/nowhere", "acme-lib"])
async def test_a_project_that_is_linked_to_where_nothing_is_served_is_ours(
    start_gateway: StartGateway, public: PublicIndex, tmp_path: Path, target: str
) -> None:
    """Its volume may be missing, or its owner may not know that links out of the directory are not followed."""
    root = tmp_path / "packages"
    root.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / OURS).write_bytes(OUR_CONTENT)
    (root / "acme-lib").symlink_to(target)
    settings = {"storage.dir": str(root), "fallback.base_url": public.url, "fallback.mode": "mirror"}
    gateway = await start_gateway(settings)
    for path in ("/simple/acme-lib/", f"/acme-lib/{EVIL}", f"/acme-lib/{OURS}"):
        assert (path, (await get(gateway, path)).status) == (path, 404)
    assert public.requests == []
    assert set(await page(gateway)) == {NAME, OLD}
    (root / OURS).write_bytes(OUR_CONTENT)
    gateway = await start_gateway(settings | {"index.layout": "flat"})
    asked = len(public.requests)
    for path in ("/simple/acme-lib/", "/simple/public-lib/", f"/public-lib/{NAME}"):
        answer = await get(gateway, path)
        assert (path, answer.status) == (path, 200 if "acme" in path else 503)
    assert len(public.requests) == asked, "what lies behind the link could be of any project"
    (root / "acme-lib").unlink()
    gateway.refresh()
    assert set(await page(gateway)) == {NAME, OLD}


async def test_what_the_gateway_keeps_for_itself_is_not_asked_for_by_clients(
    start_gateway: StartGateway, settings: dict[str, str], public: PublicIndex, faulty: FaultyBucket
) -> None:
    gateway = await start_gateway(settings | {"fallback.mode": "mirror"})
    await get(gateway, f"/public-lib/{NAME}")
    await kept(faulty, f".mirror/public-lib/{NAME}")
    faulty.objects[".gateway/metadata"] = b"ours"
    faulty.objects[".well-known/x"] = b"theirs"
    before = len(faulty.requests)
    for target in (
        f"/.mirror/public-lib/{NAME}",
        "/.gateway/metadata",
        "/%2egateway/metadata",
        "/.gateway",
        "/.mirror/",
    ):
        assert (target, (await get(gateway, target)).status) == (target, 404)
    for target in (f"/simple/.mirror/public-lib/{NAME}", "//.gateway/metadata", "/.mirror/public-lib/"):
        assert (target, (await get(gateway, target)).status) == (target, 404)
    assert len(faulty.requests) == before, "the bucket is not asked either"
    assert (await get(gateway, "/.well-known/x")).body == b"theirs"
