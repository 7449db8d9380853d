"""Each reader's list has the projects that this reader may read, and is made once for all who may read the same."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from gateway.access.authenticator import Identity
from gateway.access.principals import Principals
from gateway.cache.lru import MemoryLimit
from gateway.cache.refreshing import RefreshedValue
from gateway.errors import NotFoundError
from gateway.index import readable
from gateway.index.catalog.listing import OBJECT_BYTES, Files, Projects
from gateway.index.readable import ReadableProjects
from gateway.index.resources import Resources
from gateway.principal import Principal, Right
from gateway.rights.patterns import ProjectPattern
from gateway.rights.policy import Listing, Policy, Resource, Rule
from gateway.rights.subjects import Subject
from gateway.storage.base import StoredObject

DATA, EVERYONE = [Subject("group", "data")], [Subject("everyone")]
POLICY = Policy(
    [
        Rule("acme", {Right.READ: DATA}, [ProjectPattern("acme-*")], only=True),
        Rule("private", {Right.READ: DATA}, paths=["/private/", "/Hidden_Away/"], only=True),
    ],
    {Right.READ: EVERYONE, Right.WRITE: DATA},
)
PROJECTS = Projects(
    {"acme-web": ("acme-web",), "hidden-away": ("Hidden_Away",), "open": ("open", "Open"), "private": ("private",)},
    has_page=True,
    odd=frozenset({"x"}),
)
PRINCIPALS = Principals(POLICY, {"data": ["alice", "bob"]})
ALICE, BOB, CAROL = (PRINCIPALS.of(Identity(name)) for name in ("alice", "bob", "carol"))


class Current:
    policy: Policy | None = POLICY


def readable_by(current: Current, memory: MemoryLimit | None = None, *, by_folder: bool = True) -> ReadableProjects:
    resources = Resources("in/", index_document="index.html", by_folder=by_folder, root_page=Listing.FILTERED)
    return ReadableProjects(current, resources, "in/", memory or MemoryLimit(10**6))


@pytest.fixture
def made_for(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """For whom lists were made."""
    names, make = list[str](), readable._permitted

    def permitted(projects: Projects, policy: Policy, principal: Principal) -> Projects:
        names.append(principal.name)
        return make(projects, policy, principal)

    monkeypatch.setattr(readable, "_permitted", permitted)
    return names


async def test_a_list_has_only_what_its_reader_may_read() -> None:
    lists = readable_by(Current())
    found = await lists.by(CAROL, RefreshedValue(PROJECTS, 3.0, stale=True))
    assert found == RefreshedValue(Projects({"open": ("open", "Open")}, True, frozenset({"x"})), 3.0, stale=True)
    assert not lists.has_all(CAROL)


@pytest.mark.parametrize("policy", [POLICY, None])
async def test_who_may_read_all_gets_the_list_as_it_is(policy: Policy | None) -> None:
    current = Current()
    current.policy = policy
    lists, projects = readable_by(current), RefreshedValue(PROJECTS, 0.0)
    assert lists.has_all(ALICE)
    assert await lists.by(ALICE, projects) is projects
    assert lists.has_all(CAROL) is (policy is None)


async def test_a_project_is_listed_if_one_of_its_folders_may_be_read() -> None:
    folders = {"private": ("Private",), "hidden-away": ("Hidden_Away", "hidden.away"), "x": ("Hidden_Away", "x")}
    found = await readable_by(Current()).by(CAROL, RefreshedValue(Projects(folders, has_page=False), 0.0))
    assert [*found.value.folders] == ["hidden-away", "x"]


async def test_who_may_not_read_the_root_has_not_all() -> None:
    root = Rule("root", {Right.READ: [Subject("user", "bob")]}, paths=["/"], only=True)
    current = Current()
    current.policy = Policy([root], {Right.READ: EVERYONE})
    lists = readable_by(current)
    assert (lists.has_all(BOB), lists.has_all(ALICE)) == (True, False)


async def test_a_list_is_made_once_for_all_who_may_read_the_same(made_for: list[str]) -> None:
    memory = MemoryLimit(10**6)
    lists = readable_by(Current(), memory)
    for principal in (CAROL, PRINCIPALS.anonymous, CAROL):
        assert list((await lists.by(principal, RefreshedValue(PROJECTS, 0.0))).value.folders) == ["open"]
    assert made_for == ["carol"]
    assert 0 < memory.stats()["readable projects"] < 10_000
    changed = Projects({"new": ("new",)}, has_page=False)
    assert list((await lists.by(CAROL, RefreshedValue(changed, 0.0))).value.folders) == ["new"]
    assert made_for == ["carol", "carol"]


async def test_lists_take_memory_by_their_projects() -> None:
    memory = MemoryLimit(10**6)
    lists = readable_by(Current(), memory)
    sizes = []
    for count in (1, 101):
        many = Projects({f"project-{number}": (f"project-{number}",) for number in range(count)}, has_page=False)
        await lists.by(CAROL, RefreshedValue(many, 0.0))
        sizes.append(memory.stats()["readable projects"])
    assert sizes[1] - sizes[0] > 100 * len("project-10") * 2


def files(*keys: str, pages: Sequence[str] = ()) -> RefreshedValue[Files]:
    return RefreshedValue(Files(tuple(StoredObject(key, 1, '"e"', 0.0) for key in keys), frozenset(pages)), 3.0)


async def seen(lists: ReadableProjects, principal: Principal, project: str, given: RefreshedValue[Files]) -> list[str]:
    return [item.key for item in (await lists.files(principal, project, given)).value.objects]


async def test_a_project_has_only_the_files_that_its_reader_may_fetch() -> None:
    flat = readable_by(Current(), by_folder=False)
    given = files("a/open-1.0.tar.gz", "private/open-2.0.tar.gz", pages=["x", "private"])
    assert await seen(flat, CAROL, "open", given) == ["a/open-1.0.tar.gz"]
    assert await flat.files(CAROL, "open", given) == RefreshedValue(
        Files(given.value.objects[:1], frozenset({"x"})), given.age
    )
    folders, given = readable_by(Current()), files("Open/open-1.0.tar.gz", "open/x.txt", "open/acme_web-1.0.tar.gz")
    assert await seen(folders, CAROL, "open", given) == ["Open/open-1.0.tar.gz", "open/x.txt"]


async def test_readers_from_whom_other_files_are_hidden_are_not_confused() -> None:
    current = Current()
    rules = [
        Rule(name, {Right.READ: [Subject("user", name)]}, paths=[f"/{name}/"], only=True) for name in ("bob", "carol")
    ]
    current.policy = policy = Policy(rules, {Right.READ: EVERYONE})
    principals, lists = Principals(policy, {}), readable_by(current, by_folder=False)
    given = files("bob/open-1.0.tar.gz", "carol/open-2.0.tar.gz", "open-3.0.tar.gz")
    for _ in range(2):
        for name, other in (("bob", "carol"), ("carol", "bob")):
            keys = await seen(lists, principals.of(Identity(name)), "open", given)
            assert (any(name in key for key in keys), any(other in key for key in keys)) == (True, False)


async def test_a_project_whose_files_are_all_hidden_is_absent() -> None:
    """The path of a folder is as it is written, and its project's name is normalised."""
    lists, given = readable_by(Current()), files("Hidden_Away/hidden_away-1.0.tar.gz", "Hidden_Away/x.txt")
    for _ in range(2):
        with pytest.raises(NotFoundError, match="'hidden-away'"):
            await lists.files(CAROL, "hidden-away", given)
    for folder in ("private", "Hidden_Away"):
        with pytest.raises(NotFoundError):
            await lists.files(CAROL, folder, files(pages=[folder]))
    empty = files()
    assert await lists.files(CAROL, "hidden-away", empty) is empty


