"""No client gets a file that is withheld by any way in, whatever it has learnt before.

Each way is first seen to lead to the file where nothing withholds it.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin

import pytest

from tests.index.screening.test_screen import CONTENT, FILE, NAME, OLD, OLD_CONTENT, SBOM, public
from tests.support.faults import BUCKET, FaultyBucket
from tests.support.http import RawAnswer, fetch
from tests.support.nightly import by_night
from tests.support.publicindex import JSON, PublicIndex
from tests.support.reloadable import Reloadable

__all__ = ["public"]  # the fixture
METADATA = b"Metadata-Version: 2.1\nName: public-lib"
CACHES: dict[str, dict[str, Any]] = {
    "none": {"cache": {"memory_bytes": 0}},
    "memory": {"cache": {"memory_bytes": 10_000_000}},
    "disk": {"cache": {"memory_bytes": 1_000_000, "object_max_bytes": 10, "dir": "cache"}},
    "redirects": {"cache": {"memory_bytes": 10_000_000}},
    "prefetch": {"cache": {"memory_bytes": 10_000_000, "prefetch": True}},
}
# Targets, in which {} stands for where the index is, with what is sent along.
WAYS: dict[str, tuple[str, str, dict[str, str]]] = {
    "its URL": ("GET", "{}" + FILE, {}),
    "below simple": ("GET", "{}/simple" + FILE, {}),
    "head": ("HEAD", "{}" + FILE, {}),
    "range": ("GET", "{}" + FILE, {"Range": "bytes=0-9"}),
    "known": ("GET", "{}" + FILE, {"If-None-Match": "*"}),
    "percent signs": ("GET", "{}/public%2Dlib/" + quote(NAME).replace(".", "%2E"), {}),
    "another spelling": ("GET", "{}/Public_Lib/" + NAME, {}),
    "a query": ("GET", "{}" + FILE + "?x=1", {}),
    "from the bucket": ("GET", "{}" + FILE, {"Cache-Control": "no-cache"}),
    "its metadata": ("GET", "{}" + FILE + ".metadata", {}),
    "metadata below simple": ("GET", "{}/simple" + FILE + ".metadata", {}),
    "its SBOMs": ("GET", "{}" + FILE + ".sboms/", {}),
    "an SBOM below simple": ("GET", "{}/simple" + FILE + ".sboms/a.cdx.json", {}),
    "an SBOM that is known": ("GET", "{}" + FILE + ".sboms/a.cdx.json", {"If-None-Match": "*"}),
    "an SBOM by another spelling": ("GET", "{}/Public_Lib/" + NAME + ".sboms/a.cdx.json", {}),
}
# Ways that lead nowhere with or without a policy.
NO_WAYS = [
    "{}/.mirror" + FILE,
    "{}/simple/.mirror" + FILE,
    "{}/%2Emirror" + FILE,
    "{}" + FILE + "/",
    "{}//public-lib//" + NAME,
    "{}/x/../public-lib/./" + NAME,
    "{}/.mirror" + FILE + ".sboms/a.cdx.json",
    "{}/simple/.mirror" + FILE + ".sboms/",
]
BASES = "", "/all"
POLICIES: dict[str, dict[str, Any]] = {
    "age": {"min_age": "36500d"},
    "a rule": {"rules": [{"projects": ["public-*"], "versions": "==2.0", "verdict": "deny"}]},
    "a hold": {"rules": [{"younger_than": "36500d", "verdict": "hold", "until": "2999-01-01"}]},
}


@pytest.fixture
async def world(
    reloadable: Reloadable, faulty: FaultyBucket, public: PublicIndex, tmp_path: Path, request: pytest.FixtureRequest
) -> Callable[[dict[str, Any]], None]:
    """Writes the configuration with a policy."""
    chosen = CACHES[request.param]
    cache = {name: str(tmp_path / value) if name == "dir" else value for name, value in chosen["cache"].items()}
    storage = {
        "bucket": BUCKET,
        "endpoint_url": faulty.url,
        "addressing_style": "path",
        "region_name": "us-east-1",
        "aws_access_key_id": "AKIDFAULTY",
        "aws_secret_access_key": "the-secret-of-faulty",
        "redirect_urls": request.param == "redirects",
    }

    def write(policy: dict[str, Any]) -> None:
        reloadable.write(
            storage=storage,
            cache={**cache, "allow_bypass": True},
            fallback={"mode": "mirror", "base_url": public.url},
            index={"layout": "project", "refresh": 0.1},
            policy=policy,
            mounts=[{"name": "all", "path": "/all", "members": ["default"]}],
        )

    write({})
    await reloadable.start()
    return write


async def ask(reloadable: Reloadable, method: str, target: str, headers: dict[str, str]) -> RawAnswer:
    port = int(reloadable.gateway.url.rpartition(":")[2])
    answer = await fetch(port, target, method=method, headers=headers)
    if answer.status in (301, 302, 307, 308) and not answer.headers["location"].startswith("http"):
        there = urljoin(target.partition("?")[0], answer.headers["location"])
        answer = await fetch(port, there, method=method, headers=headers)
    return answer


def has_it(answer: RawAnswer) -> bool:
    return answer.status in (200, 206, 302, 304, 307)


def leaks(answer: RawAnswer) -> bool:
    in_body = CONTENT[:10] in answer.body or METADATA in answer.body or SBOM in answer.body
    return has_it(answer) or in_body or "etag" in answer.headers


@pytest.mark.parametrize("world", ["memory", "disk", "redirects", *by_night("none", "prefetch")], indirect=True)
async def test_no_way_leads_to_a_file_that_is_withheld(
    world: Callable[[dict[str, Any]], None], reloadable: Reloadable, faulty: FaultyBucket
) -> None:
    ways = [
        (method, target.format(base), headers) for method, target, headers in WAYS.values() for base in ("", "/all")
    ]
    for _ in range(2):  # the second time from the copy that is kept, and from caches
        for method, target, headers in ways:
            answer = await ask(reloadable, method, target, headers)
            assert has_it(answer), (method, target, headers, answer)
        await faulty.until(lambda: f".mirror{FILE}" in faulty.objects)
    for name, policy in POLICIES.items():
        world(policy)
        assert (await reloadable.reload())[0] == 200
        for method, target, headers in ways * 2:
            answer = await ask(reloadable, method, target, headers)
            assert not leaks(answer), (name, method, target, headers, answer)
            assert answer.status == 403, (name, method, target, headers, answer)
        for target in NO_WAYS:
            for base in BASES:
                assert not leaks(await ask(reloadable, "GET", target.format(base), {})), (name, target)
        for base in BASES:
            for accept in (JSON, "text/html"):
                page = await ask(reloadable, "GET", f"{base}/simple/public-lib/", {"Accept": accept})
                assert page.status == 200
                assert f'"filename": "{NAME}"'.encode() not in page.body
                assert f">{NAME}</a>".encode() not in page.body
    # The others are there all the same.
    world(POLICIES["a rule"])
    assert (await reloadable.reload())[0] == 200
    page = await ask(reloadable, "GET", "/simple/public-lib/", {"Accept": JSON})
    assert [file["filename"] for file in json.loads(page.body)["files"]] == [OLD]
    old = await ask(reloadable, "GET", f"/public-lib/{OLD}", {})
    assert old.body == OLD_CONTENT or has_it(old)
    world({})
    assert (await reloadable.reload())[0] == 200
    assert has_it(await ask(reloadable, "GET", FILE, {}))
