"""Looking up the provenance of files: in which order, how many at once, who waits, and what is remembered."""

import asyncio
from collections.abc import Callable

import pytest

from gateway.cache.lru import MemoryLimit
from gateway.errors import NotFoundError, PreconditionFailedError, UpstreamBusyError, UpstreamError
from gateway.index.screening.provenance import source as module
from gateway.index.screening.provenance.lookup import Lookup
from gateway.index.screening.provenance.source import ProvenanceSource
from gateway.index.simple.pages import File, Project
from gateway.policy.release_policy import ReleasePolicy
from gateway.policy.rule import ReleaseRule
from gateway.policy.verdict import Action
from gateway.rights.patterns import ProjectPattern
from tests.support.eventually import eventually

ACME = "github:acme/web"


class Index:
    """Documents by the names of files, each of which waits until it is let go; what was asked for, in order."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.verified: list[str] = []
        self.fails: set[str] = set()
        self.root = "root"
        self.held = asyncio.Event()
        self.let_go = set[str]()
        self.changed = asyncio.Condition()
        self.running = self.most = 0

    async def read(self, url: str, limit: int) -> bytes:
        name = url.rpartition("/")[2]
        self.asked.append(name)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            async with self.changed:
                await self.changed.wait_for(lambda: self.held.is_set() or name in self.let_go)
        finally:
            self.running -= 1
        if name in self.fails:
            raise NotFoundError("it is not there")
        return b"{}" + f"{ACME} {name}".encode()

    def words(self, document: bytes, filename: str, sha256: str) -> str:
        self.verified.append(filename)
        if filename.startswith("bug"):
            raise RuntimeError("a bug")
        return document.decode().removeprefix("{}")

    async def go(self, *names: str) -> None:
        self.let_go |= set(names)
        if not names:
            self.held.set()
        async with self.changed:
            self.changed.notify_all()


class Store:
    """A MetadataStore."""

    def __init__(self) -> None:
        self.documents: dict[str, bytes] = {}
        self.down = False

    async def read(self, project: str) -> tuple[bytes, str | None]:
        if self.down:
            raise UpstreamError("the bucket is down")
        found = self.documents.get(project)
        return found or b"", str(hash(found)) if found is not None else None

    async def write(self, project: str, document: bytes, etag: str | None) -> None:
        if (await self.read(project))[1] != etag:
            raise PreconditionFailedError("another one")
        self.documents[project] = document


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def index() -> Index:
    return Index()


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def clock() -> Clock:
    return Clock()


Make = Callable[..., ProvenanceSource]


@pytest.fixture
def make(index: Index, store: Store, clock: Clock) -> Make:
    def source(*asked: str, patience: float = 20.0, memory: int = 10**6) -> ProvenanceSource:
        rule = ReleaseRule(
            name="x",
            action=Action.HOLD,
            projects=[ProjectPattern.parse("web*")],
            upstreams=["pypi.example"],
            provenance=asked or ("lost", "changed"),
        )
        policy = ReleasePolicy(rules=[rule])
        made = ProvenanceSource(Lookup(index, index), policy, "pypi.example", [store], MemoryLimit(memory), 60.0, clock)
        made._patience = patience
        return made

    return source


def page(*names: str, project: str = "web") -> Project:
    files = [
        File(
            name,
            name,
            hashes={"sha256": "ab" * 32},
            provenance=None if "none" in name else f"https://pypi.example/{name}",
        )
        for name in names
    ]
    return Project(project, (), tuple(files))


WEB = [f"web-{number}.0.tar.gz" for number in range(9, 0, -1)]
LAST, FIRST = WEB[0], WEB[-1]


async def told(source: ProvenanceSource, shown: Project, name: str | None = None) -> dict[str, str]:
    return dict((await source.about(shown, 0.0, name))["provenance"])


async def test_the_highest_versions_come_first_and_four_at_once(make: Make, index: Index) -> None:
    source = make()
    asking = asyncio.ensure_future(source.about(page(*reversed(WEB)), 0.0))
    await eventually(lambda: index.running == 4)
    assert index.asked == WEB[:4]
    assert source.state() == {"files that are being looked up": 9}
    await index.go(WEB[2])
    await eventually(lambda: len(index.asked) == 5)
    assert index.asked == WEB[:5]
    await index.go()
    assert (await asking)["provenance"] == {name: f"{ACME} {name}" for name in WEB}
    assert (index.asked, index.most) == (WEB, 4)
    assert source.state() == {}
    await source.close()


async def test_all_projects_together_look_up_eight_at_once(make: Make, index: Index) -> None:
    source = make()
    pages = [
        page(*(name.replace("web", project) for name in WEB), project=project) for project in ("web", "web2", "web3")
    ]
    asking = [asyncio.ensure_future(source.about(one, 0.0)) for one in pages]
    await eventually(lambda: index.running == 8)
    await index.go()
    await asyncio.gather(*asking)
    assert (len(index.asked), index.most) == (27, 8)
    await source.close()


async def test_a_page_waits_no_longer_than_its_patience_and_changes_as_facts_come(make: Make, index: Index) -> None:
    source = make(patience=0.01)
    before = source.version("web")
    assert await told(source, page(*WEB[:3])) == {}
    first = source.version("web")
    assert first != before
    await index.go(LAST)
    await eventually(lambda: source.version("web") != first)
    assert await told(source, page(*WEB[:3])) == {LAST: f"{ACME} {LAST} ?"}
    second = source.version("web")
    await index.go()
    await eventually(lambda: not source.state())
    assert source.version("web") != second
    assert len(await told(source, page(*WEB[:3]))) == 3
    assert sorted(index.asked) == sorted(WEB[:3])
    await source.close()


@pytest.mark.parametrize(("asked", "needs"), [(["none"], [WEB[6]]), (["changed"], WEB[6:])])
async def test_a_file_that_a_client_waits_for_comes_before_the_others(
    make: Make, index: Index, asked: list[str], needs: list[str]
) -> None:
    source = make(*asked)
    whole = asyncio.ensure_future(source.about(page(*WEB), 0.0))
    await eventually(lambda: index.running == 4)
    asking = asyncio.ensure_future(source.about(page(*WEB), 0.0, WEB[6]))
    await index.go(*WEB[:3], *needs)
    assert (await asking)["provenance"][WEB[6]] == f"{ACME} {WEB[6]}{' ?' if asked == ['none'] else ''}"
    assert index.asked[4 : 4 + len(needs)] == needs
    assert not whole.done()
    await index.go()
    await whole
    await source.close()


async def test_files_without_provenance_need_no_look(make: Make, index: Index) -> None:
    source = make()
    assert await told(source, page("web-none-1.0.tar.gz")) == {"web-none-1.0.tar.gz": "none"}
    assert index.asked == []
    assert source.version("web") == source.version("web")
    await source.close()


async def test_nobody_looks_where_no_rule_asks(make: Make, index: Index) -> None:
    source = make()
    assert await source.about(page("other-1.0.tar.gz", project="other"), 0.0) == {}
    assert source.version("other") == source.version("other")
    assert index.asked == []
    await source.close()


async def test_what_was_found_is_not_looked_up_again(make: Make, index: Index, store: Store) -> None:
    await index.go()
    one = make()
    found = await told(one, page(*WEB[1:]))
    await told(one, page(*WEB[1:]))
    assert len(index.asked) == 8
    version = one.version("web")
    assert version == one.version("web")
    await one.close()
    other = make()
    assert await told(other, page(*WEB[1:])) == found
    assert len(index.asked) == 8
    await told(other, page(*WEB))
    assert index.asked[8:] == [LAST]
    await other.close()
    await told(make(), page(*WEB))
    assert len(index.asked) == 9


async def test_two_gateways_save_what_each_has_found(make: Make, index: Index, store: Store) -> None:
    await index.go()
    one, other = make(), make()
    await told(one, page(*WEB[:2]))
    await told(other, page(*WEB[2:]))
    await one.close()
    await other.close()
    await told(make(), page(*WEB))
    assert len(index.asked) == 9


async def test_other_keys_or_another_file_are_verified_anew(make: Make, index: Index) -> None:
    await index.go()
    one = make()
    await told(one, page(LAST))
    replaced = Project(
        "web", (), (File(LAST, LAST, hashes={"sha256": "cd"}, provenance=f"https://pypi.example/{LAST}"),)
    )
    await told(one, replaced)
    assert index.asked == [LAST] * 2
    await one.close()
    index.root = "other"
    other = make()
    await told(other, page(LAST))
    assert index.asked == [LAST] * 3
    await other.close()


async def test_what_can_t_be_read_is_tried_again_later_and_not_saved(
    make: Make, index: Index, clock: Clock, store: Store
) -> None:
    await index.go()
    index.fails = {FIRST}
    source = make()
    shown = page(LAST, FIRST)
    assert await told(source, shown) == {LAST: f"{ACME} {LAST} ?"}
    version = source.version("web")
    clock.now += 59
    assert await told(source, shown) == {LAST: f"{ACME} {LAST} ?"}
    assert source.version("web") == version
    assert index.asked == [LAST, FIRST]
    clock.now += 1
    assert source.version("web") != version
    index.fails = set()
    assert await told(source, shown) == {name: f"{ACME} {name}" for name in (LAST, FIRST)}
    assert index.asked == [LAST, FIRST, FIRST]
    await source.close()


async def test_it_is_tried_again_although_another_file_is_gone_that_could_not_be_read(
    make: Make, index: Index, clock: Clock
) -> None:
    await index.go()
    index.fails = {LAST, FIRST}
    source = make()
    await told(source, page(LAST))
    clock.now += 30
    await told(source, page(FIRST))
    clock.now += 30
    assert await told(source, page(FIRST)) == {}
    version = source.version("web")
    assert await told(source, page(FIRST)) == {}
    assert source.version("web") == version
    clock.now += 30
    assert source.version("web") != version
    await source.close()


async def test_a_failure_is_not_known_to_another_gateway(make: Make, index: Index) -> None:
    await index.go()
    index.fails = {FIRST}
    one = make()
    await told(one, page(LAST, FIRST))
    await one.close()
    index.fails = set()
    assert len(await told(make(), page(LAST, FIRST))) == 2
    assert index.asked == [LAST, FIRST, FIRST]


async def test_a_bug_of_the_library_is_a_failure(make: Make, index: Index, caplog: pytest.LogCaptureFixture) -> None:
    await index.go()
    source = make()
    assert await told(source, page("bug-1.0.tar.gz", "web-1.0.tar.gz")) == {"web-1.0.tar.gz": f"{ACME} web-1.0.tar.gz"}
    assert "this is a bug" in caplog.text
    await source.close()


async def test_what_is_saved_can_t_be_read(make: Make, index: Index, store: Store) -> None:
    await index.go()
    store.down = True
    source = make()
    assert len(await told(source, page(*WEB))) == 9
    await told(source, page(*WEB))
    assert len(index.asked) == 9
    await source.close()
    assert store.documents == {}


async def test_without_memory_it_is_read_from_what_is_saved(make: Make, index: Index) -> None:
    await index.go()
    source = make(memory=0)
    assert len(await told(source, page(*WEB))) == 9
    await source.close()
    assert len(await told(source, page(*WEB))) == 9
    assert len(index.asked) == 9


async def test_what_was_decided_does_not_stand_when_it_has_been_forgotten(make: Make, index: Index) -> None:
    await index.go()
    source = make()
    before = source.version("web")
    await told(source, page(LAST))
    source._known.clear()
    assert source.version("web") != before
    await source.close()


async def test_what_was_found_before_the_end_is_saved(make: Make, index: Index) -> None:
    source = make(patience=0.01)
    await told(source, page(*WEB))
    await index.go(WEB[1])
    await eventually(lambda: index.verified == [WEB[1]] and len(index.asked) == 5)
    await source.close()
    assert source.state() == {}
    assert index.running == 0
    await index.go()
    await told(make(), page(*WEB))
    assert index.asked.count(WEB[1]) == 1


async def test_those_who_ask_at_once_share_what_is_looked_up(make: Make, index: Index) -> None:
    source = make()
    asking = [asyncio.ensure_future(source.about(page(*WEB), 0.0)) for _ in range(20)]
    await eventually(lambda: index.running == 4)
    asking[0].cancel()
    await index.go()
    await asyncio.gather(*asking[1:])
    assert sorted(index.asked) == sorted(WEB)
    await source.close()


async def test_a_file_that_appears_while_others_are_looked_up(make: Make, index: Index) -> None:
    source = make()
    before = asyncio.ensure_future(source.about(page(*WEB[1:]), 0.0))
    await eventually(lambda: index.running == 4)
    after = asyncio.ensure_future(source.about(page(*WEB), 0.0))
    await index.go()
    await asyncio.gather(before, after)
    assert len((await after)["provenance"]) == 9
    assert sorted(index.asked) == sorted(WEB)
    await source.close()


async def test_a_command_waits_for_all(make: Make, index: Index) -> None:
    source = make(patience=0.01)
    await source.settle()
    asking = asyncio.ensure_future(source.about(page(*WEB), 0.0))
    await eventually(lambda: index.running == 4)
    await index.go()
    assert len((await asking)["provenance"]) == 9
    await source.close()


async def test_too_many_projects_at_once_are_told_to_come_again(
    make: Make, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_SEARCHES", 1)
    source = make(patience=0.01)
    await told(source, page(LAST))
    with pytest.raises(UpstreamBusyError):
        await source.about(page("web2-1.0.tar.gz", project="web2"), 0.0)
    await source.close()


async def test_no_more_files_wait_than_there_is_memory_for(
    make: Make, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others are looked up when somebody asks again, until all are known."""
    monkeypatch.setattr("gateway.index.screening.search._MOST_WAITING", 4)
    monkeypatch.setattr("gateway.index.screening.search._FEW", 2)
    source, other = make(patience=0.01), [name.replace("web", "web2") for name in WEB]
    for _ in range(2):
        await told(source, page(*WEB))
        await told(source, page(*other, project="web2"))
        assert source.state() == {"files that are being looked up": 4 + 2}
    for _ in range(2):
        await told(source, page(*other, project="web2"), other[-1])
        assert source.state() == {"files that are being looked up": 4 + 4}
    await index.go()
    await eventually(lambda: not source.state())
    assert other[-1] in index.asked
    version = source.version("web2")
    source._patience = 20.0
    assert await told(source, page(*other, project="web2")) != {}
    assert source.version("web2") != version, "what was decided does not stand"
    while source.state() or len(await told(source, page(*other, project="web2"))) < len(WEB):
        await eventually(lambda: not source.state())
    assert len(index.asked) == len({*index.asked})
    await source.close()


async def test_a_page_with_many_files_is_gone_through_in_a_thread(make: Make, index: Index) -> None:
    await index.go()
    source = make()
    names = [f"web-{number}.tar.gz" for number in range(300)]
    assert len(await told(source, page(*names))) == 300
    assert index.asked[0] == "web-299.tar.gz"
    await source.close()
