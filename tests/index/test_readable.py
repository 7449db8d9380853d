"""Each reader's list has the projects that this reader may read, and is made once for all who may read the same."""

import pytest

from gateway.access.authenticator import Identity
from gateway.access.principals import Principals
from gateway.cache.lru import MemoryLimit
from gateway.cache.refreshing import RefreshedValue
from gateway.index import readable
from gateway.index.catalog.listing import Projects
from gateway.index.readable import ReadableProjects
from gateway.principal import Principal, Right
from gateway.rights.patterns import ProjectPattern
from gateway.rights.policy import Policy, Rule
from gateway.rights.subjects import Subject

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
    lists = ReadableProjects(Current(), MemoryLimit(10**6))
    found = await lists.by(CAROL, RefreshedValue(PROJECTS, 3.0, stale=True))
    assert found == RefreshedValue(Projects({"open": ("open", "Open")}, True, frozenset({"x"})), 3.0, stale=True)
    assert not lists.has_all(CAROL)


@pytest.mark.parametrize("policy", [POLICY, None])
async def test_who_may_read_all_gets_the_list_as_it_is(policy: Policy | None) -> None:
    current = Current()
    current.policy = policy
    lists, projects = ReadableProjects(current, MemoryLimit(10**6)), RefreshedValue(PROJECTS, 0.0)
    assert lists.has_all(ALICE)
    assert await lists.by(ALICE, projects) is projects
    assert lists.has_all(CAROL) is (policy is None)


async def test_who_may_not_read_the_root_has_not_all() -> None:
    root = Rule("root", {Right.READ: [Subject("user", "bob")]}, paths=["/"], only=True)
    current = Current()
    current.policy = Policy([root], {Right.READ: EVERYONE})
    lists = ReadableProjects(current, MemoryLimit(10**6))
    assert (lists.has_all(BOB), lists.has_all(ALICE)) == (True, False)


async def test_a_list_is_made_once_for_all_who_may_read_the_same(made_for: list[str]) -> None:
    memory = MemoryLimit(10**6)
    lists = ReadableProjects(Current(), memory)
    for principal in (CAROL, PRINCIPALS.anonymous, CAROL):
        assert list((await lists.by(principal, RefreshedValue(PROJECTS, 0.0))).value.folders) == ["open"]
    assert made_for == ["carol"]
    assert 0 < memory.stats()["readable projects"] < 10_000
    changed = Projects({"new": ("new",)}, has_page=False)
    assert list((await lists.by(CAROL, RefreshedValue(changed, 0.0))).value.folders) == ["new"]
    assert made_for == ["carol", "carol"]


async def test_lists_take_memory_by_their_projects() -> None:
    memory = MemoryLimit(10**6)
    lists = ReadableProjects(Current(), memory)
    sizes = []
    for count in (1, 101):
        many = Projects({f"project-{number}": (f"project-{number}",) for number in range(count)}, has_page=False)
        await lists.by(CAROL, RefreshedValue(many, 0.0))
        sizes.append(memory.stats()["readable projects"])
    assert sizes[1] - sizes[0] > 100 * len("project-10") * 2
