"""Who may read the SBOMs of a wheel: whoever may read the wheel, and nobody else."""

import pytest

from gateway.app import Gateway
from tests.access.test_gate import basic
from tests.conftest import StartGateway
from tests.index.sboms.test_served import CONTENT, CYCLONEDX, LIST, NAME, ONE
from tests.support.faults import FaultyBucket
from tests.support.http import RawAnswer, fetch
from tests.support.publicindex import PublicIndex
from tests.support.wheels import sboms_wheel

PEOPLE = {
    "access.authenticators": "tests.support.people:People",
    "access.default_read": "everyone",
    "cache.memory_bytes": "8MB",
}
DEEP = "deep/a%20b%2B%C3%A9.spdx.json"
SPELLINGS = [LIST, ONE, f"{LIST}{DEEP}", f"/simple{ONE}", ONE.replace(".", "%2E")]
# They lead nowhere, and nobody who may not read the wheel is told so.
OTHERS = [
    f"/simple/simple{ONE}",
    f"{LIST}absent",
    f"//acme-web//{NAME}.sboms/absent",
    f"/acme-web/{NAME}.sboms",
    f"/zulu{LIST}",
    f"/{NAME}.sboms/",
]


async def ask(gateway: Gateway, target: str, user: str = "") -> RawAnswer:
    return await fetch(int(gateway.url.rpartition(":")[2]), target, headers=basic(user) if user else None)


@pytest.mark.parametrize(
    "rules",
    [
        "[{projects: ['acme-*'], read: ['group:data'], only: true}]",
        "[{paths: [/acme-web/], read: ['group:data'], only: true}]",
        f"[{{paths: [/acme-web/{NAME}], read: ['group:data'], only: true}}]",
        f"[{{paths: [/acme-web/{NAME}.sboms/], read: ['group:data'], only: true}}]",
    ],
)
async def test_it_takes_the_right_to_the_wheel(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], rules: str
) -> None:
    """Who may, asks first: nothing comes out of a cache."""
    faulty.objects = {f"acme-web/{NAME}": CONTENT}
    gateway = await start_gateway(faulty_settings | PEOPLE | {"access.rules": rules})
    for target in SPELLINGS:
        answer = await ask(gateway, target, "alice")
        assert (answer.status, answer.headers["cache-control"]) == (200, "private, no-cache"), target
        refused = [await ask(gateway, target, "dave"), await ask(gateway, target)]
        assert [one.status for one in refused] == [403, 401], target
        assert not [one for one in refused if "etag" in one.headers or CYCLONEDX in one.body]
    of_the_project = "projects" in rules
    for target in OTHERS:
        assert (await ask(gateway, target, "alice")).status in (301, 404), target
        if of_the_project:
            assert (await ask(gateway, target, "dave")).status == 403, target


async def test_what_pypi_s_json_api_means_is_no_sbom(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    """Rights are those to the document of a project, which may be any."""
    name, content = sboms_wheel("acme_web", "1.0", {"json": CYCLONEDX})
    faulty.objects = {f"pypi/{name}": content, f"pypi/zulu/{name}": content}
    hidden = {"access.rules": "[{projects: [acme-web], read: ['group:data'], only: true}]"}
    gateway = await start_gateway(faulty_settings | PEOPLE | hidden)
    for wheel in faulty.objects:
        assert (await ask(gateway, f"/{wheel}", "dave")).status == 403
        answer = await ask(gateway, f"/{wheel}.sboms/json", "dave")
        assert (answer.status, CYCLONEDX in answer.body) == (404, False)


@pytest.mark.parametrize("mode", ["mirror", "cache"])
async def test_those_of_the_other_index_take_the_right_to_have_files_fetched(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], mode: str
) -> None:
    async with PublicIndex().running() as public:
        public.projects = {"acme-web": {NAME: CONTENT}}
        rules = "[{projects: [acme-web], fallback: ['group:data']}]"
        other = {"fallback.mode": mode, "fallback.base_url": public.url}
        gateway = await start_gateway(faulty_settings | PEOPLE | other | {"access.rules": rules})
        for target in (LIST, ONE):
            assert (await ask(gateway, target, "alice")).status == 200
            assert (await ask(gateway, target, "dave")).status == 404
            assert (await ask(gateway, target)).status == 404