@pytest.mark.parametrize(
    ("policy", "principal", "may_hide"),
    [
        (POLICY, ALICE, False),
        (None, CAROL, False),
        (Policy(POLICY.rules[:1], POLICY.defaults), CAROL, False),
        (POLICY, CAROL, True),
    ],
)
async def test_files_are_the_same_object_for_those_from_whom_nothing_is_hidden(
    policy: Policy | None, principal: Principal, may_hide: bool
) -> None:
    """What is made of them is made once for all of these."""
    current, given = Current(), files("open/open-1.0.tar.gz")
    current.policy = policy
    lists = readable_by(current)
    assert await lists.files(principal, "open", given) is given
    assert lists.may_hide_files(principal, given.value) is may_hide


async def test_the_folders_of_a_bucket_that_is_recognised_as_flat_are_projects() -> None:
    current = Current()
    current.policy = Policy(POLICY.rules[:1], POLICY.defaults)
    given = files("acme-web/open-2.0.tar.gz", "a/open-1.0.tar.gz")
    given = replace(given, value=replace(given.value, elsewhere=True))
    assert await seen(readable_by(current), CAROL, "open", given) == ["a/open-1.0.tar.gz"]
    assert (await readable_by(current).files(ALICE, "open", given)) is given
    flat = readable_by(current, by_folder=False)
    assert (await flat.files(CAROL, "open", given)) is given


async def test_files_are_looked_at_once_for_all_who_may_read_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    looked, lists, of = list[str](), readable_by(Current(), by_folder=False), Resources.of

    def noted(self: Resources, key: str) -> Resource:
        looked.append(key)
        return of(self, key)

    monkeypatch.setattr(Resources, "of", noted)
    given = files("private/open-2.0.tar.gz", "open-1.0.tar.gz")
    for principal in (CAROL, PRINCIPALS.anonymous, CAROL):
        found = await lists.files(principal, "open", given)
    assert looked == ["in/private/open-2.0.tar.gz", "in/open-1.0.tar.gz"]
    assert (await lists.files(CAROL, "open", given)).value is found.value
    assert await seen(lists, CAROL, "open", files("private/open-3.0.tar.gz", "open-2.0.tar.gz")) == ["open-2.0.tar.gz"]
    looked.clear()
    for project in ("other", "open", "other"):
        await lists.files(CAROL, project, given)
    assert len(looked) == 4, "those of each project, as their listing has changed in between"


async def test_files_that_are_seen_take_memory_by_their_number() -> None:
    memory, sizes = MemoryLimit(10**6), []
    lists = readable_by(Current(), memory, by_folder=False)
    for count in (1, 101):
        await lists.files(CAROL, "open", files("private/x", *(f"open-{number}.tar.gz" for number in range(count))))
        sizes.append(memory.stats()["readable files"])
    assert sizes[1] - sizes[0] == 100 * OBJECT_BYTES
