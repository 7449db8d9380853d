"""Mounts: layers over the top level, checked by themselves and beside each other."""

from pathlib import Path

import pytest

from gateway.config.load import load, load_text
from gateway.config.settings import Settings
from gateway.errors import ConfigError

ROLE = "arn:aws:iam::123456789012:role/a"
TOP = "storage: {bucket: my-pypi, prefix: pypi/, region_name: eu-central-1, prepend_hash: true}\n"


def mounts(text: str, top: str = TOP) -> dict[str, Settings]:
    return {found.mount.name: found for found in load_text(f"{top}mounts:\n{text}", "c.yaml").all_mounts}


def problems(text: str, top: str = TOP) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        mounts(text, top)
    return [f"{problem.key}: {problem.message}" for problem in caught.value.problems]


def test_without_mounts_there_is_the_default() -> None:
    settings = load_text("", "c.yaml")
    assert settings.all_mounts == (settings,)
    assert (settings.mount.name, settings.mount.path, settings.mount.host) == ("default", "", "")


def test_a_mount_has_what_it_gives_and_else_the_top_level_s() -> None:
    top = f"{TOP}index: {{refresh: 5, layout: flat}}\nserver: {{base_path: /x}}\ncache: {{index_ttl: 7}}\n"
    found = mounts("- {name: b, path: team/b/, index: {refresh: 9}}", top)
    default, b = found["default"], found["b"]
    assert (default.index.refresh, default.server.base_path) == (5, "/x")
    assert (b.index.refresh, b.index.layout, b.cache.index_ttl) == (9, "flat", 7)
    assert (b.mount.path, b.server.base_path) == ("/team/b", "/x/team/b")
    assert b.storage == default.storage


@pytest.mark.parametrize("place", ["bucket: other", "dir: dist", "backend: file"])
def test_what_is_true_of_one_place_is_not_of_another(place: str) -> None:
    storage = mounts(f"- {{name: b, path: /b, storage: {{{place}}}}}")["b"].storage
    assert (storage.prefix, storage.prepend_hash, storage.region_name) == ("", False, "eu-central-1")
    assert storage.resolved_backend == ("s3" if place.startswith("bucket") else "file")
    assert storage.bucket == ("other" if place.startswith("bucket") else None)


@pytest.mark.parametrize(
    ("own", "found"),
    [
        ("prefix: b/", ("top", "AKTOP", "token", ROLE, "id", "kms")),
        ("profile_name: b", ("b", None, None, None, None, "kms")),
        ("aws_access_key_id: AKB, aws_secret_access_key: x", (None, "AKB", None, None, None, "kms")),
        ("assume_role_arn: 'arn:aws:iam::123456789012:role/ab'", ("top", "AKTOP", "token", f"{ROLE}b", None, "kms")),
        ("server_side_encryption: AES256", ("top", "AKTOP", "token", ROLE, "id", None)),
    ],
)
def test_who_has_other_credentials_has_none_of_the_top_level_s(own: str, found: tuple[str | None, ...]) -> None:
    """A key of the top level would win over a profile of the mount's own."""
    top = (
        "storage: {bucket: my-pypi, profile_name: top, aws_access_key_id: AKTOP, aws_secret_access_key: x, "
        f"aws_session_token: token, assume_role_arn: '{ROLE}', assume_role_external_id: id, "
        "server_side_encryption: 'aws:kms', sse_kms_key_id: kms}\n"
    )
    storage = mounts(f"- {{name: b, path: /b, storage: {{{own}}}}}", top)["b"].storage
    token = storage.aws_session_token.get_secret_value() if storage.aws_session_token is not None else None
    given = storage.profile_name, storage.aws_access_key_id, token
    assert (*given, storage.assume_role_arn, storage.assume_role_external_id, storage.sse_kms_key_id) == found


