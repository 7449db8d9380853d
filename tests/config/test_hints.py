"""Settings that hardly do what they look like."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.config.hints import owner_hints, path_hints, place_hints, policy_hints, rule_hints
from gateway.config.load import load, load_text
from gateway.config.publish.settings import PublishSettings
from tests.access.test_reload import OPEN, file, replace, started
from tests.conftest import StartGateway
from tests.support.eventually import eventually
from tests.support.jobs import trusting

__all__ = ["file"]  # a fixture


@pytest.mark.parametrize(
    ("prefixes", "paths", "hinted"),
    [
        ({"server.base_path": "/pkg"}, "/pkg/docs, /docs, /pkgs/docs", ["/pkg/docs/"]),
        ({"server.base_path": "/pkg"}, "/pkg", ["/pkg/"]),
        ({"rewrite.strip_prefix": "/s3"}, "/s3/docs, /docs", ["/s3/docs/"]),
        ({}, "/docs, /", []),
    ],
)
def test_rules_for_paths_that_begin_with_what_is_removed(
    tmp_path: Path, prefixes: dict[str, str], paths: str, hinted: list[str]
) -> None:
    rules = {"access.rules": f"[{{projects: x, read: everyone}}, {{paths: [{paths}], read: everyone}}]"}
    settings = load(prefixes | rules | {"access.authenticators": "package:Class"}, environ={}, cwd=tmp_path)
    assert settings.access is not None
    found = path_hints(settings, settings.access)
    assert len(found) == len(hinted)
    for said, path in zip(found, hinted, strict=True):
        assert said.startswith(f"access.rules[2] names the path {path}, which begins with {next(iter(prefixes))}: it")


def test_rules_for_paths_that_begin_with_that_of_a_mount() -> None:
    access = "access: {authenticators: ['a.b:C'], rules: [{paths: [/b/docs/, /c/docs/], read: everyone}]}\n"
    mounts = "mounts: [{name: b, path: /b}, {name: c, path: /c, access: {rules: []}}]\n"
    settings = load_text(access + "storage: {dir: x}\n" + mounts, "c.yaml")
    b, c = settings.mounts
    assert settings.access is not None
    assert c.access is not None
    assert path_hints(settings, settings.access) == path_hints(c, c.access) == []
    (said,) = path_hints(b, settings.access)
    assert said.startswith("access.rules[1] names the path /b/docs/, which begins with the path of the mount b: it")


@pytest.mark.parametrize(
    ("default", "rule", "hinted"),
    [
        ("authenticated", "read: 'group:data, user:bob'", True),
        ("everyone", "read: authenticated", True),
        ("authenticated, 'group:data'", "read: 'group:data'", True),
        ("authenticated", "read: 'group:data', only: true", False),
        ("authenticated", "read: authenticated", False),  # as one of its own, beside one for a pattern that says only
        ("authenticated", "read: everyone", False),
        ("'group:data'", "read: 'user:bob'", False),
        ("everyone", "write: 'group:data'", False),
        ("everyone", "delete: 'group:data'", False),
    ],
)
def test_rules_that_take_nothing_from_those_of_the_defaults(default: str, rule: str, hinted: bool) -> None:
    text = f"access: {{authenticators: ['a.b:C'], default_read: [{default}], rules: [{{projects: acme-*, {rule}}}]}}\n"
    settings = load_text(text, "c.yaml")
    assert settings.access is not None
    said = rule_hints(settings, settings.access)
    assert len(said) == hinted
    assert all(each.startswith("access.rules[1] grants read to ") and "only: true" in each for each in said)


ACCESS = "access: {authenticators: ['a.b:C']}"


@pytest.mark.parametrize(
    ("top", "mount", "hinted"),
    [
        ("dir: x", f"storage: {{prefix: b/}}, {ACCESS}", True),
        ("dir: x", f"storage: {{dir: x/b}}, {ACCESS}", True),
        ("bucket: xyz", f"storage: {{prefix: b/}}, {ACCESS}", True),
        ("bucket: xyz, prefix: a/", f"storage: {{prefix: a/b/}}, {ACCESS}", True),
        ("dir: x", f"rewrite: {{add_prefix: /b}}, {ACCESS}", True),
        ("bucket: xyz, prefix: a/", f"storage: {{prefix: ab/}}, {ACCESS}", False),
        ("bucket: xyz", f"storage: {{bucket: other, prefix: b/}}, {ACCESS}", False),
        ("dir: x", "storage: {prefix: b/}", False),
        ("dir: x", ACCESS, False),
    ],
)
def test_mounts_with_rules_of_their_own_of_which_one_lies_within_another(top: str, mount: str, hinted: bool) -> None:
    settings = load_text(f"storage: {{{top}}}\nmounts: [{{name: b, path: /b, {mount}}}]\n", "c.yaml")
    found = place_hints(settings)
    assert [said.partition(", too")[0] for said in found] == ["mount default serves what mount b has"] * hinted


async def test_rules_that_hold_for_no_request_are_told(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    below = OPEN.replace("0}", "0, base_path: /pkg}", 1)
    file.write_text(below.replace("projects: acme", "paths: /pkg/a"))
    gateway = await started(file)
    try:
        assert "access.rules[1] names the path /pkg/a/, which begins with server.base_path" in caplog.text
        replace(file, below.replace("projects: acme", "paths: /pkg/b"))
        await eventually(lambda: "the path /pkg/b/" in caplog.text)
    finally:
        await gateway.stop()


GITHUB: dict[str, Any] = {"kind": "github", "repository": "acme/web", "workflow": "release.yml", "projects": ["x"]}
GITLAB: dict[str, Any] = {"kind": "gitlab", "repository": "acme/web", "projects": ["x"]}


@pytest.mark.parametrize(
    ("publisher", "missing"),
    [
        (GITHUB, "owner_id"),
        (GITLAB, "owner_id"),
        (GITHUB | {"claims": {"actor": "zoe"}}, "owner_id"),
        (GITHUB | {"owner_id": 1}, ""),
        (GITLAB | {"claims": {"project_id": "77"}}, ""),
        (GITHUB | {"claims": {"repository_id": "77"}}, ""),
        (GITHUB | {"issuer": "https://github.acme.example/_services/token"}, ""),
        ({"kind": "issuer", "issuer": "https://ci.example.com", "claims": {"sub": "x"}, "projects": ["x"]}, ""),
    ],
)
def test_publishers_that_are_known_by_a_name_that_anybody_may_take(publisher: dict[str, Any], missing: str) -> None:
    found = owner_hints(PublishSettings.model_validate({"trusted": [GITHUB | {"owner_id": 1}, publisher]}))
    assert len(found) == bool(missing)
    assert all(said.startswith(f"publish.trusted number 2 (acme/web) has no {missing}: ") for said in found)


async def test_they_are_told_at_the_start(start_gateway: StartGateway, caplog: pytest.LogCaptureFixture) -> None:
    await start_gateway(trusting(GITHUB))
    assert "publish.trusted number 1 (acme/web) has no owner_id" in caplog.text


MOUNTS = """
server: {base_path: /x, port: 0}
storage: {dir: DIR}
access:
  authenticators: ['tests.support.people:People']
  rules: [{paths: [/docs, /team-b/docs, /x/team-b/docs, /all/docs], read: everyone}]
