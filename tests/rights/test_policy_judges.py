"""What a resource may be has to be permitted altogether; and who may read the list of projects."""

import pytest

from gateway.principal import ANONYMOUS, Principal, Right, Scope
from gateway.rights.policy import Decision, Listing, Policy, Resource, Rule
from tests.rights.test_policy import policy

READ, EVERYONE = Right.READ, "everyone"
OURS = policy(
    [
        (["acme"], [], {READ: ["group:data"]}, True),
        (["open"], [], {READ: ["everyone"], Right.FALLBACK: ["user:bob"]}, True),
        ([], ["/docs/"], {READ: ["user:bob"], Right.FALLBACK: ["user:nobody"]}, True),
    ],
    {READ: ["authenticated"]},
    frozenset({"root"}),
)
DATA = frozenset({"data"})
ALICE, BOB, CAROL, ROOT = Principal("alice", groups=DATA), Principal("bob", groups=DATA), Principal("carol"), "root"
ACME, DOCS = "rules[0] does not grant read to", "rules[2] does not grant read to"


@pytest.mark.parametrize(
    ("who", "projects", "paths", "allowed", "why"),
    [
        (CAROL, (), ("/x",), True, "access.default_read grants read to authenticated"),
        (ANONYMOUS, (), ("/x",), False, "nothing grants read to the anonymous"),
        (CAROL, ("acme",), ("/acme/",), False, f"{ACME} 'carol'"),
        (CAROL, ("acme", "open"), ("/x",), False, f"{ACME} 'carol'"),
        (CAROL, ("open", "acme"), ("/x",), False, f"{ACME} 'carol'"),
        (ALICE, ("acme", "open"), ("/x",), True, "rules[1] grants read to everyone"),
        (ALICE, ("open",), ("/open/", "/docs/open/"), False, f"{DOCS} 'alice'"),
        (ALICE, ("open",), ("/docs/open/", "/open/"), False, f"{DOCS} 'alice'"),
        (BOB, ("open",), ("/docs/open/", "/open/"), True, "rules[1] grants read to everyone"),
        (CAROL, ("open",), (), False, ""),
        (Principal(ROOT), ("acme",), ("/docs/",), True, "'root' is an admin"),
    ],
)
def test_all_that_a_resource_may_be_has_to_be_permitted(
    who: Principal, projects: tuple[str, ...], paths: tuple[str, ...], allowed: bool, why: str
) -> None:
    assert OURS.judge(who, READ, Resource(projects, paths)) == Decision(allowed, why)


def token(name: str, *rights: Right, projects: tuple[str, ...] = ()) -> Principal:
    return Principal(name, groups=DATA, token="t1", scope=Scope(frozenset(rights), projects))


BY_DEFAULT = Decision(True, "access.default_read grants read to authenticated")
NOT_FOR_LISTS = Decision(False, "the token 't1' is not for this list of projects")
ADMIN = Decision(True, "'root' is an admin")


@pytest.mark.parametrize(
    ("who", "filtered", "complete"),
    [
        (
            ANONYMOUS,
            Decision(True, "rules[1] grants read to everyone"),
            Decision(False, "nothing grants read to the anonymous"),
        ),
        (CAROL, BY_DEFAULT, Decision(False, f"{ACME} 'carol'")),
        (ALICE, BY_DEFAULT, Decision(False, f"{DOCS} 'alice'")),
        (BOB, BY_DEFAULT, BY_DEFAULT),
        (Principal(ROOT), ADMIN, ADMIN),
        (Principal("eve", admin=True), *[Decision(True, "'eve' is an admin")] * 2),
        (token("bob", READ), BY_DEFAULT, BY_DEFAULT),
        (token("bob", READ, projects=("a*",)), BY_DEFAULT, NOT_FOR_LISTS),
        (token("bob", Right.WRITE), NOT_FOR_LISTS, NOT_FOR_LISTS),
        (token(ROOT, READ, projects=("a*",)), ADMIN, NOT_FOR_LISTS),
        (token(ROOT, Right.WRITE), NOT_FOR_LISTS, NOT_FOR_LISTS),
    ],
)
def test_who_may_read_the_list(who: Principal, filtered: Decision, complete: Decision) -> None:
    for listing, decision in ((Listing.FILTERED, filtered), (Listing.COMPLETE, complete), (Listing.STORED, complete)):
        assert OURS.judge(who, READ, Resource(listing=listing)) == decision, listing


def test_nobody_may_read_a_list_of_nothing() -> None:
    nothing = policy([(["acme"], [], {}, True)], {}, frozenset())
    for listing in (Listing.FILTERED, Listing.COMPLETE, Listing.STORED):
        assert nothing.judge(CAROL, READ, Resource(listing=listing)) == Decision(
            False, "nothing grants read to 'carol'"
        )


def test_the_list_of_a_path_is_for_those_of_the_path() -> None:
    for listing in (Listing.FILTERED, Listing.COMPLETE):
        resource = Resource((), ("/", "/docs/"), listing)
        assert OURS.judge(BOB, READ, resource).allowed
        assert OURS.judge(Principal(ROOT), READ, resource) == Decision(True, "'root' is an admin")
        assert OURS.judge(ALICE, READ, resource) == Decision(False, f"{DOCS} 'alice'")
        # Those who may not read the list at all are told so, and not what the path says.
        anonymous = OURS.judge(ANONYMOUS, READ, Resource((), ("/docs/",), Listing.COMPLETE))
        assert anonymous.why == "nothing grants read to the anonymous"
        assert OURS.judge(BOB, Right.FALLBACK, resource) == Decision(False, "rules[2] does not grant fallback to 'bob'")


