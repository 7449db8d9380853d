"""Decisions, against an oracle that is written from the manual's sentences and shares nothing with the policy."""

from collections.abc import Iterator, Mapping, Sequence

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gateway.principal import ANONYMOUS, Principal, Right, Scope
from gateway.rights.patterns import ProjectPattern
from gateway.rights.policy import Listing, Policy, Resource, Rule, collisions
from gateway.rights.subjects import Subject
from tests.support.rights import GivenRule, may

SUBJECTS = ["everyone", "authenticated", "user:alice", "user:bob", "group:data", "token:t1"]
GLOBS = ["*", "a*", "acme-*", "acme-web", "b*", "??"]
PROJECTS = ["acme-web", "acme-db", "axe", "b", "zz", "other"]
PATHS = ["/", "/docs/", "/docs/internal/"]

grants = st.dictionaries(st.sampled_from(Right), st.lists(st.sampled_from(SUBJECTS), max_size=3), max_size=4)
scopes = st.none() | st.tuples(
    st.frozensets(st.sampled_from(Right)), st.lists(st.sampled_from(GLOBS), max_size=2).map(tuple)
)
principals = st.builds(
    lambda name, admin, groups, token, scope: Principal(
        name, groups=groups, admin=admin, token=token, scope=Scope(*scope) if scope is not None else None
    ),
    st.sampled_from(["alice", "bob", "carol"]),
    st.sampled_from([False, False, False, True]),
    st.frozensets(st.sampled_from(["data", "release"])),
    st.sampled_from(["", "t1", "t2"]),
    scopes,
) | st.just(ANONYMOUS)
rules = st.lists(
    st.tuples(
        st.lists(st.sampled_from(GLOBS), max_size=2, unique=True),
        st.lists(st.sampled_from(PATHS), max_size=1),
        grants,
        st.booleans(),
    ),
    max_size=4,
)


def policy(
    given_rules: Sequence[GivenRule],
    defaults: Mapping[Right, Sequence[str]],
    admins: frozenset[str],
) -> Policy:
    def subjects(texts: Sequence[str]) -> list[Subject]:
        return [Subject.parse(text) for text in texts]

    return Policy(
        [
            Rule(
                f"rules[{number}]",
                {right: subjects(texts) for right, texts in grants.items()},
                [ProjectPattern.parse(text) for text in projects],
                paths,
                only,
            )
            for number, (projects, paths, grants, only) in enumerate(given_rules)
        ],
        {right: subjects(texts) for right, texts in defaults.items()},
        admins,
    )


@settings(max_examples=2 * settings().max_examples)
@given(
    rules,
    grants,
    st.frozensets(st.sampled_from(["carol", "bob", ""])),
    principals,
    st.sampled_from(Right),
    st.sampled_from(["", *PROJECTS]),
    st.sampled_from(["/x", "/docs", "/docs/a", "/docs/internal/a", "/"]),
)
def test_decisions_are_the_oracles(  # type: ignore[no-untyped-def]
    rules, defaults, admins, who: Principal, right: Right, project: str, path: str
) -> None:
    ours = policy(rules, defaults, admins)
    assume(not list(collisions(ours.rules)))
    decision = ours.decide(who, right, project=project, path=path)
    assert decision.allowed == may(rules, defaults, admins, who, right, project, path), decision.why
    assert decision.why


@settings(max_examples=2 * settings().max_examples)
@given(rules, grants, principals, principals)
def test_who_has_the_same_view_may_read_the_same(rules, defaults, one: Principal, other: Principal) -> None:  # type: ignore[no-untyped-def]
    ours = policy(rules, defaults, frozenset({"carol", ""}))
    assume(not list(collisions(ours.rules)))
    assume(ours.view(one) == ours.view(other))
    for right in (Right.READ, Right.FALLBACK):
        for project in ["", *PROJECTS]:
            for path in ["/x", "/docs/a", "/docs/internal/a"]:
                decisions = [ours.decide(who, right, project=project, path=path) for who in (one, other)]
                assert decisions[0].allowed == decisions[1].allowed, (project, path)


