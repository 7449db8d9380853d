"""The section `access`: what is refused, and why."""

from pathlib import Path

import pytest

from gateway.config.load import load
from gateway.errors import ConfigError
from gateway.principal import ANONYMOUS, Principal, Right


def given(directory: Path, text: str, **environ: str) -> list[str]:
    """The mistakes that a file with this section has."""
    file = directory / "config.yaml"
    file.write_text(f"access:\n{text}")
    someone = {"GATEWAY_ACCESS__AUTHENTICATORS": "package:Class"} if text else {}
    with pytest.raises(ConfigError) as refused:
        load(config_file=file, environ=someone | environ)
    return [f"{problem.key}: {problem.message}" for problem in refused.value.problems]


@pytest.mark.parametrize(
    ("text", "mistakes"),
    [
        ("", ["access: must be a mapping of settings"]),
        (
            "  users: {'a:b': x}\n",
            ["access.users: …: …: must be a name, without a colon, control characters, or spaces around it"],
        ),
        ("  groups: {data: [' bob']}\n", ["access.groups: data: number 1: must be a name, without a colon, control"]),
        (
            "  rules:\n  - {projects: [a/b], read: [group], onlyx: true}\n  - {read: everyone}\n",
            [
                "access.rules: number 1: projects: number 1: must be a project's name, with * and ? for what",
                "access.rules: number 1: read: number 1: must be everyone, authenticated, user:NAME, group:NAME or",
                "access.rules: number 1: onlyx: Extra inputs are not permitted",
                "access.rules: number 2: must have projects or paths",
            ],
        ),
        (
            "  rules: [{projects: [acme-*, x], read: [everyone]}, {projects: ['*-acme'], read: [everyone]}]\n",
            ["access.rules: access.rules[1] (acme-*) and access.rules[2] (*-acme) could both apply to a project"],
        ),
        ("  rules: [{paths: [docs]}]\n", ["access.rules: number 1: paths: number 1: must be a path like /docs/"]),
        *(
            (f"  rules: [{{paths: [{path}]}}]\n", ["access.rules: number 1: paths: number 1: must be without /simple"])
            for path in ("/simple/acme/", "/simple", "/simple/")
        ),
        *(
            (f"  rules: [{{paths: ['{path}']}}]\n", ["access.rules: number 1: paths: number 1: must be without *, ?"])
            for path in ("/docs/*", "/d?cs/", "/my%20docs/")
        ),
        (
            "  rules:\n  - projects: [a]\n    only: true\n\n    projects: [b]\n    read: everyone\n",
            ["access.rules: has a name twice in one mapping; keep one"],
        ),
        ("  groups: {data: [alice], data: [bob]}\n", ["access.groups: has a name twice in one mapping; keep one"]),
        ("  rules: [{paths: [/docs/../x]}]\n", ["access.rules: number 1: paths: number 1: must be a path like /docs/"]),
        ("  rules: ['x']\n", ["access.rules: number 1: Input should be a valid dictionary"]),
        ("  default_read: [3]\n", ["access.default_read: number 1: must be text"]),
        ('  realm: "a\\"b"\n', ["access.realm: must be printable ASCII without quotes and backslashes"]),
    ],
)
def test_mistakes_are_told_with_their_place(tmp_path: Path, text: str, mistakes: list[str]) -> None:
    found = given(tmp_path, text)
    assert len(found) == len(mistakes)
    for told, expected in zip(found, mistakes, strict=True):
        assert told.startswith(expected)


@pytest.mark.parametrize(
    ("storage", "key"),
    [
        ({"PUBLIC_URL": "true"}, "storage.public_url"),
        ({"BACKEND": "cloudfront", "CLOUD_FRONT_DOMAIN": "d1.cloudfront.net"}, "storage.cloud_front_key_id"),
        (
            {
                "BACKEND": "cloudfront",
                "CLOUD_FRONT_DOMAIN": "d1.cloudfront.net",
                "CLOUD_FRONT_WILDCARD": "true",
                "CLOUD_FRONT_KEY_ID": "K",
                "CLOUD_FRONT_KEY_STRING": "x",
            },
            "storage.cloud_front_wildcard",
        ),
    ],
)
def test_no_redirect_leads_to_more_than_one_may_read(tmp_path: Path, storage: dict[str, str], key: str) -> None:
    environ = {f"GATEWAY_STORAGE__{name}": value for name, value in storage.items()}
    environ |= {"GATEWAY_STORAGE__BUCKET": "packages", "GATEWAY_STORAGE__REDIRECT_URLS": "true"}
    [mistake] = given(tmp_path, "  default_read: [everyone]\n", **environ)
    assert mistake.startswith(key)
    load(environ=environ)  # which is fine where everybody may read


