"""A question is about whom and what it names, and nothing else."""

import re
from pathlib import Path

import pytest

from gateway.cli.access.question import People, parse_groups, parse_path, parse_project, parse_who, verdicts
from gateway.config.load import load
from gateway.config.settings import Settings
from gateway.principal import Right
from gateway.rights.policy import Listing, Resource

SECTION = """\
access:
  users: {alice: "$2b$12$x"}
  rules:
  - {projects: [acme], read: ["token:alice", "group:data"], only: true}
  - {paths: [/open/], read: [], only: true}
"""


def given(tmp_path: Path, more: str = "") -> tuple[Settings, People]:
    (tmp_path / "config.yaml").write_text(SECTION + more)
    settings = load(config_file=tmp_path / "config.yaml", environ={})
    assert settings.access is not None
    return settings, People(settings.access)


def may_read(people: People, who: str, resource: Resource) -> bool:
    return dict(verdicts(people.policy, people.principal(parse_who(who)), resource))[Right.READ].allowed


def test_a_user_is_no_token_of_that_name(tmp_path: Path) -> None:
    settings, people = given(tmp_path)
    acme = parse_project(settings, "acme")
    decided = {who: may_read(people, who, acme) for who in ("alice", "token:alice", "group:alice", "group:data")}
    assert decided == {"alice": False, "token:alice": True, "group:alice": False, "group:data": True}


def test_a_project_has_the_path_of_its_folder(tmp_path: Path) -> None:
    settings, people = given(tmp_path)
    assert may_read(people, "alice", parse_project(settings, "other"))
    assert not may_read(people, "alice", parse_project(settings, "Open"))


def test_a_project_has_the_path_of_its_page(tmp_path: Path) -> None:
    settings, people = given(tmp_path, "  - {paths: [/shown/index.html], read: [], only: true}\n")
    assert not may_read(people, "alice", parse_path(settings, "/simple/shown/"))
    assert not may_read(people, "alice", parse_project(settings, "Shown"))


def test_a_path_is_stripped_as_a_request_s(tmp_path: Path) -> None:
    settings, _ = given(tmp_path, "rewrite: {strip_prefix: /pypi, add_prefix: in/}\n")
    assert parse_path(settings, "/pypi/acme/").projects == ("acme",)
    assert parse_path(settings, "/pypi/").listing is not Listing.NO


@pytest.mark.parametrize("group", ["", " ", " a", "a ", "a\nb", "a\x1b[2J"])
def test_what_is_no_group_is_refused(group: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(repr(group))} is no name of a group$"):
        parse_groups(["data", group])
    assert parse_groups(["data", "a b", "data"]) == {"data", "a b"}


def test_nobody_is_asked_about_without_a_name() -> None:
    why = "must be the name of a user, everyone, authenticated, group:NAME or token:ID"
    with pytest.raises(ValueError, match=f"^{why}$"):
        parse_who("")


@pytest.mark.parametrize(
    ("more", "names"),
    [
        ("", []),
        ("  authenticators: [tests.support.people:People]\n", ["access.authenticators"]),
        ('  ldap: {url: "ldaps://x", user_dn_format: "uid={username}"}\n', ["access.ldap"]),
        ('  remote: {url: "https://x.example"}\n', ["access.remote"]),
        ('  oidc: [{issuer: "https://x.example", audience: a}]\n', ["access.oidc"]),
        ('  sql: {url: "sqlite+aiosqlite:///x.db"}\n', ["access.sql"]),
        ("  secrets_manager: {secret_id: x}\n", ["access.secrets_manager"]),
    ],
)
def test_who_may_know_more_users_is_named(tmp_path: Path, more: str, names: list[str]) -> None:
    _, people = given(tmp_path, more)
    assert people.directories == names