def test_who_has_another_key_of_cloudfront_has_none_of_the_top_level_s(tmp_path: Path) -> None:
    (tmp_path / "b.pem").touch()
    top = "storage: {bucket: my-pypi, cloud_front_key_string: top, cloud_front_key_password: top}\n"
    own = f"cloud_front_key_id: B, cloud_front_key_file: '{tmp_path}/b.pem'"
    storage = mounts(f"- {{name: b, path: /b, storage: {{{own}}}}}", top)["b"].storage
    assert (storage.cloud_front_key_string, storage.cloud_front_key_password) == (None, None)


def test_a_mount_of_another_part_of_the_same_place_keeps_what_is_true_of_it() -> None:
    storage = mounts("- {name: b, path: /b, storage: {prefix: b/}}")["b"].storage
    assert (storage.bucket, storage.prefix, storage.prepend_hash) == ("my-pypi", "b/", True)


def test_a_mount_without_listings_has_neither_fallback_nor_uploads() -> None:
    top = f"{TOP}fallback: {{mode: redirect}}\npublish: {{enabled: true, allow_anonymous: true}}\n"
    found = mounts("- {name: b, path: /b}\n- {name: c, path: /c, index: {mode: static}}", top)
    assert [(one.fallback.mode, one.publish.enabled) for one in found.values()] == [
        ("redirect", True),
        ("redirect", True),
        ("none", False),
    ]


def test_a_top_level_without_a_place_is_no_mount() -> None:
    text = "- {name: b, path: /b, storage: {bucket: b-b}}"
    assert [*mounts(text, "storage: {region_name: eu-west-1}\n")] == ["b"]
    for place in ("bucket: x1x", "dir: x", "backend: file"):
        assert [*mounts(text, f"storage: {{{place}}}\n")] == ["default", "b"]


def test_the_section_access_is_inherited_setting_by_setting() -> None:
    top = f"{TOP}access: {{default_read: [everyone], groups: {{data: [alice]}}, admins: [carol]}}\n"
    found = mounts("- {name: b, path: /b, access: {default_read: ['group:data'], users: {alice: x}}}", top)
    access = found["b"].access
    assert access is not None
    assert ([*access.users], access.groups, access.admins) == (["alice"], {"data": ["alice"]}, ["carol"])
    assert found["default"].access is not None
    assert found["default"].access.default_read != access.default_read


KEYS = f"tokens: {{keys: [{'k' * 40}]}}"
LOGIN = f"login: {{cookie_keys: [{'c' * 40}]}}"
JOBS = "trusted: [{kind: github, repository: acme/web, workflow: release.yml, projects: [web]}], audience: acme"


@pytest.mark.parametrize(
    ("own", "refused"),
    [
        ("users: {alice: x}", True),
        ("authenticators: ['a.b:C']", True),
        ("default_read: [everyone], admins: []", False),
        (f"users: {{alice: x}}, login: {{cookie_keys: [{'o' * 40}]}}", False),
    ],
)
def test_who_knows_other_people_has_sessions_of_its_own(own: str, refused: bool) -> None:
    top = f"{TOP}access: {{users: {{carol: x}}, {LOGIN}}}\n"
    text = f"- {{name: b, path: /b, access: {{{own}}}}}"
    if refused:
        (said,) = problems(text, top)
        assert "needs access.login with cookie_keys of the mount's own" in said
    else:
        assert [*mounts(text, top)] == ["default", "b"]
    at_issuer = top.replace("]}}", "], oidc: {issuer: 'https://sso.example.com', client_id: x}}}")
    assert [*mounts(text, at_issuer)] == ["default", "b"], "the same people log in at both"


@pytest.mark.parametrize(
    ("own", "refused"),
    [
        ("publish: {trusted: []}", True),
        ("publish: {trusted: [{kind: github, repository: b/b, workflow: r.yml, projects: [b]}]}", True),
        ("publish: {trusted: [], audience: of-b}", False),
        ("publish: {trusted: [], enabled: false}", False),
        (f"publish: {{trusted: []}}, access: {{tokens: {{keys: [{'o' * 40}]}}}}", False),
        ("index: {refresh: 3}", False),
    ],
)
def test_who_trusts_other_jobs_has_an_audience_of_its_own(own: str, refused: bool) -> None:
    top = f"{TOP}access: {{{KEYS}}}\npublish: {{enabled: true, {JOBS}}}\n"
    text = f"- {{name: b, path: /b, {own}}}"
    if refused:
        assert problems(text, top) == [
            "mounts.b.publish: needs an audience of its own: default has the same one and trusts other jobs, whose "
            "tokens would be good at both"
        ]
    else:
        assert [*mounts(text, top)] == ["default", "b"]


