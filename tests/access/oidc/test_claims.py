"""Whose a token is, and when it is refused whoever has signed it."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.access.authenticator import Identity
from gateway.access.oidc.claims import identity
from gateway.access.oidc.jwt import JwtError
from gateway.config.access.oidc import OidcIssuer
from tests.support.issuer import NOW

ISSUER = "https://issuer.example"
CLAIMS: dict[str, Any] = {"iss": ISSUER, "aud": "gateway", "sub": "alice", "exp": int(NOW) + 60, "iat": int(NOW)}


def settings(**more: Any) -> OidcIssuer:
    return OidcIssuer.model_validate({"issuer": ISSUER, "audience": "gateway", **more})


def test_the_subject_is_the_name() -> None:
    assert identity(CLAIMS, settings(), NOW) == Identity("alice", expires=NOW + 90)


@pytest.mark.parametrize(
    ("claims", "more", "name", "groups"),
    [
        ({"groups": ["a", "b"]}, {}, "alice", {"a", "b"}),
        ({"groups": []}, {}, "alice", set()),
        ({"sub": "x" * 256, "groups": ["y"]}, {}, "x" * 256, {"y"}),
        ({"groups": "a b,c"}, {}, "alice", {"a b,c"}),
        ({"groups": ["a"]}, {"groups_prefix": "corp:", "subject_prefix": "corp:"}, "corp:alice", {"corp:a"}),
        ({"groups": ["a"], "roles": ["r"]}, {"groups_claim": "roles"}, "alice", {"r"}),
        ({"email": "a@example.com"}, {"subject_claim": "email"}, "a@example.com", set()),
        ({"aud": ["gateway"]}, {}, "alice", set()),
        ({"exp": NOW + 0.5, "iat": NOW - 0.5, "nbf": NOW}, {}, "alice", set()),
        ({"unknown": {"nested": [{}]}, "sub": "älice ñ"}, {}, "älice ñ", set()),
    ],
)
def test_claims_become_a_name_and_groups(
    claims: dict[str, Any], more: dict[str, Any], name: str, groups: set[str]
) -> None:
    found = identity(CLAIMS | claims, settings(**more), NOW)
    assert found.name == name
    assert found.groups == groups
    assert not found.admin
    assert found.scope is None


HUGE = 10**400
NO_TIMES: list[Any] = [str(int(NOW)), None, True, [NOW], {}, -1, HUGE, 2**53, float("inf"), float("nan")]
NO_NAMES: list[Any] = ["", None, 1, ["alice"], "a\nb", "a\x00", " ", " a", "a\ud800", "x" * 257]
NO_GROUPS: list[Any] = [None, 1, {"a": 1}, [1], ["a", None], ["a\n"], [""], [["a"]], ""]
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"iss": ISSUER + "/"}, "issuer"),
    ({"iss": "https://issuer.example.attacker.example"}, "issuer"),
    ({"iss": None}, "issuer"),
    ({"aud": "other"}, "audience"),
    ({"aud": "Gateway"}, "audience"),
    ({"aud": ["gateway", "other"]}, "audience"),
    ({"aud": ["gateway", "gateway"]}, "audience"),
    ({"aud": []}, "audience"),
    ({"aud": [["gateway"]]}, "audience"),
    ({"aud": {"gateway": 1}}, "audience"),
    ({"aud": None}, "audience"),
    ({"exp": int(NOW) - 30}, "expired"),
    ({"exp": 0}, "expired"),
    ({"nbf": NOW + 31}, "not valid yet"),
    ({"iat": NOW + 31}, "in the future"),
    *(({claim: value}, claim) for claim in ("exp", "iat", "nbf") for value in NO_TIMES),
    *(({"sub": value}, "sub") for value in NO_NAMES),
    *(({"groups": value}, "groups") for value in NO_GROUPS),
]


@pytest.mark.parametrize(("change", "why"), REFUSED)
def test_claims_are_refused(change: dict[str, Any], why: str) -> None:
    with pytest.raises(JwtError, match=why):
        identity(CLAIMS | change, settings(), NOW)


@pytest.mark.parametrize("missing", CLAIMS)
def test_each_of_the_claims_is_needed(missing: str) -> None:
    with pytest.raises(JwtError):
        identity({name: value for name, value in CLAIMS.items() if name != missing}, settings(), NOW)


@pytest.mark.parametrize("change", [{"exp": NOW - 29}, {"iat": NOW + 30}, {"nbf": NOW + 30}])
def test_clocks_may_differ_by_30_seconds(change: dict[str, Any]) -> None:
    assert identity(CLAIMS | change, settings(), NOW).expires > NOW


def test_a_token_can_be_too_old_before_it_expires() -> None:
    young = settings(max_age=50)
    assert identity(CLAIMS | {"iat": NOW - 79}, young, NOW).expires == NOW + 1
    with pytest.raises(JwtError, match="expired"):
        identity(CLAIMS | {"iat": NOW - 80}, young, NOW)
    assert identity(CLAIMS | {"exp": NOW + 10, "iat": NOW}, young, NOW).expires == NOW + 40


@pytest.mark.parametrize(
    ("pattern", "value", "fits"),
    [
        ("acme/app", "acme/app", True),
        ("acme/app", "acme/app2", False),
        ("acme/app", "Acme/app", False),
        ("acme/*", "acme/app", True),
        ("acme/*", "acme-evil/app", False),
        ("acme/*", "x/acme/app", False),
        ("refs/heads/*", "refs/heads/a/b", True),
        ("v?", "v1", True),
        ("v?", "v12", False),
        ("[ab]", "a", False),
        ("[ab]", "[ab]", True),
        ("acme/app", "acme/app\n", False),
        (True, True, True),
        (True, "true", True),
        (True, False, False),
        (True, 1, False),
        (7, 7, True),
        (7, "7", True),
        (7, 7.0, False),
        ("a", ["a"], False),
        ("*", None, False),
        ("*", {}, False),
        ("*", "", True),
    ],
)
def test_required_claims_are_compared(pattern: object, value: object, fits: bool) -> None:
    required = settings(required_claims={"sub": "alice", "it": pattern})
    if fits:
        assert identity(CLAIMS | {"it": value}, required, NOW).name == "alice"
    else:
        with pytest.raises(JwtError, match="required claim it "):
            identity(CLAIMS | {"it": value}, required, NOW)


def test_a_required_claim_must_be_there() -> None:
    with pytest.raises(JwtError, match="required"):
        identity(CLAIMS, settings(required_claims={"repository": "*"}), NOW)


def test_no_pattern_takes_long() -> None:
    required = settings(required_claims={"it": "*a" * 30 + "b"})
    began = time.perf_counter()
    with pytest.raises(JwtError):
        identity(CLAIMS | {"it": "a" * 12_000}, required, NOW)
    assert time.perf_counter() - began < 1


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(int(NOW)) | st.just("gateway"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*CLAIMS, "nbf", "groups", "it"]), values))
def test_no_claims_break_the_check(change: dict[str, Any]) -> None:
    try:
        found = identity(CLAIMS | change, settings(required_claims={"sub": "*"}), NOW)
    except JwtError:
        return
    assert found.name
    assert found.expires > NOW
