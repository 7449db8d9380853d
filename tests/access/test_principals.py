"""A principal has what the authenticator and the configuration say, and sees what its view tells."""

from gateway.access.authenticator import Identity
from gateway.access.principals import Principals
from gateway.principal import Principal, Right, Scope
from gateway.rights.policy import Policy, Rule
from gateway.rights.subjects import Subject

POLICY = Policy([Rule("docs", {Right.READ: [Subject("group", "data")]}, paths=["/docs/"])])


def make() -> Principals:
    return Principals(POLICY, {"data": ["alice", "bob"], "release": ["alice"], "nobody": []})


def test_groups_are_those_of_the_authenticator_and_of_the_configuration() -> None:
    for name, told, groups in (
        ("alice", set[str](), {"data", "release"}),
        ("alice", {"ops"}, {"data", "release", "ops"}),
        ("bob", set[str](), {"data"}),
        ("carol", {"ops"}, {"ops"}),
        ("carol", set[str](), set[str]()),
    ):
        assert make().of(Identity(name, frozenset(told))).groups == groups, (name, told)


def test_the_rest_is_the_authenticator_s() -> None:
    scope = Scope(frozenset({Right.READ}))
    principal = make().of(Identity("bob", admin=True, token="t1", scope=scope, expires=5.0))
    assert principal == Principal("bob", principal.view, frozenset({"data"}), True, "t1", scope)


def test_the_anonymous_has_no_name_and_no_groups() -> None:
    anonymous = make().anonymous
    assert anonymous == Principal(view=anonymous.view)


def test_a_view_tells_what_somebody_sees_and_nothing_else() -> None:
    principals = make()
    alice, bob, carol = (principals.of(Identity(name)).view for name in ("alice", "bob", "carol"))
    assert alice == bob
    assert len({alice, carol}) == 2
    assert principals.anonymous.view == carol
    assert {len(view) for view in (alice, carol)} == {32}


def test_no_view_is_that_of_another_version() -> None:
    views = [Principals(POLICY, {}, version).anonymous.view for version in (0, 1, 2)]
    assert len(set(views)) == 3
    assert Principals(POLICY, {}).anonymous.view == views[0]
