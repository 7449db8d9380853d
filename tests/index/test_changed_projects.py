"""A file that somebody else has deleted is served from no cache once the gateway has heard that its project changed."""

from pathlib import Path

import pytest

from gateway.app import Gateway
from gateway.index.changed_projects import ChangedProjects
from gateway.index.resources import Resources
from gateway.rights.policy import Listing
from tests.conftest import StartGateway
from tests.support.faults import FaultyBucket, error
from tests.support.http import RawAnswer, fetch
from tests.support.wheels import wheel

FILE, CONTENT = wheel("acme_web", "1.0")
OTHER, OTHER_CONTENT = wheel("other", "1.0")
KEY, OTHER_KEY = f"acme-web/{FILE}", f"other/{OTHER}"
NEVER = float("-inf")


def changed_at(now: list[float]) -> ChangedProjects:
    resources = Resources("r/", index_document="index.html", by_folder=True, root_page=Listing.FILTERED)
    return ChangedProjects(resources, lambda: now[0])


def test_only_the_files_of_a_changed_project_are_asked_for_again() -> None:
    now = [5.0]
    changed = changed_at(now)
    assert changed.since(f"r/{KEY}") == NEVER
    changed.note("acme-web")
    now[0] = 7.0
    for key in (f"r/{KEY}", f"r/simple/{KEY}.metadata", "r/Acme.Web/README"):
        assert changed.since(key) == 5.0
    assert changed.since(f"r/{OTHER_KEY}") == NEVER
    changed.note("acme-web")
    assert changed.since(f"r/{KEY}") == 7.0


def test_when_very_many_have_changed_all_count_as_changed() -> None:
    now = [0.0]
    changed = changed_at(now)
    for number in range(257):
        now[0] = float(number)
        changed.note(f"p{number}")
    assert changed.since(f"r/{KEY}") == 256.0


async def get(gateway: Gateway, key: str, agent: str = "") -> RawAnswer:
    return await fetch(int(gateway.url.rpartition(":")[2]), f"/{key}", headers={"User-Agent": agent})


@pytest.fixture
def settings(faulty: FaultyBucket, faulty_settings: dict[str, str]) -> dict[str, str]:
    faulty.objects = {KEY: CONTENT, OTHER_KEY: OTHER_CONTENT}
    return faulty_settings | {"cache.memory_bytes": "10000000", "storage.max_attempts": "1"}


@pytest.mark.parametrize("kept", ["in memory", "on disk", "as a redirect"])
async def test_a_file_that_was_deleted_elsewhere_is_gone(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket, tmp_path: Path, kept: str
) -> None:
    if kept == "on disk":
        settings |= {"cache.dir": str(tmp_path / "cache"), "cache.object_max_bytes": "0"}
    if kept == "as a redirect":
        settings |= {"storage.redirect_urls": "true"}
    gateway = await start_gateway(settings)
    found = 302 if kept == "as a redirect" else 200
    for key in (KEY, OTHER_KEY):
        assert (await get(gateway, key)).status == found
        assert (await get(gateway, f"{key}.metadata")).status == 200
    del faulty.objects[KEY], faulty.objects[OTHER_KEY]
    gateway.refresh("acme-web")
    for key in (f"{KEY}.metadata", KEY):
        assert (await get(gateway, key)).status == 404
    assert (await get(gateway, OTHER_KEY)).status == found, "of this project nothing was said"


async def test_nobody_is_redirected_to_it_because_it_is_cached_for_those_who_are_not(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    settings |= {"storage.redirect_urls": "auto", "storage.redirect_min_size": "1"}
    gateway = await start_gateway(settings | {"storage.stream_user_agents": "streams"})
    assert [(await get(gateway, KEY, agent)).status for agent in ("streams", "follows")] == [200, 302]
    del faulty.objects[KEY]
    gateway.refresh("acme-web")
    assert (await get(gateway, KEY, "follows")).status == 404


async def test_a_file_that_was_published_elsewhere_is_there(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    """Also for those who ask for no page, as they have a lock file."""
    del faulty.objects[KEY], faulty.objects[OTHER_KEY]
    gateway = await start_gateway(settings | {"cache.negative_ttl": "9999"})
    for key in (KEY, OTHER_KEY):
        assert (await get(gateway, key)).status == 404
        faulty.objects[key] = CONTENT
    gateway.refresh("acme-web")
    assert [(await get(gateway, key)).status for key in (KEY, OTHER_KEY)] == [200, 404]


async def test_one_that_is_still_there_costs_a_304_once(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    gateway = await start_gateway(settings)
    await get(gateway, KEY)
    gateway.refresh("acme-web")
    faulty.requests.clear()
    assert (await get(gateway, KEY)).headers["cache-status"] == "gateway; fwd=stale"
    gateway.response_cache.clear()  # type: ignore[union-attr]
    assert (await get(gateway, KEY)).headers["cache-status"].startswith("gateway; hit; ttl=")
    assert ["if-none-match" in request.headers for request in faulty.requests] == [True]


async def test_while_the_storage_can_t_be_asked_what_is_known_is_served(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    gateway = await start_gateway(settings)
    await get(gateway, KEY)
    gateway.refresh("acme-web")
    faulty.then(error(503, "SlowDown"))
    answer = await get(gateway, KEY)
    assert (answer.status, answer.body) == (200, CONTENT)
    assert "detail=stale" in answer.headers["cache-status"]
