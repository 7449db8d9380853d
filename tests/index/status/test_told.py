"""Which projects wait until the status of all is read again, when something is said of some."""

import asyncio
from typing import cast

import pytest

from gateway.cache.patience import Patience
from gateway.errors import UNREADABLE, GatewayError, NotFoundError, ProjectClosedError, UpstreamBusyError
from gateway.index.resources import Resources
from gateway.index.status.document import ProjectStatus, Statuses
from gateway.index.status.statuses import ProjectStatuses
from gateway.index.status.stored import Found, StoredStatuses
from gateway.rights.policy import Listing
from tests.support.eventually import eventually

QUARANTINED = ProjectStatus("quarantined")
RESOURCES = Resources("", index_document="index.html", by_folder=True, root_page=Listing.FILTERED)


class Document:
    """Is read while it is not held."""

    key = "status"

    def __init__(self) -> None:
        self.said = Statuses()
        self.version = 0
        self.reads = 0
        self.error: GatewayError | None = None
        self.held = asyncio.Event()
        self.held.set()

    def say(self, **said: ProjectStatus) -> None:
        self.said = Statuses(said)
        self.version += 1

    async def read(self, known: str | None = None) -> Found | None:
        self.reads += 1
        await self.held.wait()
        if self.error is not None:
            raise self.error
        return Found(self.said, str(self.version)) if known != str(self.version) else None


@pytest.fixture
async def document() -> Document:
    return Document()


@pytest.fixture
async def statuses(document: Document) -> ProjectStatuses:
    statuses = ProjectStatuses(cast(StoredStatuses, document), RESOURCES, refresh=3600, patience=Patience(60))
    await statuses.of("p")
    return statuses


async def test_only_the_project_that_was_told_waits(document: Document, statuses: ProjectStatuses) -> None:
    document.say(p=QUARANTINED, q=QUARANTINED)
    document.held.clear()
    statuses.forget("p")
    async with asyncio.timeout(5):
        assert await statuses.of("q") is None
        await statuses.demand_offered("q/q-1.0.tar.gz")
    await eventually(lambda: document.reads == 2)  # in the background
    waiting = [asyncio.ensure_future(statuses.of("p")), asyncio.ensure_future(statuses.withheld("q/p-1.0.tar.gz"))]
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    document.held.set()
    assert await asyncio.gather(*waiting) == [QUARANTINED, ("q", QUARANTINED)]
    assert await statuses.of("q") == QUARANTINED
    assert document.reads == 2


@pytest.mark.parametrize("told", [257, 0])
async def test_after_too_many_all_wait(document: Document, statuses: ProjectStatuses, told: int) -> None:
    """And whenever everything is to be read again."""
    document.say(q=QUARANTINED)
    for number in range(told):
        statuses.forget(f"p{number}")
    if not told:
        statuses.expire()
    assert await statuses.of("q") == QUARANTINED


async def test_what_was_told_is_forgotten_once_it_has_been_read(document: Document, statuses: ProjectStatuses) -> None:
    statuses.expire()
    await statuses.of("p")
    document.held.clear()
    statuses.forget("q")
    async with asyncio.timeout(5):
        assert await statuses.of("p") is None
    document.held.set()
    await statuses.close()


async def test_an_upload_has_nobody_wait_unless_it_finds_something_new(
    document: Document, statuses: ProjectStatuses
) -> None:
    await statuses.demand_open("p")
    document.held.clear()
    async with asyncio.timeout(5):
        assert await statuses.of("q") is None
    document.held.set()
    document.say(p=QUARANTINED, q=QUARANTINED)
    with pytest.raises(ProjectClosedError):
        await statuses.demand_open("p")
    assert await statuses.of("q") == QUARANTINED


async def test_a_file_that_the_system_does_not_let_the_gateway_read_is_not_absent(document: Document) -> None:
    """As after `sudo gateway status` under a umask of 077."""
    document.error = NotFoundError("permission denied", code=UNREADABLE)
    statuses = ProjectStatuses(cast(StoredStatuses, document), RESOURCES, refresh=3600)
    for asking in (statuses.of("p"), statuses.withheld("p/p-1.0.tar.gz"), statuses.demand_open("p")):
        with pytest.raises(UpstreamBusyError):
            await asking
    assert await statuses.withheld("") is None
    document.error = NotFoundError("no such file")
    assert await statuses.of("p") is None