@pytest.mark.parametrize(
    ("mount", "url"),
    [
        ("path: /b", "https://pypi.example.org:8443/x/b"),
        ("host: b.example.org", "https://b.example.org:8443/x"),
        ("host: b.example.org, path: /b", "https://b.example.org:8443/x/b"),
        ("host: '[fd00::1]'", "https://[fd00::1]:8443/x"),
        ("host: '*.example.org'", None),
    ],
)
def test_the_public_url_of_a_mount(mount: str, url: str | None) -> None:
    top = f"{TOP}server: {{public_url: 'https://pypi.example.org:8443/x/'}}\n"
    assert mounts(f"- {{name: b, {mount}}}", top)["b"].server.public_url == url


def test_variables_and_the_command_line_reach_a_mount_by_its_name(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(f"{TOP}mounts:\n- {{name: team-b, path: /b, storage: {{bucket: b-b}}}}\n")
    environ = {"GATEWAY_MOUNTS__TEAM_B__STORAGE__PROFILE_NAME": "b", "GATEWAY_STORAGE__PROFILE_NAME": "top"}
    flags = {"mounts.team-b.index.refresh": "7"}
    settings = load(flags, config_file=file, environ=environ)
    (b,) = settings.mounts
    assert (b.storage.profile_name, b.index.refresh, settings.storage.profile_name) == ("b", 7, "top")
    with pytest.raises(ConfigError) as caught:
        load({"mounts.team-c.index.refresh": "7"}, config_file=file, environ={})
    assert [str(problem) for problem in caught.value.problems] == [
        "mounts (command line): names a mount that the configuration file does not have"
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- {path: /b}", "mounts.1.name: is needed: a word like team-b"),
        ("- {name: B b}", "mounts.1.name: must be of small letters, digits and hyphens, 63 at most, like team-b"),
        ("- {name: b, path: '/b?c'}", "mounts.b.path: must be a path like /team-b, of letters, digits, -, _, . and ~"),
        ("- {name: b, path: /../c}", "mounts.b.path: must be a path like /team-b, of letters, digits, -, _, . and ~"),
        ("- {name: b, host: 'b:80'}", "must be a host name without a port"),
        ("- {name: b, path: /b, server: {port: 1}}", "mounts.b.server.port: is for all mounts"),
        ("- {name: b, path: /b, index: {memory_bytes: 8MB}}", "mounts.b.index.memory_bytes: is for all mounts"),
        ("- {name: b, path: /b, bucket: x}", "mounts.b.bucket: is not a section; did you mean storage.bucket?"),
        ("- {name: b, path: /b, storage: {buckt: x}}", "mounts.b.storage.buckt: is not a setting"),
        ("- {name: b, path: /b, storage: {bucket: b/b}}", "mounts.b.storage.bucket: must be a bucket's name"),
        ("- {name: b, path: /b, publish: {enabled: true}}", "mounts.b.publish.enabled: needs the section access"),
        ("- {name: b, path: /b, name: b}", "mounts.b.name: is given twice"),
        ("- b", "mounts: must be a list of mappings, each with a name"),
        ("- {name: b, path: /b}\n- {name: b, path: /c}", "mounts.b.name: is the name of another mount"),
        ("- {name: default, path: /b}", "mounts.default.name: is the name of another mount, or of the top level"),
        ("- {name: b}", "mounts.b.path: leads to the top level already"),
        ("- {name: b, path: /b}\n- {name: c, path: b/}", "mounts.c.path: leads to b already"),
        ("- {name: b, host: B.org.}\n- {name: c, host: b.org}", "mounts.c.path: leads to b already"),
        ("- {name: b, path: /health}", "mounts.b.path: is a path of the gateway's own"),
        ("- {name: b, path: /-/x}", "mounts.b.path: is a path of the gateway's own"),
        ("- {name: b, path: '/{bucket}'}", "mounts.b.path: has {bucket}: list those that it may stand for in buckets"),
        ("- {name: b, path: /b, buckets: [b-b]}", "mounts.b.buckets: needs {bucket} in path or host"),
        (
            "- {name: b, path: '/{bucket}', buckets: [b-b], storage: {bucket: c-c}}",
            "mounts.b.storage.bucket: is given",
        ),
        ("- {name: b, path: '/{bucket}', buckets: [b-b, b/c]}", "mounts.b-b-c.storage.bucket: must be a bucket's name"),
        ("- {name: b, path: '/{bucket}', buckets: [b-b, b.b]}", "mounts.b-b-b.name: is the name of another mount"),
        (
            "- {name: b, path: '/{bucket}', buckets: [7, b-b]}",
            "mounts.b.buckets: number 1: Input should be a valid string",
        ),
        ("- {name: b, path: '/{bucket}', buckets: {b-b: c}}", "mounts.b.buckets: Input should be a valid list"),
        ("- {name: b, path: '/{bucket}', buckets: [b-b], index: {refresh: x}}", "index.refresh: Input should be"),
        ("- {name: b, path: /b, members: [c]}", "mounts.b.members: names c, which is no mount"),
        ("- {name: b, path: /b, members: [b]}", "mounts.b.members: names b, which has members itself"),
        ("- {name: b, path: /b, members: [default, default]}", "mounts.b.members: names a mount twice"),
        (
            "- {name: b, path: /b, members: [default], index: {refresh: 3}}",
            "mounts.b.index: has no effect with members",
        ),
        ("- {name: b, path: /b, members: [default], publish_to: c}", "publish_to: must be one of members"),
        ("- {name: b, path: /b, members: [default], publish_to: default}", "publish_to: names default, which takes no"),
        (
            "- {name: b, path: /b, members: [c]}\n- {name: c, path: /c, index: {mode: static}}",
            "mounts.b.members: names c, which lists no projects: its index.mode is static",
        ),
    ],
)
def test_what_is_wrong_with_a_mount_is_said_once(text: str, said: str) -> None:
    found = problems(text)
    assert len([one for one in found if said in one]) == 1, found