def test_the_policy_is_what_the_section_says(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(
        "access:\n  admins: [carol]\n  default_write: [group:ci]\n"
        "  rules: [{projects: [Acme_*], read: [user:alice], only: true}, {paths: [/docs], read: everyone}]\n"
    )
    access = load(config_file=file, environ={}).access
    assert access is not None
    policy, alice, bob = access.policy, Principal("alice"), Principal("bob", groups=frozenset({"ci"}))
    for who, right, project, path, allowed in [
        (alice, Right.READ, "acme-web", "/acme-web/", True),
        (bob, Right.READ, "acme-web", "/acme-web/", False),
        (bob, Right.READ, "other", "/other/", True),
        (ANONYMOUS, Right.READ, "other", "/other/", False),
        (ANONYMOUS, Right.READ, "", "/docs/x", True),
        (bob, Right.WRITE, "other", "/other/", True),
        (alice, Right.WRITE, "other", "/other/", False),
        (Principal("carol"), Right.DELETE, "acme-web", "/acme-web/", True),
    ]:
        assert policy.decide(who, right, project=project, path=path).allowed is allowed, (who, right, project)


def test_variables_have_lists_and_mappings_as_text() -> None:
    environ = {
        "GATEWAY_ACCESS__USERS": "{alice: hash}",
        "GATEWAY_ACCESS__DEFAULT_READ": "user:alice, group:data",
        "GATEWAY_ACCESS__RULES": "[{projects: acme, read: everyone}]",
        "GATEWAY_ACCESS__GROUPS": "{data: [bob]}",
    }
    access = load(environ=environ, cwd=Path("/")).access
    assert access is not None
    assert access.users["alice"].get_secret_value() == "hash"
    assert [str(subject) for subject in access.default_read] == ["user:alice", "group:data"]
    assert access.groups == {"data": ["bob"]}
    assert access.policy.decide(ANONYMOUS, Right.READ, project="acme").allowed


def test_links_are_short_with_access() -> None:
    long = {"GATEWAY_STORAGE__EXPIRE_AFTER": "7200", "GATEWAY_STORAGE__BUFFER_TIME": "600"}
    assert load(environ=long, cwd=Path("/")).storage.expire_after == 7200
    long["GATEWAY_ACCESS__DEFAULT_READ"] = "everyone"
    storage = load(environ=long | {"GATEWAY_ACCESS__MAX_LINK_SECONDS": "400"}, cwd=Path("/")).storage
    assert (storage.expire_after, storage.buffer_time) == (400, 200)
    storage = load(environ=long | {"GATEWAY_ACCESS__MAX_LINK_SECONDS": "90000"}, cwd=Path("/")).storage
    assert (storage.expire_after, storage.buffer_time) == (7200, 600)


@pytest.mark.parametrize("text", ["{}", "{default_read: [user:alice]}", "{rules: [{projects: a, read: [group:data]}]}"])
def test_a_section_that_lets_nobody_in_is_a_mistake(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(f"access: {text}\n")
    with pytest.raises(ConfigError, match="lets nobody in"):
        load(config_file=file, environ={})
    file.write_text("access: {rules: [{projects: a, read: [everyone]}]}\n")
    load(config_file=file, environ={})


def test_nothing_is_fetched_ahead_for_readers_with_rights(tmp_path: Path) -> None:
    [mistake] = given(tmp_path, "  default_read: [everyone]\n", GATEWAY_CACHE__PREFETCH="true")
    assert mistake.startswith("cache.prefetch: can't be true with access")


def test_an_issuer_of_everybody_s_tokens_needs_claims(tmp_path: Path) -> None:
    issuer = "https://token.actions.githubusercontent.com"
    [mistake] = given(tmp_path, f"  oidc: [{{issuer: '{issuer}', audience: packages}}]\n")
    assert "needs required_claims" in mistake
    file = tmp_path / "config.yaml"
    claims = "required_claims: {repository_owner_id: '1'}"
    file.write_text(f"access: {{oidc: [{{issuer: '{issuer}', audience: packages, {claims}}}]}}\n")
    load(config_file=file, environ={})


def test_a_name_twice_in_the_text_of_a_variable_is_a_mistake(tmp_path: Path) -> None:
    rules = "[{projects: a, only: true, projects: b}]"
    assert given(tmp_path, "  groups: {}\n", GATEWAY_ACCESS__RULES=rules) == [
        "access.rules: has a name twice in one mapping; keep one"
    ]


def test_a_merged_mapping_may_have_the_names_of_the_one_that_it_is_merged_into(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(
        "access:\n"
        "  default_read: everyone\n"
        "  rules: [&a {projects: a, read: 'user:x', only: true}, &b {<<: *a, projects: b}, {<<: *b, projects: c}]\n"
        "mounts: [{name: x, path: /x, access: {rules: [*b]}}]\n"
    )
    settings = load(config_file=file, environ={})
    assert settings.access is not None
    assert [str(rule.projects[0]) for rule in settings.access.rules] == ["a", "b", "c"]
    [mount] = settings.mounts
    assert mount.access is not None
    assert [str(rule.projects[0]) for rule in mount.access.rules] == ["b"]


def test_a_section_may_merge_another(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(
        "storage: &s {backend: file, dir: /a}\n"
        "access: &x {default_read: everyone, groups: {a: [x]}}\n"
        "mounts:\n"
        "- &b {name: b, path: /b, storage: {<<: *s, dir: /b}, access: &y {<<: *x, groups: {b: [y]}}}\n"
        "- {<<: *b, name: c, path: /c, access: *y}\n"
    )
    for mount in load(config_file=file, environ={}).mounts:
        assert mount.storage.backend == "file"
        assert mount.storage.dir == Path("/b")
        assert mount.access is not None
        assert [*map(str, mount.access.default_read)] == ["everyone"]
        assert mount.access.groups == {"b": ["y"]}


def test_only_mappings_can_be_merged(tmp_path: Path) -> None:
    assert given(tmp_path, "  <<: 5\n  default_read: everyone\n") == ["access: merges (<<) what is no mapping"]