@pytest.mark.parametrize(
    ("project", "path", "allowed"),
    [
        ("", "/docs", True),
        ("", "/docs/a", True),
        ("", "/docsa", False),
        ("", "/docs/internal/a", False),
        ("open", "/docs/open", True),
        ("acme-web", "/docs/acme-web", False),
        ("acme-web", "/acme-web", False),
        ("open", "/open", True),
    ],
)
def test_the_rule_of_a_path_and_that_of_a_project_both_have_to_permit(project: str, path: str, allowed: bool) -> None:
    everyone: dict[Right, Sequence[str]] = {Right.READ: ["everyone"]}
    given_rules: list[GivenRule] = [
        ([], ["/docs/"], everyone, False),
        ([], ["/docs/internal/"], {}, True),
        (["acme-*"], [], {}, True),
        (["open"], [], everyone, False),
    ]
    ours = policy(given_rules, {}, frozenset())
    assert ours.decide(ANONYMOUS, Right.READ, project=project, path=path).allowed == allowed


def test_many_share_a_view() -> None:
    ours = policy([(["acme-*"], [], {Right.READ: ["group:data"]}, True)], {Right.READ: ["authenticated"]}, frozenset())
    data, others = frozenset({"data"}), frozenset({"sales"})
    assert ours.view(Principal("alice", groups=data)) == ours.view(Principal("bob", groups=data))
    assert ours.view(Principal("alice", groups=data)) != ours.view(Principal("bob", groups=others))
    assert ours.view(ANONYMOUS) not in {ours.view(Principal("bob")), ours.view(Principal("alice", groups=data))}


@pytest.mark.parametrize(
    ("projects", "why"),
    [
        ([["My_Pkg"], ["my-pkg"]], "rules[0] (my-pkg) and rules[1] (my-pkg) could both apply to a project"),
        ([["a*"], ["*a"]], "rules[0] (a*) and rules[1] (*a) could both apply to a project"),
        ([["x", "a*"], ["y"], ["*a"]], "rules[0] (a*) and rules[2] (*a) could both apply to a project"),
        ([["a*"], ["ab*"]], None),
        ([["acme-web"], ["acme-*"], ["*"]], None),
        ([["a*", "*a"]], None),
        ([["a*"], ["b*"]], None),
    ],
)
def test_rules_that_could_both_apply_collide(projects: list[list[str]], why: str | None) -> None:
    found = list(collisions(policy([(names, [], {}, False) for names in projects], {}, frozenset()).rules))
    assert found == ([why] if why is not None else [])


def test_names_are_compared_in_little_time() -> None:
    ours = policy([([f"project-{number:05}"], [], {}, False) for number in range(10_000)], {}, frozenset())
    compared = 0

    def overlaps(one: ProjectPattern, other: ProjectPattern) -> bool:
        nonlocal compared
        compared += 1
        return one == other

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ProjectPattern, "overlaps", overlaps)
        assert list(collisions([*ours.rules, Rule("again", {}, [ProjectPattern("project-00007")])])) != []
    assert compared == 1