def test_buckets_are_mounts_and_no_others_are() -> None:
    text = "- {name: team, path: '/teams/{bucket}', buckets: [team-a, Team.B], storage: {prefix: x/}}"
    found = mounts(text)
    assert [*found] == ["default", "team-team-a", "team-team-b"]
    a, b = found["team-team-a"], found["team-team-b"]
    assert [(one.mount.path, one.storage.bucket, one.storage.prefix) for one in (a, b)] == [
        ("/teams/team-a", "team-a", "x/"),
        ("/teams/Team.B", "Team.B", "x/"),
    ]
    by_host = mounts("- {name: t, host: '{bucket}.example.org', buckets: [t-x]}")["t-t-x"]
    assert (by_host.mount.host, by_host.storage.bucket) == ("t-x.example.org", "t-x")


def test_what_is_wrong_at_the_top_is_said_of_the_top_alone() -> None:
    text = "- {name: b, path: /b, storage: {prefix: b/}}"
    assert problems(text, "storage: {bucket: a/b, connect_timeout: 0, prefix: c/}\n") == [
        "storage.bucket: must be a bucket's name or ARN, without s3:// and without a path",
        "storage.connect_timeout: Input should be greater than 0",
    ]


def test_no_value_is_quoted() -> None:
    said = problems(
        "- {name: hunter2 x, path: 'hunter2?', host: 'hunter2:1', storage: {bucket: hunter2/1}, hunter2: 3}"
    )
    assert not [one for one in said if "hunter2" in one.partition(": ")[2]]