publish: {enabled: true, audience: acme-packages, trusted: [TRUSTED]}
mounts:
- {name: team-b, path: /team-b, storage: {dir: DIR}, rewrite: {strip_prefix: /docs}}
- {name: own, path: /own, storage: {dir: DIR}, access: {rules: [{paths: /own/docs, read: everyone}]}}
- {name: all, path: /all, members: [default, own]}
"""


async def test_each_mount_has_its_hints_and_none_is_told_twice(
    start_gateway: StartGateway, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = MOUNTS.replace("DIR", str(tmp_path)).replace("TRUSTED", json.dumps(GITHUB))
    (tmp_path / "key").write_bytes(b"k" * 40)
    (tmp_path / "config.yaml").write_text(
        text.replace("access:\n", f"access:\n  tokens: {{keys: ['file:{tmp_path}/key']}}\n", 1)
    )
    await start_gateway({"storage.dir": str(tmp_path)})
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    begins = [line.partition(": it does")[0] for line in said if "which begins with" in line]
    assert sorted(begins) == [
        "access.rules[1] names the path /all/docs/, which begins with the path of the mount all",
        "access.rules[1] names the path /docs/, which begins with rewrite.strip_prefix",
        "access.rules[1] names the path /team-b/docs/, which begins with the path of the mount team-b",
        "access.rules[1] names the path /x/team-b/docs/, which begins with server.base_path",
        "access.rules[1] names the path /x/team-b/docs/, which begins with the path of the mount team-b",
        "mounts.own.access.rules[1] names the path /own/docs/, which begins with the path of the mount own",
    ]
    assert len([line for line in said if "has no owner_id" in line]) == 1


async def test_a_hint_about_publishers_of_a_mount_names_it(
    start_gateway: StartGateway, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "key").write_bytes(b"k" * 40)
    trusted = json.dumps({"enabled": True, "audience": "acme-packages", "trusted": [GITHUB]})
    access = f"access: {{tokens: {{keys: ['file:{tmp_path}/key']}}}}"
    (tmp_path / "config.yaml").write_text(
        f"{access}\nmounts: [{{name: b, path: /b, storage: {{dir: {tmp_path}}}, publish: {trusted}}}]"
    )
    await start_gateway({"storage.dir": str(tmp_path)})
    assert "mount b: publish.trusted number 1 (acme/web) has no owner_id" in caplog.text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("policy: {min_age: 7d}", 1),
        ("policy: {min_age: 0}", 0),
        ("policy: {min_age: 7d}\nfallback: {mode: mirror}", 0),
        ("policy: {min_age: 7d, untrusted: true}\nindex: {mode: generated}", 0),
        ("policy: {min_age: 7d}\nmounts: [{name: b, path: /b, fallback: {mode: mirror}}]", 0),
    ],
)
def test_a_policy_that_has_nothing_to_decide(tmp_path: Path, text: str, told: int) -> None:
    (tmp_path / "config.yaml").write_text(f"storage: {{bucket: packages}}\n{text}")
    assert len(policy_hints(load(environ={}, cwd=tmp_path))) == told
