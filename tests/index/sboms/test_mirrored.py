"""The SBOMs of the other index's wheels: read by ranges, or from the copy that is kept."""

import json
from collections.abc import AsyncIterator

import pytest

from gateway.app import Gateway
from tests.conftest import StartGateway
from tests.index.sboms.test_served import BROWSER, CONTENT, CYCLONEDX, LIST, NAME, ONE, get
from tests.support.faults import FaultyBucket
from tests.support.publicindex import PublicIndex
from tests.support.wheels import sboms_wheel

FILE = f"/acme-web/{NAME}"
BIG, BIG_CONTENT = sboms_wheel(
    "big", "1.0", {"a.cdx.json": CYCLONEDX, "large.json": b"".join(b"%d" % n for n in range(90_000))}
)


@pytest.fixture
async def public() -> AsyncIterator[PublicIndex]:
    async with PublicIndex().running() as index:
        index.projects = {"acme-web": {NAME: CONTENT}, "big": {BIG: BIG_CONTENT}}
        yield index


@pytest.fixture
async def gateway(
    start_gateway: StartGateway, faulty_settings: dict[str, str], public: PublicIndex, request: pytest.FixtureRequest
) -> Gateway:
    mode = getattr(request, "param", "mirror")
    other = {"fallback.mode": mode, "fallback.base_url": public.url, "index.refresh": "0"}
    return await start_gateway(faulty_settings | other)


def fetched(public: PublicIndex, name: str) -> list[str]:
    """What was asked of a file: HEAD, a range, or all of it."""
    asked = zip(public.requests, public.headers, strict=True)
    found = [(method, headers) for (method, path), headers in asked if path.endswith(f"/files/{name}")]
    return [method if method == "HEAD" else headers.get("range", "all") for method, headers in found]


@pytest.mark.parametrize("gateway", ["mirror", "cache"], indirect=True)
async def test_they_are_read_by_ranges(gateway: Gateway, public: PublicIndex, faulty: FaultyBucket) -> None:
    answer = await get(gateway, LIST)
    assert [one["name"] for one in json.loads(answer.body)["sboms"]] == ["auditwheel.cdx.json", "deep/a b+é.spdx.json"]
    assert b"auditwheel.cdx.json</a>" in (await get(gateway, LIST, Accept=BROWSER)).body
    for target in (ONE, f"/simple{ONE}"):
        answer = await get(gateway, target)
        assert (answer.status, answer.body) == (200, CYCLONEDX)
        assert answer.headers["content-type"] == "application/vnd.cyclonedx+json"
    assert (await get(gateway, ONE, If_None_Match=answer.headers["etag"])).status == 304
    assert (await get(gateway, f"{LIST}absent")).status == 404
    asked = fetched(public, NAME)
    assert (len(asked), asked[0]) == (2, f"bytes=0-{len(CONTENT) - 1}"), "the list once, and the SBOM once"
    assert not [key for key in faulty.objects if NAME in key], "nothing is kept of it"


async def test_only_parts_of_a_large_one_are_fetched(gateway: Gateway, public: PublicIndex) -> None:
    assert (await get(gateway, f"/big/{BIG}.sboms/a.cdx.json")).body == CYCLONEDX
    asked = fetched(public, BIG)
    assert asked[0] == f"bytes={len(BIG_CONTENT) - 65536}-{len(BIG_CONTENT) - 1}"
    assert (len(asked), "all" in asked) == (2, False)
    assert len((await get(gateway, f"/big/{BIG}.sboms/large.json")).body) == len(
        b"".join(b"%d" % n for n in range(90_000))
    )


async def test_the_copy_that_is_kept_is_read(gateway: Gateway, public: PublicIndex, faulty: FaultyBucket) -> None:
    assert (await get(gateway, FILE)).body == CONTENT
    await faulty.until(lambda: f".mirror{FILE}" in faulty.objects)
    public.down = True
    assert (await get(gateway, ONE)).body == CYCLONEDX
    assert fetched(public, NAME) == ["all"]
    assert (await get(gateway, f"/.mirror{ONE}")).status == 404


async def test_a_copy_that_its_page_contradicts_is_not(
    gateway: Gateway, public: PublicIndex, faulty: FaultyBucket
) -> None:
    assert (await get(gateway, ONE)).body == CYCLONEDX
    assert (await get(gateway, FILE)).body == CONTENT
    await faulty.until(lambda: f".mirror{FILE}" in faulty.objects)
    public.projects["acme-web"] = dict([sboms_wheel("acme_web", "1.0", {"auditwheel.cdx.json": b"new"})])
    assert (await get(gateway, "/simple/acme-web/")).status == 200
    assert (await get(gateway, ONE)).body == b"new"


async def test_an_index_that_sends_no_parts_is_told_of(gateway: Gateway, public: PublicIndex) -> None:
    public.ranges = False
    for target in (f"/big/{BIG}.sboms/", f"/big/{BIG}.sboms/a.cdx.json"):
        answer = await get(gateway, target)
        assert answer.status == 502
        assert b"The index behind this gateway does not send parts of wheels" in answer.body
    assert (await get(gateway, LIST)).status == 200, "a small wheel is one part"


@pytest.mark.parametrize("size", [None, len(BIG_CONTENT) + 1, len(BIG_CONTENT) - 1, 10**12, 0])
async def test_sizes_that_its_page_does_not_tell_or_tells_wrongly(
    gateway: Gateway, public: PublicIndex, size: int | None
) -> None:
    public.fields = {BIG: {"size": size}}
    answer = await get(gateway, f"/big/{BIG}.sboms/a.cdx.json")
    if size is None:
        assert answer.body == CYCLONEDX
        assert fetched(public, BIG)[0] == "HEAD"
    else:
        assert answer.status == (502 if size else 404)
        assert "all" not in fetched(public, BIG)


async def test_another_spelling_leads_to_the_normalised_one(gateway: Gateway) -> None:
    for path in ("", "auditwheel.cdx.json", "deep/a%20b%2B%C3%A9.spdx.json"):
        answer = await get(gateway, f"/Acme_Web/{NAME}.sboms/{path}")
        up = "../" * (2 + path.count("/"))
        assert (answer.status, answer.headers["location"]) == (302, f"{up}acme-web/{NAME}.sboms/{path}")
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("gateway", ["redirect"], indirect=True)
async def test_where_clients_are_redirected_there_are_none(gateway: Gateway, public: PublicIndex) -> None:
    assert (await get(gateway, LIST)).status == 404
    assert fetched(public, NAME) == []


async def test_what_fails_there_fails_here(gateway: Gateway, public: PublicIndex) -> None:
    assert (await get(gateway, "/acme-web/acme_web-9.0-py3-none-any.whl.sboms/")).status == 404
    public.faulty = {BIG: 404}
    assert (await get(gateway, f"/big/{BIG}.sboms/")).status == 404
    public.faulty = {BIG: 403}
    assert (await get(gateway, f"/big/{BIG}.sboms/")).status == 502
    public.faulty, public.corrupt = {}, {BIG}
    public.ranges = True
    assert (await get(gateway, f"/big/{BIG}.sboms/")).status == 404


async def test_without_a_hash_nothing_is_remembered(gateway: Gateway, public: PublicIndex) -> None:
    public.algorithm = None
    for _ in range(2):
        answer = await get(gateway, ONE)
        assert (answer.body, "etag" in answer.headers) == (CYCLONEDX, False)
    assert len(fetched(public, NAME)) == 4