def test_without_rules_about_projects_a_stored_page_is_a_page() -> None:
    tree = policy([([], ["/docs/"], {}, True)], {READ: ["everyone"]}, frozenset())
    assert tree.judge(ANONYMOUS, READ, Resource(listing=Listing.STORED)).allowed
    assert not tree.judge(ANONYMOUS, READ, Resource((), ("/docs/",), Listing.STORED)).allowed
    assert not tree.judge(ANONYMOUS, READ, Resource(listing=Listing.COMPLETE)).allowed
    assert tree.judge(ANONYMOUS, READ, Resource(listing=Listing.FILTERED)).allowed


@pytest.mark.parametrize(
    ("rules", "default", "speaks"),
    [
        ([], [], False),
        ([], ["everyone"], True),
        ([], ["authenticated", "user:everyone"], False),
        ([{}], [], False),
        ([{Right.WRITE: ["everyone"]}], ["authenticated"], False),
        ([{READ: ["authenticated"]}, {READ: ["group:data", "everyone"]}], ["authenticated"], True),
    ],
)
def test_whether_anything_is_for_everyone(
    rules: list[dict[Right, list[str]]], default: list[str], speaks: bool
) -> None:
    given = policy([(["acme"], [], grants, False) for grants in rules], {READ: default}, frozenset())
    assert given.grants_everyone(Right.READ) is speaks
    assert policy([], {Right.WRITE: ["everyone"]}, frozenset()).grants_everyone(Right.READ) is False


@pytest.mark.parametrize(
    ("who", "right", "allowed", "why"),
    [
        (CAROL, READ, True, "access.default_read grants read to authenticated"),
        (ANONYMOUS, READ, True, "rules[1] grants read to everyone"),
        (BOB, Right.FALLBACK, True, "access.default_read grants read to authenticated"),
        (BOB, Right.WRITE, False, "nothing grants write to 'bob'"),
        (ANONYMOUS, Right.WRITE, False, "nothing grants write to the anonymous"),
        (Principal(ROOT), Right.WRITE, True, "'root' is an admin"),
        (token(ROOT, READ), Right.WRITE, False, "the token 't1' is not for write"),
        (token(ROOT, Right.WRITE, projects=("acme",)), Right.WRITE, True, "'root' is an admin"),
    ],
)
def test_who_has_a_right_to_anything(who: Principal, right: Right, allowed: bool, why: str) -> None:
    assert OURS.judge_any(who, right) == Decision(allowed, why)


def test_views_tell_scopes_from_each_other_whatever_their_order() -> None:
    scoped = [("b", "a"), ("a", "b", "a"), ("a", "b")]
    assert len({OURS.view(token("bob", READ, projects=projects)) for projects in scoped}) == 1
    different = [
        OURS.view(BOB),
        OURS.view(token("bob", READ)),
        OURS.view(token("bob", READ, projects=("a",))),
        OURS.view(token("bob", READ, projects=("a", "b"))),
        OURS.view(token("bob", READ, Right.FALLBACK)),
        OURS.view(token("bob", Right.WRITE)),
        OURS.view(token(ROOT, READ)),
        OURS.view(Principal(ROOT)),
    ]
    assert len(set(different)) == len(different)
    assert OURS.view(token("bob", READ, Right.WRITE)) == OURS.view(token("bob", READ, Right.DELETE))
    assert OURS.view(Principal(ROOT)) == OURS.view(Principal("eve", admin=True))


def test_long_names_are_decided_by_the_same_rules() -> None:
    for length in (1, 254, 255, 256, 5000):
        long = policy([(["a*"], [], {}, True)], {READ: [EVERYONE]}, frozenset())
        assert not long.decide(ANONYMOUS, READ, project="a" * length).allowed
        assert long.decide(ANONYMOUS, READ, project="b" * length).allowed


def test_long_names_are_not_remembered() -> None:
    """Whoever asks decides how long they are."""
    remembering = Policy([Rule("one", {})])
    for length in (1, 255, 256, 5000):
        remembering.decide(ANONYMOUS, READ, project="a" * length)
    assert remembering._rule_of.cache_info().currsize == 2  # type: ignore[attr-defined]


GRANT = Principal("root", token="t1", scope=Scope(frozenset({Right.WRITE}), ("acme-*", "open"), grants="acme-packages"))
GRANTED = Decision(True, "the token 't1' itself grants write")


@pytest.mark.parametrize(
    ("right", "projects", "paths", "allowed"),
    [
        (Right.WRITE, ("acme-web",), ("/acme-web/x",), True),
        (Right.WRITE, ("open", "acme-web"), ("/docs/acme-web/x",), True),
        (Right.WRITE, ("open", "acme"), ("/x",), False),
        (Right.WRITE, ("acme-web", "other"), ("/x",), False),
        (Right.WRITE, (), ("/x",), False),
        (READ, ("open",), ("/open/",), False),
        (Right.DELETE, ("open",), ("/open/",), False),
        (Right.FALLBACK, ("open",), ("/open/",), False),
    ],
)
def test_a_grant_permits_what_its_token_is_for_and_nothing_else(
    right: Right, projects: tuple[str, ...], paths: tuple[str, ...], allowed: bool
) -> None:
    """Whatever the rules say, and even of the name of an admin."""
    decision = OURS.judge(GRANT, right, Resource(projects, paths))
    assert (decision == GRANTED) if allowed else not decision.allowed


def test_a_grant_permits_something_only_of_its_right() -> None:
    assert OURS.judge_any(GRANT, Right.WRITE) == GRANTED
    assert not OURS.judge_any(GRANT, Right.DELETE).allowed
    assert not OURS.judge(GRANT, READ, Resource(listing=Listing.FILTERED)).allowed
