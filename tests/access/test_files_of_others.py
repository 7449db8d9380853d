"""Rules for paths hold for the files of another index as for our own: whoever may not fetch one does not see it."""

import json
from collections.abc import AsyncIterator

import pytest

from tests.conftest import StartGateway
from tests.publish.test_uploads import basic
from tests.support.faults import FaultyBucket
from tests.support.http import fetch
from tests.support.publicindex import JSON, PublicIndex
from tests.support.wheels import wheel

NEW, NEW_CONTENT = wheel("public_lib", "2.0")
OLD, OLD_CONTENT = wheel("public_lib", "1.0")


@pytest.fixture
async def public() -> AsyncIterator[PublicIndex]:
    index = PublicIndex()
    index.projects = {"public-lib": {NEW: NEW_CONTENT, OLD: OLD_CONTENT}}
    async with index.running():
        yield index


@pytest.mark.parametrize("ours", [False, True], ids=["theirs alone", "beside ours"])
async def test_a_page_shows_what_its_reader_may_fetch(
    start_gateway: StartGateway,
    faulty: FaultyBucket,
    faulty_settings: dict[str, str],
    public: PublicIndex,
    ours: bool,
) -> None:
    faulty.objects = {"public-lib/public_lib-0.1.tar.gz": b"ours"} if ours else {"x/x-1.0.tar.gz": b"x"}
    rules = [{"paths": [f"/public-lib/{NEW}"], "read": ["user:bob"], "only": True}]
    gateway = await start_gateway(
        faulty_settings
        | {"fallback.mode": "mirror", "fallback.base_url": public.url, "fallback.always_show_upstream": "true"}
        | {"access.authenticators": "tests.support.people:People", "access.rules": json.dumps(rules)}
        | {"policy.rules": "[{projects: [public-*], verdict: warn, reason: look}]"}
    )
    port = int(gateway.url.rpartition(":")[2])
    for user, shown in (("bob", {NEW, OLD}), ("alice", {OLD}), ("bob", {NEW, OLD})):
        for target, accept in (
            ("/simple/public-lib/", JSON),
            ("/simple/public-lib/", "text/html"),
            ("/public-lib/", "*/*"),
        ):
            answer = await fetch(port, target, headers=basic(user) | {"Accept": accept})
            assert answer.status == 200
            assert {name for name in (NEW, OLD) if name.encode() in answer.body} == shown, (user, target, accept)
        answer = await fetch(port, f"/public-lib/{NEW}", headers=basic(user))
        assert answer.status == (200 if NEW in shown else 403)