@pytest.mark.parametrize("form", ["team-{}-*", "*-{}-x"])
def test_patterns_that_begin_or_end_differently_are_compared_in_little_time(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = [Rule(f"rules[{n}]", {}, [ProjectPattern.parse(form.format(f"{n:05d}"))]) for n in range(300)]
    monkeypatch.setattr("gateway.rights.patterns._overlap", None)
    assert list(collisions(rules)) == []


@pytest.mark.parametrize("listing", [Listing.FILTERED, Listing.COMPLETE])
def test_the_rules_are_gone_through_once_for_each_who_asks_for_the_list(listing: Listing) -> None:
    """It takes milliseconds for a thousand rules, on the event loop, and anybody may ask."""
    rules = Counting([Rule("one", {Right.READ: [Subject("user", "alice")]}, [ProjectPattern.parse("*")], only=True)])
    ours, resource = Policy(rules), Resource(listing=listing)
    for _ in range(3):
        assert not ours.judge(ANONYMOUS, Right.READ, resource).allowed
        ours.view(ANONYMOUS)
    asked = rules.asked
    assert ours.judge(Principal("alice"), Right.READ, resource).allowed == (listing is Listing.FILTERED)
    assert (asked, rules.asked) == (3, 4)  # for the list, the view, and once for the rules about paths


@pytest.mark.parametrize("asks", ["listing", "view", "project"])
def test_not_all_who_ever_asked_are_remembered(asks: str) -> None:
    """Whoever asks decides how many there are: a token may come with any user, and a path may name any project."""
    rules = Counting([Rule("one", {}, [ProjectPattern.parse("acme")])])
    ours, listing = Policy(rules), Resource(listing=Listing.FILTERED)
    many = 4200 if asks == "project" else 1100
    for number in (*range(many), 0):
        rules.asked = 0
        if asks == "listing":
            ours.judge(Principal(f"{number}"), Right.READ, listing)
        elif asks == "view":
            ours.view(Principal(f"{number}"))
        else:
            ours.decide(ANONYMOUS, Right.READ, project=f"project-{number}")
    assert rules.asked > 0


def test_who_asked_lately_is_remembered() -> None:
    rules = Counting([Rule("one", {}, [ProjectPattern.parse("acme")])])
    ours = Policy(rules)
    for number in (*range(4000), 0):
        rules.asked = 0
        ours.decide(ANONYMOUS, Right.READ, project=f"project-{number}")
    assert rules.asked == 0


def test_a_rule_may_have_patterns_that_are_equally_specific() -> None:
    ours = policy([(["a*", "*a"], [], {Right.READ: ["everyone"]}, True)], {}, frozenset())
    assert ours.decide(ANONYMOUS, Right.READ, project="alpha").why == "rules[0] grants read to everyone"


def test_a_rule_for_all_projects_is_none_for_what_is_no_project() -> None:
    ours = policy([(["*"], [], {}, True)], {Right.READ: ["everyone"]}, frozenset())
    assert not ours.decide(ANONYMOUS, Right.READ, project="alpha", path="/alpha/").allowed
    assert ours.decide(ANONYMOUS, Right.READ, path="/notes.txt").allowed
    assert ours.decide(ANONYMOUS, Right.READ).allowed
    assert ours.judge(ANONYMOUS, Right.READ, Resource((), ("/notes.txt",))).allowed


class Counting(list[Rule]):
    """Counts how often its rules are gone through."""

    asked = 0

    def __iter__(self) -> Iterator[Rule]:
        self.asked += 1
        return super().__iter__()


def test_two_rules_for_a_path_collide() -> None:
    ours = policy([([], ["/docs/"], {}, False), ([], ["/docs/"], {}, True)], {}, frozenset())
    assert list(collisions(ours.rules)) == ["rules[0] and rules[1] both speak of /docs/"]


@pytest.mark.parametrize(
    ("who", "right", "project", "why"),
    [
        (Principal("carol"), Right.DELETE, "acme-web", "'carol' is an admin"),
        (Principal("alice", groups=frozenset({"data"})), Right.READ, "acme-web", "rules[0] grants read to group:data"),
        (Principal("bob"), Right.READ, "acme-web", "rules[0] does not grant read to 'bob'"),
        (Principal("bob"), Right.READ, "other", "access.default_read grants read to authenticated"),
        (ANONYMOUS, Right.READ, "other", "nothing grants read to the anonymous"),
        (Principal("al", token="t1", scope=Scope(frozenset())), Right.READ, "", "the token 't1' is not for read"),
        (Principal("bob"), Right.WRITE, "beta", "neither rules[1] nor a default grants write to 'bob'"),
        (
            Principal("alice", token="t1", scope=Scope(frozenset({Right.READ}))),
            Right.WRITE,
            "beta",
            "the token 't1' is not for write of 'beta'",
        ),
    ],
)
def test_decisions_say_why(who: Principal, right: Right, project: str, why: str) -> None:
    acme: dict[Right, Sequence[str]] = {Right.READ: ["group:data"]}
    given_rules: list[GivenRule] = [(["acme-*"], [], acme, True), (["beta"], [], {}, False)]
    ours = policy(given_rules, {Right.READ: ["authenticated"]}, frozenset({"carol"}))
    assert ours.decide(who, right, project=project).why == why
